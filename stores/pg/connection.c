/* Happy path: the host is an address or a socket path (or is resolved first), libpq connects
 * without blocking, the pipeline is switched on, one group checks the role, READY. Then readable
 * means results, writable means more to flush.
 *
 * Failures: whatever step fails, fh_pg_conn_fail() closes and tells the lane, which backs off.
 * libpq may swap its socket while it connects (another address, or TLS refused), so the poll handle
 * is stopped before each step and made anew when the number changed; it never watches a closed
 * descriptor.
 */
#include "stores/pg/connection.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/pg/engine.h"
#include "stores/pg/pipeline.h"

#define ADDRESSES_MAX 4

struct fh_pg_resolver {
    uv_getaddrinfo_t request;
    struct fh_pg_store *store;
    struct fh_pg_conn *conn; /* NULL: nobody waits any more */
};

void fh_pg_conn_init(struct fh_pg_conn *conn, struct fh_pg_lane *lane, unsigned id)
{
    FH_ASSERT(id < FH_PG_CONNECTIONS_MAX);
    memset(conn, 0, sizeof(*conn));
    conn->lane = lane;
    conn->id = id;
    conn->poll_fd = -1;
    fh_list_init(&conn->prepared);
}

static void poll_closed_cb(uv_handle_t *handle)
{
    struct fh_pg_store *store = handle->data;
    fh_free(handle);
    fh_pg_store_handle_closed(store);
}

static void poll_drop(struct fh_pg_conn *conn)
{
    if (conn->poll == NULL) {
        return;
    }
    (void)uv_poll_stop(conn->poll);
    conn->poll->data = conn->lane->store;
    uv_close((uv_handle_t *)conn->poll, poll_closed_cb);
    conn->poll = NULL;
    conn->poll_fd = -1;
}

static void poll_cb(uv_poll_t *handle, int status, int events);

/* Watches the socket libpq has now. */
static enum fh_code poll_watch(struct fh_pg_conn *conn, int events)
{
    int fd = PQsocket(conn->pq);
    if (fd < 0) {
        return FH_UNAVAILABLE;
    }
    if (conn->poll != NULL && conn->poll_fd != fd) {
        poll_drop(conn);
    }
    if (conn->poll == NULL) {
        uv_poll_t *poll = fh_calloc(1, sizeof(*poll));
        if (poll == NULL) {
            return FH_NOMEM;
        }
        if (uv_poll_init(conn->lane->store->store.env->loop, poll, fd) != 0) {
            fh_free(poll);
            return FH_UNAVAILABLE;
        }
        poll->data = conn;
        conn->poll = poll;
        conn->poll_fd = fd;
        conn->lane->store->handles++;
    }
    return uv_poll_start(conn->poll, events, poll_cb) == 0 ? FH_OK : FH_UNAVAILABLE;
}

static void connect_failed(struct fh_pg_conn *conn, const char *fallback)
{
    char message[256];
    const char *text = conn->pq != NULL ? PQerrorMessage(conn->pq) : "";
    /* One line; libpq names host and reason, never a secret. */
    (void)snprintf(message, sizeof(message), "%s", text[0] != '\0' ? text : fallback);
    message[strcspn(message, "\n")] = '\0';
    fh_pg_conn_fail(conn, message);
}

static void flush(struct fh_pg_conn *conn)
{
    int left = PQflush(conn->pq);
    if (left < 0) {
        conn->broken = true;
        return;
    }
    int events = UV_READABLE | (left > 0 ? UV_WRITABLE : 0);
    if (uv_poll_start(conn->poll, events, poll_cb) != 0) {
        conn->broken = true;
    }
}

