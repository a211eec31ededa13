/* Calls to both listeners, each with a token and metadata of its own: the prober's hand.
 *
 * Blocking; one thread. Bounds: each call ends by its deadline and by the run's; a
 * passing failure is tried again CALLER_TRIES times.
 */
#ifndef FH_CLIENTS_ATTACK_CALLER_H
#define FH_CLIENTS_ATTACK_CALLER_H

#include "clients/attack/attacks.h"
#include "clients/c/client.h"

struct fh_caller {
    struct fh_client *clients[2]; /* FH_SIDE_TENANT, FH_SIDE_OPERATOR; borrowed */
    int64_t call_us;
    int64_t deadline_at_us; /* monotonic */
    fh_client_stop_cb *stop_cb;
    void *stop_arg;
};

/* Who calls. */
struct fh_caller_as {
    enum fh_attack_side listener;
    const char *token; /* NULL: none */
    const struct fh_client_header *headers;
    size_t header_count;
};

bool fh_caller_is_stopped(const struct fh_caller *caller);
/* The answer (fh_client_message_free()), or NULL; `status` says how it went either way. */
ProtobufCMessage *fh_caller_call(struct fh_caller *caller, const struct fh_caller_as *as,
                                 const ProtobufCServiceDescriptor *service, const char *method,
                                 const ProtobufCMessage *request, struct fh_client_status *status);
/* Did somebody decide? False: the server was away, busy or too slow, or we were stopped. */
bool fh_caller_was_answered(const struct fh_client_status *status);

#endif
