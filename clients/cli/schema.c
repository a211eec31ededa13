/* `freehold schema ...`: SchemaService, on the operators' listener.
 *
 * Happy path of apply: the folder's *.sql are read in the order of their names and sent whole.
 * Failures: a file that cannot be read or is too large is said before anything is sent. */
#include "freehold/v1/schema.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "clients/cli/commands.h"
#include "clients/cli/file.h"
#include "clients/cli/grid.h"
#include "clients/cli/rollout.h"
#include "clients/cli/schema_diff.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"

#define SERVICE (&freehold__v1__schema_service__descriptor)
#define MIGRATIONS_MAX 1000
#define FILE_BYTES_MAX (256u << 10)
#define PATH_BYTES_MAX 4096
#define CANARIES_MAX 64
#define NAME_LEN_MAX 128
/* Bringing a schema to every store takes longer than a call on records. */
#define APPLY_DEADLINE_US (10 * 60 * 1000000LL)

struct migrations {
    struct fh_arena arena;
    Freehold__V1__Migration items[MIGRATIONS_MAX];
    Freehold__V1__Migration *pointers[MIGRATIONS_MAX];
    size_t count;
};

static int by_name(const void *a, const void *b)
{
    const Freehold__V1__Migration *const *left = a;
    const Freehold__V1__Migration *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static bool is_migration(const char *name)
{
    const size_t len = strlen(name);
    return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".sql") == 0;
}

static int read_one(struct fh_session *session, struct migrations *all, const char *dir,
                    const char *name)
{
    char path[PATH_BYTES_MAX];
    struct fh_buf text;
    struct fh_error error = FH_ERROR_INIT;
    if (all->count == MIGRATIONS_MAX) {
        return fh_session_fail(session, FH_EXIT_USAGE, "%s has more than %d files", dir,
                               MIGRATIONS_MAX);
    }
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path)) {
        return fh_session_fail(session, FH_EXIT_USAGE, "the path of %s is too long", name);
    }
    fh_buf_init(&text, FILE_BYTES_MAX);
    enum fh_code code = fh_file_read_all(path, &text, NULL, &error);
    if (code == FH_OK && text.len > 0 && !fh_str_is_text(fh_buf_str(&text))) {
        code = fh_error_set(&error, FH_INVALID, "%s is not UTF-8 text", path);
    }
    if (code == FH_OK) {
        Freehold__V1__Migration *item = &all->items[all->count];
        freehold__v1__migration__init(item);
        item->name = fh_arena_copy(&all->arena, name, strlen(name));
        item->sql = fh_arena_copy(&all->arena, text.data, text.len);
        if (item->name == NULL || item->sql == NULL) {
            code = fh_error_set(&error, FH_TOO_LARGE, "the files are too large together");
        }
        all->pointers[all->count++] = item;
    }
    fh_buf_close(&text);
    return code == FH_OK ? FH_EXIT_OK : fh_session_fail_error(session, &error);
}

static int read_all(struct fh_session *session, struct migrations *all, const char *dir)
{
    DIR *folder = opendir(dir);
    const struct dirent *entry;
    int exit_code = FH_EXIT_OK;
    if (folder == NULL) {
        return fh_session_fail(session, FH_EXIT_LOCAL, "cannot open %s: %s", dir, strerror(errno));
    }
    while (exit_code == FH_EXIT_OK && (entry = readdir(folder)) != NULL) {
        if (is_migration(entry->d_name)) {
            exit_code = read_one(session, all, dir, entry->d_name);
        }
    }
    (void)closedir(folder);
    if (exit_code == FH_EXIT_OK && all->count == 0) {
        return fh_session_fail(session, FH_EXIT_USAGE, "%s has no migration files (NNNN_name.sql)",
                               dir);
    }
    qsort(all->pointers, all->count, sizeof(void *), by_name);
    return exit_code;
}

static int print_stores(struct fh_session *session, const Freehold__V1__Schema *schema)
{
    struct fh_grid grid;
    struct fh_buf out;
    fh_grid_init(&grid, 0);
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    fh_grid_column(&grid, "STORE", false);
    fh_grid_column(&grid, "VERSION", true);
    fh_grid_column(&grid, "STATE", false);
    for (size_t i = 0; i < schema->n_stores; i++) {
        const Freehold__V1__StoreSchema *store = schema->stores[i];
        char version[16];
        (void)snprintf(version, sizeof(version), "%u", store->version);
        fh_grid_text(&grid,
                     strncmp(store->store, "stores/", 7) == 0 ? store->store + 7 : store->store);
        fh_grid_text(&grid, version);
        fh_grid_text(&grid, store->error[0] != '\0'             ? store->error
                            : store->version == schema->version ? "current"
                                                                : "behind");
    }
    fh_buf_add_char(&out, '\n');
    const enum fh_code code = fh_grid_flush(&grid, &out);
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    fh_grid_close(&grid);
    return exit_code;
}

