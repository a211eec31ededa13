/* Time, behind a table so that tests can own it. All in microseconds.
 *
 * Deadlines are absolute monotonic microseconds; FH_DEADLINE_NONE is allowed only inside tests and
 * set-up: every request of a caller has one. Wall time is for people and records; it decides
 * nothing.
 */
#ifndef FH_BASE_CLOCK_H
#define FH_BASE_CLOCK_H

#include <stdint.h>

#define FH_DEADLINE_NONE INT64_MAX

struct fh_clock {
    int64_t (*realtime_us)(void *arg);  /* since 1970-01-01 UTC */
    int64_t (*monotonic_us)(void *arg); /* from an arbitrary start */
    void *arg;
};

const struct fh_clock *fh_clock_system(void);

static inline int64_t fh_clock_realtime_us(const struct fh_clock *clock)
{
    return clock->realtime_us(clock->arg);
}

static inline int64_t fh_clock_monotonic_us(const struct fh_clock *clock)
{
    return clock->monotonic_us(clock->arg);
}

/* A clock that moves only when told. Embed it; `clock` is the table to hand out. */
struct fh_clock_virtual {
    struct fh_clock clock;
    int64_t realtime_us;
    int64_t monotonic_us;
};
void fh_clock_virtual_init(struct fh_clock_virtual *virtual_clock, int64_t realtime_us);
void fh_clock_virtual_advance(struct fh_clock_virtual *virtual_clock, int64_t by_us);

#endif
