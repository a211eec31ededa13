/* The application's schema versions: from the catalog's migration files to models, and from models
 * to every store.
 *
 * Models live in arenas of this object until the process ends its serving. Loop thread only.
 */
#ifndef FH_ROUTER_SCHEMAS_H
#define FH_ROUTER_SCHEMAS_H

#include "base/env.h"
#include "router/catalog.h"
#include "router/router.h"
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
};
typedef void fh_schemas_done_cb(const struct fh_schemas_result *result, void *arg);

/* Loads everything the catalog holds, brings every registered store's fh_shared home to the newest
 * version, and sets it at the router. A store that is away is remembered as behind and tried again
 * by fh_schemas_catch_up(). */
FH_MUST_CHECK enum fh_code fh_schemas_load(struct fh_schemas *schemas, int64_t deadline_us,
                                           fh_schemas_done_cb *done_cb, void *arg);
/* Loads what the catalog holds beyond what is known here, for another server may have added it, and
 * brings the stores to that; with nothing new it asks the catalog only. Keeps nobody from
 * fh_schemas_apply() while it asks; ends as FH_CONFLICT when an apply or a load came in between. */
FH_MUST_CHECK enum fh_code fh_schemas_refresh(struct fh_schemas *schemas, int64_t deadline_us,
                                              fh_schemas_done_cb *done_cb, void *arg);
/* The whole ordered list of files; see SchemaService.ApplySchema. One at a time: FH_CONFLICT while
 * another runs. Files are copied. */
FH_MUST_CHECK enum fh_code
fh_schemas_apply(struct fh_schemas *schemas, const struct fh_migration *files, size_t count,
                 bool validate_only, const struct fh_audit_context *audit, int64_t deadline_us,
                 fh_schemas_done_cb *done_cb, void *arg);
/* Brings one store (just registered, or behind) to the newest version. */
FH_MUST_CHECK enum fh_code fh_schemas_catch_up(struct fh_schemas *schemas, struct fh_store *store,
                                               int64_t deadline_us, fh_schemas_done_cb *done_cb,
                                               void *arg);

const struct fh_schema *fh_schemas_current(const struct fh_schemas *schemas);
/* Files applied so far, oldest first; borrowed. */
const struct fh_migration_record *fh_schemas_migrations(const struct fh_schemas *schemas,
                                                        size_t *count);
/* Version a store is at, and why it is behind ("" when it is not). */
uint32_t fh_schemas_store_version(const struct fh_schemas *schemas, const struct fh_store *store,
                                  const char **error);

#endif
