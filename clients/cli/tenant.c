/* `freehold tenant ...`: TenantAdminService, on the operators' listener. */
#include "freehold/v1/tenant_admin.pb-c.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "clients/cli/cells.h"
#include "clients/cli/commands.h"
#include "clients/cli/credentials.h"
#include "clients/cli/listing.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"
#include "clients/cli/tier.h"

#define NAME_LEN_MAX 128
#define LABELS_MAX 32
#define SERVICE (&freehold__v1__tenant_admin_service__descriptor)

static const char *state_name(Freehold__V1__Tenant__State state)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&freehold__v1__tenant__state__descriptor, (int)state);
    return value != NULL && strncmp(value->name, "STATE_", 6) == 0 ? value->name + 6 : "UNKNOWN";
}

static void tenant_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count,
                        void *arg)
{
    (void)items;
    (void)count;
    (void)arg;
    fh_grid_column(grid, "SLUG", false);
    fh_grid_column(grid, "STATE", false);
    fh_grid_column(grid, "PLAN", false);
    fh_grid_column(grid, "STORE", false);
    fh_grid_column(grid, "TIER", false);
    fh_grid_column(grid, "UUID", false);
    fh_grid_column(grid, "CREATED", false);
    fh_grid_column(grid, "DISPLAY NAME", false);
}

static void tenant_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const Freehold__V1__Tenant *tenant = (const Freehold__V1__Tenant *)item;
    const char *store = tenant->placement != NULL ? tenant->placement->store : "";
    (void)arg;
    fh_grid_text(grid, tenant->slug);
    fh_grid_text(grid, state_name(tenant->state));
    fh_grid_text(grid, tenant->plan);
    fh_grid_text(grid, strncmp(store, "stores/", 7) == 0 ? store + 7 : store);
    fh_grid_text(grid, tenant->placement != NULL ? fh_tier_text(tenant->placement->tier) : "-");
    fh_grid_text(grid, tenant->uid);
    fh_cell_time(grid, tenant->create_time);
    fh_grid_text(grid, tenant->display_name);
}

static void pair(struct fh_grid *grid, const char *name, const char *value)
{
    fh_grid_text(grid, name);
    fh_grid_text(grid, value);
}

static int show_table(struct fh_session *session, const Freehold__V1__Tenant *tenant)
{
    struct fh_grid grid;
    struct fh_buf out;
    fh_grid_init(&grid, 0);
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    fh_grid_column(&grid, "slug", false);
    fh_grid_column(&grid, tenant->slug, false);
    pair(&grid, "uuid", tenant->uid);
    pair(&grid, "state", state_name(tenant->state));
    pair(&grid, "display name", tenant->display_name);
    pair(&grid, "plan", tenant->plan);
    if (tenant->placement != NULL) {
        pair(&grid, "store", tenant->placement->store);
        pair(&grid, "tier", fh_tier_text(tenant->placement->tier));
    }
    fh_grid_text(&grid, "created");
    fh_cell_time(&grid, tenant->create_time);
    fh_grid_text(&grid, "updated");
    fh_cell_time(&grid, tenant->update_time);
    for (size_t i = 0; i < tenant->n_labels; i++) {
        struct fh_buf label;
        fh_buf_init(&label, 1024);
        fh_buf_printf(&label, "%s=%s", tenant->labels[i]->key, tenant->labels[i]->value);
        fh_grid_text(&grid, i == 0 ? "labels" : "");
        fh_grid_cell(&grid, fh_buf_str(&label));
        fh_buf_close(&label);
    }
    const enum fh_code code = fh_grid_flush(&grid, &out);
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    fh_grid_close(&grid);
    return exit_code;
}

/* Calls a method that answers a tenant, and shows it. */
static int call(struct fh_session *session, const char *method, const ProtobufCMessage *request)
{
    struct fh_client *client = NULL;
    ProtobufCMessage *response = NULL;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_invoke(session, client, SERVICE, method, request, &response);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = session->output == FH_OUTPUT_TABLE
                        ? show_table(session, (const Freehold__V1__Tenant *)response)
                        : fh_session_write_json(session, response);
    }
    fh_client_message_free(response);
    return exit_code;
}

