/* Happy path: one GetMove after another, a line rewritten on a terminal, else a line for each
 * phase, until the end. It asks instead of listening: the C client has no streams yet, and asking
 * survives a server that is restarted meanwhile. Failures of passing kinds are waited out, up to
 * FAILURES_MAX in a row. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/json.h"
#include "clients/cli/move.h"

#define ASK_MS_MIN 10 /* a small tenant has moved before a person looks */
#define ASK_MS_MAX 200
#define FAILURES_MAX 50
#define LINE_BYTES_MAX 1024

struct teller {
    struct fh_session *session;
    bool terminal;
    bool shown;
    Freehold__V1__MovePhase phase;
};

static void tell(struct teller *teller, const Freehold__V1__Move *move)
{
    struct fh_buf line;
    bool lines = teller->session->output == FH_OUTPUT_NDJSON;
    if (teller->session->output == FH_OUTPUT_JSON ||
        (!lines && !teller->terminal && teller->phase == move->phase)) {
        return;
    }
    teller->phase = move->phase;
    fh_buf_init(&line, lines ? FH_OUTPUT_BYTES_MAX : LINE_BYTES_MAX);
    if (lines) {
        fh_json_add_message(&line, &move->base, -1);
        fh_buf_add_char(&line, '\n');
        (void)fh_session_write(teller->session, &line);
    } else {
        fh_move_add_line(&line, move);
        if (fh_buf_code(&line) == FH_OK) {
            (void)fprintf(stderr, teller->terminal ? "\r\033[K%s" : "%s\n", line.data);
            (void)fflush(stderr);
            teller->shown = teller->terminal;
        }
    }
    fh_buf_close(&line);
}

static void wipe(const struct teller *teller)
{
    if (teller->shown) {
        (void)fputs("\r\033[K", stderr);
    }
}

/* A little longer each time. */
static void rest(long *ms)
{
    const struct timespec span = {.tv_nsec = *ms * 1000000L};
    (void)nanosleep(&span, NULL); /* cut short by a signal: asks a little early */
    *ms = *ms * 3 / 2 < ASK_MS_MAX ? *ms * 3 / 2 : ASK_MS_MAX;
}

static int end(struct fh_session *session, const Freehold__V1__Move *move)
{
    int exit_code = session->output == FH_OUTPUT_NDJSON ? FH_EXIT_OK : fh_move_show(session, move);
    if (exit_code == FH_EXIT_OK && move->phase != FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_DONE) {
        exit_code = FH_EXIT_REFUSED;
    }
    return exit_code;
}

int fh_move_watch(struct fh_session *session, const char *name)
{
    Freehold__V1__GetMoveRequest request = FREEHOLD__V1__GET_MOVE_REQUEST__INIT;
    struct teller teller = {.session = session, .terminal = isatty(STDERR_FILENO) == 1};
    struct fh_client *client = NULL;
    unsigned failures = 0;
    long rest_ms = ASK_MS_MIN;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    request.name =
        (char *)(uintptr_t)name; /* protobuf-c has no const strings; it only reads them */
    for (;;) {
        struct fh_client_status status;
        ProtobufCMessage *response = NULL;
        if (fh_client_invoke(client, &freehold__v1__move_admin_service__descriptor, "GetMove",
                             &request.base, &response, &status)) {
            const Freehold__V1__Move *move = (const Freehold__V1__Move *)response;
            failures = 0;
            tell(&teller, move);
            if (fh_move_has_ended(move->phase)) {
                wipe(&teller);
                exit_code = end(session, move);
                fh_client_message_free(response);
                return exit_code;
            }
            fh_client_message_free(response);
        } else if (!fh_client_status_is_passing(&status) || ++failures == FAILURES_MAX) {
            wipe(&teller);
            return fh_session_fail_status(session, &status);
        }
        rest(&rest_ms);
    }
}
