/* The application's schema versions: from the catalog's migration files to models.
 *
 * New files come into the catalog together with a rollout to their version (router/rollouts.h),
 * which brings it to every home; here only a shared home that has no version at all, that of a
 * fresh store, is brought up at once.
 *
 * Models live in arenas of this object until the process ends its serving. Loop thread only.
 */
#ifndef FH_ROUTER_SCHEMAS_H
#define FH_ROUTER_SCHEMAS_H

#include "base/env.h"
#include "router/catalog.h"
#include "router/router.h"
#include "router/schema_versions.h"
#include "stores/model.h"
#include "stores/schema/parse.h"

struct fh_schemas;

FH_MUST_CHECK enum fh_code fh_schemas_create(const struct fh_env *env, struct fh_catalog *catalog,
                                             struct fh_router *router, struct fh_schemas **out);
void fh_schemas_destroy(struct fh_schemas *schemas); /* after router and stores are closed */

struct fh_schemas_result {
    enum fh_code code;
    struct fh_error error; /* parse errors as "file:line:column: ..." */
    uint32_t applied;      /* new files */
    /* validate_only with new files: the schema they lead to, until the callback returns; or NULL */
    const struct fh_schema *planned;
    bool has_rollout; /* apply: the rollout that is to bring, or has brought, the newest version
                         to all homes */
    struct fh_uuid rollout;
};
typedef void fh_schemas_done_cb(const struct fh_schemas_result *result, void *arg);

/* Loads everything the catalog holds, brings every registered store whose fh_shared home has no
 * version to the newest, and sets it at the router. A store that is away is remembered as behind
 * and tried again by fh_schemas_catch_up(). */
FH_MUST_CHECK enum fh_code fh_schemas_load(struct fh_schemas *schemas, int64_t deadline_us,
                                           fh_schemas_done_cb *done_cb, void *arg);
/* Loads what the catalog holds beyond what is known here, for another server may have added it;
 * with nothing new it asks the catalog only. Keeps nobody from
 * fh_schemas_apply() while it asks; ends as FH_CONFLICT when an apply or a load came in between. */
FH_MUST_CHECK enum fh_code fh_schemas_refresh(struct fh_schemas *schemas, int64_t deadline_us,
                                              fh_schemas_done_cb *done_cb, void *arg);
/* The whole ordered list of files; see SchemaService.ApplySchema. New ones begin a rollout with
 * these settings (NULL: the defaults); so do none, when the last rollout to the newest version was
 * not done. While one is unfinished new files are refused (FH_PRECONDITION). One at a time:
 * FH_CONFLICT while another runs. Files are copied. */
FH_MUST_CHECK enum fh_code
fh_schemas_apply(struct fh_schemas *schemas, const struct fh_migration *files, size_t count,
                 bool validate_only, const struct fh_rollout_settings *rollout,
                 const struct fh_audit_context *audit, int64_t deadline_us,
                 fh_schemas_done_cb *done_cb, void *arg);
/* Looks at the version of one store's shared home, and brings it to the newest when it has none. */
FH_MUST_CHECK enum fh_code fh_schemas_catch_up(struct fh_schemas *schemas, struct fh_store *store,
                                               int64_t deadline_us, fh_schemas_done_cb *done_cb,
                                               void *arg);

/* A store whose shared home should be looked at again: it is behind the newest version, or could
 * not be looked at or brought up. Each in its turn, so that one that stays away keeps none waiting;
 * NULL: there is none. */
struct fh_store *fh_schemas_next_behind(struct fh_schemas *schemas);

/* The models that `files` lead to on top of what is known, nothing being written: `visit_cb` sees
 * the newest, borrowed for the call (its `previous` lead back to what is known). Files that are
 * known must stand as they were applied. */
FH_MUST_CHECK enum fh_code fh_schemas_try(const struct fh_schemas *schemas,
                                          const struct fh_migration *files, size_t count,
                                          fh_schema_visit_cb *visit_cb, void *arg,
                                          struct fh_error *error);

const struct fh_schema *fh_schemas_current(const struct fh_schemas *schemas);
/* Files applied so far, oldest first; borrowed. */
const struct fh_migration_record *fh_schemas_migrations(const struct fh_schemas *schemas,
                                                        size_t *count);
/* Version a store's shared home was at when last looked at here, and why it could not be looked at
 * or brought up ("" when it could). */
uint32_t fh_schemas_store_version(const struct fh_schemas *schemas, const struct fh_store *store,
                                  const char **error);

/* What somebody else has found the store's shared home to be at. */
void fh_schemas_note_store(struct fh_schemas *schemas, const struct fh_store *store,
                           uint32_t version);

#endif
