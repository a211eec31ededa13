/* A closed-loop load of many tenants at once: calls go to all of them in turn, over a few
 * connections, each call with its tenant's own token.
 *
 *   bench_spread ADDRESS TOKENS_FILE get|create LIMIT SEED
 *
 * TOKENS_FILE has a token a line, one a tenant. LIMIT is "2.5s", measured behind a warm-up, or a
 * number of calls, the same for every tenant. create makes records "<SEED>-<n>" of table "bench", n
 * from 0 on in each tenant; get reads the first KEYS of them. Prints one JSON object: calls,
 * seconds. Ends with 1 when any call failed.
 *
 * It speaks HTTP/2 itself, as little of it as this takes, for the same reason that other rows use
 * h2load: the load shares the machine with what it measures, and a call through a gRPC client costs
 * ten times as much. h2load has one token for all calls. Requests are sent without dynamic table,
 * and the server is told to do without one, so answers are read by looking for their bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "freehold/v1/data.pb-c.h"

#define CONNECTIONS 8
#define STREAMS 32 /* a connection; the server allows more */
#define KEYS 100
/* Behind it every tenant's statements are prepared and its files open. */
#define WARM_UP_MANY_US 1000000
#define WARM_UP_ONE_US 300000
#define SILENCE_MS_MAX 60000
#define TENANTS_MAX 2048
#define TOKEN_MAX 4096
#define BLOCK_MAX (TOKEN_MAX + 256)
#define BUFFER_SIZE (1u << 20)
#define WINDOW_MAX 0x7fffffffu
#define WINDOW_FIRST 65535u
#define FRAME_HEADER 9u
#define PAYLOAD "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum frame_type { DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW };
enum { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4 };

struct tenant {
    uint8_t *block; /* its header block */
    size_t block_len;
    long started;
};

struct conn {
    int fd;
    uint32_t next_stream;
    uint32_t in_flight;
    size_t turn;       /* whose call is next */
    int64_t window;    /* bytes of data the server takes */
    uint32_t received; /* bytes of data not yet granted again */
    size_t in_len;
    size_t out_len;
    uint8_t *in;
    uint8_t *out;
};

struct load {
    bool creates;
    const char *seed;
    long calls_each; /* 0: by time */
    int64_t begin_us;
    int64_t end_us;
    struct tenant *tenants;
    size_t tenant_count;
    struct conn conns[CONNECTIONS];
    long done;
    int64_t done_us;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "\nbench_spread: %s\n", what);
    exit(EXIT_FAILURE);
}