static void add_migrations(struct fh_buf *out, const Freehold__V1__Schema *schema)
{
    for (size_t i = 0; i < schema->n_migrations; i++) {
        const Freehold__V1__AppliedMigration *migration = schema->migrations[i];
        fh_buf_printf(out, "  %4u  ", migration->version);
        if (migration->apply_time != NULL) {
            fh_text_add_time(out, migration->apply_time->seconds, 0);
        }
        fh_buf_add_text(out, "  ");
        fh_text_add_shown(out, fh_str_of(migration->name), 0);
        fh_buf_add_char(out, '\n');
    }
}

static void add_tables(struct fh_buf *out, const Freehold__V1__Schema *schema)
{
    for (size_t i = 0; i < schema->n_tables; i++) {
        const Freehold__V1__Table *table = schema->tables[i];
        fh_buf_add_text(out, "  ");
        fh_text_add_shown(out, fh_str_of(table->name), 0);
        fh_buf_printf(out, " (%zu columns, key: ", table->n_columns);
        for (size_t k = 0; k < table->n_primary_key; k++) {
            fh_buf_add_text(out, k > 0 ? ", " : "");
            fh_text_add_shown(out, fh_str_of(table->primary_key[k]), 0);
        }
        fh_buf_add_text(out, ")\n");
    }
}

static int print_schema(struct fh_session *session, const Freehold__V1__Schema *schema)
{
    struct fh_buf out;
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    fh_buf_printf(&out, "schema version %u\n\nmigrations\n", schema->version);
    add_migrations(&out, schema);
    fh_buf_add_text(&out, "\ntables\n");
    add_tables(&out, schema);
    int exit_code = fh_session_write(session, &out);
    fh_buf_close(&out);
    return exit_code == FH_EXIT_OK && schema->n_stores > 0 ? print_stores(session, schema)
                                                           : exit_code;
}

/* What schema apply says of its rollout. */
struct settings {
    Freehold__V1__RolloutSettings rollout;
    Google__Protobuf__Duration lock_timeout;
    char *canaries[CANARIES_MAX];
    char names[CANARIES_MAX][NAME_LEN_MAX];
};

/* Slugs become uuids: a rollout outlives a name. */
static int find_tenant(struct fh_session *session, struct fh_client *client, const char *given,
                       char out[NAME_LEN_MAX])
{
    Freehold__V1__GetTenantRequest request = FREEHOLD__V1__GET_TENANT_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    char name[NAME_LEN_MAX];
    (void)snprintf(name, sizeof(name), "tenants/%.100s", given);
    request.name = name;
    int exit_code =
        fh_session_invoke(session, client, &freehold__v1__tenant_admin_service__descriptor,
                          "GetTenant", &request.base, &message);
    if (exit_code == FH_EXIT_OK) {
        (void)snprintf(out, NAME_LEN_MAX, "%s", ((const Freehold__V1__Tenant *)message)->name);
    }
    fh_client_message_free(message);
    return exit_code;
}

/* "a,b,c" */
static int read_canaries(struct fh_session *session, struct fh_client *client,
                         struct settings *settings)
{
    const char *list = fh_args_value(session->args, "canary-tenants");
    while (list != NULL && *list != '\0') {
        char one[NAME_LEN_MAX];
        size_t len = strcspn(list, ",");
        if (settings->rollout.n_canary_tenants == CANARIES_MAX) {
            return fh_session_fail(session, FH_EXIT_USAGE, "--canary-tenants names at most %d",
                                   CANARIES_MAX);
        }
        (void)snprintf(one, sizeof(one), "%.*s", (int)(len < 100 ? len : 100), list);
        size_t at = settings->rollout.n_canary_tenants;
        int exit_code = find_tenant(session, client, one, settings->names[at]);
        if (exit_code != FH_EXIT_OK) {
            return exit_code;
        }
        settings->canaries[at] = settings->names[at];
        settings->rollout.n_canary_tenants = at + 1;
        list += list[len] == ',' ? len + 1 : len;
    }
    settings->rollout.canary_tenants = settings->canaries;
    return FH_EXIT_OK;
}

