/* Happy path: one question after another, until the answer is that it is over. It asks instead of
 * listening: the C client has no streams yet, and asking survives a server that is restarted
 * meanwhile. Failures of passing kinds are waited out, up to FAILURES_MAX in a row. */
#include "clients/cli/watch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/json.h"

#define ASK_MS_MIN 10 /* a small tenant has moved before a person looks */
#define ASK_MS_MAX 200
#define FAILURES_MAX 50
#define LINE_BYTES_MAX 1024

struct teller {
    struct fh_session *session;
    const struct fh_watch *watch;
    bool terminal;
    bool shown;
    const char *phase;
};

static void tell(struct teller *teller, const ProtobufCMessage *state)
{
    struct fh_buf line;
    const bool lines = teller->session->output == FH_OUTPUT_NDJSON;
    const char *phase = teller->watch->phase(state);
    if (teller->session->output == FH_OUTPUT_JSON ||
        (!lines && !teller->terminal && strcmp(teller->phase, phase) == 0)) {
        return;
    }
    teller->phase = phase;
    fh_buf_init(&line, lines ? FH_OUTPUT_BYTES_MAX : LINE_BYTES_MAX);
    if (lines) {
        fh_json_add_message(&line, state, -1);
        fh_buf_add_char(&line, '\n');
        (void)fh_session_write(teller->session, &line);
    } else {
        teller->watch->add_line(&line, state);
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

static int end(const struct teller *teller, const ProtobufCMessage *state)
{
    wipe(teller);
    const int exit_code = teller->session->output == FH_OUTPUT_NDJSON
                              ? FH_EXIT_OK
                              : teller->watch->show(teller->session, state);
    return exit_code == FH_EXIT_OK && !teller->watch->is_done(state) ? FH_EXIT_REFUSED : exit_code;
}

int fh_watch_run(struct fh_session *session, const struct fh_watch *watch)
{
    struct teller teller = {
        .session = session, .watch = watch, .terminal = isatty(STDERR_FILENO) == 1, .phase = ""};
    struct fh_client *client = NULL;
    unsigned failures = 0;
    long rest_ms = ASK_MS_MIN;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    for (;;) {
        struct fh_client_status status;
        ProtobufCMessage *state = NULL;
        if (fh_client_invoke(client, watch->service, watch->method, watch->request, &state,
                             &status)) {
            failures = 0;
            tell(&teller, state);
            if (watch->is_over(state)) {
                exit_code = end(&teller, state);
                fh_client_message_free(state);
                return exit_code;
            }
            fh_client_message_free(state);
        } else if (!fh_client_status_is_passing(&status) || ++failures == FAILURES_MAX) {
            wipe(&teller);
            return fh_session_fail_status(session, &status);
        }
        rest(&rest_ms);
    }
}
