/* `freehold store ...`: StoreAdminService, on the operators' listener. */
#include "freehold/v1/store_admin.pb-c.h"

#include <stdio.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/listing.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"
#include "clients/cli/tier.h"

#define NAME_LEN_MAX 128
#define SERVICE (&freehold__v1__store_admin_service__descriptor)

static void store_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count,
                       void *arg)
{
    (void)items;
    (void)count;
    (void)arg;
    fh_grid_column(grid, "NAME", false);
    fh_grid_column(grid, "ENGINE", false);
    fh_grid_column(grid, "REGION", false);
    fh_grid_column(grid, "TIERS", false);
    fh_grid_column(grid, "SCHEMA", true);
    fh_grid_column(grid, "FAILOVER", false);
    fh_grid_column(grid, "LOCATION", false);
}

static void store_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const Freehold__V1__Store *store = (const Freehold__V1__Store *)item;
    const char *name = store->name;
    char version[16];
    char tiers[64] = "";
    size_t used = 0;
    (void)arg;
    for (size_t i = 0; i < store->n_tiers && used + 16 < sizeof(tiers); i++) {
        used += (size_t)snprintf(tiers + used, sizeof(tiers) - used, "%s%s", i > 0 ? "," : "",
                                 fh_tier_text(store->tiers[i]));
    }
    (void)snprintf(version, sizeof(version), "%u", store->schema_version);
    fh_grid_text(grid, strncmp(name, "stores/", 7) == 0 ? name + 7 : name);
    fh_grid_text(grid, store->engine);
    fh_grid_text(grid, store->region);
    fh_grid_text(grid, used > 0 ? tiers : "-");
    fh_grid_text(grid, version);
    fh_grid_text(grid, store->may_lose_writes_on_failover ? "may lose writes" : "-");
    fh_grid_text(grid, store->location);
}

static int print_store(struct fh_session *session, const ProtobufCMessage *store)
{
    struct fh_grid grid;
    struct fh_buf out;
    if (session->output != FH_OUTPUT_TABLE) {
        return fh_session_write_json(session, store);
    }
    fh_grid_init(&grid, 0);
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    store_head(&grid, NULL, 0, NULL);
    store_row(&grid, store, NULL);
    const enum fh_code code = fh_grid_flush(&grid, &out);
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    fh_grid_close(&grid);
    return exit_code;
}

static void name_of(const char *store, char out[NAME_LEN_MAX])
{
    (void)snprintf(out, NAME_LEN_MAX, "%s%.100s",
                   strncmp(store, "stores/", 7) == 0 ? "" : "stores/", store);
}

static int add_run(struct fh_session *session)
{
    Freehold__V1__CreateStoreRequest request = FREEHOLD__V1__CREATE_STORE_REQUEST__INIT;
    Freehold__V1__Store store = FREEHOLD__V1__STORE__INIT;
    struct fh_client *client = NULL;
    ProtobufCMessage *response = NULL;
    char name[NAME_LEN_MAX];
    const struct fh_args *args = session->args;
    const char *engine = fh_args_value(args, "engine");
    const char *location = fh_args_value(args, "location");
    const char *owner = fh_args_value(args, "owner-location");
    const char *region = fh_args_value(args, "region");
    if (engine == NULL || location == NULL) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "--engine sqlite|postgresql and --location are needed");
    }
    name_of(args->arguments[0], name);
    store.name = name;
    store.engine = fh_text_field(engine);
    store.location = fh_text_field(location);
    store.owner_location = fh_text_field(owner);
    store.region = fh_text_field(region);
    store.may_lose_writes_on_failover = fh_args_has(args, "may-lose-writes");
    request.store = &store;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code =
            fh_session_invoke(session, client, SERVICE, "CreateStore", &request.base, &response);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = print_store(session, response);
    }
    fh_client_message_free(response);
    return exit_code;
}

static int list_run(struct fh_session *session)
{
    Freehold__V1__ListStoresRequest request = FREEHOLD__V1__LIST_STORES_REQUEST__INIT;
    struct fh_listing listing = {
        .service = SERVICE,
        .method = "ListStores",
        .request = &request.base,
        .head = store_head,
        .row = store_row,
    };
    const int exit_code = fh_session_operators(session, &listing.client);
    return exit_code == FH_EXIT_OK ? fh_listing_run(session, &listing) : exit_code;
}

