/* What a schema change would execute, for people: the statements of ddl.h for a home whose tables
 * are large, those that go ahead first, version by version. Where tables are small the same is done
 * in one transaction (schema.c). Asks no server.
 *
 * Failures: not forward, or not along one line of versions: FH_PRECONDITION.
 */
#include "stores/pg/preview.h"

#include "stores/pg/ddl.h"
#include "stores/pg/op.h"

#define ARENA_BYTES_MAX (16u * 1024 * 1024)
#define SERVING_ROLE "the serving role"

static enum fh_code tell(const struct fh_pg_script *script, bool ahead, fh_ddl_cb *cb, void *arg)
{
    struct fh_pg_ddl_step step;
    size_t cursor = 0;
    enum fh_code code = FH_OK;
    for (size_t i = 0; code == FH_OK && fh_pg_script_step(script, i, &cursor, &step); i++) {
        const struct fh_ddl_statement statement = {
            .sql = step.sql, .lock = step.lock, .scans = step.scans};
        code = step.ahead == ahead ? cb(arg, &statement) : FH_OK;
    }
    return code;
}

static enum fh_code preview_version(const struct fh_schema *from, const struct fh_schema *to,
                                    const struct fh_pg_ddl_home *home, fh_ddl_cb *cb, void *arg)
{
    struct fh_pg_script script;
    struct fh_arena arena;
    fh_arena_init(&arena, ARENA_BYTES_MAX);
    fh_pg_script_init(&script);
    enum fh_code code = FH_OK;
    if (from == NULL) {
        fh_pg_ddl_system(&script, home->namespace, home->role);
    }
    code = fh_pg_ddl_between(&script, home, from, to, &arena);
    if (code == FH_OK) {
        code = tell(&script, true, cb, arg);
    }
    if (code == FH_OK) {
        code = tell(&script, false, cb, arg);
    }
    fh_pg_script_close(&script);
    fh_arena_close(&arena);
    return code;
}

enum fh_code fh_pg_preview(const struct fh_schema *from, const struct fh_schema *to,
                           const struct fh_home *home, fh_ddl_cb *cb, void *arg,
                           struct fh_error *error)
{
    struct fh_uuid tenant;
    const bool dedicated = fh_home_tenant(home, &tenant);
    const struct fh_pg_ddl_home described = {.namespace = fh_pg_home_namespace(home),
                                             .role = home->tier == FH_TIER_SCHEMA ? home->name
                                                                                  : SERVING_ROLE,
                                             .tenant = dedicated ? &tenant : NULL,
                                             .ahead = true};
    if (from == to) {
        return FH_OK;
    }
    if (from == NULL) {
        return preview_version(NULL, to, &described, cb, arg);
    }
    if (from->version > to->version || fh_schema_at(to, from->version) == NULL) {
        return fh_error_set(error, FH_PRECONDITION, "version %u does not lead to version %u",
                            from->version, to->version);
    }
    enum fh_code code = FH_OK;
    for (uint32_t v = from->version; v < to->version && code == FH_OK; v++) {
        const struct fh_schema *next = fh_schema_at(to, v + 1);
        code = next != NULL
                   ? preview_version(fh_schema_at(to, v), next, &described, cb, arg)
                   : fh_error_set(error, FH_PRECONDITION, "version %u is not known", v + 1);
    }
    return code;
}
