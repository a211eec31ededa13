/* Happy path: ready() connects without blocking, in pipeline mode; add() queues statements, each
 * behind its PREPARE where the connection does not have it yet; run() sends them with one Sync and
 * reads answers until the Sync's own.
 *
 * Failures. A statement fails: the server skips the rest of the group up to the Sync, run() tells
 * the code. The connection is lost or the deadline passes: it is closed, and with it whatever
 * transaction was open, as soon as the server notices. COMMIT is different: once it may have left,
 * only its own answer, or an error in the group together with the Sync's answer, says what became
 * of it.
 */
#include "router/catalog_pg/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/assert.h"

#define SECOND_US INT64_C(1000000)
#define RETRY_US_MIN (SECOND_US / 20)
#define RETRY_US_MAX (2 * SECOND_US)
#define STOP_US (2 * SECOND_US)
#define SLICE_MS 1000 /* the environment's clock may be set forward while we wait */

static int64_t real_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

void fh_catalog_pg_link_init(struct fh_catalog_pg_link *link,
                             const struct fh_catalog_pg_conninfo *info, const struct fh_env *env,
                             const char *name, int stop_fd)
{
    memset(link, 0, sizeof(*link));
    link->info = info;
    link->clock = env->clock;
    link->log = env->log;
    link->name = name;
    link->stop_fd = stop_fd;
    atomic_init(&link->backend, 0);
}

static void forget_group(struct fh_catalog_pg_link *link)
{
    for (size_t i = 0; i < link->result_count; i++) {
        PQclear(link->results[i]);
        link->results[i] = NULL;
    }
    link->result_count = 0;
    link->expected_count = 0;
    link->unsent = false;
}

void fh_catalog_pg_link_drop(struct fh_catalog_pg_link *link)
{
    forget_group(link);
    PQfinish(link->pq);
    link->pq = NULL;
    link->state = FH_CATALOG_PG_LINK_CLOSED;
    atomic_store(&link->backend, 0);
    memset(link->prepared, 0, sizeof(link->prepared));
}

/* Waits for the socket; `limit_us` is real time. FH_OK also when just a slice of time went by. */
static enum fh_code wait_socket(struct fh_catalog_pg_link *link, short events, int64_t limit_us)
{
    int64_t left_us = link->deadline_us == FH_DEADLINE_NONE
                          ? INT64_MAX
                          : link->deadline_us - fh_clock_monotonic_us(link->clock);
    if (left_us <= 0) {
        return FH_DEADLINE;
    }
    int64_t now_us = real_us();
    if (link->stop_us != 0 && link->stop_us <= now_us) {
        return FH_SHUTTING_DOWN;
    }
    if (limit_us <= now_us) {
        return FH_UNAVAILABLE;
    }
    if (limit_us - now_us < left_us) {
        left_us = limit_us - now_us;
    }
    if (link->stop_us != 0 && link->stop_us - now_us < left_us) {
        left_us = link->stop_us - now_us;
    }
    struct pollfd watched[2] = {{.fd = PQsocket(link->pq), .events = events},
                                {.fd = link->stop_us == 0 ? link->stop_fd : -1, .events = POLLIN}};
    int timeout_ms = left_us > (int64_t)SLICE_MS * 1000 ? SLICE_MS : (int)((left_us + 999) / 1000);
    int count = poll(watched, 2, timeout_ms);
    if (count < 0 && errno != EINTR && errno != EAGAIN) {
        return FH_UNAVAILABLE;
    }
    if (count > 0 && watched[1].revents != 0) {
        link->stop_us = real_us() + STOP_US;
    }
    return FH_OK;
}

static enum fh_code tell(struct fh_error *error, enum fh_code code)
{
    switch (code) {
    case FH_UNAVAILABLE:
        return fh_error_set(error, code, "the catalog's server is lost; retry");
    case FH_SHUTTING_DOWN:
        return fh_error_set(error, code, "the catalog is closing");
    default:
        return fh_error_set(error, code, "%s", fh_code_text(code));
    }
}

