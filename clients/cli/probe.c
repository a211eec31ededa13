/* `freehold probe`: the server's prober (ProbeService). One table, one exit code. */
#include "freehold/v1/probe.pb-c.h"

#include <stdio.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/grid.h"
#include "clients/cli/session.h"
#include "clients/cli/tier.h"

#define SERVICE (&freehold__v1__probe_service__descriptor)
#define NAME_LEN_MAX 128
#define DEADLINE_US (300LL * 1000000) /* databases may have to be made */

static const char *verdict_text(Freehold__V1__ProbeResult__Verdict verdict)
{
    switch (verdict) {
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_HELD:
        return "held";
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_SKIPPED:
        return "skipped";
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_UNKNOWN:
        return "UNKNOWN";
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_BROKEN:
        return "BROKEN";
    case FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_LEAKED:
        return "LEAKED";
    default:
        return "?";
    }
}

static void add_rows(struct fh_grid *grid, Freehold__V1__ProbeResult *const *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Freehold__V1__ProbeResult *result = results[i];
        fh_grid_text(grid, verdict_text(result->verdict));
        fh_grid_text(grid, strncmp(result->store, "stores/", 7) == 0 ? result->store + 7
                           : result->store[0] != '\0'                ? result->store
                                                                     : "-");
        fh_grid_text(grid, fh_tier_text(result->tier));
        fh_grid_text(grid, result->probe);
        fh_grid_text(grid, result->expected);
        fh_grid_text(grid, result->seen);
        fh_grid_text(grid, result->text);
    }
}

static int print_report(struct fh_session *session, const Freehold__V1__ProbeReport *report)
{
    struct fh_grid grid;
    struct fh_buf out;
    fh_grid_init(&grid, 0);
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    fh_grid_column(&grid, "RESULT", false);
    fh_grid_column(&grid, "STORE", false);
    fh_grid_column(&grid, "TIER", false);
    fh_grid_column(&grid, "PROBE", false);
    fh_grid_column(&grid, "EXPECTED", false);
    fh_grid_column(&grid, "SEEN", false);
    fh_grid_column(&grid, "FINDING", false);
    add_rows(&grid, report->results, report->n_results);
    const enum fh_code code = fh_grid_flush(&grid, &out);
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    fh_grid_close(&grid);
    return exit_code;
}

static int ask(struct fh_session *session, ProtobufCMessage **out)
{
    Freehold__V1__RunProbeRequest request = FREEHOLD__V1__RUN_PROBE_REQUEST__INIT;
    Freehold__V1__Placement__Tier tier = FREEHOLD__V1__PLACEMENT__TIER__TIER_UNSPECIFIED;
    struct fh_client *client = NULL;
    char name[NAME_LEN_MAX] = "";
    const char *store = fh_args_value(session->args, "store");
    if (store != NULL) {
        (void)snprintf(name, sizeof(name), "%s%.100s",
                       strncmp(store, "stores/", 7) == 0 ? "" : "stores/", store);
    }
    int exit_code = fh_tier_option(session, &tier);
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_operators(session, &client);
    }
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    request.store = name;
    if (tier != FREEHOLD__V1__PLACEMENT__TIER__TIER_UNSPECIFIED) {
        request.tiers = &tier;
        request.n_tiers = 1;
    }
    if (fh_args_value(session->args, "timeout") == NULL) {
        fh_client_set_deadline_us(client, DEADLINE_US);
    }
    exit_code = fh_session_invoke(session, client, SERVICE, "RunProbe", &request.base, out);
    fh_client_set_deadline_us(client, session->deadline_us);
    return exit_code;
}

static int probe_run(struct fh_session *session)
{
    ProtobufCMessage *message = NULL;
    int exit_code = ask(session, &message);
    if (exit_code == FH_EXIT_OK) {
        const Freehold__V1__ProbeReport *report = (const Freehold__V1__ProbeReport *)message;
        exit_code = session->output == FH_OUTPUT_TABLE ? print_report(session, report)
                                                       : fh_session_write_json(session, message);
        if (exit_code == FH_EXIT_OK && !report->held) {
            exit_code = FH_EXIT_REFUSED;
        }
    }
    fh_client_message_free(message);
    return exit_code;
}

static const struct fh_option probe_options[] = {
    {"store", 0, "NAME", "probe this store only"},
    {"tier", 0, "TIER", "probe this tier only: shared, schema or database"},
    {0},
};

const struct fh_command fh_probe_commands[] = {
    {"probe", NULL, "", "Try to break the isolation between two canary tenants",
     "Makes the canaries where there are none. Exit code 1 when anything is off.", probe_options, 0,
     0, probe_run},
    {0},
};
