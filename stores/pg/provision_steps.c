/* The steps that tiers share; each is a few statements on a connection that was begun.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"
#include "stores/pg/provision.h"

#define TEXT_SIZE 512
#define NUMBER_SIZE 24

static const char *namespace_of(const struct fh_pg_site *site)
{
    return fh_pg_home_namespace(&site->request->scope.home);
}

static bool is_refused_lock(const struct fh_pg_blocking *conn)
{
    return strcmp(conn->sqlstate, "55P03") == 0;
}

static void number(char out[NUMBER_SIZE], int64_t value)
{
    (void)snprintf(out, NUMBER_SIZE, "%lld", (long long)value);
}

enum fh_code fh_pg_site_lock(struct fh_pg_site *site, bool session)
{
    char key[NUMBER_SIZE];
    const char *params[] = {key};
    number(key, fh_pg_home_key(&site->request->scope.home));
    enum fh_code code = fh_pg_blocking_ask(&site->main,
                                           session ? "select pg_advisory_lock($1::int8)"
                                                   : "select pg_advisory_xact_lock($1::int8)",
                                           params, 1, false, NULL);
    if (code != FH_OK && is_refused_lock(&site->main)) {
        memset(site->main.error, 0, sizeof(*site->main.error));
        code = fh_error_set(site->main.error, FH_HELD,
                            "the home is being made or dropped by another process");
    }
    return code;
}

enum fh_code fh_pg_site_begin(struct fh_pg_site *site, struct fh_pg_blocking *conn)
{
    char text[TEXT_SIZE]; /* one round trip; the uuid was formatted by us */
    (void)snprintf(text, sizeof(text),
                   "begin isolation level read committed; select set_config('fh.tenant', '%s', "
                   "true)",
                   site->tenant);
    return fh_pg_blocking_run(conn, text);
}

static enum fh_code parse_fence(const PGresult *result, struct fh_fence *out)
{
    long long values[3] = {0};
    for (int i = 0; i < 3; i++) {
        if (!fh_str_to_int64(fh_str_of(PQgetvalue(result, 0, i)), &values[i])) {
            return FH_CORRUPT;
        }
    }
    if (values[0] < 0 || values[1] < 0 || values[2] < FH_FENCE_OPEN ||
        values[2] > FH_FENCE_INCOMING) {
        return FH_CORRUPT;
    }
    *out = (struct fh_fence){.epoch = (uint64_t)values[0],
                             .generation = (uint64_t)values[1],
                             .mode = (enum fh_fence_mode)values[2]};
    return FH_OK;
}

static enum fh_code read_version(struct fh_pg_site *site, struct fh_pg_blocking *conn,
                                 uint32_t *version)
{
    char text[TEXT_SIZE];
    char value[NUMBER_SIZE];
    long long number_of = 0;
    const char *nil[] = {FH_PG_NIL_TENANT};
    const char *tenant[] = {site->tenant};
    enum fh_code code =
        fh_pg_blocking_ask(conn, "select set_config('fh.tenant', $1, true)", nil, 1, false, NULL);
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "select value from \"%s\".fh_meta where tenant_id = '" FH_PG_NIL_TENANT
                       "' and name = 'schema_version'",
                       namespace_of(site));
        code = fh_pg_blocking_value(conn, text, NULL, 0, value, sizeof(value));
    }
    if (code == FH_OK) {
        *version = fh_str_to_int64(fh_str_of(value), &number_of) ? (uint32_t)number_of : 0;
        code = fh_pg_blocking_ask(conn, "select set_config('fh.tenant', $1, true)", tenant, 1,
                                  false, NULL);
    }
    return code;
}

/* The owner is bound by the policy, too: with another one, or none, a fence that is there is not
 * seen, and what has no fence is dropped by whoever makes or erases a home. */
static enum fh_code trust_absence(struct fh_pg_site *site, struct fh_pg_blocking *conn)
{
    char value[NUMBER_SIZE];
    const char *params[] = {namespace_of(site), FH_PG_POLICY_EXPRESSION};
    enum fh_code code = fh_pg_blocking_value(
        conn,
        "select " FH_PG_ONE_POLICY(
            "$2") " from pg_policy y join pg_class c on c.oid = y.polrelid join pg_namespace n on "
                  "n.oid = c.relnamespace where n.nspname = $1 and c.relname = 'fh_fence'",
        params, 2, value, sizeof(value));
    if (code == FH_OK && value[0] != 't') {
        return fh_error_set(&site->request->error, FH_PRECONDITION,
                            "the policy of the home's fences is not the one it was made with, so "
                            "its fence cannot be seen; see `freehold store check`");
    }
    return code == FH_OK ? FH_NO_TENANT : code;
}

