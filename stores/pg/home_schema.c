/* Homes of the schema tier: one transaction in the store's database.
 *
 * Create: lock, look, role, namespace and tables and fence, count under the count's lock, commit.
 * Erase: lock, gate, fence of the generation, the reader's sessions ended, namespace and roles
 * gone, commit. A reader that comes meanwhile finds itself without rights; one that came just
 * before, and keeps a table, loses its rights first, and all begins again.
 *
 * Failures: whatever fails, the transaction is rolled back, roles and all. A namespace without a
 * fence's row is what nobody's transaction leaves; found all the same, it is swept.
 */
#include <stdio.h>
#include <string.h>

#include "base/fault_point.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"
#include "stores/pg/provision.h"

#define HOMES_PATTERN "'^t_[0-9a-f]{32}$'"

static enum fh_code drop_namespace(struct fh_pg_site *site)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "drop schema if exists \"%s\" cascade",
                   site->request->scope.home.name);
    enum fh_code code = fh_pg_blocking_ask(&site->main, text, NULL, 0, false, NULL);
    if (code != FH_OK && strcmp(site->main.sqlstate, "55P03") == 0) {
        memset(site->main.error, 0, sizeof(*site->main.error));
        code = fh_error_set(site->main.error, FH_HELD, "the home is in use");
    }
    return code;
}

/* Late and short: homes that others are making at the same time are counted once they are. */
static enum fh_code check_count(struct fh_pg_site *site)
{
    char key[24];
    char value[24];
    long long count = 0;
    const char *params[] = {key};
    (void)snprintf(key, sizeof(key), "%lld", (long long)fh_pg_count_key());
    enum fh_code code = fh_pg_blocking_ask(&site->main, "select pg_advisory_xact_lock($1::int8)",
                                           params, 1, false, NULL);
    if (code == FH_OK) {
        code = fh_pg_blocking_value(
            &site->main, "select count(*) from pg_namespace where nspname ~ " HOMES_PATTERN, NULL,
            0, value, sizeof(value));
    }
    if (code == FH_OK &&
        (!fh_str_to_int64(fh_str_of(value), &count) || count > site->pg->homes_max)) {
        code = fh_error_set(&site->request->error, FH_FULL,
                            "the store has %u homes of the schema tier, as many as it may have",
                            site->pg->homes_max);
    }
    return code;
}

static enum fh_code make(struct fh_pg_site *site)
{
    enum fh_code code = drop_namespace(site);
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "make_role", "schema", NULL);
    }
    fh_fault_point("pg.home.role");
    if (code == FH_OK) {
        code = fh_pg_site_make_tables(site, &site->main, FH_PG_SCRIPT_WHOLE);
    }
    fh_fault_point("pg.home.tables");
    if (code == FH_OK) {
        code = check_count(site);
    }
    if (code == FH_OK) {
        code = fh_pg_blocking_commit(&site->main);
    }
    fh_fault_point("pg.home.committed");
    return code;
}

enum fh_code fh_pg_schema_home_create(struct fh_pg_site *site)
{
    struct fh_fence seen;
    uint32_t version = 0;
    enum fh_code code = fh_pg_site_begin(site, &site->main);
    if (code == FH_OK) {
        code = fh_pg_site_lock(site, false);
    }
    if (code == FH_OK) {
        code = fh_pg_site_fence(site, &site->main, &seen, &version);
    }
    if (code == FH_OK) {
        return fh_pg_site_meet(site, &seen, version);
    }
    return code == FH_NO_TENANT ? make(site) : code;
}

/* *in_use: nobody may use the home any more, and somebody still does. */
static enum fh_code erase(struct fh_pg_site *site, bool *in_use)
{
    enum fh_code code = fh_pg_site_begin(site, &site->main);
    if (code == FH_OK) {
        code = fh_pg_site_lock(site, false);
    }
    if (code == FH_OK) {
        code = fh_pg_site_close_fence(site, &site->main);
    }
    if (code == FH_OK || code == FH_NO_TENANT) { /* who reads would keep us from dropping */
        code = fh_pg_site_admin(site, "end_sessions", "schema_reader", NULL);
    }
    fh_fault_point("pg.erase.sessions");
    if (code == FH_OK) {
        code = drop_namespace(site);
        *in_use = code == FH_HELD;
    }
    fh_fault_point("pg.erase.namespace");
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "drop_role", "schema_reader", NULL);
    }
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "drop_role", "schema", NULL);
    }
    if (code == FH_OK) {
        code = fh_pg_blocking_commit(&site->main);
    }
    fh_fault_point("pg.erase.committed");
    return code;
}

static enum fh_code reader_may_use(struct fh_pg_site *site, bool *out)
{
    char value[8];
    const char *params[] = {site->reader, site->request->scope.home.name};
    enum fh_code code = fh_pg_blocking_value(
        &site->main,
        "select 1 from pg_roles r, pg_namespace n where r.rolname = $1 and n.nspname = $2 and "
        "has_schema_privilege(r.oid, n.oid, 'USAGE')",
        params, 2, value, sizeof(value));
    *out = value[0] != '\0';
    return code;
}

/* Behind a first attempt, which was ended by a reader that keeps a table. */
static enum fh_code erase_without_reader(struct fh_pg_site *site)
{
    bool in = false;
    bool in_use = false;
    struct fh_error held = *site->main.error;
    memset(site->main.error, 0, sizeof(*site->main.error));
    enum fh_code code = fh_pg_blocking_run(&site->main, "rollback");
    if (code == FH_OK) {
        code = reader_may_use(site, &in);
    }
    if (code != FH_OK || !in) {
        *site->main.error = code == FH_OK ? held : *site->main.error;
        return code == FH_OK ? FH_HELD : code;
    }
    code = fh_pg_site_let_reader(site, "usage on schema", false);
    if (code == FH_OK) {
        code = erase(site, &in_use);
    }
    if (code != FH_OK && code != FH_OUTCOME_UNKNOWN && site->main.pq != NULL) {
        struct fh_error why = *site->main.error;
        enum fh_code again = fh_pg_blocking_run(&site->main, "rollback");
        again = again == FH_OK ? fh_pg_site_let_reader(site, "usage on schema", true) : again;
        *site->main.error = again == FH_OK ? why : *site->main.error;
        code = again == FH_OK ? code : again;
    }
    return code;
}

enum fh_code fh_pg_schema_home_erase(struct fh_pg_site *site)
{
    bool in_use = false;
    enum fh_code code = erase(site, &in_use);
    return in_use ? erase_without_reader(site) : code;
}
