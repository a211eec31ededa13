/* Happy path: format the line beside the buffer, append it whole, write when it is time.
 *
 * The sink is never waited for: it may be a pipe whose reader hangs, and the loop thread logs. A
 * file takes what it is given; a socket is sent to with MSG_DONTWAIT; a pipe or terminal that
 * blocks is polled and given at most PIPE_BUF at a time, which a writable pipe always has room for.
 * The file flags of the borrowed descriptor stay as they are: other processes may share them.
 *
 * Failures: what the sink does not take (for whatever reason) stays in the buffer; a line that
 * finds no room, or no memory to be formatted in, is dropped whole and counted, never cut, so that
 * the sink sees complete lines only. A line that is too large keeps its event and loses its fields.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"

#define BUFFER_SIZE ((size_t)256 * 1024)
#define LINE_LEN_MAX ((size_t)16 * 1024)
#define VALUE_LEN_MAX ((size_t)2048)
#define EVENT_LEN_MAX ((size_t)256)

enum sink { SINK_PLAIN, SINK_SOCKET, SINK_BLOCKING };

struct fh_log {
    pthread_mutex_t mutex; /* guards all below */
    const struct fh_clock *clock;
    enum fh_log_level level_min;
    int fd;
    enum sink sink;
    struct fh_buf line; /* the line being made; its memory is reused */
    int64_t dropped;    /* lines lost and not yet told about */
    size_t len;
    char buffer[BUFFER_SIZE];
};

static enum fh_code classify(int fd, enum sink *sink)
{
    struct stat info;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || fstat(fd, &info) != 0) {
        return FH_INVALID;
    }
    if (S_ISSOCK(info.st_mode)) {
        *sink = SINK_SOCKET;
    } else if (S_ISREG(info.st_mode) || (flags & O_NONBLOCK) != 0) {
        *sink = SINK_PLAIN;
    } else {
        *sink = SINK_BLOCKING;
    }
    return FH_OK;
}

enum fh_code fh_log_create(int fd, enum fh_log_level level_min, const struct fh_clock *clock,
                           struct fh_log **out)
{
    enum sink sink = SINK_PLAIN;
    enum fh_code code = classify(fd, &sink);
    if (code != FH_OK) {
        return code;
    }
    struct fh_log *log = fh_calloc(1, sizeof(*log));
    if (log == NULL) {
        return FH_NOMEM;
    }
    if (pthread_mutex_init(&log->mutex, NULL) != 0) {
        fh_free(log);
        return FH_NOMEM;
    }
    log->clock = clock;
    log->level_min = level_min;
    log->fd = fd;
    log->sink = sink;
    fh_buf_init(&log->line, LINE_LEN_MAX);
    *out = log;
    return FH_OK;
}

/* One write of at most `len` bytes that does not wait; answers what was taken, 0 on any failure. */
static size_t write_some(const struct fh_log *log, const char *data, size_t len)
{
    ssize_t taken = -1;
    if (log->sink == SINK_BLOCKING) {
        struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
        if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) {
            return 0;
        }
        len = len < PIPE_BUF ? len : PIPE_BUF;
    }
    do {
        taken = log->sink == SINK_SOCKET ? send(log->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                         : write(log->fd, data, len);
    } while (taken < 0 && errno == EINTR);
    return taken > 0 ? (size_t)taken : 0;
}

static void write_out(struct fh_log *log)
{
    size_t done = 0;
    while (done < log->len) {
        size_t taken = write_some(log, log->buffer + done, log->len - done);
        if (taken == 0) {
            break;
        }
        done += taken;
    }
    if (done > 0) {
        memmove(log->buffer, log->buffer + done, log->len - done);
        log->len -= done;
    }
}

/* Appends the finished line, or answers false. */
static bool append_line(struct fh_log *log)
{
    struct fh_str line = fh_buf_str(&log->line);
    if (fh_buf_code(&log->line) != FH_OK) {
        return false;
    }
    if (line.len > BUFFER_SIZE - log->len) {
        write_out(log);
    }
    if (line.len > BUFFER_SIZE - log->len) {
        return false;
    }
    memcpy(log->buffer + log->len, line.data, line.len);
    log->len += line.len;
    return true;
}

/* The longest start of `s` that is no longer than `len_max` and cuts no character. */
static struct fh_str cut(struct fh_str s, size_t len_max)
{
    if (s.len <= len_max) {
        return s;
    }
    size_t len = len_max;
    while (len > len_max - 4 && ((unsigned char)s.data[len] & 0xC0) == 0x80) {
        len--;
    }
    return (struct fh_str){.data = s.data, .len = len};
}

static void add_time(struct fh_buf *line, int64_t realtime_us)
{
    int64_t fraction_us = realtime_us % 1000000;
    if (fraction_us < 0) {
        fraction_us += 1000000;
    }
    time_t seconds = (time_t)((realtime_us - fraction_us) / 1000000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL) {
        utc = (struct tm){.tm_year = 70, .tm_mday = 1};
    }
    fh_buf_printf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                  utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)fraction_us);
}

