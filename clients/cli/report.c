/* What went wrong, on stderr: one line, the details indented, the next step last. With -o json the
 * same as one JSON object. Everything a server said is made safe for a terminal first. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/json.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"

#define REPORT_BYTES_MAX 65536

int fh_session_exit_of(const struct fh_client_status *status)
{
    if (status->grpc == FH_GRPC_OK) {
        return FH_EXIT_OK;
    }
    if (strcmp(status->reason, "OUTCOME_UNKNOWN") == 0) {
        return FH_EXIT_UNKNOWN;
    }
    if (!status->from_server &&
        (status->grpc == FH_GRPC_UNAVAILABLE || status->grpc == FH_GRPC_DEADLINE_EXCEEDED)) {
        return FH_EXIT_UNREACHABLE;
    }
    return status->grpc == FH_GRPC_DEADLINE_EXCEEDED ? FH_EXIT_UNREACHABLE : FH_EXIT_REFUSED;
}

const char *fh_session_next_step(const struct fh_client_status *status)
{
    static const struct {
        const char *reason;
        const char *step;
    } steps[] = {
        {"TENANT_SUSPENDED", "an operator can run: freehold tenant resume SLUG"},
        {"TENANT_NOT_FOUND", "see which there are: freehold tenant list"},
        {"ETAG_MISMATCH", "read the record again, then repeat the change with its new etag"},
        {"OUTCOME_UNKNOWN", "run the same command again with the same --request-id"},
        {"REQUEST_ID_REUSED", "use another --request-id for another request"},
        {"CONFLICT", "run the command again"},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strcmp(steps[i].reason, status->reason) == 0) {
            return steps[i].step;
        }
    }
    switch (status->grpc) {
    case FH_GRPC_UNAUTHENTICATED:
        return "get a valid token; for a development server: freehold token --tenant SLUG --role "
               "writer";
    case FH_GRPC_PERMISSION_DENIED:
        return "use a token with the role this needs (reader, writer or admin)";
    case FH_GRPC_UNIMPLEMENTED:
        return "check the address: tenants and operators have listeners of their own";
    case FH_GRPC_UNAVAILABLE:
        /* The transport has no code for it; a wrong guess costs a wrong hint. */
        if (strstr(status->message, "certificate verify failed") != NULL) {
            return "say which certificates to trust with --ca FILE or FREEHOLD_CA";
        }
        return status->from_server ? "the server is there and busy; run the command again"
                                   : "start the server (freeholdd), or say where it is with "
                                     "--address and --operator-address";
    case FH_GRPC_DEADLINE_EXCEEDED:
        return "run the command again, or allow more time with --timeout 2m";
    default:
        return NULL;
    }
}

static void add_json(struct fh_buf *out, const struct fh_client_status *status, const char *next)
{
    fh_buf_printf(out, "{\"error\":{\"status\":\"%s\",\"code\":%d,\"reason\":",
                  fh_client_grpc_name(status->grpc), status->grpc);
    fh_json_add_string(out, status->reason);
    fh_buf_add_text(out, ",\"message\":");
    fh_json_add_string(out, status->message);
    fh_buf_add_text(out, ",\"violations\":[");
    for (size_t i = 0; i < status->violation_count; i++) {
        fh_buf_add_text(out, i > 0 ? ",{\"field\":" : "{\"field\":");
        fh_json_add_string(out, status->violations[i].field);
        fh_buf_add_text(out, ",\"description\":");
        fh_json_add_string(out, status->violations[i].description);
        fh_buf_add_char(out, '}');
    }
    fh_buf_printf(out,
                  "],\"retryAfterMs\":%" PRId64 ",\"requestId\":", status->retry_after_us / 1000);
    fh_json_add_string(out, status->request_id);
    fh_buf_add_text(out, ",\"next\":");
    fh_json_add_string(out, next != NULL ? next : "");
    fh_buf_add_text(out, "}}\n");
}

static void add_line(struct fh_buf *out, const char *label, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        fh_buf_add_text(out, label);
        fh_text_add_shown(out, fh_str_of(text), 0);
        fh_buf_add_char(out, '\n');
    }
}