/* Notices may hold names and values; libpq would print them on stderr. */
static void notice_cb(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static enum fh_code connect_failed(struct fh_catalog_pg_link *link, const char *fallback,
                                   struct fh_error *error)
{
    const char *text = link->pq != NULL ? PQerrorMessage(link->pq) : "";
    /* One line; libpq names host and reason, never a secret. */
    (void)snprintf(link->why, sizeof(link->why), "%s", text[0] != '\0' ? text : fallback);
    link->why[strcspn(link->why, "\n")] = '\0';
    int64_t pause_us = RETRY_US_MAX;
    if (link->failures < 6) {
        pause_us = RETRY_US_MIN << link->failures;
    }
    if (link->failures++ == 0) {
        FH_LOG(link->log, WARN, "catalog.unreachable", FH_KV_TEXT("connection", link->name),
               FH_KV_TEXT("why", link->why));
    }
    link->retry_us = real_us() + (pause_us < RETRY_US_MAX ? pause_us : RETRY_US_MAX);
    fh_catalog_pg_link_drop(link);
    return fh_error_set(error, FH_UNAVAILABLE, "the catalog's server cannot be reached: %s",
                        link->why);
}

static enum fh_code connect_start(struct fh_catalog_pg_link *link, struct fh_error *error)
{
    const char *keywords[FH_CATALOG_PG_SETTINGS_MAX];
    const char *values[FH_CATALOG_PG_SETTINGS_MAX];
    if (real_us() < link->retry_us) {
        return fh_error_set(error, FH_UNAVAILABLE, "the catalog's server cannot be reached: %s",
                            link->why);
    }
    fh_catalog_pg_conninfo_settings(link->info, link->name, keywords, values);
    link->started_us = real_us();
    link->pq = PQconnectStartParams(keywords, values, 0);
    if (link->pq == NULL || PQstatus(link->pq) == CONNECTION_BAD) {
        return connect_failed(link, "out of memory", error);
    }
    (void)PQsetNoticeReceiver(link->pq, notice_cb, NULL);
    link->state = FH_CATALOG_PG_LINK_CONNECTING;
    link->polling = PGRES_POLLING_WRITING;
    return FH_OK;
}

static bool socket_is(struct fh_catalog_pg_link *link, short events)
{
    struct pollfd watched = {.fd = PQsocket(link->pq), .events = events};
    return poll(&watched, 1, 0) > 0;
}

static enum fh_code connect_finish(struct fh_catalog_pg_link *link, struct fh_error *error)
{
    int64_t limit_us = link->started_us + link->info->connect_timeout_us;
    while (link->polling != PGRES_POLLING_OK) {
        if (link->polling == PGRES_POLLING_FAILED) {
            return connect_failed(link, "cannot connect", error);
        }
        short events = link->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (socket_is(link, events)) {
            link->polling = PQconnectPoll(link->pq);
            continue;
        }
        enum fh_code code = wait_socket(link, events, limit_us);
        if (code == FH_UNAVAILABLE) {
            return connect_failed(link, "no answer within connect_timeout", error);
        }
        if (code != FH_OK) {
            return tell(error, code); /* the attempt goes on with the next request */
        }
    }
    if (PQsetnonblocking(link->pq, 1) != 0 || PQenterPipelineMode(link->pq) != 1) {
        return connect_failed(link, "cannot start the pipeline", error);
    }
    link->state = FH_CATALOG_PG_LINK_READY;
    if (link->failures > 0) {
        FH_LOG(link->log, INFO, "catalog.reachable", FH_KV_TEXT("connection", link->name),
               FH_KV_INT("attempts", (int64_t)link->failures + 1));
    }
    link->failures = 0;
    atomic_store(&link->backend, PQbackendPID(link->pq));
    return FH_OK;
}

/* Of an idle connection. The server says nothing unasked but that it ends the session, by a message
 * or by closing; a setting that it reports costs a needless connection. */
static bool is_dead(struct fh_catalog_pg_link *link)
{
    return PQstatus(link->pq) != CONNECTION_OK || socket_is(link, POLLIN);
}

enum fh_code fh_catalog_pg_link_ready(struct fh_catalog_pg_link *link, int64_t deadline_us,
                                      struct fh_error *error)
{
    link->deadline_us = deadline_us;
    forget_group(link);
    if (link->state == FH_CATALOG_PG_LINK_READY && is_dead(link)) {
        fh_catalog_pg_link_drop(link);
    }
    if (link->state == FH_CATALOG_PG_LINK_CLOSED) {
        enum fh_code code = connect_start(link, error);
        if (code != FH_OK) {
            return code;
        }
    }
    return link->state == FH_CATALOG_PG_LINK_CONNECTING ? connect_finish(link, error) : FH_OK;
}

static void expect(struct fh_catalog_pg_link *link, enum fh_catalog_pg_statement which,
                   bool prepares)
{
    FH_ASSERT(link->expected_count < 2 * FH_CATALOG_PG_GROUP_MAX);
    link->expected[link->expected_count].which = which;
    link->expected[link->expected_count].prepares = prepares;
    link->expected_count++;
}

/* Begins a group where there is none. */
static void begin_add(struct fh_catalog_pg_link *link)
{
    FH_ASSERT(link->state == FH_CATALOG_PG_LINK_READY);
    if (link->expected_count == 0) {
        forget_group(link);
    }
    FH_ASSERT(link->result_count < FH_CATALOG_PG_GROUP_MAX);
}

void fh_catalog_pg_link_add(struct fh_catalog_pg_link *link, enum fh_catalog_pg_statement which,
                            const struct fh_catalog_pg_params *params)
{
    static const struct fh_catalog_pg_params none;
    const struct fh_catalog_pg_params *sent = params != NULL ? params : &none;
    char name[16];
    begin_add(link);
    (void)snprintf(name, sizeof(name), "fh_%d", (int)which);
    if (!link->unsent && !link->prepared[which]) {
        link->unsent = PQsendPrepare(link->pq, name, fh_catalog_pg_sql(which), 0, NULL) != 1;
        link->prepared[which] = !link->unsent;
        expect(link, which, true);
    }
    if (!link->unsent) {
        link->unsent = PQsendQueryPrepared(link->pq, name, sent->count, sent->values, sent->lengths,
                                           sent->formats, 1) != 1;
    }
    expect(link, which, false);
    link->result_count++;
}

void fh_catalog_pg_link_add_text(struct fh_catalog_pg_link *link, const char *sql)
{
    begin_add(link);
    if (!link->unsent) {
        link->unsent = PQsendQueryParams(link->pq, sql, 0, NULL, NULL, NULL, NULL, 1) != 1;
    }
    expect(link, FH_CATALOG_PG_SQL_COUNT, false);
    link->result_count++;
}

/* The next of libpq's results; NULL is one of them. */
static enum fh_code next_result(struct fh_catalog_pg_link *link, PGresult **out)
{
    *out = NULL;
    int unsent = PQflush(link->pq);
    while (unsent >= 0 && (unsent > 0 || PQisBusy(link->pq) != 0)) {
        enum fh_code code =
            wait_socket(link, (short)(POLLIN | (unsent > 0 ? POLLOUT : 0)), INT64_MAX);
        if (code != FH_OK) {
            return code;
        }
        if (socket_is(link, POLLIN) && PQconsumeInput(link->pq) != 1) {
            break; /* what had arrived before it can still be taken */
        }
        unsent = PQflush(link->pq);
    }
    *out = PQgetResult(link->pq);
    return FH_OK;
}

static void note_failure(struct fh_catalog_pg_link *link, const PGresult *result)
{
    if (link->sqlstate[0] == '\0') {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        (void)snprintf(link->sqlstate, sizeof(link->sqlstate), "%s",
                       state != NULL && state[0] != '\0' ? state : "08006");
    }
}

/* Answers up to the Sync's. Not FH_OK: the connection is of no more use. */
static enum fh_code receive(struct fh_catalog_pg_link *link)
{
    size_t taken = 0;
    for (size_t i = 0; i < link->expected_count; i++) {
        PGresult *result = NULL;
        PGresult *end = NULL;
        enum fh_code code = next_result(link, &result);
        if (code != FH_OK || result == NULL) {
            return code != FH_OK ? code : FH_UNAVAILABLE;
        }
        ExecStatusType status = PQresultStatus(result);
        bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        if (status == PGRES_FATAL_ERROR) {
            note_failure(link, result);
        }
        if (!link->expected[i].prepares) {
            link->results[taken++] = result;
        } else {
            link->prepared[link->expected[i].which] = good;
            PQclear(result);
        }
        code = next_result(link, &end);
        if (code != FH_OK || end != NULL) {
            PQclear(end);
            return code != FH_OK ? code : FH_UNAVAILABLE;
        }
    }
    PGresult *sync = NULL;
    enum fh_code code = next_result(link, &sync);
    bool synced = code == FH_OK && sync != NULL && PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
    if (code == FH_OK && !synced) {
        code = FH_UNAVAILABLE;
    }
    PQclear(sync);
    return code;
}

/* Nothing of the caller's doing leads to a code that is not listed: FH_INTERNAL. */
static enum fh_code code_of(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        enum fh_code code;
    } codes[] = {
        {"40", FH_UNAVAILABLE},    /* deadlock, serialization: nothing happened */
        {"55P03", FH_UNAVAILABLE}, /* lock_timeout */
        {"57014", FH_UNAVAILABLE}, /* statement_timeout */
        {"57P", FH_UNAVAILABLE},   /* shutdown, crash, cannot connect now */
        {"25P03", FH_UNAVAILABLE}, /* we slept in a transaction */
        {"25006", FH_UNAVAILABLE}, /* a standby */
        {"08", FH_UNAVAILABLE},    {"53300", FH_UNAVAILABLE}, {"58", FH_UNAVAILABLE},
        {"53100", FH_DISK_FULL},   {"53200", FH_NOMEM},       {"54", FH_TOO_LARGE},
        {"42501", FH_PERMISSION},  {"XX001", FH_CORRUPT},     {"XX002", FH_CORRUPT},
        {"23505", FH_CONFLICT}, /* another server was faster */
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strncmp(sqlstate, codes[i].prefix, strlen(codes[i].prefix)) == 0) {
            return codes[i].code;
        }
    }
    return FH_INTERNAL;
}

