/* Happy path: the text is written beside the file and renamed over it, so that a reader sees one
 * run or the other. Failures: what the system says; the file then is as it was. */
#include "clients/cli/probe_metrics.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "clients/attack/attacks.h"
#include "clients/cli/file.h"

#define TEXT_BYTES_MAX 16384

/* "none" first: the server's and ours. */
static const char *const layers[FH_PROBE_METRICS_LAYERS] = {
    "none",        "predicate",    "enforcement",           "ownership",
    "border",      "admission",    FH_LAYER_AUTHENTICATION, FH_LAYER_REALM,
    FH_LAYER_NAME, FH_LAYER_SCOPE, FH_LAYER_PAGE_TOKEN,     FH_LAYER_REQUEST_ID,
};

static const char *const verdicts[FH_PROBE_METRICS_VERDICTS] = {"held", "skipped", "unknown",
                                                                "broken", "leaked"};

static void count_line(struct fh_probe_metrics *metrics, const Freehold__V1__ProbeResult *line)
{
    const unsigned verdict = (unsigned)line->verdict - 1;
    if (verdict < FH_PROBE_METRICS_VERDICTS) {
        metrics->lines[verdict]++;
    }
    metrics->failures[0] += line->verdict == FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_UNKNOWN;
    for (size_t i = 0; i < line->n_gone; i++) {
        for (size_t k = 1; k < FH_PROBE_METRICS_LAYERS; k++) {
            metrics->failures[k] += strcmp(line->gone[i], layers[k]) == 0;
        }
    }
}

void fh_probe_metrics_count(struct fh_probe_metrics *metrics,
                            const Freehold__V1__ProbeReport *report, int64_t now_us)
{
    memset(metrics->lines, 0, sizeof(metrics->lines));
    if (report == NULL) {
        metrics->failures[0]++;
        return;
    }
    for (size_t i = 0; i < report->n_results; i++) {
        count_line(metrics, report->results[i]);
    }
    metrics->runs++;
    metrics->last_run_us = now_us;
    if (report->held) {
        metrics->last_ok_us = now_us;
    }
}

static void add_head(struct fh_buf *out, const char *name, const char *type, const char *help)
{
    fh_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_text(const struct fh_probe_metrics *metrics, struct fh_buf *out)
{
    add_head(out, "freehold_probe_runs_total", "counter", "Runs of the prober that ended.");
    fh_buf_printf(out, "freehold_probe_runs_total %" PRIu64 "\n", metrics->runs);
    add_head(out, "freehold_probe_failures", "counter",
             "What the prober found gone, by layer; none: what it could not find out.");
    for (size_t i = 0; i < FH_PROBE_METRICS_LAYERS; i++) {
        fh_buf_printf(out, "freehold_probe_failures{layer=\"%s\"} %" PRIu64 "\n", layers[i],
                      metrics->failures[i]);
    }
    add_head(out, "freehold_probe_lines", "gauge", "Lines of the last run's report, by result.");
    for (size_t i = 0; i < FH_PROBE_METRICS_VERDICTS; i++) {
        fh_buf_printf(out, "freehold_probe_lines{result=\"%s\"} %" PRIu64 "\n", verdicts[i],
                      metrics->lines[i]);
    }
    add_head(out, "freehold_probe_last_run_seconds", "gauge", "When the last run ended.");
    fh_buf_printf(out, "freehold_probe_last_run_seconds %" PRId64 "\n",
                  metrics->last_run_us / 1000000);
    add_head(out, "freehold_probe_last_ok_seconds", "gauge",
             "When the last run ended in which all held; 0: never.");
    fh_buf_printf(out, "freehold_probe_last_ok_seconds %" PRId64 "\n",
                  metrics->last_ok_us / 1000000);
}

enum fh_code fh_probe_metrics_write(const struct fh_probe_metrics *metrics, const char *path,
                                    struct fh_error *error)
{
    struct fh_buf text;
    fh_buf_init(&text, TEXT_BYTES_MAX);
    add_text(metrics, &text);
    enum fh_code code = fh_buf_code(&text);
    if (code == FH_OK) {
        code = fh_file_write(path, 0644, fh_buf_str(&text), error);
    } else {
        (void)fh_error_set(error, code, "out of memory");
    }
    fh_buf_close(&text);
    return code;
}
