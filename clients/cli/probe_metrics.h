/* What the runs of `freehold probe` came to, as a file for Prometheus' textfile collectors: names
 * and meanings are those of the server's own /metrics, with the layers of the RPC level as well.
 *
 * Counters begin with the process. The file is replaced whole; everybody may read it. One thread.
 */
#ifndef FH_CLIENTS_CLI_PROBE_METRICS_H
#define FH_CLIENTS_CLI_PROBE_METRICS_H

#include <stdint.h>

#include "base/error.h"
#include "freehold/v1/probe.pb-c.h"

#define FH_PROBE_METRICS_LAYERS 12
#define FH_PROBE_METRICS_VERDICTS 5

struct fh_probe_metrics {
    uint64_t runs;                              /* that ended with a report */
    uint64_t failures[FH_PROBE_METRICS_LAYERS]; /* [0]: what could not be found out */
    uint64_t lines[FH_PROBE_METRICS_VERDICTS];  /* of the last run */
    int64_t last_ok_us;                         /* wall time; 0: never */
    int64_t last_run_us;
};

/* `report` NULL: the run ended without one. */
void fh_probe_metrics_count(struct fh_probe_metrics *metrics,
                            const Freehold__V1__ProbeReport *report, int64_t now_us);
FH_MUST_CHECK enum fh_code fh_probe_metrics_write(const struct fh_probe_metrics *metrics,
                                                  const char *path, struct fh_error *error);

#endif