static void add_text(struct fh_buf *out, const struct fh_client_status *status, const char *next)
{
    const char *name = fh_client_grpc_name(status->grpc);
    fh_buf_printf(out, "freehold: %s: ", name);
    fh_text_add_shown(out, fh_str_of(status->message), 0);
    fh_buf_add_char(out, '\n');
    for (size_t i = 0; i < status->violation_count; i++) {
        fh_buf_add_text(out, "  field: ");
        fh_text_add_shown(out, fh_str_of(status->violations[i].field), 0);
        if (strcmp(status->violations[i].description, status->message) != 0) {
            fh_buf_add_text(out, ": ");
            fh_text_add_shown(out, fh_str_of(status->violations[i].description), 0);
        }
        fh_buf_add_char(out, '\n');
    }
    if (strcmp(status->reason, name) != 0) {
        add_line(out, "  reason: ", status->reason);
    }
    if (status->retry_after_us > 0) {
        fh_buf_printf(out, "  retry after: %" PRId64 " ms\n", status->retry_after_us / 1000);
    }
    add_line(out, "  request id: ", status->request_id);
    add_line(out, "  see: ", status->help_url);
    add_line(out, "  next: ", next);
}

int fh_session_fail_status(const struct fh_session *session, const struct fh_client_status *status)
{
    struct fh_buf report;
    const char *next = fh_session_next_step(status);
    fh_buf_init(&report, REPORT_BYTES_MAX);
    if (session->output == FH_OUTPUT_TABLE) {
        add_text(&report, status, next);
    } else {
        add_json(&report, status, next);
    }
    (void)fputs(fh_buf_code(&report) == FH_OK ? report.data : "freehold: out of memory\n", stderr);
    fh_buf_close(&report);
    return fh_session_exit_of(status);
}

static void report_local(const struct fh_session *session, const char *message)
{
    struct fh_buf report;
    fh_buf_init(&report, REPORT_BYTES_MAX);
    if (session->output == FH_OUTPUT_TABLE) {
        add_line(&report, "freehold: ", message);
    } else {
        fh_buf_add_text(&report, "{\"error\":{\"message\":");
        fh_json_add_string(&report, message);
        fh_buf_add_text(&report, "}}\n");
    }
    (void)fputs(fh_buf_code(&report) == FH_OK ? report.data : "freehold: out of memory\n", stderr);
    fh_buf_close(&report);
}

int fh_session_fail(const struct fh_session *session, int exit_code, const char *format, ...)
{
    char message[2 * FH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    report_local(session, message);
    return exit_code;
}

int fh_session_fail_error(const struct fh_session *session, const struct fh_error *error)
{
    report_local(session, fh_error_text(error));
    switch (error->code) {
    case FH_INVALID:
    case FH_RANGE:
    case FH_PERMISSION:
        return FH_EXIT_USAGE;
    default:
        return FH_EXIT_LOCAL;
    }
}

int fh_session_write(const struct fh_session *session, struct fh_buf *buf)
{
    if (fh_buf_code(buf) != FH_OK) {
        return fh_session_fail(session, FH_EXIT_LOCAL, "the output does not fit into memory");
    }
    if (buf->len > 0 && fwrite(buf->data, 1, buf->len, stdout) != buf->len) {
        return fh_session_fail(session, FH_EXIT_LOCAL, "cannot write the output");
    }
    fh_buf_clear(buf);
    return fflush(stdout) == 0 ? FH_EXIT_OK
                               : fh_session_fail(session, FH_EXIT_LOCAL, "cannot write the output");
}

int fh_session_write_json(const struct fh_session *session, const ProtobufCMessage *message)
{
    struct fh_buf out;
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    fh_json_add_message(&out, message, session->output == FH_OUTPUT_NDJSON ? -1 : 0);
    fh_buf_add_char(&out, '\n');
    const int code = fh_session_write(session, &out);
    fh_buf_close(&out);
    return code;
}

void fh_session_note(const struct fh_session *session, const char *format, ...)
{
    va_list args;
    if (session->output != FH_OUTPUT_TABLE) {
        return;
    }
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
}
