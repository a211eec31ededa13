/* Happy path: the one that was used last is taken out, reset in one round trip, used, and put back.
 *
 * Failures: one that cannot be reset in RESET_US is closed, and a new one is opened in its place;
 * no other that was kept is tried, since what ended one has mostly ended all. Where there is no
 * room for one that comes back, it is closed.
 */
#include "stores/pg/sessions.h"

#include <string.h>

#include "base/assert.h"

/* The server has nothing to wait for in it: where it takes longer, the session is out of reach. */
#define RESET_US (10 * INT64_C(1000000))

void fh_pg_sessions_init(struct fh_pg_sessions *sessions)
{
    memset(sessions, 0, sizeof(*sessions));
    int failed = pthread_mutex_init(&sessions->mutex, NULL);
    FH_ASSERT(failed == 0); /* without attributes it cannot */
}

void fh_pg_sessions_close(struct fh_pg_sessions *sessions)
{
    for (unsigned i = 0; i < sessions->count; i++) {
        PQfinish(sessions->kept[i].pq);
    }
    pthread_mutex_destroy(&sessions->mutex);
}

/* At what time it is to be closed, if nobody wants it. */
static int64_t end_of(const struct fh_pg_session *session)
{
    int64_t idle_us = session->idle_since_us + FH_PG_SESSION_IDLE_US;
    int64_t age_us = session->opened_us + FH_PG_SESSION_AGE_US;
    return idle_us < age_us ? idle_us : age_us;
}

static struct fh_pg_session take(struct fh_pg_sessions *sessions, int64_t now_us)
{
    struct fh_pg_session none = {.pq = NULL};
    pthread_mutex_lock(&sessions->mutex);
    if (sessions->count > 0 && end_of(&sessions->kept[sessions->count - 1]) > now_us) {
        none = sessions->kept[--sessions->count];
    }
    pthread_mutex_unlock(&sessions->mutex);
    return none;
}

static bool reset(struct fh_pg_blocking *conn, int64_t now_us)
{
    struct fh_error ignored = FH_ERROR_INIT;
    struct fh_error *error = conn->error;
    int64_t deadline_us = conn->deadline_us;
    conn->error = &ignored;
    conn->deadline_us = deadline_us < now_us + RESET_US ? deadline_us : now_us + RESET_US;
    /* by itself: no transaction may have it */
    enum fh_code code = fh_pg_blocking_ask(conn, "discard all", NULL, 0, false, NULL);
    conn->error = error;
    conn->deadline_us = deadline_us;
    memset(conn->sqlstate, 0, sizeof(conn->sqlstate));
    return code == FH_OK;
}

enum fh_code fh_pg_sessions_open(struct fh_pg_sessions *sessions, const struct fh_pg_conninfo *info,
                                 const struct fh_clock *clock, int64_t deadline_us,
                                 struct fh_error *error, struct fh_pg_blocking *conn,
                                 struct fh_pg_session *out)
{
    int64_t now_us = fh_clock_monotonic_us(clock);
    *out = take(sessions, now_us);
    if (out->pq != NULL) {
        *conn = (struct fh_pg_blocking){
            .pq = out->pq, .clock = clock, .deadline_us = deadline_us, .error = error};
        if (reset(conn, now_us)) {
            return FH_OK;
        }
        fh_pg_blocking_close(conn);
    }
    *out = (struct fh_pg_session){.opened_us = now_us};
    return fh_pg_blocking_open(conn, info, NULL, clock, deadline_us, error);
}

void fh_pg_sessions_give(struct fh_pg_sessions *sessions, struct fh_pg_session *session,
                         struct fh_pg_blocking *conn)
{
    session->pq = conn->pq;
    session->uses++;
    session->idle_since_us = fh_clock_monotonic_us(conn->clock);
    bool sound = conn->pq != NULL && PQstatus(conn->pq) == CONNECTION_OK &&
                 PQtransactionStatus(conn->pq) == PQTRANS_IDLE;
    if (sound && session->uses < FH_PG_SESSION_USES_MAX &&
        end_of(session) > session->idle_since_us) {
        pthread_mutex_lock(&sessions->mutex);
        if (sessions->count < FH_PG_SESSIONS_MAX) {
            sessions->kept[sessions->count++] = *session;
            conn->pq = NULL;
        }
        pthread_mutex_unlock(&sessions->mutex);
    }
    fh_pg_blocking_close(conn);
    *session = (struct fh_pg_session){.pq = NULL};
}

int64_t fh_pg_sessions_expire(struct fh_pg_sessions *sessions, int64_t now_us)
{
    PGconn *over[FH_PG_SESSIONS_MAX];
    unsigned over_count = 0;
    unsigned left = 0;
    int64_t next_us = INT64_MAX;
    pthread_mutex_lock(&sessions->mutex);
    for (unsigned i = 0; i < sessions->count; i++) {
        int64_t end_us = end_of(&sessions->kept[i]);
        if (end_us <= now_us) {
            over[over_count++] = sessions->kept[i].pq;
            continue;
        }
        next_us = end_us < next_us ? end_us : next_us;
        sessions->kept[left++] = sessions->kept[i];
    }
    sessions->count = left;
    pthread_mutex_unlock(&sessions->mutex);
    for (unsigned i = 0; i < over_count; i++) {
        PQfinish(over[i]);
    }
    FH_ASSERT(left == 0 || next_us > now_us);
    return left > 0 ? next_us - now_us : 0;
}
