/* IssueCredential, GetCredential, RevokeCredential of TenantAdminService. All are
 * fh_rpc_handler_cb, arg is struct fh_services. */
#ifndef FH_SERVER_HANDLERS_CREDENTIALS_H
#define FH_SERVER_HANDLERS_CREDENTIALS_H

#include "server/rpc/call.h"

void fh_credential_issue(struct fh_call *call, void *arg);
void fh_credential_get(struct fh_call *call, void *arg);
void fh_credential_revoke(struct fh_call *call, void *arg);

#endif
