/* `freehold probe`: the prober at both levels, as one report with one exit code.
 *
 *   the server's prober (ProbeService) -> attacks over RPC (intruder.h) -> metrics -> report
 *
 * SIGTERM and SIGINT are blocked and seen by a descriptor: they end a call under way, and a token
 * command, which is in a process group of its own; a single run then ends by them, as any command.
 * With --every it runs again and again until then. Each run starts with the
 * settings read anew, so that neither a token's end nor a server's restart ends the worker.
 *
 * Failures: a run without a report is said, and counted, and does not end a worker.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clients/cli/commands.h"
#include "clients/cli/intruder.h"
#include "clients/cli/probe_metrics.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"
#include "clients/cli/tier.h"

#define SERVICE (&freehold__v1__probe_service__descriptor)
#define NAME_LEN_MAX 128
#define RUN_US_DEFAULT (300LL * 1000000) /* databases may have to be made */
#define EVERY_S_MAX (7 * 86400)          /* an int in milliseconds */
#define BUSY_MS 500

struct probe {
    struct fh_session *session;
    int64_t every_s;          /* 0: once */
    int signals;              /* readable when it is to end */
    const char *metrics_path; /* NULL: none */
    struct fh_probe_metrics metrics;
    int64_t deadline_at_us; /* of the run */
};

static int64_t now_us(void)
{
    return fh_clock_monotonic_us(fh_clock_system());
}

/* True: a signal to end came within the time. It stays to be seen. */
static bool wait_for_end(const struct probe *probe, int timeout_ms)
{
    struct pollfd ready = {.fd = probe->signals, .events = POLLIN};
    return poll(&ready, 1, timeout_ms) > 0;
}

static bool stop_cb(void *arg)
{
    return wait_for_end(arg, 0);
}

static int fill(const struct probe *probe, char name[NAME_LEN_MAX],
                Freehold__V1__Placement__Tier *tier, Freehold__V1__RunProbeRequest *request)
{
    const char *store = fh_args_value(probe->session->args, "store");
    if (store != NULL) {
        (void)snprintf(name, NAME_LEN_MAX, "%s%.100s",
                       strncmp(store, "stores/", 7) == 0 ? "" : "stores/", store);
        request->store = name;
    }
    const int exit_code = fh_tier_option(probe->session, tier);
    if (*tier != FREEHOLD__V1__PLACEMENT__TIER__TIER_UNSPECIFIED) {
        request->tiers = tier;
        request->n_tiers = 1;
    }
    return exit_code;
}

/* The store level. A worker waits for a run that is under way already. */
static int ask(struct probe *probe, ProtobufCMessage **out)
{
    Freehold__V1__RunProbeRequest request = FREEHOLD__V1__RUN_PROBE_REQUEST__INIT;
    Freehold__V1__Placement__Tier tier = FREEHOLD__V1__PLACEMENT__TIER__TIER_UNSPECIFIED;
    struct fh_client *client = NULL;
    struct fh_client_status status;
    char name[NAME_LEN_MAX] = "";
    int exit_code = fill(probe, name, &tier, &request);
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_operators(probe->session, &client);
    }
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    fh_client_set_stop(client, stop_cb, probe);
    for (;;) {
        const int64_t left_us = probe->deadline_at_us - now_us();
        fh_client_set_deadline_us(client, left_us > 0 ? left_us : 1);
        if (fh_client_invoke(client, SERVICE, "RunProbe", &request.base, out, &status)) {
            return FH_EXIT_OK;
        }
        if (probe->every_s == 0 || status.grpc != FH_GRPC_ABORTED || left_us <= 0 ||
            wait_for_end(probe, BUSY_MS)) {
            return stop_cb(probe) ? FH_EXIT_OK : fh_session_fail_status(probe->session, &status);
        }
    }
}

static void summarize(const struct fh_findings *findings)
{
    struct fh_buf line;
    size_t off = 0;
    const Freehold__V1__ProbeReport *report = &findings->report;
    for (size_t i = 0; i < report->n_results; i++) {
        off += fh_finding_is_off(report->results[i]->verdict);
    }
    fh_buf_init(&line, 256);
    if (report->end_time != NULL) {
        fh_text_add_time(&line, report->end_time->seconds, 0);
    }
    fh_buf_printf(&line, " %s: %zu lines, %zu off\n", report->held ? "held" : "OFF",
                  report->n_results, off);
    (void)fputs(fh_buf_code(&line) == FH_OK ? line.data : "", stdout);
    fh_buf_close(&line);
}

static int write_metrics(const struct probe *probe)
{
    struct fh_error error = FH_ERROR_INIT;
    if (probe->metrics_path == NULL ||
        fh_probe_metrics_write(&probe->metrics, probe->metrics_path, &error) == FH_OK) {
        return FH_EXIT_OK;
    }
    return fh_session_fail_error(probe->session, &error);
}

