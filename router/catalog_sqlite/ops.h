/* What each request does, on the worker, inside a transaction that the caller began.
 *
 * Each answers a code and fills request->error. A change that fails leaves traces which the caller
 * rolls back with the request's savepoint. Results are in the request's arena.
 */
#ifndef FH_ROUTER_CATALOG_SQLITE_OPS_H
#define FH_ROUTER_CATALOG_SQLITE_OPS_H

#include "router/catalog.h"
#include "router/catalog_sqlite/db.h"

struct fh_catalog_txn {
    struct fh_catalog_db *db;
    int64_t now_us; /* wall time, for records */
};

/* Whether the operation may write. */
bool fh_catalog_op_writes(enum fh_catalog_op op);
FH_MUST_CHECK enum fh_code fh_catalog_op_run(const struct fh_catalog_txn *txn,
                                             struct fh_catalog_request *request);

FH_MUST_CHECK enum fh_code fh_catalog_tenant_create(const struct fh_catalog_txn *txn,
                                                    struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_tenant_get(const struct fh_catalog_txn *txn,
                                                 struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_tenant_list(const struct fh_catalog_txn *txn,
                                                  struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_tenant_advance(const struct fh_catalog_txn *txn,
                                                     struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_store_create(const struct fh_catalog_txn *txn,
                                                   struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_store_list(const struct fh_catalog_txn *txn,
                                                 struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_migration_add(const struct fh_catalog_txn *txn,
                                                    struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_migration_list(const struct fh_catalog_txn *txn,
                                                     struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_page_keys(const struct fh_catalog_txn *txn,
                                                struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_move_create(const struct fh_catalog_txn *txn,
                                                  struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_move_get(const struct fh_catalog_txn *txn,
                                               struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_move_list(const struct fh_catalog_txn *txn,
                                                struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_move_claim(const struct fh_catalog_txn *txn,
                                                 struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_move_advance(const struct fh_catalog_txn *txn,
                                                   struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_move_switch(const struct fh_catalog_txn *txn,
                                                  struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_move_wish(const struct fh_catalog_txn *txn,
                                                struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_rollout_create(const struct fh_catalog_txn *txn,
                                                     struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_rollout_get(const struct fh_catalog_txn *txn,
                                                  struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_rollout_list(const struct fh_catalog_txn *txn,
                                                   struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_rollout_claim(const struct fh_catalog_txn *txn,
                                                    struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_rollout_advance(const struct fh_catalog_txn *txn,
                                                      struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_rollout_wish(const struct fh_catalog_txn *txn,
                                                   struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_rollout_homes(const struct fh_catalog_txn *txn,
                                                    struct fh_catalog_request *request);
FH_MUST_CHECK enum fh_code fh_catalog_events(const struct fh_catalog_txn *txn,
                                             struct fh_catalog_request *request);

/* For one another, in the same transaction. */
FH_MUST_CHECK enum fh_code fh_catalog_tenant_find(const struct fh_catalog_txn *txn,
                                                  struct fh_catalog_request *request,
                                                  const struct fh_uuid *uuid, struct fh_tenant *out,
                                                  bool *found);
FH_MUST_CHECK enum fh_code fh_catalog_store_registered(const struct fh_catalog_txn *txn,
                                                       struct fh_catalog_request *request,
                                                       const char *name);
/* The catalog's newest version, and one more, whose applied_at it fills. */
FH_MUST_CHECK enum fh_code fh_catalog_migration_newest(const struct fh_catalog_txn *txn,
                                                       struct fh_catalog_request *request,
                                                       uint32_t *out);
FH_MUST_CHECK enum fh_code fh_catalog_migration_insert(const struct fh_catalog_txn *txn,
                                                       struct fh_catalog_request *request,
                                                       const struct fh_migration_record *migration);
FH_MUST_CHECK enum fh_code fh_catalog_move_unfinished(const struct fh_catalog_txn *txn,
                                                      struct fh_catalog_request *request,
                                                      const struct fh_uuid *tenant,
                                                      struct fh_move *out, bool *found);

/* The operators' audit: in the transaction of the change it tells of. */
FH_MUST_CHECK enum fh_code fh_catalog_event(const struct fh_catalog_txn *txn,
                                            struct fh_catalog_request *request, const char *action,
                                            const char *resource, const char *detail);

#endif