static void name_of(const struct fh_session *session, char out[NAME_LEN_MAX])
{
    const char *tenant = session->args->arguments[0];
    (void)snprintf(out, NAME_LEN_MAX, "%s%.100s",
                   strncmp(tenant, "tenants/", 8) == 0 ? "" : "tenants/", tenant);
}

/* "key=value" into an entry; the key is copied. */
static bool read_label(struct fh_arena *arena, const char *text,
                       Freehold__V1__Tenant__LabelsEntry *out)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return false;
    }
    freehold__v1__tenant__labels_entry__init(out);
    out->key = fh_arena_copy(arena, text, (size_t)(equals - text));
    out->value = fh_text_field(equals + 1);
    return out->key != NULL;
}

static int create_run(struct fh_session *session)
{
    Freehold__V1__CreateTenantRequest request = FREEHOLD__V1__CREATE_TENANT_REQUEST__INIT;
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    Freehold__V1__Tenant__LabelsEntry entries[LABELS_MAX];
    Freehold__V1__Tenant__LabelsEntry *labels[LABELS_MAX];
    const struct fh_args *args = session->args;
    const char *display_name = fh_args_value(args, "display-name");
    const char *plan = fh_args_value(args, "plan");
    const char *store = fh_args_value(args, "store");
    const char *region = fh_args_value(args, "region");
    const char *request_id = fh_args_value(args, "request-id");
    char store_name[NAME_LEN_MAX];
    char made_id[FH_UUID_TEXT_LEN + 1];
    struct fh_arena arena;
    const char *label;
    size_t cursor = 0;
    fh_arena_init(&arena, 65536);
    int exit_code = FH_EXIT_OK;
    while (exit_code == FH_EXIT_OK && (label = fh_args_next(args, "label", &cursor)) != NULL) {
        if (tenant.n_labels == LABELS_MAX ||
            !read_label(&arena, label, &entries[tenant.n_labels])) {
            exit_code = fh_session_fail(session, FH_EXIT_USAGE,
                                        "--label is KEY=VALUE, at most %d of them", LABELS_MAX);
            break;
        }
        labels[tenant.n_labels] = &entries[tenant.n_labels];
        tenant.n_labels++;
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_tier_option(session, &request.tier);
    }
    if (exit_code == FH_EXIT_OK) {
        const struct fh_uuid id = fh_uuid_v7(fh_clock_realtime_us(fh_clock_system()));
        fh_uuid_format(&id, made_id);
        tenant.labels = labels;
        tenant.slug = fh_text_field(args->arguments[0]);
        tenant.display_name = fh_text_field(display_name);
        tenant.plan = fh_text_field(plan);
        request.tenant = &tenant;
        request.region = fh_text_field(region);
        request.request_id = fh_text_field(request_id != NULL ? request_id : made_id);
        if (store != NULL) {
            (void)snprintf(store_name, sizeof(store_name), "%s%.100s",
                           strncmp(store, "stores/", 7) == 0 ? "" : "stores/", store);
            request.store = store_name;
        }
        exit_code = call(session, "CreateTenant", &request.base);
    }
    fh_arena_close(&arena);
    return exit_code;
}

static int list_run(struct fh_session *session)
{
    Freehold__V1__ListTenantsRequest request = FREEHOLD__V1__LIST_TENANTS_REQUEST__INIT;
    struct fh_listing listing = {
        .service = SERVICE,
        .method = "ListTenants",
        .request = &request.base,
        .head = tenant_head,
        .row = tenant_row,
    };
    request.show_deleted = fh_args_has(session->args, "deleted");
    const int exit_code = fh_session_operators(session, &listing.client);
    return exit_code == FH_EXIT_OK ? fh_listing_run(session, &listing) : exit_code;
}

static int show_run(struct fh_session *session)
{
    char name[NAME_LEN_MAX];
    Freehold__V1__GetTenantRequest request = FREEHOLD__V1__GET_TENANT_REQUEST__INIT;
    name_of(session, name);
    request.name = name;
    return call(session, "GetTenant", &request.base);
}

