/* The prober's RPC level: canary A attacks canary B through the running server's two listeners, in
 * every store and tier that the server's own report (store level) names canaries of.
 *
 * Each attack is tried with every method that it can be made with. Where all were held off it is
 * one line of the report; each one that was not is a line of its own, which says the layer that is
 * gone. What cannot be tried is a line SKIPPED, with the reason; what could not be found out, and a
 * method that no attack covers, is UNKNOWN. Attacks only those tenants whose UUID says that they
 * are canaries. Blocking; one thread; ends by its deadline.
 */
#ifndef FH_CLIENTS_CLI_INTRUDER_H
#define FH_CLIENTS_CLI_INTRUDER_H

#include "clients/cli/canary_token.h"
#include "clients/cli/findings.h"

struct fh_intruder_options {
    struct fh_token_source tokens;
    int64_t deadline_at_us; /* monotonic */
};

/* Adds its lines. False: stopped, and the report is not whole. */
bool fh_intruder_run(const struct fh_intruder_options *options,
                     const Freehold__V1__ProbeReport *server, struct fh_findings *findings);

#endif