static const char *level_name(enum fh_log_level level)
{
    switch (level) {
    case FH_LOG_DEBUG:
        return "debug";
    case FH_LOG_INFO:
        return "info";
    case FH_LOG_WARN:
        return "warn";
    case FH_LOG_ERROR:
        return "error";
    }
    return "error";
}

static void add_double(struct fh_buf *line, double value)
{
    if (!isfinite(value)) {
        fh_buf_add_text(line, "null"); /* JSON has no other way */
        return;
    }
    /* printf obeys the locale, JSON does not. */
    char text[40];
    int len = snprintf(text, sizeof(text), "%.17g", value);
    FH_ASSERT(len > 0 && (size_t)len < sizeof(text));
    for (int i = 0; i < len; i++) {
        if (text[i] == ',') {
            text[i] = '.';
        }
    }
    fh_buf_add(line, text, (size_t)len);
}

static void add_quoted(struct fh_buf *line, struct fh_str s)
{
    fh_buf_add_char(line, '"');
    fh_buf_add_json(line, s);
    fh_buf_add_char(line, '"');
}

static void add_field(struct fh_buf *line, const struct fh_log_field *field)
{
    char uuid[FH_UUID_TEXT_LEN + 1];
    fh_buf_add_char(line, ',');
    add_quoted(line, cut(fh_str_of(field->key), EVENT_LEN_MAX));
    fh_buf_add_char(line, ':');
    switch (field->kind) {
    case FH_LOG_KIND_STR:
        add_quoted(line, cut(field->as.str, VALUE_LEN_MAX));
        return;
    case FH_LOG_KIND_INT:
        fh_buf_printf(line, "%lld", (long long)field->as.integer);
        return;
    case FH_LOG_KIND_DOUBLE:
        add_double(line, field->as.real);
        return;
    case FH_LOG_KIND_UUID:
        fh_uuid_format(&field->as.uuid, uuid);
        add_quoted(line, fh_str_of(uuid));
        return;
    }
    FH_UNREACHABLE();
}

static void start_line(struct fh_log *log, enum fh_log_level level, const char *event)
{
    struct fh_buf *line = &log->line;
    fh_buf_clear(line);
    fh_buf_add_text(line, "{\"time\":\"");
    add_time(line, fh_clock_realtime_us(log->clock));
    fh_buf_add_text(line, "\",\"level\":\"");
    fh_buf_add_text(line, level_name(level));
    fh_buf_add_text(line, "\",\"event\":");
    add_quoted(line, cut(fh_str_of(event), EVENT_LEN_MAX));
}

static void make_line(struct fh_log *log, enum fh_log_level level, const char *event,
                      const struct fh_log_field *fields, size_t count)
{
    start_line(log, level, event);
    for (size_t i = 0; i < count; i++) {
        add_field(&log->line, &fields[i]);
    }
    fh_buf_add_text(&log->line, "}\n");
    if (fh_buf_code(&log->line) == FH_TOO_LARGE) {
        start_line(log, level, event);
        fh_buf_add_text(&log->line, ",\"truncated\":true}\n");
    }
}

/* Tells about dropped lines once there is room; false: there is none yet. */
static bool tell_dropped(struct fh_log *log)
{
    if (log->dropped == 0) {
        return true;
    }
    const struct fh_log_field count = FH_KV_INT("count", log->dropped);
    make_line(log, FH_LOG_WARN, "log.dropped", &count, 1);
    if (!append_line(log)) {
        return false;
    }
    log->dropped = 0;
    return true;
}

static void flush_locked(struct fh_log *log)
{
    write_out(log);
    if (log->dropped > 0 && tell_dropped(log)) {
        write_out(log);
    }
}

void fh_log_flush(struct fh_log *log)
{
    if (log == NULL) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    flush_locked(log);
    pthread_mutex_unlock(&log->mutex);
}

void fh_log_write(struct fh_log *log, enum fh_log_level level, const char *event,
                  const struct fh_log_field *fields, size_t count)
{
    if (log == NULL || level < log->level_min) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    bool appended = tell_dropped(log);
    if (appended) {
        make_line(log, level, event, fields, count);
        appended = append_line(log);
    }
    if (!appended) {
        log->dropped++;
    }
    if (level >= FH_LOG_WARN || log->len >= BUFFER_SIZE / 2) {
        write_out(log);
    }
    pthread_mutex_unlock(&log->mutex);
}

void fh_log_destroy(struct fh_log *log)
{
    if (log == NULL) {
        return;
    }
    fh_log_flush(log);
    pthread_mutex_destroy(&log->mutex);
    fh_buf_close(&log->line);
    fh_free(log);
}