static int suspend_run(struct fh_session *session)
{
    char name[NAME_LEN_MAX];
    Freehold__V1__SuspendTenantRequest request = FREEHOLD__V1__SUSPEND_TENANT_REQUEST__INIT;
    name_of(session, name);
    request.name = name;
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    return call(session, "SuspendTenant", &request.base);
}

static int resume_run(struct fh_session *session)
{
    char name[NAME_LEN_MAX];
    Freehold__V1__ResumeTenantRequest request = FREEHOLD__V1__RESUME_TENANT_REQUEST__INIT;
    name_of(session, name);
    request.name = name;
    return call(session, "ResumeTenant", &request.base);
}

/* Erasing cannot be undone, so a person types the name once more. */
static int confirm(const struct fh_session *session)
{
    char typed[NAME_LEN_MAX] = "";
    const char *tenant = session->args->arguments[0];
    if (fh_args_has(session->args, "yes")) {
        return FH_EXIT_OK;
    }
    if (isatty(STDIN_FILENO) != 1) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "this erases every record of '%.64s' for good: repeat with --yes",
                               tenant);
    }
    (void)fprintf(stderr, "This erases every record of '%.64s' for good. Type its name: ", tenant);
    if (fgets(typed, sizeof(typed), stdin) != NULL) {
        typed[strcspn(typed, "\n")] = '\0';
    }
    return strcmp(typed, tenant) == 0
               ? FH_EXIT_OK
               : fh_session_fail(session, FH_EXIT_USAGE, "not the same: nothing was deleted");
}

static int delete_run(struct fh_session *session)
{
    char name[NAME_LEN_MAX];
    Freehold__V1__DeleteTenantRequest request = FREEHOLD__V1__DELETE_TENANT_REQUEST__INIT;
    const int exit_code = confirm(session);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    name_of(session, name);
    request.name = name;
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    return call(session, "DeleteTenant", &request.base);
}

static const struct fh_option create_options[] = {
    {"display-name", 0, "TEXT", "a name for people"},
    {"plan", 0, "NAME", "the plan (default: starter)"},
    {"label", 0, "KEY=VALUE", "a label; may be repeated"},
    {"store", 0, "NAME", "where its records live (default: the server's choice)"},
    {"tier", 0, "TIER", "its home there: shared (default), schema or database"},
    {"region", 0, "LABEL", "refuse unless the store has this label"},
    {"request-id", 0, "ID", "makes repeating the command safe (default: a new one)"},
    {0},
};
static const struct fh_option list_options[] = {
    FH_LISTING_OPTIONS,
    {"deleted", 0, NULL, "deleted tenants, too"},
    {0},
};
static const struct fh_option suspend_options[] = {
    {"reason", 0, "TEXT", "for the operators' record"},
    {0},
};
static const struct fh_option credentials_options[] = {
    {"table", 0, "NAME", "what it may read; may be repeated (default: every table)"},
    {"reason", 0, "TEXT", "for the operators' record"},
    {0},
};
static const struct fh_option delete_options[] = {
    {"yes", 'y', NULL, "do not ask"},
    {"reason", 0, "TEXT", "for the operators' record"},
    {0},
};

const struct fh_command fh_tenant_commands[] = {
    {"tenant", "create", "SLUG", "Create a tenant", NULL, create_options, 1, 1, create_run},
    {"tenant", "list", "", "List tenants", NULL, list_options, 0, 0, list_run},
    {"tenant", "show", "SLUG|UUID", "Show a tenant", NULL, NULL, 1, 1, show_run},
    {"tenant", "suspend", "SLUG|UUID", "Refuse a tenant's calls until resumed", NULL,
     suspend_options, 1, 1, suspend_run},
    {"tenant", "resume", "SLUG|UUID", "Serve a suspended tenant again", NULL, NULL, 1, 1,
     resume_run},
    {"tenant", "credentials", "issue|rotate|revoke|show SLUG|UUID",
     "A tenant's own read-only login to its home",
     "For tenants of the tiers schema and database. The secret is told once.", credentials_options,
     2, 2, fh_credentials_run},
    {"tenant", "delete", "SLUG|UUID", "Erase a tenant and its records",
     "The slug is never given out again. Asks for the name unless --yes is given.", delete_options,
     1, 1, delete_run},
    {0},
};
