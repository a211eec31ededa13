/* What each request does on a link that is ready.
 *
 * A read is one group. A change is a transaction: a group that locks and reads, a decision here, a
 * group that writes, tells and commits; so it costs two round trips and one sync, and nobody holds
 * a lock while a client thinks for longer than that. A change that is refused leaves its
 * transaction open; the caller rolls back. Each answers a code and fills request->error; results
 * are in the request's arena, and complete before COMMIT is sent.
 */
#ifndef FH_ROUTER_CATALOG_PG_OPS_H
#define FH_ROUTER_CATALOG_PG_OPS_H

#include "router/catalog.h"
#include "router/catalog_pg/link.h"

struct fh_catalog_pg_txn {
    struct fh_catalog_pg_link *link;
    struct fh_catalog_request *request;
    int64_t now_us; /* wall time, for records */
};

FH_MUST_CHECK enum fh_code fh_catalog_pg_tenant_create(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_tenant_get(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_tenant_list(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_tenant_advance(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_store_create(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_store_list(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_migration_add(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_migration_list(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_page_keys(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_events(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_event_alone(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_move_create(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_move_get(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_move_list(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_move_claim(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_move_advance(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_move_switch(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_move_wish(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_rollout_create(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_rollout_get(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_rollout_list(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_rollout_claim(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_rollout_advance(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_rollout_wish(const struct fh_catalog_pg_txn *txn);
FH_MUST_CHECK enum fh_code fh_catalog_pg_rollout_homes(const struct fh_catalog_pg_txn *txn);

/* For those above. */

/* Runs the group that was added. */
FH_MUST_CHECK static inline enum fh_code fh_catalog_pg_run(const struct fh_catalog_pg_txn *txn)
{
    return fh_catalog_pg_link_run(txn->link, &txn->request->error);
}
/* Adds the operators' audit of the change to its last group. */
void fh_catalog_pg_event_add(const struct fh_catalog_pg_txn *txn, const char *action,
                             const char *resource, struct fh_str detail);
/* Adds the hint to other servers and runs the last group with its COMMIT. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_commit(const struct fh_catalog_pg_txn *txn);
/* Tells in request->error why an answer could not be read. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_unread(const struct fh_catalog_pg_txn *txn,
                                                enum fh_code code);
FH_MUST_CHECK enum fh_code fh_catalog_pg_placement_read(const PGresult *result, int row, int column,
                                                        struct fh_placement *out);
void fh_catalog_pg_placement_add(const struct fh_catalog_pg_txn *txn,
                                 enum fh_catalog_pg_statement which, const struct fh_uuid *tenant,
                                 const struct fh_placement *placement);
/* Begins a transaction and reads the newest version. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_migration_newest(const struct fh_catalog_pg_txn *txn,
                                                          uint32_t *out);
/* Inserts it, in a group of its own, and adds its event. */
FH_MUST_CHECK enum fh_code
fh_catalog_pg_migration_insert(const struct fh_catalog_pg_txn *txn,
                               const struct fh_migration_record *migration);
/* Adds a statement with one parameter. */
void fh_catalog_pg_by_uuid_add(const struct fh_catalog_pg_txn *txn,
                               enum fh_catalog_pg_statement which, const struct fh_uuid *uuid);
void fh_catalog_pg_by_text_add(const struct fh_catalog_pg_txn *txn,
                               enum fh_catalog_pg_statement which, struct fh_str text);
/* How many rows the group's i-th statement gave. */
int fh_catalog_pg_rows(const struct fh_catalog_pg_txn *txn, size_t index);
/* The row of a statement with the columns of a tenant; the code of what could not be read. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_tenant_read(const PGresult *result, int row,
                                                     struct fh_arena *arena, struct fh_tenant *out);

#endif