static int print_findings(struct fh_session *session,
                          const Freehold__V1__CheckStoreResponse *response)
{
    struct fh_grid grid;
    struct fh_buf out;
    fh_grid_init(&grid, 0);
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    fh_grid_column(&grid, "RESULT", false);
    fh_grid_column(&grid, "SUBJECT", false);
    fh_grid_column(&grid, "FINDING", false);
    for (size_t i = 0; i < response->n_findings; i++) {
        fh_grid_text(&grid, response->findings[i]->ok ? "ok" : "WRONG");
        fh_grid_text(&grid, response->findings[i]->subject);
        fh_grid_text(&grid, response->findings[i]->text);
    }
    const enum fh_code code = fh_grid_flush(&grid, &out);
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    fh_grid_close(&grid);
    return exit_code;
}

static int check_run(struct fh_session *session)
{
    Freehold__V1__CheckStoreRequest request = FREEHOLD__V1__CHECK_STORE_REQUEST__INIT;
    struct fh_client *client = NULL;
    ProtobufCMessage *message = NULL;
    char name[NAME_LEN_MAX];
    name_of(session->args->arguments[0], name);
    request.name = name;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code =
            fh_session_invoke(session, client, SERVICE, "CheckStore", &request.base, &message);
    }
    if (exit_code == FH_EXIT_OK) {
        const Freehold__V1__CheckStoreResponse *response =
            (const Freehold__V1__CheckStoreResponse *)message;
        exit_code = session->output == FH_OUTPUT_TABLE ? print_findings(session, response)
                                                       : fh_session_write_json(session, message);
        if (exit_code == FH_EXIT_OK && !response->healthy) {
            exit_code = FH_EXIT_REFUSED;
        }
    }
    fh_client_message_free(message);
    return exit_code;
}

static int prepare_run(struct fh_session *session)
{
    Freehold__V1__PrepareStoreRequest request = FREEHOLD__V1__PREPARE_STORE_REQUEST__INIT;
    struct fh_client *client = NULL;
    ProtobufCMessage *message = NULL;
    const char *engine = fh_args_value(session->args, "engine");
    const char *owner = fh_args_value(session->args, "owner");
    const char *serving = fh_args_value(session->args, "serving");
    if (owner == NULL || serving == NULL) {
        return fh_session_fail(
            session, FH_EXIT_USAGE,
            "--owner ROLE and --serving ROLE are needed: the role that is to own "
            "the tables, and the one that is to serve");
    }
    request.engine = fh_text_field(engine);
    request.owner = fh_text_field(owner);
    request.serving = fh_text_field(serving);
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code =
            fh_session_invoke(session, client, SERVICE, "PrepareStore", &request.base, &message);
    }
    if (exit_code == FH_EXIT_OK && session->output != FH_OUTPUT_TABLE) {
        exit_code = fh_session_write_json(session, message);
    } else if (exit_code == FH_EXIT_OK) {
        struct fh_buf out;
        fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
        fh_buf_add_text(&out, ((const Freehold__V1__PrepareStoreResponse *)message)->sql);
        exit_code = fh_session_write(session, &out);
        fh_buf_close(&out);
    }
    fh_client_message_free(message);
    return exit_code;
}

static const struct fh_option prepare_options[] = {
    {"owner", 0, "ROLE", "the role that is to own the tables"},
    {"serving", 0, "ROLE", "the role that is to serve"},
    {"engine", 0, "ENGINE", "default: postgresql"},
    {0},
};
static const struct fh_option add_options[] = {
    {"engine", 0, "ENGINE", "sqlite or postgresql"},
    {"location", 0, "WHERE", "a directory; or a connection string of the serving role"},
    {"owner-location", 0, "WHERE", "postgresql: connection string of the tables' owner"},
    {"region", 0, "LABEL", "where its data resides"},
    {"may-lose-writes", 0, NULL, "it may lose acknowledged writes when it fails over"},
    {0},
};
static const struct fh_option list_options[] = {
    FH_LISTING_OPTIONS,
    {0},
};

const struct fh_command fh_store_commands[] = {
    {"store", "add", "NAME", "Register a store and bring the schema to it",
     "A connection string holds no password: name a passfile in it.", add_options, 1, 1, add_run},
    {"store", "list", "", "List stores", NULL, list_options, 0, 0, list_run},
    {"store", "prepare", "", "Print the SQL that a superuser runs once, before the store is added",
     "Asks no database: freehold store prepare --owner O --serving S | psql", prepare_options, 0, 0,
     prepare_run},
    {"store", "check", "NAME", "Look for what is off in a store", "Exit code 1 when something is.",
     NULL, 1, 1, check_run},
    {0},
};
