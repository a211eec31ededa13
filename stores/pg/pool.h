/* Lanes: a queue of operations and the connections that take from it.
 *
 * fast: up to connections_max, each with up to FH_PG_DEPTH groups in flight; what waits
 * meanwhile shares the next groups (reads with reads, writes with writes). slow: four, one
 * operation each. owner: three, closed when idle. mover: four, and one more for each view that is
 * open; one of the four is kept for fences, so that a cutover waits behind no scan. A lane whose
 * connections all fail answers FH_UNAVAILABLE until its back-off (100 ms doubling to 5 s) is over.
 */
#ifndef FH_STORES_PG_POOL_H
#define FH_STORES_PG_POOL_H

#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "stores/pg/connection.h"
#include "stores/pg/conninfo.h"
#include "stores/pg/op.h"

#define FH_PG_FAST_MAX 8
#define FH_PG_SLOW_MAX 4
#define FH_PG_OWNER_MAX 3 /* changes of schema at a time; 1 in a tenant's own database */
#define FH_PG_MOVER_MAX 4 /* and FH_SNAPSHOTS_MAX that views have to themselves */
#define FH_PG_DEPTH \
    4 /* groups in flight on a multiplexed connection, of up to FH_PG_SHARE_MAX ops */
#define FH_PG_LANE_CONNECTIONS_MAX 8

struct fh_pg_lane {
    struct fh_pg_store *store;
    enum fh_pg_lane_kind kind;
    const struct fh_pg_conninfo *info;
    struct fh_pg_conn conns[FH_PG_LANE_CONNECTIONS_MAX];
    unsigned count; /* of conns in use by this lane */
    unsigned depth;
    struct fh_list queue;
    size_t queued;
    unsigned failures;     /* connects in a row */
    uint64_t retry_at_ms;  /* loop time */
    struct fh_error error; /* why the last connect failed */
};

void fh_pg_lane_init(struct fh_pg_lane *lane, struct fh_pg_store *store, enum fh_pg_lane_kind kind,
                     const struct fh_pg_conninfo *info, unsigned count, unsigned id_first);
/* FH_FULL when the store's queues hold queue_max. */
FH_MUST_CHECK enum fh_code fh_pg_lane_push(struct fh_pg_lane *lane, struct fh_pg_op *op);
/* Again, in front: for an op that was on its way already. */
void fh_pg_lane_push_front(struct fh_pg_lane *lane, struct fh_pg_op *op);
/* Gives queued ops to connections, opens more, fails what cannot be served. */
void fh_pg_lane_dispatch(struct fh_pg_lane *lane);
/* The same for the mover's lane (pool_mover.c). */
void fh_pg_lane_dispatch_mover(struct fh_pg_lane *lane);
/* From connections. */
void fh_pg_lane_connected(struct fh_pg_lane *lane);
void fh_pg_lane_connect_failed(struct fh_pg_lane *lane, const struct fh_error *error);
/* Connect timeouts, stalls. */
void fh_pg_lane_tick(struct fh_pg_lane *lane, uint64_t now_ms);
bool fh_pg_lane_is_idle(const struct fh_pg_lane *lane);

#endif
