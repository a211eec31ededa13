/* `freehold tenant credentials ...`: a tenant's own read-only login to its dedicated home.
 *
 * The secret is written to standard output once, with the answer of issue and rotate; nothing keeps
 * it, here or at the server. */
#include "clients/cli/credentials.h"

#include <stdio.h>
#include <string.h>

#include "clients/cli/grid.h"
#include "clients/cli/text.h"

#define NAME_LEN_MAX 128
#define TABLES_MAX 64
#define SERVICE (&freehold__v1__tenant_admin_service__descriptor)

static void pair(struct fh_grid *grid, const char *name, const char *value)
{
    fh_grid_text(grid, name);
    fh_grid_text(grid, value[0] != '\0' ? value : "-");
}

/* `secret` NULL: there is none to tell. */
static int show_table(struct fh_session *session, const Freehold__V1__Credential *credential,
                      const char *secret)
{
    struct fh_grid grid;
    struct fh_buf out;
    fh_grid_init(&grid, 0);
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    fh_grid_column(&grid, "user", false);
    fh_grid_column(&grid, credential->user, false);
    if (secret != NULL) {
        pair(&grid, "secret (told once)", secret);
    }
    pair(&grid, "database", credential->database);
    pair(&grid, "host", credential->host);
    pair(&grid, "port", credential->port);
    pair(&grid, "schema", credential->namespace_);
    const enum fh_code code = fh_grid_flush(&grid, &out);
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    fh_grid_close(&grid);
    return exit_code;
}

static int answer(struct fh_session *session, const ProtobufCMessage *response)
{
    if (session->output != FH_OUTPUT_TABLE) {
        return fh_session_write_json(session, response);
    }
    if (response->descriptor == &freehold__v1__credential__descriptor) {
        return show_table(session, (const Freehold__V1__Credential *)response, NULL);
    }
    if (response->descriptor == &freehold__v1__issue_credential_response__descriptor) {
        const Freehold__V1__IssueCredentialResponse *issued =
            (const Freehold__V1__IssueCredentialResponse *)response;
        return issued->credential != NULL
                   ? show_table(session, issued->credential, issued->secret)
                   : fh_session_fail(session, FH_EXIT_REFUSED, "the server answered nothing");
    }
    return FH_EXIT_OK; /* revoked */
}

static int call(struct fh_session *session, const char *method, const ProtobufCMessage *request)
{
    struct fh_client *client = NULL;
    ProtobufCMessage *response = NULL;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_invoke(session, client, SERVICE, method, request, &response);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = answer(session, response);
    }
    fh_client_message_free(response);
    return exit_code;
}

static int issue(struct fh_session *session, char *name, char *reason, bool rotate)
{
    Freehold__V1__IssueCredentialRequest request = FREEHOLD__V1__ISSUE_CREDENTIAL_REQUEST__INIT;
    char *tables[TABLES_MAX];
    const char *table = NULL;
    size_t cursor = 0;
    while ((table = fh_args_next(session->args, "table", &cursor)) != NULL) {
        if (request.n_tables == TABLES_MAX) {
            return fh_session_fail(session, FH_EXIT_USAGE, "at most %d tables; none means all",
                                   TABLES_MAX);
        }
        tables[request.n_tables++] = fh_text_field(table);
    }
    request.name = name;
    request.tables = tables;
    request.rotate = rotate;
    request.reason = reason;
    return call(session, "IssueCredential", &request.base);
}

int fh_credentials_run(struct fh_session *session)
{
    const char *action = session->args->arguments[0];
    const char *tenant = session->args->arguments[1];
    char *reason = fh_text_field(fh_args_value(session->args, "reason"));
    char name[NAME_LEN_MAX];
    (void)snprintf(name, sizeof(name), "%s%.100s",
                   strncmp(tenant, "tenants/", 8) == 0 ? "" : "tenants/", tenant);
    if (strcmp(action, "issue") == 0 || strcmp(action, "rotate") == 0) {
        return issue(session, name, reason, action[0] == 'r');
    }
    if (strcmp(action, "show") == 0) {
        Freehold__V1__GetCredentialRequest request = FREEHOLD__V1__GET_CREDENTIAL_REQUEST__INIT;
        request.name = name;
        return call(session, "GetCredential", &request.base);
    }
    if (strcmp(action, "revoke") == 0) {
        Freehold__V1__RevokeCredentialRequest request =
            FREEHOLD__V1__REVOKE_CREDENTIAL_REQUEST__INIT;
        request.name = name;
        request.reason = reason;
        return call(session, "RevokeCredential", &request.base);
    }
    return fh_session_fail(session, FH_EXIT_USAGE,
                           "credentials are for issue, rotate, revoke, show");
}
