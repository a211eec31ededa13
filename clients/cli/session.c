/* Happy path: settings are loaded, a client is opened when a command first asks for its realm;
 * where no token is set, one is minted with a development server's keys. Failures: said at once,
 * each with what to run next. */
#include "clients/cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/file.h"
#include "clients/cli/text.h"
#include "freehold/v1/tenant_admin.pb-c.h"

#define CA_BYTES_MAX (1u << 20)
#define TOKEN_BYTES_MAX 8192
#define TIMEOUT_S_DEFAULT 30
#define TIMEOUT_S_MAX 86400
/* A minted token lives as long as the longest import is likely to run. */
#define MINTED_TTL_S (12 * 3600)

static const char *getenv_cb(const char *name, void *arg)
{
    (void)arg;
    return getenv(name);
}

/* For `context set`, which must not write the environment's settings into the file. */
static const char *getenv_paths_cb(const char *name, void *arg)
{
    (void)arg;
    return strncmp(name, "FREEHOLD_", 9) == 0 && strcmp(name, "FREEHOLD_CONTEXT") != 0
               ? NULL
               : getenv(name);
}

static int read_output(struct fh_session *session)
{
    const char *output = fh_args_value(session->args, "output");
    if (output == NULL || strcmp(output, "table") == 0) {
        session->output = FH_OUTPUT_TABLE;
    } else if (strcmp(output, "json") == 0) {
        session->output = FH_OUTPUT_JSON;
    } else if (strcmp(output, "ndjson") == 0) {
        session->output = FH_OUTPUT_NDJSON;
    } else {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "--output is table, json or ndjson, not '%.32s'", output);
    }
    return FH_EXIT_OK;
}

int fh_session_open(struct fh_session *session, const struct fh_args *args)
{
    struct fh_error error = FH_ERROR_INIT;
    int64_t timeout_s = TIMEOUT_S_DEFAULT;
    memset(session, 0, sizeof(*session));
    session->args = args;
    session->out_is_terminal = isatty(STDOUT_FILENO) == 1;
    int exit_code = read_output(session);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    const char *timeout = fh_args_value(args, "timeout");
    if (timeout != NULL &&
        (!fh_text_to_duration_s(timeout, &timeout_s) || timeout_s > TIMEOUT_S_MAX)) {
        return fh_session_fail(session, FH_EXIT_USAGE, "--timeout is like 30s or 5m, up to 1d");
    }
    session->deadline_us = timeout_s * 1000000;
    const bool writes = args->command != NULL && strcmp(args->command->group, "context") == 0 &&
                        strcmp(args->command->name, "set") == 0;
    if (fh_context_load(&session->context, args, writes ? getenv_paths_cb : getenv_cb, NULL,
                        !writes, &error) != FH_OK) {
        return fh_session_fail_error(session, &error);
    }
    return FH_EXIT_OK;
}

void fh_session_close(struct fh_session *session)
{
    fh_client_destroy(session->tenant_client);
    fh_client_destroy(session->operator_client);
    fh_context_close(&session->context);
}

/* -- Clients ------------------------------------------------------------------------------------
 */

static int connect_to(struct fh_session *session, enum fh_setting address_setting,
                      const char *token, struct fh_client **out)
{
    struct fh_client_options options;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_buf ca;
    const struct fh_context *context = &session->context;
    const char *ca_path = fh_context_get(context, FH_SETTING_CA);
    const struct fh_setting_value *address = &context->settings[address_setting];
    const bool found =
        address->source != NULL && strcmp(address->source, "development server") == 0;
    fh_buf_init(&ca, CA_BYTES_MAX);
    fh_client_options_init(&options);
    options.address = address->value;
    options.token = token;
    options.deadline_us = session->deadline_us;
    options.insecure = fh_args_has(session->args, "insecure");
    options.tls = fh_args_has(session->args, "tls") || (found && context->server.tls);
    enum fh_code code = FH_OK;
    if (ca_path != NULL) {
        code = fh_file_read_all(ca_path, &ca, NULL, &error);
        options.ca_pem = ca.data;
    }
    if (code == FH_OK) {
        code = fh_client_create(&options, out, &error);
    }
    fh_buf_close(&ca);
    return code == FH_OK ? FH_EXIT_OK : fh_session_fail_error(session, &error);
}

static int no_address(const struct fh_session *session, bool operators)
{
    const char *option = operators ? "--operator-address" : "--address";
    const char *variable = operators ? "FREEHOLD_OPERATOR_ADDRESS" : "FREEHOLD_ADDRESS";
    return fh_session_fail(session, FH_EXIT_USAGE,
                           "no server: run freeholdd in this folder, or give %s HOST:PORT or %s",
                           option, variable);
}

static int mint(struct fh_session *session, bool operators, struct fh_buf *out)
{
    static const char *const roles[] = {"reader", "writer", "admin"};
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_devtoken request = {
        .operators = operators,
        .tenant = fh_str_of(session->tenant),
        .subject = FH_STR("freehold-cli"),
        .roles = roles,
        .role_count = sizeof(roles) / sizeof(roles[0]),
        .issued_s = fh_clock_realtime_us(fh_clock_system()) / 1000000,
        .ttl_s = MINTED_TTL_S,
    };
    if (fh_devtoken_mint(session->context.keys_dir, &request, out, &error) != FH_OK) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "no token, and none can be made from development keys: %s",
                               fh_error_text(&error));
    }
    return FH_EXIT_OK;
}

