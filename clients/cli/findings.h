/* What `freehold probe` found, as one report: the server's lines (store level), then the lines of
 * the attacks over RPC. It says which call was answered how; no token and no value is in it.
 *
 * One thread. Bounded by FH_FINDINGS_MAX lines, beyond which the report counts as not held. Errors
 * stick until fh_findings_print().
 */
#ifndef FH_CLIENTS_CLI_FINDINGS_H
#define FH_CLIENTS_CLI_FINDINGS_H

#include "base/arena.h"
#include "clients/cli/session.h"
#include "freehold/v1/probe.pb-c.h"

#define FH_FINDINGS_MAX 16384
#define FH_FINDING_TEXT_MAX 400

/* Texts are copied. */
struct fh_finding {
    const char *store; /* "stores/local"; "" when it is about no store */
    Freehold__V1__Placement__Tier tier;
    const char *probe;
    const char *expected;
    const char *seen;
    Freehold__V1__ProbeResult__Verdict verdict;
    const char *gone; /* the layer's name; NULL */
    char text[FH_FINDING_TEXT_MAX];
};

struct fh_findings {
    Freehold__V1__ProbeReport report;
    struct fh_arena arena;
    enum fh_code code;
};

/* Starts with the server's report, which is borrowed until the end. */
void fh_findings_init(struct fh_findings *findings, const Freehold__V1__ProbeReport *server);
void fh_findings_close(struct fh_findings *findings);
void fh_findings_add(struct fh_findings *findings, const struct fh_finding *finding);
/* After the last line: settles `held` and the time of the end. */
void fh_findings_end(struct fh_findings *findings, int64_t now_us);
/* As the session's format wants it; `off_only`: a table of those lines alone that are off. */
int fh_findings_print(const struct fh_findings *findings, struct fh_session *session,
                      bool off_only);

/* "held" and "skipped" are in order, all else is off. */
bool fh_finding_is_off(Freehold__V1__ProbeResult__Verdict verdict);

#endif