static enum fh_code statement_failed(struct fh_catalog_pg_link *link, struct fh_error *error)
{
    enum fh_code code = code_of(link->sqlstate);
    const char *what = "a statement of the catalog failed";
    if (code == FH_UNAVAILABLE) {
        what = "the catalog's server could not do it now; retry";
    } else if (code == FH_DISK_FULL) {
        what = "the catalog's disk is full: free some space; nothing was written";
    } else if (code == FH_PERMISSION) {
        what = "the catalog's role lacks a right on schema freehold_catalog";
    }
    if (code == FH_INTERNAL) {
        fh_catalog_pg_link_drop(link); /* maybe its tables changed; a new one plans anew */
    }
    return fh_error_set(error, code, "%s (SQLSTATE %s)", what, link->sqlstate);
}

enum fh_code fh_catalog_pg_link_run(struct fh_catalog_pg_link *link, struct fh_error *error)
{
    link->sqlstate[0] = '\0';
    if (link->unsent || PQpipelineSync(link->pq) != 1) {
        fh_catalog_pg_link_drop(link);
        return tell(error, FH_UNAVAILABLE);
    }
    enum fh_code code = receive(link);
    link->expected_count = 0;
    if (code != FH_OK) {
        /* A server that ends our session tells why before it closes. */
        fh_catalog_pg_link_drop(link);
        return tell(error, code);
    }
    return link->sqlstate[0] != '\0' ? statement_failed(link, error) : FH_OK;
}

