/* One connection to the catalog's server, driven by its own thread with poll(2).
 *
 *     CLOSED -> CONNECTING -> READY -> CLOSED        (a failure at any point closes)
 *
 * A group is some statements sent in one go and answered in one go: one round trip. Every wait ends
 * at the deadline of whoever waits; then the connection is dropped, for what it still carries
 * belongs to nobody. Only an attempt to connect outlives its request: it has its own limit, and
 * requests with little time must not keep a slow one from ever ending. Attempts that fail are
 * followed by a pause (50 ms, doubling to 2 s) in which requests fail at once.
 *
 * Deadlines are of the environment's clock; pauses and limits of connecting are real time. Codes of
 * PostgreSQL end here; its messages, which may hold values, are not passed on, only those of
 * connecting.
 *
 * Thread: one at a time. Limits: 64 statements a group.
 */
#ifndef FH_ROUTER_CATALOG_PG_LINK_H
#define FH_ROUTER_CATALOG_PG_LINK_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/code.h"
#include "base/env.h"
#include "base/error.h"
#include "router/catalog_pg/conninfo.h"
#include "router/catalog_pg/params.h"
#include "router/catalog_pg/sql.h"

#define FH_CATALOG_PG_GROUP_MAX 64

enum fh_catalog_pg_link_state {
    FH_CATALOG_PG_LINK_CLOSED,
    FH_CATALOG_PG_LINK_CONNECTING,
    FH_CATALOG_PG_LINK_READY,
};

struct fh_catalog_pg_link {
    /* Fixed after init. */
    const struct fh_catalog_pg_conninfo *info;
    const struct fh_clock *clock;
    const char *name; /* application_name */
    struct fh_log *log;
    int stop_fd; /* readable once the catalog closes: a wait lasts two seconds at most then;
                    -1: never */

    enum fh_catalog_pg_link_state state;
    PGconn *pq;
    PostgresPollingStatusType polling; /* what CONNECTING waits for */
    int64_t started_us;                /* real time, as are the next two */
    int64_t retry_us;
    int64_t stop_us; /* 0: not asked to stop */
    unsigned failures;
    char why[256];      /* the last attempt failed */
    atomic_int backend; /* process id of the server's end; 0: none. Any thread */

    int64_t deadline_us; /* of the request being served */
    bool prepared[FH_CATALOG_PG_SQL_COUNT];
    struct {
        enum fh_catalog_pg_statement which;
        bool prepares;
    } expected[2 * FH_CATALOG_PG_GROUP_MAX];
    size_t expected_count;
    bool unsent; /* a statement could not be queued */
    PGresult *results[FH_CATALOG_PG_GROUP_MAX];
    size_t result_count; /* statements in the group, answered or not */
    char sqlstate[6];    /* of the first statement that failed; else empty */
};

void fh_catalog_pg_link_init(struct fh_catalog_pg_link *link,
                             const struct fh_catalog_pg_conninfo *info, const struct fh_env *env,
                             const char *name, int stop_fd);
/* Drops the connection and what is left of a group. May be opened again. */
void fh_catalog_pg_link_drop(struct fh_catalog_pg_link *link);

/* Connects unless connected and alive, as far as can be seen without asking. FH_UNAVAILABLE,
 * FH_DEADLINE, FH_SHUTTING_DOWN: nothing was sent. Sets the deadline of what follows. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_link_ready(struct fh_catalog_pg_link *link,
                                                    int64_t deadline_us, struct fh_error *error);
/* Adds a statement to the group; a failure is told by run. `params` may be NULL, and may be used
 * again at once. */
void fh_catalog_pg_link_add(struct fh_catalog_pg_link *link, enum fh_catalog_pg_statement which,
                            const struct fh_catalog_pg_params *params);
/* The same, of a text that is used once. */
void fh_catalog_pg_link_add_text(struct fh_catalog_pg_link *link, const char *sql);
/* Sends the group and takes its answers. A statement that failed leaves the connection usable
 * (state READY, maybe in a transaction); anything else drops it. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_link_run(struct fh_catalog_pg_link *link,
                                                  struct fh_error *error);
/* The same with a COMMIT behind the group: FH_OUTCOME_UNKNOWN when it may have been carried out. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_link_commit(struct fh_catalog_pg_link *link,
                                                     struct fh_error *error);
/* Ends a transaction that was left open. */
void fh_catalog_pg_link_rollback(struct fh_catalog_pg_link *link);
/* The i-th statement's rows, of the last group that ran well; until the next add. */
const PGresult *fh_catalog_pg_link_result(const struct fh_catalog_pg_link *link, size_t index);

/* For the listener: how long the pause after failed attempts still is. */
int64_t fh_catalog_pg_link_pause_us(const struct fh_catalog_pg_link *link);
/* For the listener: waits until there is something to read. FH_SHUTTING_DOWN when stop_fd is
 * readable; FH_UNAVAILABLE drops the connection. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_link_listen(struct fh_catalog_pg_link *link);

#endif
