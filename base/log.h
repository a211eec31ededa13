/* Structured log: one JSON object a line.
 *
 * Lines are gathered in a bounded buffer (256 KiB) and written with one write(2) when it is half
 * full, when fh_log_flush() is called (the application does so on a timer), and at once for
 * warnings and errors. When the sink cannot keep up, lines are dropped and counted, and the count
 * is logged later. The sink is never waited for, whatever its flags. A string value is cut at 2
 * KiB; a line above 16 KiB keeps its event and loses its fields ("truncated":true). The process
 * ignores SIGPIPE (a pipe whose reader died would else end it). Thread-safe (a mutex; never used on
 * the request path except for the sampled access log).
 *
 * Never give it a secret, a token, a statement or a caller's values.
 */
#ifndef FH_BASE_LOG_H
#define FH_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/code.h"
#include "base/str.h"
#include "base/uuid.h"

enum fh_log_level { FH_LOG_DEBUG, FH_LOG_INFO, FH_LOG_WARN, FH_LOG_ERROR };

enum fh_log_kind { FH_LOG_KIND_STR, FH_LOG_KIND_INT, FH_LOG_KIND_DOUBLE, FH_LOG_KIND_UUID };

struct fh_log_field {
    const char *key;
    enum fh_log_kind kind;
    union {
        struct fh_str str;
        int64_t integer;
        double real;
        struct fh_uuid uuid;
    } as;
};

#define FH_KV_STR(k, v) ((struct fh_log_field){.key = (k), .kind = FH_LOG_KIND_STR, .as.str = (v)})
#define FH_KV_TEXT(k, v) FH_KV_STR(k, fh_str_of(v))
#define FH_KV_INT(k, v) \
    ((struct fh_log_field){.key = (k), .kind = FH_LOG_KIND_INT, .as.integer = (v)})
#define FH_KV_DOUBLE(k, v) \
    ((struct fh_log_field){.key = (k), .kind = FH_LOG_KIND_DOUBLE, .as.real = (v)})
#define FH_KV_UUID(k, v) \
    ((struct fh_log_field){.key = (k), .kind = FH_LOG_KIND_UUID, .as.uuid = (v)})

struct fh_log;

/* Writes to `fd` (borrowed, not closed). `clock` is borrowed. */
FH_MUST_CHECK enum fh_code fh_log_create(int fd, enum fh_log_level level_min,
                                         const struct fh_clock *clock, struct fh_log **out);
void fh_log_destroy(struct fh_log *log); /* flushes; NULL is fine */
void fh_log_flush(struct fh_log *log);
/* `log` may be NULL: nothing happens. */
void fh_log_write(struct fh_log *log, enum fh_log_level level, const char *event,
                  const struct fh_log_field *fields, size_t count);

/* FH_LOG(log, INFO, "store.opened", FH_KV_TEXT("store", name)); at least one field. */
#define FH_LOG(log, level, event, ...)                                                       \
    fh_log_write((log), FH_LOG_##level, (event), (const struct fh_log_field[]){__VA_ARGS__}, \
                 sizeof((const struct fh_log_field[]){__VA_ARGS__}) / sizeof(struct fh_log_field))

#endif