static bool committed(const struct fh_catalog_pg_link *link, size_t index)
{
    PGresult *result = link->results[index];
    return result != NULL && PQresultStatus(result) == PGRES_COMMAND_OK &&
           strcmp(PQcmdStatus(result), "COMMIT") == 0;
}

enum fh_code fh_catalog_pg_link_commit(struct fh_catalog_pg_link *link, struct fh_error *error)
{
    if (link->deadline_us <= fh_clock_monotonic_us(link->clock)) {
        fh_catalog_pg_link_drop(link); /* what is queued was not flushed: nothing happened */
        return tell(error, FH_DEADLINE);
    }
    if (link->unsent) {
        fh_catalog_pg_link_drop(link);
        return tell(error, FH_UNAVAILABLE);
    }
    fh_catalog_pg_link_add(link, FH_CATALOG_PG_SQL_COMMIT, NULL);
    size_t index = link->result_count - 1;
    link->sqlstate[0] = '\0';
    enum fh_code code = FH_UNAVAILABLE; /* from here on some of it may have left */
    if (!link->unsent && PQpipelineSync(link->pq) == 1) {
        code = receive(link);
    }
    link->expected_count = 0;
    if (committed(link, index)) {
        if (code != FH_OK) { /* only the answer to the Sync is missing */
            fh_catalog_pg_link_drop(link);
        }
        return FH_OK;
    }
    if (code != FH_OK) {
        fh_catalog_pg_link_drop(link);
        return fh_error_set(error, FH_OUTCOME_UNKNOWN,
                            "the catalog's server did not confirm the change: it may or may not be "
                            "there; look, or repeat it");
    }
    if (link->sqlstate[0] != '\0') {
        return statement_failed(link, error);
    }
    fh_catalog_pg_link_drop(link); /* a COMMIT that rolled back without an error: not ours */
    return fh_error_set(error, FH_INTERNAL, "the catalog's transaction was lost");
}