/* Notices may hold names and values; libpq would print them on stderr. */
static void notice_cb(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static void setup(struct fh_pg_conn *conn)
{
    if (PQsetnonblocking(conn->pq, 1) != 0 || PQenterPipelineMode(conn->pq) != 1 ||
        poll_watch(conn, UV_READABLE) != FH_OK) {
        connect_failed(conn, "cannot start the pipeline");
        return;
    }
    conn->state = FH_PG_CONN_SETUP;
    fh_pg_pipeline_begin(conn, FH_PG_GROUP_SETUP);
    struct fh_pg_store *store = conn->lane->store;
    struct fh_pg_params *params = &store->params;
    fh_pg_params_clear(params);
    fh_pg_add_bytes(
        params,
        fh_str_of(
            (store->parent != NULL ? store->parent : store)->serving.values[FH_PG_KEYWORD_DBNAME]));
    if (fh_pg_conn_send_text(conn,
                             "select rolsuper, rolbypassrls, " FH_PG_IS_FOREIGN(
                                 "d.oid", "$1::text") " from "
                                                      "pg_catalog.pg_roles, pg_catalog.pg_database "
                                                      "d where rolname = current_user and "
                                                      "d.datname = current_database()",
                             params) == FH_OK) {
        fh_pg_pipeline_end(conn);
        if (!conn->broken) {
            flush(conn);
        }
    } else {
        conn->broken = true;
    }
    if (conn->broken) {
        connect_failed(conn, "session set-up failed");
    }
}

static void connect_step(struct fh_pg_conn *conn)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING; /* what a fresh attempt waits for */
    if (conn->poll != NULL) {
        (void)uv_poll_stop(conn->poll);
        status = PQconnectPoll(conn->pq);
    }
    enum fh_code code = FH_OK;
    switch (status) {
    case PGRES_POLLING_READING:
        code = poll_watch(conn, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        code = poll_watch(conn, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        setup(conn);
        return;
    default:
        code = FH_UNAVAILABLE;
        break;
    }
    if (code != FH_OK) {
        connect_failed(conn, "cannot connect");
    }
}

/* Startup settings: they hold from the first statement on. Every statement on tenants' data goes by
 * a key or walks an index, and plans are made once, maybe while a table is empty: so a scan that
 * suits ten rows must not be what is kept for ten million. */
static const char *options_of(enum fh_pg_lane_kind lane)
{
#define COMMON                                                                                \
    " -c default_transaction_isolation=read\\ committed -c search_path=pg_catalog -c jit=off" \
    " -c idle_in_transaction_session_timeout=10000 -c client_connection_check_interval=1000"  \
    " -c log_parameter_max_length_on_error=0 -c timezone=UTC"
#define KEYED                                                                               \
    " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off" \
    " -c enable_hashjoin=off -c enable_mergejoin=off"
/* Pages come in the order of an index, never sorted from another; and a row whose place is known is
 * fetched there, however few a plan of long ago thinks the tenant has. */
#define PAGED " -c enable_sort=off -c enable_incremental_sort=off -c cpu_index_tuple_cost=100"
    switch (lane) {
    case FH_PG_LANE_FAST:
        return "-c statement_timeout=5000 -c lock_timeout=100" COMMON KEYED;
    case FH_PG_LANE_SLOW:
        return "-c statement_timeout=30000 -c lock_timeout=3000" COMMON KEYED;
    case FH_PG_LANE_MOVER:
        return "-c statement_timeout=120000 -c lock_timeout=3000" COMMON KEYED PAGED;
    default:
        return "-c statement_timeout=120000 -c lock_timeout=10000" COMMON;
    }
#undef PAGED
#undef KEYED
#undef COMMON
}

static void connect_start(struct fh_pg_conn *conn, const char *hosts, const char *addresses)
{
    const char *keywords[FH_PG_KEYWORDS_MAX + 8];
    const char *values[FH_PG_KEYWORDS_MAX + 8];
    size_t count = 0;
    for (int i = 0; i < FH_PG_KEYWORDS_MAX; i++) {
        const char *value = conn->lane->info->values[i];
        if (i == FH_PG_KEYWORD_HOST && hosts != NULL) {
            value = hosts;
        } else if (i == FH_PG_KEYWORD_HOSTADDR && addresses != NULL) {
            value = addresses;
        }
        if (value != NULL && i != FH_PG_KEYWORD_CONNECT_TIMEOUT) {
            keywords[count] = fh_pg_conninfo_keywords[i];
            values[count++] = value;
        }
    }
    if (conn->lane->info->password[0] != '\0') {
        keywords[count] = "password";
        values[count++] = conn->lane->info->password;
    }
    keywords[count] = "options";
    values[count++] = options_of(conn->lane->kind);
    keywords[count] = "client_encoding";
    values[count++] = "UTF8";
    keywords[count] = "gssencmode"; /* its library blocks */
    values[count++] = "disable";
    keywords[count] = "fallback_application_name";
    values[count++] = "freehold";
    keywords[count] = NULL;
    values[count] = NULL;
    conn->state = FH_PG_CONN_CONNECTING;
    conn->pq = PQconnectStartParams(keywords, values, 0);
    if (conn->pq == NULL || PQstatus(conn->pq) == CONNECTION_BAD) {
        connect_failed(conn, "out of memory");
        return;
    }
    (void)PQsetNoticeReceiver(conn->pq, notice_cb, NULL);
    connect_step(conn);
}

static void resolved_cb(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct fh_pg_resolver *resolver = FH_CONTAINER_OF(request, struct fh_pg_resolver, request);
    struct fh_pg_store *store = resolver->store;
    struct fh_pg_conn *conn = resolver->conn;
    if (conn != NULL) {
        char addresses[ADDRESSES_MAX * 64] = "";
        char hosts[ADDRESSES_MAX * 260] = "";
        int count = 0;
        conn->resolver = NULL;
        for (struct addrinfo *at = list; status == 0 && at != NULL && count < ADDRESSES_MAX;
             at = at->ai_next) {
            char text[64] = "";
            size_t used = strlen(addresses);
            size_t host_used = strlen(hosts);
            if (uv_ip_name(at->ai_addr, text, sizeof(text)) != 0) {
                continue;
            }
            (void)snprintf(addresses + used, sizeof(addresses) - used, "%s%s", count > 0 ? "," : "",
                           text);
            (void)snprintf(hosts + host_used, sizeof(hosts) - host_used, "%s%.255s",
                           count > 0 ? "," : "", conn->lane->info->values[FH_PG_KEYWORD_HOST]);
            count++;
        }
        if (count == 0) {
            connect_failed(conn, "the host name cannot be resolved");
        } else {
            connect_start(conn, hosts, addresses);
        }
    }
    uv_freeaddrinfo(list);
    fh_free(resolver);
    fh_pg_store_handle_closed(store);
}

static void resolve(struct fh_pg_conn *conn)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct fh_pg_resolver *resolver = fh_calloc(1, sizeof(*resolver));
    if (resolver == NULL) {
        connect_failed(conn, "out of memory");
        return;
    }
    resolver->store = conn->lane->store;
    resolver->conn = conn;
    if (uv_getaddrinfo(conn->lane->store->store.env->loop, &resolver->request, resolved_cb,
                       conn->lane->info->values[FH_PG_KEYWORD_HOST], NULL, &hints) != 0) {
        fh_free(resolver);
        connect_failed(conn, "the host name cannot be resolved");
        return;
    }
    conn->resolver = resolver;
    conn->lane->store->handles++;
    conn->state = FH_PG_CONN_RESOLVING;
}

void fh_pg_conn_open(struct fh_pg_conn *conn)
{
    FH_ASSERT(conn->state == FH_PG_CONN_CLOSED && conn->pq == NULL);
    conn->started_ms = uv_now(conn->lane->store->store.env->loop);
    conn->broken = false;
    if (conn->lane->info->resolves) {
        resolve(conn);
    } else {
        connect_start(conn, NULL, NULL);
    }
}

static void poll_cb(uv_poll_t *handle, int status, int events)
{
    struct fh_pg_conn *conn = handle->data;
    if (conn->state == FH_PG_CONN_CONNECTING) {
        connect_step(conn);
        return;
    }
    bool alive = true;
    if (status < 0 || (events & UV_READABLE) != 0) {
        alive = PQconsumeInput(conn->pq) == 1;
    }
    fh_pg_pipeline_receive(conn);
    if (alive && !conn->broken) {
        flush(conn);
    }
    if (!alive || conn->broken) {
        connect_failed(conn, conn->lane->error.message);
    }
}

bool fh_pg_conn_has_room(const struct fh_pg_conn *conn)
{
    return conn->state == FH_PG_CONN_READY && !conn->broken &&
           conn->group_count < conn->lane->depth;
}

void fh_pg_conn_start(struct fh_pg_conn *conn, struct fh_pg_op **ops, unsigned count)
{
    FH_ASSERT(fh_pg_conn_has_room(conn));
    fh_pg_pipeline_send_step(conn, ops, count);
    if (!conn->broken) {
        flush(conn);
    }
    if (conn->broken) {
        connect_failed(conn, "the connection is lost");
    }
}

void fh_pg_conn_forget_op(struct fh_pg_conn *conn, const struct fh_pg_op *op)
{
    fh_pg_pipeline_forget(conn, op);
}

void fh_pg_conn_rollback(struct fh_pg_conn *conn)
{
    FH_ASSERT(conn->state == FH_PG_CONN_READY && conn->group_count == 0);
    fh_pg_pipeline_rollback(conn);
    if (!conn->broken) {
        flush(conn);
    }
    if (conn->broken) {
        connect_failed(conn, "the connection is lost");
    }
}

void fh_pg_conn_close(struct fh_pg_conn *conn)
{
    fh_pg_view_lost(conn);
    conn->enforces_nothing = false;
    poll_drop(conn);
    PQfinish(conn->pq);
    conn->pq = NULL;
    conn->state = FH_PG_CONN_CLOSED;
    conn->broken = false;
    if (conn->resolver != NULL) {
        (void)uv_cancel((uv_req_t *)&conn->resolver->request);
        conn->resolver->conn = NULL;
        conn->resolver = NULL;
    }
    fh_pg_pipeline_abandon(conn);
}

void fh_pg_conn_fail(struct fh_pg_conn *conn, const char *message)
{
    struct fh_error error = FH_ERROR_INIT;
    bool was_ready = conn->state == FH_PG_CONN_READY;
    (void)fh_error_set(&error, FH_UNAVAILABLE, "%s", message);
    /* The lane first: ops that are tried again must find it as it is now. */
    conn->state = FH_PG_CONN_CLOSED;
    if (!was_ready) {
        fh_pg_lane_connect_failed(conn->lane, &error);
    }
    fh_pg_conn_close(conn);
    fh_pg_store_kick(conn->lane->store);
}

void fh_pg_conn_free(struct fh_pg_conn *conn)
{
    FH_ASSERT(conn->state == FH_PG_CONN_CLOSED && conn->group_count == 0);
    fh_free(conn->expected);
    conn->expected = NULL;
}
