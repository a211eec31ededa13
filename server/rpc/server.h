/* gRPC on libuv: listeners, their services, and the life of the queue.
 *
 * One fh_rpc_server owns the process's completion queue and nests gRPC's poller in the loop (or,
 * where the start-up self-check finds that it cannot, falls back to a pump thread: slower, never
 * wrong). It serves one or more listeners; each has its own services and its own authenticator, so
 * a method that is not registered on a listener answers UNIMPLEMENTED there, whoever asks.
 *
 * Thread: everything here and in call.h is for the loop thread only; callbacks run on it.
 * Limits: see fh_rpc_options; every one has a default and refuses with RESOURCE_EXHAUSTED when
 * reached.
 */
#ifndef FH_SERVER_RPC_SERVER_H
#define FH_SERVER_RPC_SERVER_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/code.h"
#include "base/env.h"
#include "base/error.h"

struct fh_call;
struct fh_rpc_server;

enum fh_rpc_kind {
    FH_RPC_UNARY,
    FH_RPC_SERVER_STREAM,
    FH_RPC_CLIENT_STREAM, /* designed for; registering one is refused today (FH_UNIMPLEMENTED) */
};

/* What health and reflection need, where they need a token at all: every bit, so any role will do.
 */
#define FH_RPC_ACCESS_ANY UINT32_MAX

/* Called with the request unpacked and the caller authenticated. It must lead to exactly one of
 * fh_call_reply / fh_call_finish / fh_call_fail, now or later. */
typedef void fh_rpc_handler_cb(struct fh_call *call, void *service_arg);

/* One row of a service's side table; protobuf-c descriptors know neither of these. */
struct fh_rpc_method {
    const char *name; /* as in the .proto; looked up in the descriptor when registered */
    enum fh_rpc_kind kind;
    uint32_t access; /* opaque to rpc: handed to the authenticator (roles this method needs) */
    fh_rpc_handler_cb *handler;
};

struct fh_rpc_service {
    const ProtobufCServiceDescriptor *descriptor;
    const struct fh_rpc_method *methods; /* every method of the descriptor, any order */
    size_t method_count;
    void *arg; /* given to the handlers; borrowed */
};

/* Decides, before the request is unpacked, whether this caller may call a method with `access`.
 * FH_OK: the call goes on, and may carry a context set with fh_call_set_context(). Anything else
 * ends the call with `error`. */
typedef enum fh_code fh_rpc_authenticate_cb(struct fh_call *call, uint32_t access, void *arg,
                                            struct fh_error *error);

/* Told once per call, after its status went out: for access log and metrics. */
struct fh_rpc_observation {
    const struct fh_call *call; /* valid during the callback */
    const char *method;         /* "/freehold.v1.DataService/GetRecord", or "unknown" */
    enum fh_code code;
    int64_t duration_us;
    size_t request_bytes;
    size_t response_bytes;
};
typedef void fh_rpc_observe_cb(const struct fh_rpc_observation *observation, void *arg);

struct fh_rpc_listener {
    const char *name;                /* "tenant" or "operator": for logs and metrics */
    const char *address;             /* "127.0.0.1:0" picks a free port */
    const char *tls_certificate_pem; /* paths, both or neither */
    const char *tls_key_pem;
    bool insecure;                         /* permit plaintext beyond loopback */
    const struct fh_rpc_service *services; /* copied tables, borrowed handlers */
    size_t service_count;
    fh_rpc_authenticate_cb *authenticate; /* NULL: open to all (tests) */
    void *authenticate_arg;
    /* Health and reflection without a token: on loopback always; elsewhere only if set. */
    bool open_introspection;
};

struct fh_rpc_options {
    uint32_t slots_per_method;   /* request slots at most; fewer until needed; default 32 */
    uint32_t calls_max;          /* live calls per process; default 4096 */
    uint32_t request_bytes_max;  /* default 4 MiB */
    uint32_t response_bytes_max; /* default 16 MiB */
    uint32_t metadata_bytes_max; /* default 16 KiB */
    uint32_t arena_bytes_max;    /* memory of one call; default 64 MiB */
    int64_t deadline_us_default; /* for callers that set none; default 30 s */
    int64_t deadline_us_max;     /* unary calls; default 10 min */
    int64_t drain_us;            /* graceful shutdown; default 10 s */
    bool force_pump;             /* tests: use the fallback poller */
    bool no_coalesce;            /* tests and bench: one sendmsg a reply */
    fh_rpc_observe_cb *observe;
    void *observe_arg;
};

/* Fills in every default. */
void fh_rpc_options_init(struct fh_rpc_options *options);

/* One per process at a time (gRPC's poller is process-wide); a second create is refused. */
FH_MUST_CHECK enum fh_code fh_rpc_server_create(const struct fh_env *env,
                                                const struct fh_rpc_options *options,
                                                struct fh_rpc_server **out, struct fh_error *error);
/* Before start. Refuses plaintext on an address beyond loopback unless `insecure`. */
FH_MUST_CHECK enum fh_code fh_rpc_server_listen(struct fh_rpc_server *server,
                                                const struct fh_rpc_listener *listener,
                                                struct fh_error *error);
FH_MUST_CHECK enum fh_code fh_rpc_server_start(struct fh_rpc_server *server,
                                               struct fh_error *error);
/* The bound port of a listener (by name), 0 when unknown. After start. */
int fh_rpc_server_port(const struct fh_rpc_server *server, const char *listener);
/* "nested" or "pump". */
const char *fh_rpc_server_poller(const struct fh_rpc_server *server);
/* Sets what grpc.health.v1 says for a service ("" is the whole server); watchers are told. Starts
 * as NOT_SERVING. */
void fh_rpc_server_set_serving(struct fh_rpc_server *server, const char *service, bool serving);
size_t fh_rpc_server_live_calls(const struct fh_rpc_server *server);

typedef void fh_rpc_stopped_cb(void *arg);
/* Graceful: refuses new calls, lets live ones end within drain_us, then cancels the rest;
 * `stopped_cb` on the loop when everything is closed and freed. A second call cancels at once. */
void fh_rpc_server_stop(struct fh_rpc_server *server, fh_rpc_stopped_cb *stopped_cb, void *arg);

#endif
