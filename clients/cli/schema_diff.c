/* Happy path: one call, its answer as text: versions with their changes, then, of a preview, the
 * statements of each engine and tier. */
#include "clients/cli/schema_diff.h"

#include <string.h>

#include "base/buf.h"
#include "clients/cli/text.h"

#define SERVICE (&freehold__v1__schema_service__descriptor)

static void add_versions(struct fh_buf *out, uint32_t from, uint32_t to,
                         Freehold__V1__SchemaVersionDiff *const *versions, size_t count)
{
    if (count == 0) {
        fh_buf_printf(out, "nothing is new: version %u\n", from);
        return;
    }
    fh_buf_printf(out, "version %u to %u\n", from, to);
    for (size_t i = 0; i < count; i++) {
        fh_buf_printf(out, "\n%u  ", versions[i]->version);
        fh_text_add_shown(out, fh_str_of(versions[i]->name), 0);
        fh_buf_add_char(out, '\n');
        for (size_t k = 0; k < versions[i]->n_changes; k++) {
            const Freehold__V1__SchemaChange *change = versions[i]->changes[k];
            fh_buf_add_text(out, "    ");
            fh_text_add_shown(out, fh_str_of(change->description), 0);
            fh_buf_add_char(out, '\n');
            if (change->breaks[0] != '\0') {
                fh_buf_add_text(out, "        breaks what runs: ");
                fh_text_add_shown(out, fh_str_of(change->breaks), 0);
                fh_buf_add_char(out, '\n');
            }
        }
    }
}

static const char *lock_text(Freehold__V1__SchemaLock lock)
{
    switch (lock) {
    case FREEHOLD__V1__SCHEMA_LOCK__SCHEMA_LOCK_NONE:
        return "locks nobody";
    case FREEHOLD__V1__SCHEMA_LOCK__SCHEMA_LOCK_WRITES:
        return "locks writes";
    case FREEHOLD__V1__SCHEMA_LOCK__SCHEMA_LOCK_ALL:
        return "locks all";
    default:
        return "locks unknown";
    }
}

static void add_plan(struct fh_buf *out, const Freehold__V1__SchemaPlan *plan)
{
    fh_buf_printf(out, "\n%s, tier %s\n", plan->engine, plan->tier);
    for (size_t i = 0; i < plan->n_statements; i++) {
        const Freehold__V1__SchemaStatement *statement = plan->statements[i];
        fh_buf_printf(out, "  -- %s%s\n  ", lock_text(statement->lock),
                      statement->scans ? ", reads the table" : "");
        fh_text_add_shown(out, fh_str_of(statement->sql), 0);
        fh_buf_add_text(out, ";\n");
    }
}

/* The answer to `request`, in *out, which the caller frees. */
static int ask(struct fh_session *session, const char *method, const ProtobufCMessage *request,
               ProtobufCMessage **out)
{
    struct fh_client *client = NULL;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_invoke(session, client, SERVICE, method, request, out);
    }
    return exit_code;
}

int fh_schema_diff_show(struct fh_session *session, Freehold__V1__Migration **files, size_t count)
{
    Freehold__V1__DiffSchemaRequest request = FREEHOLD__V1__DIFF_SCHEMA_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    request.migrations = files;
    request.n_migrations = count;
    int exit_code = ask(session, "DiffSchema", &request.base, &message);
    if (exit_code == FH_EXIT_OK && session->output != FH_OUTPUT_TABLE) {
        exit_code = fh_session_write_json(session, message);
    } else if (exit_code == FH_EXIT_OK) {
        const Freehold__V1__DiffSchemaResponse *in =
            (const Freehold__V1__DiffSchemaResponse *)message;
        struct fh_buf out;
        fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
        add_versions(&out, in->from_version, in->to_version, in->versions, in->n_versions);
        exit_code = fh_session_write(session, &out);
        fh_buf_close(&out);
    }
    fh_client_message_free(message);
    return exit_code;
}

int fh_schema_preview_show(struct fh_session *session, Freehold__V1__Migration **files,
                           size_t count)
{
    Freehold__V1__PreviewSchemaRequest request = FREEHOLD__V1__PREVIEW_SCHEMA_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    request.migrations = files;
    request.n_migrations = count;
    int exit_code = ask(session, "PreviewSchema", &request.base, &message);
    if (exit_code == FH_EXIT_OK && session->output != FH_OUTPUT_TABLE) {
        exit_code = fh_session_write_json(session, message);
    } else if (exit_code == FH_EXIT_OK) {
        const Freehold__V1__PreviewSchemaResponse *in =
            (const Freehold__V1__PreviewSchemaResponse *)message;
        struct fh_buf out;
        fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
        add_versions(&out, in->from_version, in->to_version, in->versions, in->n_versions);
        for (size_t i = 0; i < in->n_plans; i++) {
            add_plan(&out, in->plans[i]);
        }
        exit_code = fh_session_write(session, &out);
        fh_buf_close(&out);
    }
    fh_client_message_free(message);
    return exit_code;
}
