/* What `schema apply` and `schema rollout ...` share: how a rollout is told to people. One thread.
 */
#ifndef FH_CLIENTS_CLI_ROLLOUT_H
#define FH_CLIENTS_CLI_ROLLOUT_H

#include <stdbool.h>

#include "base/buf.h"
#include "clients/cli/args.h"
#include "clients/cli/session.h"
#include "freehold/v1/schema.pb-c.h"

const char *fh_rollout_phase_text(const Freehold__V1__Rollout *rollout); /* "paused", "rolling" */
bool fh_rollout_has_ended(const Freehold__V1__Rollout *rollout);
/* "version 7, rolling: 1,200 of 5,000 homes (24%), 40.0 homes/s, 1:35 left, 2 failed" */
void fh_rollout_add_line(struct fh_buf *out, const Freehold__V1__Rollout *rollout);
/* As a table, or as JSON. */
int fh_rollout_show(struct fh_session *session, const Freehold__V1__Rollout *rollout);
/* Asks for `name` ("rollouts/...") until it has ended or is paused, telling on the way; shows it at
 * the end. Exit code 0 for done, else FH_EXIT_REFUSED. */
int fh_rollout_watch(struct fh_session *session, const char *name);

/* `freehold schema rollout ACTION [ROLLOUT]` */
int fh_rollout_run(struct fh_session *session);
extern const struct fh_option fh_rollout_options[];

#endif