enum fh_code fh_pg_site_fence(struct fh_pg_site *site, struct fh_pg_blocking *conn,
                              struct fh_fence *out, uint32_t *version)
{
    char text[TEXT_SIZE];
    char there[NUMBER_SIZE];
    const char *params[] = {namespace_of(site)};
    const char *tenant[] = {site->tenant};
    *out = (struct fh_fence){.epoch = 0};
    enum fh_code code = fh_pg_blocking_value(
        conn,
        "select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = "
        "$1 and c.relname = 'fh_fence' and exists (select from pg_class m where m.relnamespace = "
        "n.oid and m.relname = 'fh_meta')",
        params, 1, there, sizeof(there));
    if (code != FH_OK || there[0] == '\0') {
        return code != FH_OK ? code : FH_NO_TENANT;
    }
    (void)snprintf(text, sizeof(text),
                   "select epoch, generation, mode from \"%s\".fh_fence where tenant_id = $1 for "
                   "update",
                   namespace_of(site));
    PGresult *result = NULL;
    code = fh_pg_blocking_ask(conn, text, tenant, 1, false, &result);
    if (code != FH_OK) {
        return code;
    }
    code = PQntuples(result) == 1 ? parse_fence(result, out) : trust_absence(site, conn);
    PQclear(result);
    return code == FH_OK ? read_version(site, conn, version) : code;
}

enum fh_code fh_pg_site_meet(struct fh_pg_site *site, const struct fh_fence *seen, uint32_t version)
{
    struct fh_request *request = site->request;
    if (!fh_fence_equal(seen, &request->as.home.fence)) {
        request->epoch_seen = seen->epoch;
        request->mode_seen = seen->mode;
        return fh_error_set(&request->error, FH_EXISTS,
                            "the tenant has a home here with another fence");
    }
    if (version != request->scope.schema->version) {
        request->version_seen = version;
        return fh_error_set(&request->error, FH_STALE_SCHEMA,
                            "the home is there, at schema version %u", version);
    }
    return FH_OK;
}

/* Whatever the policies and predicates say, no row of another tenant is ever in there. */
static void add_checks(struct fh_pg_site *site, struct fh_pg_script *script)
{
    static const char *const tables[] = {"fh_fence", "fh_commit", "fh_move"};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        fh_buf_printf(&script->text,
                      "alter table \"%s\".%s add constraint fh_c_tenant check (tenant_id = "
                      "'%s'::uuid)",
                      namespace_of(site), tables[i], site->tenant);
        fh_pg_script_end(script);
    }
}

static enum fh_code make_all(struct fh_pg_site *site, const struct fh_pg_ddl_home *home,
                             struct fh_pg_script *script)
{
    const struct fh_scope *scope = &site->request->scope;
    fh_pg_ddl_system(script, home->namespace, home->role);
    if (!home->blank) {
        add_checks(site, script);
    }
    enum fh_code code = fh_pg_ddl_between(script, home, NULL, scope->schema, site->request->arena);
    if (code == FH_OK) {
        fh_pg_ddl_note_version(script, home->namespace, scope->schema->version);
        code = fh_pg_script_code(script);
    }
    return code;
}

/* A role is named by grants alone. */
static void take_part(const struct fh_pg_script *all, bool grants, struct fh_pg_script *script)
{
    static const char grant[] = "grant ";
    size_t cursor = 0;
    const char *statement = NULL;
    while ((statement = fh_pg_script_next(all, &cursor)) != NULL) {
        if ((strncmp(statement, grant, strlen(grant)) == 0) == grants) {
            fh_buf_add_text(&script->text, statement);
            fh_pg_script_end(script);
        }
    }
}

enum fh_code fh_pg_site_script(struct fh_pg_site *site, enum fh_pg_script_part part,
                               struct fh_pg_script *script)
{
    const struct fh_schema *schema = site->request->scope.schema;
    const struct fh_pg_ddl_home home = {.namespace = namespace_of(site),
                                        .role = site->role,
                                        .tenant = &site->request->scope.tenant,
                                        .blank = part != FH_PG_SCRIPT_WHOLE};
    if (part == FH_PG_SCRIPT_WHOLE) {
        return make_all(site, &home, script);
    }
    struct fh_pg_script all;
    fh_pg_script_init(&all);
    enum fh_code code = make_all(site, &home, &all);
    if (code == FH_OK) {
        take_part(&all, part == FH_PG_SCRIPT_OWN, script);
    }
    fh_pg_script_close(&all);
    if (part == FH_PG_SCRIPT_OWN) {
        add_checks(site, script);
        for (uint32_t t = 0; t < schema->table_count; t++) {
            fh_pg_ddl_tenant_check(script, &home, schema->tables[t]);
        }
    }
    return code == FH_OK ? fh_pg_script_code(script) : code;
}

