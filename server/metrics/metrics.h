/* Counters and latency histograms of this process, and their Prometheus text. Loop thread only.
 *
 * Bounded: methods come from the service tables (at most 256 series); tenants are counted only in
 * the access log, not here. Histogram buckets are powers of two from 64 us to 16 s, plus +Inf.
 */
#ifndef FH_SERVER_METRICS_METRICS_H
#define FH_SERVER_METRICS_METRICS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/code.h"

#define FH_METRIC_METHODS_MAX 256

struct fh_metrics;

FH_MUST_CHECK enum fh_code fh_metrics_create(struct fh_metrics **out);
void fh_metrics_destroy(struct fh_metrics *metrics);
/* `method` must be a string that lives as long as the process (from a service table). */
void fh_metrics_call(struct fh_metrics *metrics, const char *method, enum fh_code code,
                     int64_t duration_us, size_t request_bytes, size_t response_bytes);

/* Anything else is asked for when scraped: each source adds its lines with the two helpers below.
 */
typedef void fh_metrics_source_cb(struct fh_buf *out, void *arg);
FH_MUST_CHECK enum fh_code fh_metrics_add_source(struct fh_metrics *metrics,
                                                 fh_metrics_source_cb *source, void *arg);
/* "# HELP/# TYPE" lines; `type` is "counter" or "gauge". */
void fh_metrics_head(struct fh_buf *out, const char *name, const char *type, const char *help);
/* One sample; label_key may be NULL. */
void fh_metrics_sample(struct fh_buf *out, const char *name, const char *label_key,
                       const char *label_value, double value);

/* The whole exposition (text format 0.0.4). */
void fh_metrics_render(const struct fh_metrics *metrics, struct fh_buf *out);

#endif
