/* `freehold tenant credentials ACTION TENANT`. One thread. */
#ifndef FH_CLIENTS_CLI_CREDENTIALS_H
#define FH_CLIENTS_CLI_CREDENTIALS_H

#include "clients/cli/session.h"
#include "freehold/v1/tenant_admin.pb-c.h"

/* issue, rotate, revoke, show; --table, --reason. An exit code. */
int fh_credentials_run(struct fh_session *session);

#endif
