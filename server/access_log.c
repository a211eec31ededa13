#include "server/access_log.h"

#include "server/auth/authenticate.h"
#include "server/rpc/call.h"

#define FULL_LINE 1000 /* thousandths */

static bool is_sampled(struct fh_access_log *access_log, enum fh_code code)
{
    if (code != FH_OK) {
        return true;
    }
    access_log->owed += access_log->per_mille;
    if (access_log->owed < FULL_LINE) {
        return false;
    }
    access_log->owed -= FULL_LINE;
    return true;
}

void fh_access_log_observe(const struct fh_rpc_observation *observation, void *arg)
{
    struct fh_access_log *access_log = arg;
    fh_metrics_call(access_log->metrics, observation->method, observation->code,
                    observation->duration_us, observation->request_bytes,
                    observation->response_bytes);
    if (!is_sampled(access_log, observation->code)) {
        return;
    }
    const struct fh_principal *principal = fh_call_principal(observation->call);
    struct fh_uuid tenant = {{0}};
    struct fh_str user = FH_STR("");
    if (principal != NULL) {
        tenant = principal->tenant;
        user = principal->subject;
    }
    FH_LOG(access_log->log, INFO, "access",
           FH_KV_UUID("request_id", *fh_call_id(observation->call)),
           FH_KV_UUID("tenant_id", tenant), FH_KV_STR("user_id", user),
           FH_KV_TEXT("method", observation->method),
           FH_KV_TEXT("code", fh_code_reason(observation->code)),
           FH_KV_INT("duration_us", observation->duration_us),
           FH_KV_STR("peer", fh_call_peer(observation->call)));
}
