/* One line a call: failures always, successes sampled. Also feeds the metrics. Loop thread only. */
#ifndef FH_SERVER_ACCESS_LOG_H
#define FH_SERVER_ACCESS_LOG_H

#include "base/log.h"
#include "server/metrics/metrics.h"
#include "server/rpc/server.h"

struct fh_access_log {
    struct fh_log *log;
    struct fh_metrics *metrics;
    uint32_t per_mille; /* of successful calls */
    uint32_t owed; /* thousandths of a line, so that sampling is even and needs no randomness */
};

/* An fh_rpc_observe_cb; arg is a struct fh_access_log. */
void fh_access_log_observe(const struct fh_rpc_observation *observation, void *arg);

#endif