static int read_settings(struct fh_session *session, struct fh_client *client,
                         struct settings *settings)
{
    const struct fh_args *args = session->args;
    struct fh_error error = FH_ERROR_INIT;
    long long percent = 0;
    long long concurrency = 0;
    long long failures = 0;
    long long lock_ms = 0;
    freehold__v1__rollout_settings__init(&settings->rollout);
    google__protobuf__duration__init(&settings->lock_timeout);
    if (fh_args_number(args, "canary", 1, 100, &percent, &error) != FH_OK ||
        fh_args_number(args, "concurrency", 1, 64, &concurrency, &error) != FH_OK ||
        fh_args_number(args, "failures", 0, UINT32_MAX, &failures, &error) != FH_OK ||
        fh_args_number(args, "lock-timeout", 1, 60000, &lock_ms, &error) != FH_OK) {
        return fh_session_fail(session, FH_EXIT_USAGE, "%s", fh_error_text(&error));
    }
    settings->rollout.canary_percent = (uint32_t)percent;
    settings->rollout.concurrency = (uint32_t)concurrency;
    settings->rollout.failures_max = (uint32_t)failures;
    settings->rollout.stop_after_canary = fh_args_has(args, "stop-after-canary");
    if (lock_ms > 0) {
        settings->lock_timeout.seconds = lock_ms / 1000;
        settings->lock_timeout.nanos = (int32_t)(lock_ms % 1000) * 1000000;
        settings->rollout.lock_timeout = &settings->lock_timeout;
    }
    return read_canaries(session, client, settings);
}

static int print_applied(struct fh_session *session, const Freehold__V1__ApplySchemaResponse *in,
                         size_t files, bool only_validated)
{
    if (printf("%u of %zu files %s; schema version %u, %zu tables\n", in->applied, files,
               only_validated ? "would be applied" : "applied",
               in->schema != NULL ? in->schema->version : 0,
               in->schema != NULL ? in->schema->n_tables : 0) < 0) {
        return FH_EXIT_LOCAL;
    }
    return in->schema != NULL && !only_validated ? print_stores(session, in->schema) : FH_EXIT_OK;
}

/* It did what it was told to: the canary is done, and it waits to be resumed. */
static bool has_stopped_as_told(const struct fh_session *session,
                                const Freehold__V1__Rollout *rollout)
{
    return fh_args_has(session->args, "stop-after-canary") &&
           rollout->phase == FREEHOLD__V1__ROLLOUT_PHASE__ROLLOUT_PHASE_ROLLING &&
           rollout->wish == FREEHOLD__V1__ROLLOUT_WISH__ROLLOUT_WISH_PAUSE &&
           rollout->progress != NULL && rollout->progress->homes_failed == 0;
}

/* The rollout goes on, and is watched from here. */
static int follow(struct fh_session *session, const Freehold__V1__ApplySchemaResponse *in)
{
    if (in->rollout == NULL || fh_args_has(session->args, "no-wait")) {
        return FH_EXIT_OK;
    }
    if (in->rollout->phase == FREEHOLD__V1__ROLLOUT_PHASE__ROLLOUT_PHASE_DONE) {
        return FH_EXIT_OK;
    }
    if (session->output == FH_OUTPUT_TABLE && has_stopped_as_told(session, in->rollout)) {
        return fh_rollout_show(session, in->rollout);
    }
    const bool at_rest = in->rollout->progress != NULL && in->rollout->progress->at_rest;
    if (!at_rest && session->output == FH_OUTPUT_TABLE) {
        return fh_rollout_watch(session, in->rollout->name);
    }
    int exit_code = fh_rollout_show(session, in->rollout);
    return exit_code == FH_EXIT_OK && !at_rest ? FH_EXIT_REFUSED : exit_code;
}

static int send_all(struct fh_session *session, struct migrations *all)
{
    Freehold__V1__ApplySchemaRequest request = FREEHOLD__V1__APPLY_SCHEMA_REQUEST__INIT;
    struct fh_client *client = NULL;
    ProtobufCMessage *message = NULL;
    struct settings settings = {.canaries = {NULL}};
    request.n_migrations = all->count;
    request.migrations = all->pointers;
    request.validate_only = fh_args_has(session->args, "dry-run");
    request.no_wait = fh_args_has(session->args, "no-wait");
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    request.rollout = &settings.rollout;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code = read_settings(session, client, &settings);
    }
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    if (!fh_args_has(session->args, "timeout")) {
        fh_client_set_deadline_us(client, APPLY_DEADLINE_US);
    }
    exit_code = fh_session_invoke(session, client, SERVICE, "ApplySchema", &request.base, &message);
    if (exit_code == FH_EXIT_OK && session->output != FH_OUTPUT_TABLE) {
        exit_code = fh_session_write_json(session, message);
    } else if (exit_code == FH_EXIT_OK) {
        const Freehold__V1__ApplySchemaResponse *response =
            (const Freehold__V1__ApplySchemaResponse *)message;
        exit_code = print_applied(session, response, all->count, request.validate_only);
        if (exit_code == FH_EXIT_OK) {
            exit_code = follow(session, response);
        }
    }
    fh_client_message_free(message);
    return exit_code;
}

