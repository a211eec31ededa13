/* Tiers of homes on the command line and in tables. One thread. */
#ifndef FH_CLIENTS_CLI_TIER_H
#define FH_CLIENTS_CLI_TIER_H

#include "clients/cli/session.h"
#include "freehold/v1/tenant_admin.pb-c.h"

/* "schema"; "-" when it is not said. */
const char *fh_tier_text(Freehold__V1__Placement__Tier tier);
/* What --tier says; `*out` stays when it was not given. An exit code. */
int fh_tier_option(struct fh_session *session, Freehold__V1__Placement__Tier *out);

#endif
