/* Happy path: connect, send, wait for the socket until all results are in, keep the last.
 *
 * Failures: a statement fails: its code, once the rest was read; the connection goes on. The
 * connection is lost or the deadline passes: it is closed, everything later is FH_UNAVAILABLE.
 */
#include "stores/pg/blocking.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "stores/pg/errors.h"

#define SCRIPT_BYTES_MAX (32u * 1024 * 1024)
#define WAIT_MS_MAX 600000
/* As the owner's lane has them (connection.c), but for waiting on locks. */
#define OPTIONS                                                                              \
    "-c statement_timeout=120000 -c lock_timeout=3000 -c search_path=pg_catalog"             \
    " -c default_transaction_isolation=read\\ committed -c jit=off"                          \
    " -c idle_in_transaction_session_timeout=60000 -c client_connection_check_interval=1000" \
    " -c log_parameter_max_length_on_error=0 -c timezone=UTC"

static int ms_left(const struct fh_pg_blocking *conn)
{
    int64_t left = (conn->deadline_us - fh_clock_monotonic_us(conn->clock)) / 1000;
    if (left <= 0) {
        return 0;
    }
    return left < WAIT_MS_MAX ? (int)left : WAIT_MS_MAX;
}

/* False: the deadline passed, or poll itself failed. */
static bool wait_for(struct fh_pg_blocking *conn, short events)
{
    struct pollfd fd = {.fd = PQsocket(conn->pq), .events = events};
    int ready = 0;
    do {
        int ms = ms_left(conn);
        ready = ms > 0 ? poll(&fd, 1, ms) : 0;
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static enum fh_code fail(struct fh_pg_blocking *conn, enum fh_code code, const char *text)
{
    if (conn->error->code == FH_OK) {
        (void)fh_error_set(conn->error, code, "%.*s", (int)strcspn(text, "\n"), text);
    }
    return code;
}

static void notice_cb(void *arg, const PGresult *result)
{
    (void)arg; /* notices may hold names and values */
    (void)result;
}

static enum fh_code connect_all(struct fh_pg_blocking *conn)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED) {
            return fail(conn, FH_UNAVAILABLE, PQerrorMessage(conn->pq));
        }
        if (!wait_for(conn, status == PGRES_POLLING_READING ? POLLIN : POLLOUT)) {
            return fail(conn, FH_DEADLINE, "the deadline passed while connecting");
        }
        status = PQconnectPoll(conn->pq);
    }
    return FH_OK;
}