typedef int with_files(struct fh_session *session, struct migrations *all);

/* The folder that is named, read, and given to `what`. */
static int read_and(struct fh_session *session, with_files *what)
{
    struct migrations *all = fh_calloc(1, sizeof(*all));
    if (all == NULL) {
        return fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    }
    fh_arena_init(&all->arena, (size_t)MIGRATIONS_MAX * FILE_BYTES_MAX);
    int exit_code = read_all(session, all, session->args->arguments[0]);
    if (exit_code == FH_EXIT_OK) {
        exit_code = what(session, all);
    }
    fh_arena_close(&all->arena);
    fh_free(all);
    return exit_code;
}

static int apply_run(struct fh_session *session)
{
    return read_and(session, send_all);
}

static int diff_all(struct fh_session *session, struct migrations *all)
{
    return fh_schema_diff_show(session, all->pointers, all->count);
}

static int diff_run(struct fh_session *session)
{
    return read_and(session, diff_all);
}

static int preview_all(struct fh_session *session, struct migrations *all)
{
    return fh_schema_preview_show(session, all->pointers, all->count);
}

static int preview_run(struct fh_session *session)
{
    return read_and(session, preview_all);
}

static int status_run(struct fh_session *session)
{
    Freehold__V1__GetSchemaRequest request = FREEHOLD__V1__GET_SCHEMA_REQUEST__INIT;
    struct fh_client *client = NULL;
    ProtobufCMessage *message = NULL;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code =
            fh_session_invoke(session, client, SERVICE, "GetSchema", &request.base, &message);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = session->output == FH_OUTPUT_TABLE
                        ? print_schema(session, (const Freehold__V1__Schema *)message)
                        : fh_session_write_json(session, message);
    }
    fh_client_message_free(message);
    return exit_code;
}

static const struct fh_option apply_options[] = {
    {"dry-run", 0, NULL, "parse and compare, change nothing"},
    {"canary", 0, "PERCENT", "of all homes go first; one that fails pauses the rollout"},
    {"canary-tenants", 0, "A,B,...", "tenants whose homes go first"},
    {"stop-after-canary", 0, NULL, "pause then, until resumed"},
    {"concurrency", 0, "N", "homes changed at once in a store (default 4)"},
    {"lock-timeout", 0, "MS", "how long to wait for one lock (default 1000)"},
    {"failures", 0, "N", "homes that may fail before the rollout pauses (default 0)"},
    {"reason", 0, "TEXT", "for the operators' record"},
    {"no-wait", 0, NULL, "do not wait for the rollout"},
    {0},
};

const struct fh_command fh_schema_commands[] = {
    {"schema", "apply", "DIR", "Apply a folder of migration files, and roll them out",
     "DIR holds files named NNNN_name.sql. Those applied before must be there unchanged; new ones\n"
     "come after them in the order of their names. Every home is brought to the new version while\n"
     "all are served. Exit code 1 when the rollout was paused or cancelled.",
     apply_options, 1, 1, apply_run},
    {"schema", "diff", "DIR", "Tell what a folder of files would change",
     "Compared with the newest version; nothing is changed.", NULL, 1, 1, diff_run},
    {"schema", "preview", "DIR", "Show the statements a folder of files leads to, and their locks",
     "For every engine that a store is registered of, and every tier; nothing is changed.", NULL, 1,
     1, preview_run},
    {"schema", "show", "", "Show the schema and how far the stores are", NULL, NULL, 0, 0,
     status_run},
    {"schema", "status", "", "The same", NULL, NULL, 0, 0, status_run},
    {"schema", "rollout", "ACTION [ROLLOUT]", "See and steer rollouts",
     "ACTION is list, show, homes, events, watch, pause, resume or cancel; ROLLOUT the newest\n"
     "unless it is named. A cancelled rollout leaves every home at the version it has; the next "
     "takes it along.",
     fh_rollout_options, 1, 2, fh_rollout_run},
    {0},
};
