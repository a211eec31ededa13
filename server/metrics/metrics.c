/* A call is counted under its method: looked up by pointer, since methods are static strings, in a
 * short array. Failures: a method beyond the bound is counted under "other". */
#include "server/metrics/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

#define BUCKET_COUNT 19 /* 64 us << 0..18: 64 us to 16.8 s */
#define BUCKET_FIRST_US 64
#define SOURCES_MAX 16

struct method {
    const char *name;
    uint64_t codes[FH_CODE_COUNT];
    uint64_t buckets[BUCKET_COUNT + 1]; /* the last is +Inf; not cumulative here */
    uint64_t duration_us_sum;
    uint64_t request_bytes;
    uint64_t response_bytes;
};

struct source {
    fh_metrics_source_cb *source;
    void *arg;
};

struct fh_metrics {
    struct method *methods[FH_METRIC_METHODS_MAX];
    size_t method_count;
    struct method other;
    struct source sources[SOURCES_MAX];
    size_t source_count;
};

enum fh_code fh_metrics_create(struct fh_metrics **out)
{
    struct fh_metrics *metrics = fh_calloc(1, sizeof(*metrics));
    if (metrics == NULL) {
        return FH_NOMEM;
    }
    metrics->other.name = "other";
    *out = metrics;
    return FH_OK;
}

void fh_metrics_destroy(struct fh_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (size_t i = 0; i < metrics->method_count; i++) {
        fh_free(metrics->methods[i]);
    }
    fh_free(metrics);
}

static struct method *find_method(struct fh_metrics *metrics, const char *name)
{
    for (size_t i = 0; i < metrics->method_count; i++) {
        if (metrics->methods[i]->name == name) {
            return metrics->methods[i];
        }
    }
    if (metrics->method_count == FH_METRIC_METHODS_MAX) {
        return &metrics->other;
    }
    struct method *method = fh_calloc(1, sizeof(*method));
    if (method == NULL) {
        return &metrics->other;
    }
    method->name = name;
    metrics->methods[metrics->method_count++] = method;
    return method;
}

static size_t bucket_of(int64_t duration_us)
{
    size_t bucket = 0;
    while (bucket < BUCKET_COUNT && duration_us > ((int64_t)BUCKET_FIRST_US << bucket)) {
        bucket++;
    }
    return bucket;
}

void fh_metrics_call(struct fh_metrics *metrics, const char *method_name, enum fh_code code,
                     int64_t duration_us, size_t request_bytes, size_t response_bytes)
{
    struct method *method = find_method(metrics, method_name);
    FH_ASSERT(code < FH_CODE_COUNT);
    method->codes[code]++;
    method->buckets[bucket_of(duration_us)]++;
    method->duration_us_sum += duration_us > 0 ? (uint64_t)duration_us : 0;
    method->request_bytes += request_bytes;
    method->response_bytes += response_bytes;
}

enum fh_code fh_metrics_add_source(struct fh_metrics *metrics, fh_metrics_source_cb *source,
                                   void *arg)
{
    if (metrics->source_count == SOURCES_MAX) {
        return FH_FULL;
    }
    metrics->sources[metrics->source_count++] = (struct source){.source = source, .arg = arg};
    return FH_OK;
}

void fh_metrics_head(struct fh_buf *out, const char *name, const char *type, const char *help)
{
    fh_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void fh_metrics_sample(struct fh_buf *out, const char *name, const char *label_key,
                       const char *label_value, double value)
{
    fh_buf_add_text(out, name);
    if (label_key != NULL) {
        fh_buf_printf(out, "{%s=\"", label_key);
        fh_buf_add_json(out, fh_str_of(label_value)); /* the same three escapes, and more */
        fh_buf_add_text(out, "\"}");
    }
    fh_buf_printf(out, " %.17g\n", value);
}

static void render_codes(const struct method *method, struct fh_buf *out)
{
    for (size_t code = 0; code < FH_CODE_COUNT; code++) {
        if (method->codes[code] > 0) {
            fh_buf_printf(out, "freehold_calls_total{method=\"%s\",code=\"%s\"} %" PRIu64 "\n",
                          method->name, fh_code_reason((enum fh_code)code), method->codes[code]);
        }
    }
}

static void render_durations(const struct method *method, struct fh_buf *out)
{
    const char *name = "freehold_call_duration_seconds";
    uint64_t cumulative = 0;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        cumulative += method->buckets[i];
        double bound_s = (double)((int64_t)BUCKET_FIRST_US << i) / 1e6;
        fh_buf_printf(out, "%s_bucket{method=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", name, method->name,
                      bound_s, cumulative);
    }
    cumulative += method->buckets[BUCKET_COUNT];
    fh_buf_printf(out, "%s_bucket{method=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, method->name,
                  cumulative);
    fh_buf_printf(out, "%s_sum{method=\"%s\"} %.6f\n", name, method->name,
                  (double)method->duration_us_sum / 1e6);
    fh_buf_printf(out, "%s_count{method=\"%s\"} %" PRIu64 "\n", name, method->name, cumulative);
}

typedef void render_method_cb(const struct method *method, struct fh_buf *out);

static void render_bytes(const struct method *method, struct fh_buf *out)
{
    fh_buf_printf(out, "freehold_call_bytes_total{method=\"%s\",direction=\"in\"} %" PRIu64 "\n",
                  method->name, method->request_bytes);
    fh_buf_printf(out, "freehold_call_bytes_total{method=\"%s\",direction=\"out\"} %" PRIu64 "\n",
                  method->name, method->response_bytes);
}

static void render_methods(const struct fh_metrics *metrics, render_method_cb *render,
                           struct fh_buf *out)
{
    for (size_t i = 0; i < metrics->method_count; i++) {
        render(metrics->methods[i], out);
    }
    render(&metrics->other, out);
}

void fh_metrics_render(const struct fh_metrics *metrics, struct fh_buf *out)
{
    fh_metrics_head(out, "freehold_calls_total", "counter", "Calls ended, by method and outcome.");
    render_methods(metrics, render_codes, out);
    fh_metrics_head(out, "freehold_call_duration_seconds", "histogram",
                    "From arrival to the status on its way, by method.");
    render_methods(metrics, render_durations, out);
    fh_metrics_head(out, "freehold_call_bytes_total", "counter",
                    "Message bytes, by method and direction.");
    render_methods(metrics, render_bytes, out);
    for (size_t i = 0; i < metrics->source_count; i++) {
        metrics->sources[i].source(out, metrics->sources[i].arg);
    }
}
