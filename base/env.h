/* What every part of a process shares. Borrowed by all, owned by the application. */
#ifndef FH_BASE_ENV_H
#define FH_BASE_ENV_H

#include <uv.h>

#include "base/clock.h"
#include "base/log.h"

struct fh_env {
    uv_loop_t *loop;
    const struct fh_clock *clock;
    struct fh_log *log; /* may be NULL */
};

#endif
