/* Happy path: lines are copied into an arena, and shown as a table or as the message that they
 * make. Failures: no room or no memory is kept, and said when the report is printed. */
#include "clients/cli/findings.h"

#include <string.h>

#include "clients/cli/grid.h"
#include "clients/cli/json.h"
#include "clients/cli/tier.h"

#define ARENA_BYTES_MAX ((size_t)32 * 1024 * 1024)

void fh_findings_init(struct fh_findings *findings, const Freehold__V1__ProbeReport *server)
{
    *findings = (struct fh_findings){.report = *server};
    fh_arena_init(&findings->arena, ARENA_BYTES_MAX);
    findings->report.results =
        FH_ARENA_ARRAY(&findings->arena, Freehold__V1__ProbeResult *, FH_FINDINGS_MAX);
    if (findings->report.results == NULL) {
        findings->report.n_results = 0;
        findings->code = FH_NOMEM;
        return;
    }
    if (findings->report.n_results > FH_FINDINGS_MAX) {
        findings->report.n_results = FH_FINDINGS_MAX;
        findings->report.truncated = true;
    }
    for (size_t i = 0; i < findings->report.n_results; i++) {
        findings->report.results[i] = server->results[i];
    }
}

void fh_findings_close(struct fh_findings *findings)
{
    fh_arena_close(&findings->arena);
}

static char *keep(struct fh_findings *findings, const char *text)
{
    char *copy = fh_arena_copy(&findings->arena, text, strlen(text));
    if (copy == NULL) {
        findings->code = FH_NOMEM;
    }
    return copy;
}

void fh_findings_add(struct fh_findings *findings, const struct fh_finding *finding)
{
    Freehold__V1__ProbeReport *report = &findings->report;
    if (findings->code != FH_OK) {
        return;
    }
    if (report->n_results == FH_FINDINGS_MAX) {
        report->truncated = true;
        return;
    }
    Freehold__V1__ProbeResult *line = FH_ARENA_NEW(&findings->arena, Freehold__V1__ProbeResult);
    char **gone = FH_ARENA_ARRAY(&findings->arena, char *, 1);
    if (line == NULL || gone == NULL) {
        findings->code = FH_NOMEM;
        return;
    }
    freehold__v1__probe_result__init(line);
    line->store = keep(findings, finding->store);
    line->tier = finding->tier;
    line->probe = keep(findings, finding->probe);
    line->expected = keep(findings, finding->expected);
    line->seen = keep(findings, finding->seen);
    line->verdict = finding->verdict;
    line->text = keep(findings, finding->text);
    if (finding->gone != NULL) {
        gone[0] = keep(findings, finding->gone);
        line->gone = gone;
        line->n_gone = 1;
    }
    if (findings->code == FH_OK) {
        report->results[report->n_results++] = line;
    }
}

bool fh_finding_is_off(Freehold__V1__ProbeResult__Verdict verdict)
{
    return verdict != FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_HELD &&
           verdict != FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_SKIPPED;
}

void fh_findings_end(struct fh_findings *findings, int64_t now_us)
{
    Freehold__V1__ProbeReport *report = &findings->report;
    Google__Protobuf__Timestamp *end = FH_ARENA_NEW(&findings->arena, Google__Protobuf__Timestamp);
    if (end == NULL) {
        findings->code = FH_NOMEM;
        return;
    }
    google__protobuf__timestamp__init(end);
    end->seconds = now_us / 1000000;
    end->nanos = (int32_t)(now_us % 1000000) * 1000;
    report->end_time = end;
    report->held = report->held && !report->truncated;
    for (size_t i = 0; i < report->n_results; i++) {
        report->held = report->held && !fh_finding_is_off(report->results[i]->verdict);
    }
}

static const char *verdict_text(Freehold__V1__ProbeResult__Verdict verdict)
{
    switch (verdict) {
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_HELD:
        return "held";
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_SKIPPED:
        return "skipped";
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_UNKNOWN:
        return "UNKNOWN";
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_BROKEN:
        return "BROKEN";
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_LEAKED:
        return "LEAKED";
    default:
        return "?";
    }
}

static void add_row(struct fh_grid *grid, const Freehold__V1__ProbeResult *result)
{
    fh_grid_text(grid, verdict_text(result->verdict));
    fh_grid_text(grid, strncmp(result->store, "stores/", 7) == 0 ? result->store + 7
                       : result->store[0] != '\0'                ? result->store
                                                                 : "-");
    fh_grid_text(grid, fh_tier_text(result->tier));
    fh_grid_text(grid, result->probe);
    fh_grid_text(grid, result->expected);
    fh_grid_text(grid, result->seen);
    fh_grid_text(grid, result->text);
}

static enum fh_code add_table(const Freehold__V1__ProbeReport *report, bool off_only,
                              struct fh_buf *out)
{
    static const char *const titles[] = {"RESULT",   "STORE", "TIER",   "PROBE",
                                         "EXPECTED", "SEEN",  "FINDING"};
    struct fh_grid grid;
    size_t rows = 0;
    fh_grid_init(&grid, 0);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        fh_grid_column(&grid, titles[i], false);
    }
    for (size_t i = 0; i < report->n_results; i++) {
        if (!off_only || fh_finding_is_off(report->results[i]->verdict)) {
            add_row(&grid, report->results[i]);
            rows++;
        }
    }
    const enum fh_code code = rows > 0 || !off_only ? fh_grid_flush(&grid, out) : FH_OK;
    fh_grid_close(&grid);
    return code;
}

int fh_findings_print(const struct fh_findings *findings, struct fh_session *session, bool off_only)
{
    struct fh_buf out;
    enum fh_code code = findings->code;
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    if (code == FH_OK && session->output == FH_OUTPUT_TABLE) {
        code = add_table(&findings->report, off_only, &out);
    } else if (code == FH_OK) {
        const bool line = off_only || session->output == FH_OUTPUT_NDJSON;
        fh_json_add_message(&out, &findings->report.base, line ? -1 : 0);
        fh_buf_add_char(&out, '\n');
    }
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    return exit_code;
}
