/* Sessions of the owner in the store's database that stay open between two uses: DDL takes about
 * twice as long in a new one, whose caches of the system tables are cold.
 *
 * Invariants: one that is kept has no transaction open and is nobody's; before it is used again
 * everything a use may have set in it is reset (DISCARD ALL: role, settings, locks, temporary
 * tables, prepared statements), which finds out as well whether the server is still there. It was
 * as the database's owner that it logged in, and so it is as good as a new one, but for what an
 * operator has changed since for new sessions of that role: FH_PG_SESSION_AGE_US bounds how late
 * that is heard of.
 *
 * Thread: any; all but init and close lock. The caller says what time it is. Limits: as many as
 * there are threads that make homes; each is closed when it was idle for FH_PG_SESSION_IDLE_US, is
 * FH_PG_SESSION_AGE_US old, or had FH_PG_SESSION_USES_MAX uses (a back end remembers every table
 * that it made).
 */
#ifndef FH_STORES_PG_SESSIONS_H
#define FH_STORES_PG_SESSIONS_H

#include <pthread.h>

#include "stores/pg/blocking.h"

#define FH_PG_SESSIONS_MAX 2
#define FH_PG_SESSION_IDLE_US (30 * INT64_C(1000000))
#define FH_PG_SESSION_AGE_US (300 * INT64_C(1000000))
#define FH_PG_SESSION_USES_MAX 100

struct fh_pg_session {
    PGconn *pq; /* NULL: none */
    int64_t opened_us;
    int64_t idle_since_us;
    unsigned uses;
};

struct fh_pg_sessions {
    pthread_mutex_t mutex;
    struct fh_pg_session kept[FH_PG_SESSIONS_MAX]; /* the one used last at the end */
    unsigned count;
};

void fh_pg_sessions_init(struct fh_pg_sessions *sessions);
/* Closes them all. */
void fh_pg_sessions_close(struct fh_pg_sessions *sessions);

/* A session that was kept, reset, or a new one: `out` says since when and how often used. As
 * fh_pg_blocking_open(). */
FH_MUST_CHECK enum fh_code fh_pg_sessions_open(struct fh_pg_sessions *sessions,
                                               const struct fh_pg_conninfo *info,
                                               const struct fh_clock *clock, int64_t deadline_us,
                                               struct fh_error *error, struct fh_pg_blocking *conn,
                                               struct fh_pg_session *out);
/* Takes the connection back, `session` as open gave it, to keep it or to close it; one with a
 * transaction open, or that is closed, is not kept. */
void fh_pg_sessions_give(struct fh_pg_sessions *sessions, struct fh_pg_session *session,
                         struct fh_pg_blocking *conn);
/* Closes those whose time is over. How long until the next one's is: 0 when none is left. */
int64_t fh_pg_sessions_expire(struct fh_pg_sessions *sessions, int64_t now_us);

#endif
