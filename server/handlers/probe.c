/* ProbeService: starts a run of the prober and answers what it found. Refused while one is under
 * way; a caller that went away meanwhile costs nothing but its answer. */
#include "freehold/v1/probe.pb-c.h"

#include "server/auth/principal.h"
#include "server/handlers/admin.h"
#include "server/handlers/refusal.h"
#include "server/handlers/services.h"
#include "server/handlers/values.h"

static enum fh_code gone_to_proto(uint32_t gone, struct fh_arena *arena,
                                  Freehold__V1__ProbeResult *out)
{
    out->gone = FH_ARENA_ARRAY(arena, char *, FH_PROBE_LAYERS);
    if (out->gone == NULL) {
        return FH_NOMEM;
    }
    for (unsigned layer = 1; layer < FH_PROBE_LAYERS; layer++) {
        if ((gone >> layer & 1) == 0) {
            continue;
        }
        char *name = fh_arena_printf(arena, "%s", fh_probe_layer_name((enum fh_probe_layer)layer));
        if (name == NULL) {
            return FH_NOMEM;
        }
        out->gone[out->n_gone++] = name;
    }
    return FH_OK;
}

static enum fh_code canaries_to_proto(const struct fh_probe_result *in, struct fh_arena *arena,
                                      Freehold__V1__ProbeResult *out)
{
    if (fh_uuid_is_nil(&in->canaries[0]) || fh_uuid_is_nil(&in->canaries[1])) {
        return FH_OK;
    }
    out->canaries = FH_ARENA_ARRAY(arena, char *, 2);
    for (size_t i = 0; i < 2 && out->canaries != NULL; i++) {
        char uuid[FH_UUID_TEXT_LEN + 1];
        fh_uuid_format(&in->canaries[i], uuid);
        out->canaries[i] = fh_arena_printf(arena, "tenants/%s", uuid);
        if (out->canaries[i] == NULL) {
            return FH_NOMEM;
        }
        out->n_canaries++;
    }
    return out->canaries != NULL ? FH_OK : FH_NOMEM;
}

static enum fh_code result_to_proto(const struct fh_probe_result *in, struct fh_arena *arena,
                                    Freehold__V1__ProbeResult **out)
{
    Freehold__V1__ProbeResult *result = FH_ARENA_NEW(arena, Freehold__V1__ProbeResult);
    if (result == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__probe_result__init(result);
    result->store = fh_arena_printf(arena, "stores/%s", in->store);
    result->tier = (Freehold__V1__Placement__Tier)in->tier;
    result->probe = fh_arena_printf(arena, "%s", in->probe);
    result->expected = fh_arena_printf(arena, "%s", in->expected);
    result->seen = fh_arena_printf(arena, "%s", in->seen);
    result->verdict = (Freehold__V1__ProbeResult__Verdict)(in->verdict + 1);
    result->text = fh_arena_printf(arena, "%s", in->text);
    *out = result;
    if (result->store == NULL || result->probe == NULL || result->expected == NULL ||
        result->seen == NULL || result->text == NULL) {
        return FH_NOMEM;
    }
    const enum fh_code code = gone_to_proto(in->gone, arena, result);
    return code == FH_OK ? canaries_to_proto(in, arena, result) : code;
}

static enum fh_code report_to_proto(const struct fh_probe_report *in, struct fh_arena *arena,
                                    Freehold__V1__ProbeReport *out)
{
    enum fh_code code = FH_OK;
    out->start_time = fh_timestamp_to_proto(in->started_at_us, arena);
    out->end_time = fh_timestamp_to_proto(in->ended_at_us, arena);
    out->held = in->held;
    out->truncated = in->truncated;
    out->results = FH_ARENA_ARRAY(arena, Freehold__V1__ProbeResult *, in->count);
    if (out->start_time == NULL || out->end_time == NULL || out->results == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < in->count && code == FH_OK; i++) {
        code = result_to_proto(&in->results[i], arena, &out->results[i]);
        out->n_results += code == FH_OK;
    }
    return code;
}

static void reply(struct fh_call *call, const struct fh_probe_report *report)
{
    Freehold__V1__ProbeReport out = FREEHOLD__V1__PROBE_REPORT__INIT;
    enum fh_code code = report_to_proto(report, fh_call_arena(call), &out);
    if (code != FH_OK) {
        fh_call_fail_code(call, code);
        return;
    }
    fh_call_reply(call, &out.base);
}

static void ran_cb(enum fh_code code, const struct fh_error *error,
                   const struct fh_probe_report *report, void *arg)
{
    struct fh_call *call = arg;
    if (code != FH_OK) {
        struct fh_error own = *error;
        fh_call_fail_as(call, code, &own);
        return;
    }
    reply(call, report);
}

static void run_probe(struct fh_call *call, void *arg)
{
    struct fh_services *services = arg;
    const Freehold__V1__RunProbeRequest *in =
        (const Freehold__V1__RunProbeRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_str store = FH_STR("");
    uint32_t tiers = 0;
    enum fh_code code = FH_OK;
    if (services->prober == NULL) {
        fh_call_fail_code(call, FH_SHUTTING_DOWN);
        return;
    }
    if (in->store[0] != '\0') {
        code = fh_store_name_parse(in->store, "store", &store, &error);
    }
    for (size_t i = 0; i < in->n_tiers && code == FH_OK; i++) {
        enum fh_tier tier = FH_TIER_SHARED;
        code = fh_tier_from_proto((int)in->tiers[i], "tiers", &tier, &error);
        tiers |= code == FH_OK ? 1u << tier : 0;
    }
    if (code == FH_OK) {
        code = fh_prober_run(services->prober, store, tiers, fh_call_deadline_us(call), ran_cb,
                             call, &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
    }
}

static void get_probe(struct fh_call *call, void *arg)
{
    struct fh_services *services = arg;
    const struct fh_probe_report *report =
        services->prober != NULL ? fh_prober_last(services->prober) : NULL;
    struct fh_error error = FH_ERROR_INIT;
    if (report == NULL) {
        (void)fh_error_set(&error, FH_NOT_FOUND, "this server's prober has not run yet");
        fh_call_fail(call, &error);
        return;
    }
    reply(call, report);
}

static const struct fh_rpc_method methods[] = {
    {"RunProbe", FH_RPC_UNARY, FH_ACCESS_OPERATOR, run_probe},
    {"GetProbe", FH_RPC_UNARY, FH_ACCESS_OPERATOR, get_probe},
};

struct fh_rpc_service fh_probe_service(struct fh_services *services)
{
    return (struct fh_rpc_service){
        .descriptor = &freehold__v1__probe_service__descriptor,
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(methods[0]),
        .arg = services,
    };
}