enum fh_code fh_pg_site_make_tables(struct fh_pg_site *site, struct fh_pg_blocking *conn,
                                    enum fh_pg_script_part part)
{
    const struct fh_fence *fence = &site->request->as.home.fence;
    struct fh_pg_script script;
    char text[TEXT_SIZE];
    char epoch[NUMBER_SIZE];
    char generation[NUMBER_SIZE];
    char mode[NUMBER_SIZE];
    const char *params[] = {site->tenant, epoch, generation, mode};
    fh_pg_script_init(&script);
    enum fh_code code = fh_pg_site_script(site, part, &script);
    if (code == FH_OK) { /* the note of the version has set another context */
        fh_buf_printf(&script.text, "select set_config('fh.tenant', '%s', true)", site->tenant);
        fh_pg_script_end(&script);
        code = fh_pg_blocking_script(conn, &script);
    }
    fh_pg_script_close(&script);
    if (code != FH_OK) {
        return code;
    }
    number(epoch, (int64_t)fence->epoch);
    number(generation, (int64_t)fence->generation);
    number(mode, (int64_t)fence->mode);
    (void)snprintf(text, sizeof(text),
                   "insert into \"%s\".fh_fence (tenant_id, epoch, generation, mode) values ($1, "
                   "$2, $3, $4)",
                   namespace_of(site));
    return fh_pg_blocking_ask(conn, text, params, 4, false, NULL);
}

/* All that the home holds of the tenant, whichever tables it has. */
static enum fh_code count_rows(struct fh_pg_site *site, struct fh_pg_blocking *conn)
{
    const char *params[] = {namespace_of(site)};
    PGresult *tables = NULL;
    site->request->as.home.rows_erased = 0; /* an attempt before may have counted them */
    enum fh_code code = fh_pg_blocking_ask(
        conn,
        "select format('select count(*) from %I.%I', n.nspname, c.relname) from pg_class c join "
        "pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind = 'r' and "
        "c.relname not in ('fh_fence', 'fh_meta', 'fh_move')",
        params, 1, false, &tables);
    if (code != FH_OK) {
        return code;
    }
    for (int i = 0; i < PQntuples(tables) && code == FH_OK; i++) {
        char value[NUMBER_SIZE];
        long long count = 0;
        code = fh_pg_blocking_value(conn, PQgetvalue(tables, i, 0), NULL, 0, value, sizeof(value));
        if (code == FH_OK && fh_str_to_int64(fh_str_of(value), &count) && count > 0) {
            site->request->as.home.rows_erased += (uint64_t)count;
        }
    }
    PQclear(tables);
    return code;
}

enum fh_code fh_pg_site_close_fence(struct fh_pg_site *site, struct fh_pg_blocking *conn)
{
    struct fh_request *request = site->request;
    struct fh_fence seen;
    uint32_t version = 0;
    char key[NUMBER_SIZE];
    char text[TEXT_SIZE];
    const char *params[] = {key};
    const char *tenant[] = {site->tenant};
    number(key, fh_pg_gate_key(&request->scope));
    enum fh_code code =
        fh_pg_blocking_ask(conn, "select pg_advisory_xact_lock($1::int8)", params, 1, false, NULL);
    if (code == FH_OK) {
        code = fh_pg_site_fence(site, conn, &seen, &version);
    } else if (is_refused_lock(conn)) {
        code = FH_HELD;
    }
    if (code == FH_OK && seen.generation != request->as.home.fence.generation) {
        request->epoch_seen = seen.epoch;
        request->mode_seen = seen.mode;
        return FH_MOVED;
    }
    if (code == FH_OK) {
        code = count_rows(site, conn);
    }
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text), "delete from \"%s\".fh_fence where tenant_id = $1",
                       namespace_of(site));
        code = fh_pg_blocking_ask(conn, text, tenant, 1, false, NULL);
    }
    return code;
}

/* Missing functions, or no right to them. */
static bool is_unprepared(const char *sqlstate)
{
    return strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "3F000") == 0 ||
           strcmp(sqlstate, "42501") == 0;
}

enum fh_code fh_pg_site_admin(struct fh_pg_site *site, const char *function, const char *kind,
                              const char *verifier)
{
    char text[TEXT_SIZE];
    const char *params[] = {site->tenant, kind, verifier};
    bool makes = strcmp(function, "make_role") == 0;
    (void)snprintf(text, sizeof(text), "select " FH_PG_ADMIN_SCHEMA ".%s($1::uuid, $2::text%s)",
                   function, makes ? ", $3::text" : "");
    enum fh_code code = fh_pg_blocking_ask(&site->main, text, params, makes ? 3 : 2, false, NULL);
    if (code != FH_OK && is_unprepared(site->main.sqlstate)) {
        memset(site->main.error, 0, sizeof(*site->main.error));
        code = fh_error_set(site->main.error, FH_PRECONDITION,
                            "the store is not prepared for homes of their own: as superuser, run "
                            "the script of `freehold store prepare` in its database");
    }
    return code;
}

enum fh_code fh_pg_site_verifier(struct fh_pg_site *site, const char *role, const char *password,
                                 char **out)
{
    *out = PQencryptPasswordConn(site->main.pq, password, role, "scram-sha-256");
    return *out != NULL ? FH_OK : fh_error_set(site->main.error, FH_NOMEM, "out of memory");
}

enum fh_code fh_pg_site_let_reader(struct fh_pg_site *site, const char *right, bool in)
{
    char text[TEXT_SIZE];
    (void)snprintf(text, sizeof(text), "%s %s \"%s\" %s \"%s\"", in ? "grant" : "revoke", right,
                   site->request->scope.home.name, in ? "to" : "from", site->reader);
    return fh_pg_blocking_ask(&site->main, text, NULL, 0, false, NULL);
}
