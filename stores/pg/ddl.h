/* The physical layout of a home in PostgreSQL, generated from the schema model.
 *
 * Every table: tenant_id first in its key, its unique constraints (partial, among live rows), its
 * indexes and its references; row level security enabled and forced with the one policy; rights of
 * the serving role granted, PUBLIC's taken. Names that are ours begin with fh_, which the model
 * forbids to the application: constraints carry table position and the model's name, so an error's
 * constraint leads back to the model.
 *
 * References. The physical constraint is deferred and NO ACTION, and its first column is fh_live, a
 * generated column that is the tenant while the row is live and null when it is deleted: so it
 * holds among live rows, as in the model, and a record that only deleted ones reference may be
 * purged.
 */
#ifndef FH_STORES_PG_DDL_H
#define FH_STORES_PG_DDL_H

#include "base/buf.h"
#include "stores/model.h"

#define FH_PG_NIL_TENANT "00000000-0000-0000-0000-000000000000"
#define FH_PG_POLICY "fh_tenant"
/* As pg_get_expr() prints it. */
#define FH_PG_POLICY_EXPRESSION "(tenant_id = (current_setting('fh.tenant'::text))::uuid)"

/* Statements, each ended by a NUL byte. */
struct fh_pg_script {
    struct fh_buf text;
};

void fh_pg_script_init(struct fh_pg_script *script);
void fh_pg_script_close(struct fh_pg_script *script);
/* *cursor starts at 0; NULL at the end. */
const char *fh_pg_script_next(const struct fh_pg_script *script, size_t *cursor);

/* Namespace and system tables. `role` is the serving role. */
void fh_pg_ddl_system(struct fh_pg_script *script, const char *home, const char *role);
/* From `from` (NULL: nothing) to `to`: new tables, new indexes on old ones. */
void fh_pg_ddl_upgrade(struct fh_pg_script *script, const char *home, const char *role,
                       const struct fh_schema *from, const struct fh_schema *to);

/* The fence's view, named by the version the home is at: a statement of another version finds none.
 */
#define FH_PG_FENCE_VIEW_SIZE 24
void fh_pg_ddl_fence_view(char out[FH_PG_FENCE_VIEW_SIZE], uint32_t version);

/* The index a constraint's name belongs to, or NULL. */
const struct fh_index *fh_pg_ddl_index_of(const struct fh_table *table, const char *constraint);

#endif
