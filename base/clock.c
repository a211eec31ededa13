/* The system's clocks and the tests' one. clock_gettime() cannot fail for these two clocks; should
 * it, an assertion is better than a deadline of garbage. */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

#include "base/assert.h"

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    int failed = clock_gettime(id, &now);
    FH_ASSERT(failed == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_realtime_us(void *arg)
{
    (void)arg;
    return read_us(CLOCK_REALTIME);
}

static int64_t system_monotonic_us(void *arg)
{
    (void)arg;
    return read_us(CLOCK_MONOTONIC);
}

const struct fh_clock *fh_clock_system(void)
{
    static const struct fh_clock clock = {
        .realtime_us = system_realtime_us,
        .monotonic_us = system_monotonic_us,
        .arg = NULL,
    };
    return &clock;
}

static int64_t virtual_realtime_us(void *arg)
{
    const struct fh_clock_virtual *virtual_clock = arg;
    return virtual_clock->realtime_us;
}

static int64_t virtual_monotonic_us(void *arg)
{
    const struct fh_clock_virtual *virtual_clock = arg;
    return virtual_clock->monotonic_us;
}

void fh_clock_virtual_init(struct fh_clock_virtual *virtual_clock, int64_t realtime_us)
{
    *virtual_clock = (struct fh_clock_virtual){
        .clock = {.realtime_us = virtual_realtime_us,
                  .monotonic_us = virtual_monotonic_us,
                  .arg = virtual_clock},
        .realtime_us = realtime_us,
        .monotonic_us = 0,
    };
}

void fh_clock_virtual_advance(struct fh_clock_virtual *virtual_clock, int64_t by_us)
{
    FH_ASSERT(by_us >= 0); /* monotonic means it */
    virtual_clock->realtime_us += by_us;
    virtual_clock->monotonic_us += by_us;
}
