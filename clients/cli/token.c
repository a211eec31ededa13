/* `freehold token`: development tokens, from the keys in a server's data directory. The one command
 * that prints a token. */
#include <stdio.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/devserver.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"

#define ROLES_MAX 8
#define TOKEN_BYTES_MAX 8192
#define TTL_S_DEFAULT (12 * 3600)

static int fill(struct fh_session *session, struct fh_devtoken *request,
                const char *roles[ROLES_MAX])
{
    const struct fh_args *args = session->args;
    const char *subject = fh_args_value(args, "subject");
    const char *ttl = fh_args_value(args, "ttl");
    const char *role;
    size_t cursor = 0;
    request->operators = fh_args_has(args, "operator");
    request->subject = fh_str_of(subject != NULL ? subject : "developer");
    request->ttl_s = TTL_S_DEFAULT;
    request->issued_s = fh_clock_realtime_us(fh_clock_system()) / 1000000;
    if (ttl != NULL &&
        (!fh_text_to_duration_s(ttl, &request->ttl_s) || request->ttl_s > FH_TTL_S_MAX)) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "--ttl is like 90s, 15m, 12h or 30d, up to 365d");
    }
    while ((role = fh_args_next(args, "role", &cursor)) != NULL) {
        if (request->role_count == ROLES_MAX) {
            return fh_session_fail(session, FH_EXIT_USAGE, "more than %d roles", ROLES_MAX);
        }
        roles[request->role_count++] = role;
    }
    request->roles = roles;
    if (request->operators && request->role_count > 0) {
        return fh_session_fail(session, FH_EXIT_USAGE, "--operator takes no --role");
    }
    if (!request->operators && request->role_count == 0) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "which role? Give --role reader, writer or admin");
    }
    return FH_EXIT_OK;
}

static int print(struct fh_session *session, const struct fh_devtoken *request,
                 const struct fh_buf *token)
{
    struct fh_buf out;
    fh_buf_init(&out, 2 * TOKEN_BYTES_MAX);
    if (session->output == FH_OUTPUT_TABLE) {
        fh_buf_printf(&out, "%s\n", token->data);
    } else {
        fh_buf_printf(&out, "{\"token\":\"%s\",\"realm\":\"%s\",\"expireTime\":\"", token->data,
                      request->operators ? "operator" : "tenant");
        fh_text_add_time(&out, request->issued_s + request->ttl_s, 0);
        fh_buf_add_text(&out, "\"}\n");
    }
    const int exit_code = fh_session_write(session, &out);
    if (out.data != NULL) {
        explicit_bzero(out.data, out.capacity);
    }
    fh_buf_close(&out);
    return exit_code;
}

static int token_run(struct fh_session *session)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_devtoken request = {0};
    const char *roles[ROLES_MAX];
    char uuid[FH_UUID_TEXT_LEN + 1] = "";
    struct fh_buf token;
    const char *tenant = fh_context_get(&session->context, FH_SETTING_TENANT);
    int exit_code = fill(session, &request, roles);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    if (session->context.keys_dir[0] == '\0') {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "no development keys: give --data-dir DIR, the data directory of a "
                               "server on this machine");
    }
    if (!request.operators && tenant == NULL) {
        return fh_session_fail(session, FH_EXIT_USAGE, "whose? Give --tenant SLUG or --operator");
    }
    if (!request.operators) {
        exit_code = fh_session_tenant_uuid(session, tenant, uuid);
        request.tenant = fh_str_of(uuid);
    }
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    fh_buf_init(&token, TOKEN_BYTES_MAX);
    if (fh_devtoken_mint(session->context.keys_dir, &request, &token, &error) == FH_OK) {
        exit_code = print(session, &request, &token);
    } else {
        exit_code = fh_session_fail_error(session, &error);
    }
    if (token.data != NULL) {
        explicit_bzero(token.data, token.capacity);
    }
    fh_buf_close(&token);
    return exit_code;
}

static const struct fh_option token_options[] = {
    {"role", 0, "ROLE", "reader, writer or admin; may be repeated"},
    {"operator", 0, NULL, "an operator's token instead of a tenant's"},
    {"subject", 0, "NAME", "who it stands for (default: developer)"},
    {"ttl", 0, "TIME", "how long it is good: 90s, 15m, 12h (default), 30d"},
    {0},
};

const struct fh_command fh_token_commands[] = {
    {"token", NULL, "", "Make a token with a development server's keys",
     "  freehold token --tenant SLUG --role writer\n  freehold token --operator\n\n"
     "Prints the token and nothing else. It is a secret: whoever has it can act with it.",
     token_options, 0, 0, token_run},
    {0},
};
