/* Homes of the schema tier: one transaction in the store's database.
 *
 * Create: lock, look, role, namespace and tables and fence, count under the count's lock, commit.
 * Erase: lock, gate, fence of the generation, the reader's sessions ended, namespace and roles
 * gone, commit. A reader that comes meanwhile finds itself without rights.
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

enum fh_code fh_pg_schema_home_erase(struct fh_pg_site *site)
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
    if (code == FH_OK) {
        code = drop_namespace(site);
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