static void *take(size_t size)
{
    void *memory = calloc(1, size); /* NOLINT(fh-alloc): a tool */
    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static int64_t now_us(void)
{
    return fh_clock_monotonic_us(fh_clock_system());
}

/* -- Requests -----------------------------------------------------------------------------------
 */

static void put_length(uint8_t *block, size_t *len, size_t value)
{
    if (value < 127) {
        block[(*len)++] = (uint8_t)value;
        return;
    }
    block[(*len)++] = 127;
    for (value -= 127; value >= 128; value /= 128) {
        block[(*len)++] = (uint8_t)(value % 128 + 128);
    }
    block[(*len)++] = (uint8_t)value;
}

static void put_text(uint8_t *block, size_t *len, const char *text)
{
    size_t count = strlen(text);
    put_length(block, len, count);
    for (size_t i = 0; i < count; i++) {
        block[(*len)++] = (uint8_t)text[i];
    }
}

/* Numbers are those of HPACK's static table. */
static void make_block(struct tenant *tenant, const char *token, bool creates)
{
    char bearer[TOKEN_MAX + 16];
    uint8_t *block = take(BLOCK_MAX);
    size_t len = 0;
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    block[len++] = 0x83; /* :method POST */
    block[len++] = 0x86; /* :scheme http */
    block[len++] = 0x04; /* :path */
    put_text(block, &len,
             creates ? "/freehold.v1.DataService/CreateRecord"
                     : "/freehold.v1.DataService/GetRecord");
    block[len++] = 0x01; /* :authority */
    put_text(block, &len, "127.0.0.1");
    block[len++] = 0x0f; /* content-type: 31 */
    block[len++] = 0x10;
    put_text(block, &len, "application/grpc");
    block[len++] = 0x00;
    put_text(block, &len, "te");
    put_text(block, &len, "trailers");
    block[len++] = 0x0f; /* authorization: 23 */
    block[len++] = 0x08;
    put_text(block, &len, bearer);
    tenant->block = block;
    tenant->block_len = len;
}

static void put_frame(struct conn *conn, enum frame_type type, unsigned flags, uint32_t stream,
                      const void *payload, size_t len)
{
    if (conn->out_len + FRAME_HEADER + len > BUFFER_SIZE) {
        die("the server takes nothing any more");
    }
    uint8_t *out = conn->out + conn->out_len;
    const uint8_t head[FRAME_HEADER] = {
        (uint8_t)(len >> 16),    (uint8_t)(len >> 8),    (uint8_t)len,
        (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
        (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    memcpy(out, head, sizeof(head));
    if (len > 0) {
        memcpy(out + FRAME_HEADER, payload, len);
    }
    conn->out_len += FRAME_HEADER + len;
}

static size_t pack_get(char *name, uint8_t *out)
{
    Freehold__V1__GetRecordRequest request = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    request.name = name;
    return protobuf_c_message_pack(&request.base, out);
}

static size_t pack_create(char *name, uint8_t *out)
{
    Freehold__V1__Value value = FREEHOLD__V1__VALUE__INIT;
    Freehold__V1__Record__FieldsEntry entry = FREEHOLD__V1__RECORD__FIELDS_ENTRY__INIT;
    Freehold__V1__Record__FieldsEntry *entries[] = {&entry};
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    Freehold__V1__CreateRecordRequest request = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    char payload[] = PAYLOAD;
    char key[] = "payload";
    value.kind_case = FREEHOLD__V1__VALUE__KIND_STRING_VALUE;
    value.string_value = payload;
    entry.key = key;
    entry.value = &value;
    record.name = name;
    record.n_fields = 1;
    record.fields = entries;
    request.record = &record;
    return protobuf_c_message_pack(&request.base, out);
}

static void start_call(struct load *load, struct conn *conn, struct tenant *tenant)
{
    char name[128];
    uint8_t message[512];
    long n = tenant->started++;
    (void)snprintf(name, sizeof(name), "tables/bench/records/%s-%ld", load->seed,
                   load->creates ? n : n % KEYS);
    size_t len = load->creates ? pack_create(name, message + 5) : pack_get(name, message + 5);
    memset(message, 0, 5);
    message[3] = (uint8_t)(len >> 8);
    message[4] = (uint8_t)len;
    put_frame(conn, HEADERS, FLAG_END_HEADERS, conn->next_stream, tenant->block, tenant->block_len);
    put_frame(conn, DATA, FLAG_END_STREAM, conn->next_stream, message, len + 5);
    conn->window -= (int64_t)len + 5;
    conn->next_stream += 2;
    conn->in_flight++;
}

/* The tenant whose turn it is; a connection's are its first and every CONNECTIONS-th from there.
 * NULL: none has a call left. Where tenants are fewer, several connections have the same. */
static struct tenant *next_tenant(struct load *load, struct conn *conn)
{
    size_t first = (size_t)(conn - load->conns) % load->tenant_count;
    size_t count = (load->tenant_count - first + CONNECTIONS - 1) / CONNECTIONS;
    for (size_t i = 0; i < count; i++) {
        struct tenant *tenant = &load->tenants[first + conn->turn++ % count * CONNECTIONS];
        if (load->calls_each == 0 || tenant->started < load->calls_each) {
            return tenant;
        }
    }
    return NULL;
}

static void fill(struct load *load, struct conn *conn)
{
    while (conn->in_flight < STREAMS && conn->window > (int64_t)WINDOW_FIRST / 4 &&
           (load->calls_each > 0 || now_us() < load->end_us)) {
        struct tenant *tenant = next_tenant(load, conn);
        if (tenant == NULL) {
            return;
        }
        start_call(load, conn, tenant);
    }
}

/* -- Answers ------------------------------------------------------------------------------------
 */

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void grant(struct conn *conn, uint32_t bytes)
{
    const uint8_t payload[4] = {(uint8_t)(bytes >> 24 & 0x7f), (uint8_t)(bytes >> 16),
                                (uint8_t)(bytes >> 8), (uint8_t)bytes};
    put_frame(conn, WINDOW, 0, 0, payload, sizeof(payload));
}

static void take_end(struct load *load, struct conn *conn, const uint8_t *block, size_t len)
{
    static const char ok[] = "\x0bgrpc-status\x01"
                             "0";
    if (memmem(block, len, ok, sizeof(ok) - 1) == NULL) {
        for (size_t i = 0; i < len; i++) { /* its details are packed; status and message are not */
            (void)fputc(block[i] >= 0x20 && block[i] < 0x7f ? block[i] : ' ', stderr);
        }
        die("a call failed");
    }
    conn->in_flight--;
    int64_t at_us = now_us();
    if (load->calls_each > 0 || (at_us >= load->begin_us && at_us < load->end_us)) {
        load->done++;
        load->done_us = at_us;
    }
}

static void take_frame(struct load *load, struct conn *conn, const uint8_t *frame, size_t len)
{
    const uint8_t *payload = frame + FRAME_HEADER;
    switch ((enum frame_type)frame[3]) {
    case DATA:
        conn->received += (uint32_t)len;
        if (conn->received > WINDOW_MAX / 4) {
            grant(conn, conn->received);
            conn->received = 0;
        }
        return;
    case HEADERS:
        if ((frame[4] & FLAG_END_STREAM) != 0) {
            take_end(load, conn, payload, len);
        }
        return;
    case SETTINGS:
        if ((frame[4] & FLAG_ACK) == 0) {
            put_frame(conn, SETTINGS, FLAG_ACK, 0, NULL, 0);
        }
        return;
    case PING:
        if ((frame[4] & FLAG_ACK) == 0) {
            put_frame(conn, PING, FLAG_ACK, 0, payload, len);
        }
        return;
    case WINDOW:
        conn->window += read_u32(frame + 5) == 0 ? (int64_t)read_u32(payload) : 0;
        return;
    case RESET:
    case GOAWAY:
        die("the server ended a stream or the connection");
        return;
    case PRIORITY:
    case PUSH:
        return;
    }
}

static void take_bytes(struct load *load, struct conn *conn)
{
    ssize_t count = read(conn->fd, conn->in + conn->in_len, BUFFER_SIZE - conn->in_len);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        die("the connection ended");
    }
    conn->in_len += count > 0 ? (size_t)count : 0;
    size_t at = 0;
    while (conn->in_len - at >= FRAME_HEADER) {
        const uint8_t *frame = conn->in + at;
        size_t len = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (conn->in_len - at < FRAME_HEADER + len) {
            break;
        }
        take_frame(load, conn, frame, len);
        at += FRAME_HEADER + len;
    }
    memmove(conn->in, conn->in + at, conn->in_len - at);
    conn->in_len -= at;
}

static void send_bytes(struct conn *conn)
{
    ssize_t count = conn->out_len > 0 ? write(conn->fd, conn->out, conn->out_len) : 0;
    if (count < 0 && errno != EAGAIN) {
        die("the connection ended");
    }
    if (count > 0) {
        memmove(conn->out, conn->out + count, conn->out_len - (size_t)count);
        conn->out_len -= (size_t)count;
    }
}

/* -- The whole ----------------------------------------------------------------------------------
 */

static void open_conn(struct conn *conn, uint16_t port)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t settings[] = {
        0, 1, 0,    0,    0,    0,   /* no dynamic table */
        0, 4, 0x7f, 0xff, 0xff, 0xff /* streams need not wait for windows */
    };
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        fcntl(conn->fd, F_SETFL, O_NONBLOCK) != 0 ||
        setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        die("cannot connect");
    }
    conn->in = take(BUFFER_SIZE);
    conn->out = take(BUFFER_SIZE);
    conn->next_stream = 1;
    conn->window = WINDOW_FIRST;
    memcpy(conn->out, preface, sizeof(preface) - 1);
    conn->out_len = sizeof(preface) - 1;
    put_frame(conn, SETTINGS, 0, 0, settings, sizeof(settings));
    grant(conn, WINDOW_MAX - WINDOW_FIRST);
}

static void run(struct load *load)
{
    struct pollfd polled[CONNECTIONS];
    bool busy = true;
    while (busy) {
        busy = false;
        for (int i = 0; i < CONNECTIONS; i++) {
            struct conn *conn = &load->conns[i];
            fill(load, conn);
            send_bytes(conn);
            short events = conn->out_len > 0 ? POLLIN | POLLOUT : POLLIN;
            polled[i] = (struct pollfd){.fd = conn->fd, .events = events};
            busy = busy || conn->in_flight > 0;
        }
        if (busy && poll(polled, CONNECTIONS, SILENCE_MS_MAX) <= 0) {
            die("the server does not answer");
        }
        for (int i = 0; i < CONNECTIONS && busy; i++) {
            if ((polled[i].revents & ~POLLOUT) != 0) {
                take_bytes(load, &load->conns[i]);
            }
        }
    }
}

static void read_tokens(struct load *load, const char *path)
{
    char line[TOKEN_MAX];
    FILE *file = fopen(path, "re");
    load->tenants = take(TENANTS_MAX * sizeof(*load->tenants));
    if (file == NULL) {
        die("cannot read the tokens");
    }
    while (load->tenant_count < TENANTS_MAX && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        make_block(&load->tenants[load->tenant_count++], line, load->creates);
    }
    (void)fclose(file);
    if (load->tenant_count == 0) {
        die("there are no tokens");
    }
}

static void set_limit(struct load *load, const char *text)
{
    char *end = NULL;
    double limit = strtod(text, &end);
    load->begin_us = now_us();
    if (*end == 's') {
        load->begin_us += load->tenant_count > 1 ? WARM_UP_MANY_US : WARM_UP_ONE_US;
        load->end_us = load->begin_us + (int64_t)(limit * 1e6);
    } else {
        load->calls_each = (long)limit / (long)load->tenant_count;
    }
    if (limit <= 0 || (load->end_us == 0 && load->calls_each == 0)) {
        die("no such limit");
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    const char *colon = argc == 6 ? strchr(argv[1], ':') : NULL;
    if (colon == NULL) {
        (void)fprintf(stderr, "usage: bench_spread 127.0.0.1:PORT TOKENS_FILE get|create "
                              "SECONDSs|CALLS SEED\n");
        return 2;
    }
    load.creates = strcmp(argv[3], "create") == 0;
    load.seed = argv[5];
    read_tokens(&load, argv[2]);
    for (int i = 0; i < CONNECTIONS; i++) {
        open_conn(&load.conns[i], (uint16_t)strtoul(colon + 1, NULL, 10));
    }
    set_limit(&load, argv[4]);
    run(&load);
    int64_t end_us = load.calls_each > 0 ? load.done_us : load.end_us;
    (void)printf("{\"calls\": %ld, \"seconds\": %.6f}\n", load.done,
                 (double)(end_us - load.begin_us) / 1e6);
    for (int i = 0; i < CONNECTIONS; i++) {
        (void)close(load.conns[i].fd);
        free(load.conns[i].in);  /* NOLINT(fh-alloc): a tool */
        free(load.conns[i].out); /* NOLINT(fh-alloc): a tool */
    }
    for (size_t i = 0; i < load.tenant_count; i++) {
        free(load.tenants[i].block); /* NOLINT(fh-alloc): a tool */
    }
    free(load.tenants); /* NOLINT(fh-alloc): a tool */
    return load.done > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
