/* Exact schema versions: what a statement that did not find its version's fence view means.
 *
 * Statements on a schema's tables read the fence through a view named by the version (ddl.h), so in
 * a home of another version they fail with undefined_table. That says nothing of the version there,
 * nor whether the fence is wrong too, which is to be told first: so the op is sent once more as a
 * look at both. Should it find the op's own version, the home was changed in between, and the op is
 * sent again. Loop thread only.
 */
#ifndef FH_STORES_PG_VERSION_H
#define FH_STORES_PG_VERSION_H

#include "stores/pg/op.h"

/* Sends FH_PG_VERSION in the context it needs, as two statements: the tenant's context is gone
 * behind it. */
FH_MUST_CHECK enum fh_code fh_pg_version_send(struct fh_pg_op *op, struct fh_pg_conn *conn);
/* The answer to the second one. */
FH_MUST_CHECK enum fh_code fh_pg_version_read(const PGresult *result, uint32_t *version);

/* Whether the op's failure may mean another version. Then it is a look from now on, to be sent as
 * an op of its own. */
bool fh_pg_version_suspect(struct fh_pg_op *op);

/* The op is of another version than the view it is to run in: a look from now on, for a statement
 * that fails would end the view. */
void fh_pg_version_differs(struct fh_pg_op *op);

extern const struct fh_pg_op_kind fh_pg_version_kind;

#endif