/* A server that is found but gone deserves a better word than "connection refused". */
static int check_running(const struct fh_session *session, enum fh_setting setting)
{
    const struct fh_context *context = &session->context;
    const char *source = context->settings[setting].source;
    if (source != NULL && strcmp(source, "development server") == 0 && !context->server.running) {
        return fh_session_fail(session, FH_EXIT_UNREACHABLE,
                               "the server of %s (process %lld) is not running; start it again: "
                               "freeholdd",
                               context->keys_dir, context->server.pid);
    }
    return FH_EXIT_OK;
}

static int check_address(const struct fh_session *session, bool operators)
{
    const enum fh_setting address = operators ? FH_SETTING_OPERATOR_ADDRESS : FH_SETTING_ADDRESS;
    return fh_context_get(&session->context, address) == NULL ? no_address(session, operators)
                                                              : check_running(session, address);
}

int fh_session_connect(struct fh_session *session, bool operators, const char *token,
                       struct fh_client **out)
{
    const int exit_code = check_address(session, operators);
    return exit_code == FH_EXIT_OK
               ? connect_to(session, operators ? FH_SETTING_OPERATOR_ADDRESS : FH_SETTING_ADDRESS,
                            token, out)
               : exit_code;
}

static int open_client(struct fh_session *session, bool operators, struct fh_client **out)
{
    struct fh_buf minted;
    const struct fh_context *context = &session->context;
    const char *token =
        fh_context_get(context, operators ? FH_SETTING_OPERATOR_TOKEN : FH_SETTING_TOKEN);
    int exit_code = check_address(session, operators);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    fh_buf_init(&minted, TOKEN_BYTES_MAX);
    if (token == NULL && context->keys_dir[0] != '\0') {
        exit_code = mint(session, operators, &minted);
        token = minted.data;
    } else if (token == NULL) {
        exit_code = fh_session_fail(
            session, FH_EXIT_USAGE,
            operators
                ? "no operator token: set FREEHOLD_OPERATOR_TOKEN, or on the server's machine "
                  "run: freehold token --operator --data-dir DIR"
                : "no token: set FREEHOLD_TOKEN, or on the server's machine run: freehold "
                  "token --tenant SLUG --role writer --data-dir DIR");
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_connect(session, operators, token, out);
    }
    if (minted.data != NULL) {
        explicit_bzero(minted.data, minted.capacity);
    }
    fh_buf_close(&minted);
    return exit_code;
}

int fh_session_operators(struct fh_session *session, struct fh_client **out)
{
    int exit_code = FH_EXIT_OK;
    if (session->operator_client == NULL) {
        exit_code = open_client(session, true, &session->operator_client);
    }
    *out = session->operator_client;
    return exit_code;
}

bool fh_session_has_operators(const struct fh_session *session)
{
    const struct fh_context *context = &session->context;
    return fh_context_get(context, FH_SETTING_OPERATOR_ADDRESS) != NULL &&
           (fh_context_get(context, FH_SETTING_OPERATOR_TOKEN) != NULL ||
            context->keys_dir[0] != '\0');
}

int fh_session_tenant_uuid(struct fh_session *session, const char *tenant,
                           char out[FH_UUID_TEXT_LEN + 1])
{
    struct fh_uuid uuid;
    struct fh_client *client = NULL;
    char name[128];
    Freehold__V1__GetTenantRequest request = FREEHOLD__V1__GET_TENANT_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    if (fh_uuid_parse(fh_str_of(tenant), &uuid)) {
        fh_uuid_format(&uuid, out);
        return FH_EXIT_OK;
    }
    if (!fh_session_has_operators(session)) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "'%.64s' is a slug, and only an operator can look it up: give the "
                               "tenant's UUID, or --operator-address and FREEHOLD_OPERATOR_TOKEN",
                               tenant);
    }
    int exit_code = fh_session_operators(session, &client);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    (void)snprintf(name, sizeof(name), "tenants/%.100s", tenant);
    request.name = name;
    exit_code = fh_session_invoke(session, client, &freehold__v1__tenant_admin_service__descriptor,
                                  "GetTenant", &request.base, &message);
    if (exit_code == FH_EXIT_OK) {
        (void)snprintf(out, FH_UUID_TEXT_LEN + 1, "%s", ((Freehold__V1__Tenant *)message)->uid);
    }
    fh_client_message_free(message);
    return exit_code;
}

int fh_session_tenant(struct fh_session *session, struct fh_client **out)
{
    const struct fh_context *context = &session->context;
    const char *tenant = fh_context_get(context, FH_SETTING_TENANT);
    int exit_code = FH_EXIT_OK;
    *out = session->tenant_client;
    if (*out != NULL) {
        return FH_EXIT_OK;
    }
    if (tenant == NULL && fh_context_get(context, FH_SETTING_TOKEN) == NULL &&
        context->keys_dir[0] != '\0') {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "which tenant? Give --tenant SLUG (see freehold tenant list)");
    }
    if (tenant != NULL) {
        exit_code = fh_session_tenant_uuid(session, tenant, session->tenant);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = open_client(session, false, &session->tenant_client);
    }
    *out = session->tenant_client;
    return exit_code;
}

const char *fh_session_tenant_prefix(const struct fh_session *session)
{
    return session->tenant[0] != '\0' ? session->tenant : NULL;
}

int fh_session_invoke(struct fh_session *session, struct fh_client *client,
                      const ProtobufCServiceDescriptor *service, const char *method,
                      const ProtobufCMessage *request, ProtobufCMessage **out)
{
    struct fh_client_status status;
    return fh_client_invoke(client, service, method, request, out, &status)
               ? FH_EXIT_OK
               : fh_session_fail_status(session, &status);
}