void fh_catalog_pg_link_rollback(struct fh_catalog_pg_link *link)
{
    if (link->state != FH_CATALOG_PG_LINK_READY) {
        return;
    }
    if (link->expected_count > 0) { /* statements were added that nobody ran */
        fh_catalog_pg_link_drop(link);
        return;
    }
    if (PQtransactionStatus(link->pq) == PQTRANS_IDLE) {
        return;
    }
    fh_catalog_pg_link_add(link, FH_CATALOG_PG_SQL_ROLLBACK, NULL);
    if (fh_catalog_pg_link_run(link, NULL) != FH_OK) {
        fh_catalog_pg_link_drop(link);
    }
}

const PGresult *fh_catalog_pg_link_result(const struct fh_catalog_pg_link *link, size_t index)
{
    FH_ASSERT(index < link->result_count && link->results[index] != NULL);
    return link->results[index];
}

int64_t fh_catalog_pg_link_pause_us(const struct fh_catalog_pg_link *link)
{
    int64_t left_us = link->retry_us - real_us();
    return link->state == FH_CATALOG_PG_LINK_CLOSED && left_us > 0 ? left_us : 0;
}

enum fh_code fh_catalog_pg_link_listen(struct fh_catalog_pg_link *link)
{
    link->deadline_us = FH_DEADLINE_NONE;
    while (link->stop_us == 0) {
        enum fh_code code = wait_socket(link, POLLIN, INT64_MAX);
        if (code == FH_OK && link->stop_us == 0 && socket_is(link, POLLIN)) {
            code = PQconsumeInput(link->pq) == 1 ? FH_OK : FH_UNAVAILABLE;
            if (code == FH_OK) {
                return FH_OK;
            }
        }
        if (code != FH_OK) {
            fh_catalog_pg_link_drop(link);
            return FH_UNAVAILABLE;
        }
    }
    return FH_SHUTTING_DOWN;
}