enum fh_code fh_pg_blocking_open(struct fh_pg_blocking *conn, const struct fh_pg_conninfo *info,
                                 const char *database, const struct fh_clock *clock,
                                 int64_t deadline_us, struct fh_error *error)
{
    const char *keywords[FH_PG_KEYWORDS_MAX + 4];
    const char *values[FH_PG_KEYWORDS_MAX + 4];
    size_t count = 0;
    memset(conn, 0, sizeof(*conn));
    conn->clock = clock;
    conn->deadline_us = deadline_us;
    conn->error = error;
    for (int i = 0; i < FH_PG_KEYWORDS_MAX; i++) {
        bool replaced = i == FH_PG_KEYWORD_DBNAME && database != NULL;
        const char *value = replaced ? database : info->values[i];
        if (value != NULL && i != FH_PG_KEYWORD_CONNECT_TIMEOUT) {
            keywords[count] = fh_pg_conninfo_keywords[i];
            values[count++] = value;
        }
    }
    keywords[count] = "options";
    values[count++] = OPTIONS;
    keywords[count] = "client_encoding";
    values[count++] = "UTF8";
    keywords[count] = "gssencmode";
    values[count++] = "disable";
    keywords[count] = NULL;
    values[count] = NULL;
    conn->pq = PQconnectStartParams(keywords, values, 0);
    enum fh_code code = FH_OK;
    if (conn->pq == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    if (PQstatus(conn->pq) == CONNECTION_BAD) {
        code = fail(conn, FH_UNAVAILABLE, PQerrorMessage(conn->pq));
    } else {
        code = connect_all(conn);
    }
    if (code == FH_OK && PQsetnonblocking(conn->pq, 1) != 0) {
        code = fail(conn, FH_UNAVAILABLE, PQerrorMessage(conn->pq));
    }
    if (code != FH_OK) {
        fh_pg_blocking_close(conn);
        return code;
    }
    (void)PQsetNoticeReceiver(conn->pq, notice_cb, NULL);
    return FH_OK;
}

void fh_pg_blocking_close(struct fh_pg_blocking *conn)
{
    PQfinish(conn->pq);
    conn->pq = NULL;
}

/* The connection is of no use any more. */
static enum fh_code lost(struct fh_pg_blocking *conn, bool commits)
{
    bool late = ms_left(conn) == 0;
    enum fh_code code = late ? FH_DEADLINE : FH_UNAVAILABLE;
    code = commits ? FH_OUTCOME_UNKNOWN : code;
    (void)fail(conn, code, late ? "the deadline passed" : "the connection was lost");
    fh_pg_blocking_close(conn);
    return code;
}

/* The last result, or NULL when the connection is lost. The first failure wins over later ones. */
static PGresult *receive(struct fh_pg_blocking *conn)
{
    PGresult *kept = NULL;
    bool failed = false;
    int flushed = 1;
    for (;;) {
        while ((flushed = PQflush(conn->pq)) == 1) {
            if (!wait_for(conn, POLLIN | POLLOUT) || PQconsumeInput(conn->pq) != 1) {
                goto lost;
            }
        }
        while (flushed == 0 && PQisBusy(conn->pq) != 0) {
            if (!wait_for(conn, POLLIN) || PQconsumeInput(conn->pq) != 1) {
                goto lost;
            }
        }
        PGresult *next = flushed == 0 ? PQgetResult(conn->pq) : NULL;
        if (next == NULL) {
            break;
        }
        if (failed) {
            PQclear(next);
            continue;
        }
        PQclear(kept);
        kept = next;
        failed = PQresultStatus(next) == PGRES_FATAL_ERROR;
    }
    if (flushed == 0 && PQstatus(conn->pq) == CONNECTION_OK) {
        return kept;
    }
lost:
    PQclear(kept);
    return NULL;
}

static enum fh_code finish(struct fh_pg_blocking *conn, bool commits, PGresult **out)
{
    PGresult *result = receive(conn);
    if (result == NULL) {
        return lost(conn, commits);
    }
    ExecStatusType status = PQresultStatus(result);
    enum fh_code code = FH_OK;
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        (void)snprintf(conn->sqlstate, sizeof(conn->sqlstate), "%s",
                       sqlstate != NULL ? sqlstate : "");
        code = fh_pg_code_of_sqlstate(sqlstate);
        if (conn->error->code == FH_OK) { /* no message of the server's: it may hold values */
            (void)fh_error_set(conn->error, code, "the server refused a statement (%s)",
                               conn->sqlstate);
        }
    }
    if (code == FH_OK && out != NULL) {
        *out = result;
    } else {
        PQclear(result);
    }
    return code;
}

enum fh_code fh_pg_blocking_ask(struct fh_pg_blocking *conn, const char *sql,
                                const char *const *params, int count, bool commits, PGresult **out)
{
    if (conn->pq == NULL) {
        return FH_UNAVAILABLE;
    }
    if (PQsendQueryParams(conn->pq, sql, count, NULL, params, NULL, NULL, 0) != 1) {
        return lost(conn, false);
    }
    return finish(conn, commits, out);
}

enum fh_code fh_pg_blocking_run(struct fh_pg_blocking *conn, const char *sql)
{
    if (conn->pq == NULL) {
        return FH_UNAVAILABLE;
    }
    if (PQsendQuery(conn->pq, sql) != 1) {
        return lost(conn, false);
    }
    return finish(conn, false, NULL);
}

enum fh_code fh_pg_blocking_script(struct fh_pg_blocking *conn, const struct fh_pg_script *script)
{
    struct fh_buf text;
    size_t cursor = 0;
    const char *statement = NULL;
    fh_buf_init(&text, SCRIPT_BYTES_MAX);
    enum fh_code code = fh_buf_code(&script->text);
    while (code == FH_OK && (statement = fh_pg_script_next(script, &cursor)) != NULL) {
        fh_buf_add_text(&text, statement);
        fh_buf_add_text(&text, ";\n");
    }
    if (code == FH_OK) {
        code = fh_buf_code(&text);
    }
    if (code == FH_OK && text.len > 0) {
        code = fh_pg_blocking_run(conn, text.data);
    } else if (code != FH_OK) {
        code = fail(conn, code, "the statements of a home are too many");
    }
    fh_buf_close(&text);
    return code;
}

enum fh_code fh_pg_blocking_commit(struct fh_pg_blocking *conn)
{
    return fh_pg_blocking_ask(conn, "commit", NULL, 0, true, NULL);
}

enum fh_code fh_pg_blocking_value(struct fh_pg_blocking *conn, const char *sql,
                                  const char *const *params, int count, char *out, size_t out_size)
{
    PGresult *result = NULL;
    out[0] = '\0';
    enum fh_code code = fh_pg_blocking_ask(conn, sql, params, count, false, &result);
    if (code == FH_OK) {
        if (PQntuples(result) > 0) {
            (void)snprintf(out, out_size, "%s", PQgetvalue(result, 0, 0));
        }
        PQclear(result);
    }
    return code;
}