/* The file first: who reads the report finds it there. */
static int tell(struct probe *probe, struct fh_findings *findings)
{
    const bool worker = probe->every_s > 0;
    fh_findings_end(findings, fh_clock_realtime_us(fh_clock_system()));
    fh_probe_metrics_count(&probe->metrics, &findings->report,
                           fh_clock_realtime_us(fh_clock_system()));
    const int metrics_code = write_metrics(probe);
    if (worker && probe->session->output == FH_OUTPUT_TABLE) {
        summarize(findings);
    }
    const int exit_code = fh_findings_print(findings, probe->session, worker);
    if (exit_code == FH_EXIT_OK && !findings->report.held) {
        return FH_EXIT_REFUSED;
    }
    return exit_code == FH_EXIT_OK ? metrics_code : exit_code;
}

static int run_levels(struct probe *probe, const Freehold__V1__ProbeReport *server)
{
    struct fh_findings findings;
    const struct fh_intruder_options options = {
        .tokens = {.session = probe->session,
                   .command = fh_args_value(probe->session->args, "token-command"),
                   .deadline_at_us = probe->deadline_at_us,
                   .stop_cb = stop_cb,
                   .stop_arg = probe},
        .deadline_at_us = probe->deadline_at_us,
    };
    int exit_code = FH_EXIT_OK;
    fh_findings_init(&findings, server);
    if (fh_intruder_run(&options, server, &findings)) {
        exit_code = tell(probe, &findings);
    }
    fh_findings_close(&findings);
    return exit_code;
}

static int run_once(struct probe *probe)
{
    const char *timeout = fh_args_value(probe->session->args, "timeout");
    ProtobufCMessage *message = NULL;
    probe->deadline_at_us =
        now_us() + (timeout != NULL ? probe->session->deadline_us : RUN_US_DEFAULT);
    int exit_code = ask(probe, &message);
    if (message != NULL) {
        exit_code = run_levels(probe, (const Freehold__V1__ProbeReport *)message);
    } else if (!stop_cb(probe)) {
        fh_probe_metrics_count(&probe->metrics, NULL, 0);
        const int metrics_code = write_metrics(probe);
        exit_code = exit_code == FH_EXIT_OK ? metrics_code : exit_code;
    }
    fh_client_message_free(message);
    return exit_code;
}

static bool block_signals(struct probe *probe, sigset_t *ends)
{
    (void)sigemptyset(ends);
    (void)sigaddset(ends, SIGTERM);
    (void)sigaddset(ends, SIGINT);
    if (sigprocmask(SIG_BLOCK, ends, NULL) != 0) {
        return false;
    }
    probe->signals = signalfd(-1, ends, SFD_CLOEXEC | SFD_NONBLOCK);
    return probe->signals >= 0;
}

/* Ended as asked is 0, whatever the runs found: reports and metrics say that. */
static int watch(struct probe *probe)
{
    const struct fh_args *args = probe->session->args;
    do {
        fh_session_close(probe->session);
        if (fh_session_open(probe->session, args) == FH_EXIT_OK) {
            (void)run_once(probe);
        } else {
            fh_probe_metrics_count(&probe->metrics, NULL, 0);
            (void)write_metrics(probe);
        }
    } while (!wait_for_end(probe, (int)(probe->every_s * 1000)));
    return FH_EXIT_OK;
}

static int probe_run(struct fh_session *session)
{
    const char *every = fh_args_value(session->args, "every");
    struct probe probe = {.session = session,
                          .metrics_path = fh_args_value(session->args, "metrics")};
    sigset_t ends;
    if (every != NULL && (!fh_text_to_duration_s(every, &probe.every_s) || probe.every_s < 1 ||
                          probe.every_s > EVERY_S_MAX)) {
        return fh_session_fail(session, FH_EXIT_USAGE, "--every is like 60s, 5m or 1h, up to 7d");
    }
    if (!block_signals(&probe, &ends)) {
        return fh_session_fail(session, FH_EXIT_LOCAL, "cannot wait for signals");
    }
    const int exit_code = every != NULL ? watch(&probe) : run_once(&probe);
    (void)close(probe.signals);
    if (every == NULL) { /* what came meanwhile ends us now */
        (void)sigprocmask(SIG_UNBLOCK, &ends, NULL);
    }
    return exit_code;
}

static const struct fh_option probe_options[] = {
    {"store", 0, "NAME", "probe this store only"},
    {"tier", 0, "TIER", "probe this tier only: shared, schema or database"},
    {"token-command", 0, "CMD", "prints a canary's token; without it, development keys make one"},
    {"every", 0, "TIME", "go on until ended (SIGTERM), with this between two runs"},
    {"metrics", 0, "FILE", "write the outcome for Prometheus, after each run"},
    {0},
};

const struct fh_command fh_probe_commands[] = {
    {"probe", NULL, "", "Try to break the isolation between two canary tenants",
     "Makes the canaries where there are none, in every store and tier. The server then reads\n"
     "across with layers taken away, and this command calls both listeners as the wrong tenant:\n"
     "names, keys, page tokens, request ids, metadata and forged tokens, with every method.\n\n"
     "That needs a token of each canary. --token-command CMD runs under sh with\n"
     "FREEHOLD_TENANT_UID and FREEHOLD_ROLES set and prints one. Without tokens those lines say\n"
     "skipped. --timeout bounds a run (300s). Exit code 1 when anything is off.",
     probe_options, 0, 0, probe_run},
    {0},
};
