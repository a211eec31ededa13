/* What the files of server/rpc share and nobody else sees.
 *
 * A listener owns a grpc_server and its methods; a method owns its slots; a slot waits for one
 * request and is re-armed as soon as the request moved into a call; a call lives from there until
 * its handler ended it, its status went out and no batch of it is in flight. Calls come from the
 * server's slab.
 */
#ifndef FH_SERVER_RPC_INTERNAL_H
#define FH_SERVER_RPC_INTERNAL_H

#include <grpc/grpc.h>
#include <grpc/slice.h>

#include "base/list.h"
#include "base/slab.h"
#include "server/rpc/call.h"
#include "server/rpc/health.h"
#include "server/rpc/poller.h"
#include "server/rpc/server.h"

#define FH_RPC_LISTENERS_MAX 4
#define FH_RPC_TRAILERS_MAX 8
#define FH_RPC_QUEUE_MAX 16
/* A stream's queue is full at this many bytes as well, so that 16 large messages do not add up. */
#define FH_RPC_QUEUE_BYTES_MAX (4U << 20)
/* Calls beyond calls_max that exist only to be told so. */
#define FH_RPC_REFUSALS_MAX 64
#define FH_RPC_BUILTIN_SLOTS 4
#define FH_RPC_UNKNOWN_SLOTS 16

/* Streaming both ways exists only inside rpc (reflection needs it): one read, one answer. */
#define FH_RPC_BIDI ((enum fh_rpc_kind)100)

struct rpc_listener;

struct rpc_slot {
    struct fh_rpc_tag tag;
    struct rpc_method *method;
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    grpc_call_details details; /* only the catch-all's */
};

struct rpc_method {
    struct rpc_listener *listener;
    void *registered; /* NULL: the catch-all for unknown methods */
    char *path;       /* "/package.Service/Method"; owned */
    const ProtobufCMessageDescriptor *input;
    enum fh_rpc_kind kind;
    bool builtin; /* health, reflection */
    uint32_t access;
    fh_rpc_handler_cb *handler;
    void *arg;
    struct rpc_slot *slots;
    uint32_t slot_count; /* bound of `armed` */
    uint32_t armed;      /* the first ones; the others wait until they are needed */
    uint64_t turn;       /* the server's, that `arrived` counts requests of */
    uint32_t arrived;
};

struct rpc_listener {
    struct fh_rpc_server *server;
    uint32_t index;
    char *name;
    char *address;
    int port;
    bool open_introspection;
    fh_rpc_authenticate_cb *authenticate;
    void *authenticate_arg;
    grpc_server *grpc;
    struct rpc_method *methods; /* the last one is the catch-all */
    size_t method_count;
    const char **services; /* names for reflection; borrowed from descriptors */
    size_t service_count;
    struct fh_rpc_tag shutdown_tag;
    bool shut;
    bool refused; /* listen() failed half-way; never started */
};

enum rpc_phase { RPC_IDLE, RPC_SERVING, RPC_DRAINING, RPC_CANCELLING, RPC_CLOSING };

struct fh_rpc_server {
    struct fh_env env;
    struct fh_rpc_options options;
    struct fh_rpc_poller *poller;
    struct rpc_listener listeners[FH_RPC_LISTENERS_MAX];
    uint32_t listener_count;
    struct fh_slab calls;
    struct fh_list live;     /* every call, oldest first */
    struct fh_list deferred; /* calls with callbacks due on the next turn */
    size_t live_count;
    int64_t deadlines_looked_us;
    uint64_t turn; /* of the poller; counts */
    struct rpc_health health;
    enum rpc_phase phase;
    uv_timer_t drain_timer;
    fh_rpc_stopped_cb *stopped_cb;
    void *stopped_arg;
};

struct rpc_queued {
    grpc_byte_buffer *buffer;
    size_t bytes;
};

struct fh_call {
    /* Kept from user to user. */
    void *slab_link; /* the slab's while the call is free */
    struct fh_arena arena;
    bool arena_ready;
    /* From here on zero at arrival. */
    struct fh_rpc_server *server;
    const struct rpc_method *method;
    grpc_call *grpc;
    grpc_metadata_array metadata;
    struct fh_list live_node;
    struct fh_list deferred_node;
    ProtobufCMessage *request;
    int64_t arrived_us;
    int64_t deadline_us;
    struct fh_uuid id;
    char id_text[FH_UUID_TEXT_LEN + 1];
    const void *context;
    struct fh_str peer;
    size_t request_bytes;
    size_t response_bytes;
    enum fh_code code;

    unsigned holds;   /* batches in flight, and callbacks of ours further up the stack */
    bool ended;       /* the handler spoke its last word */
    bool status_done; /* the status is on its way, or cannot be sent any more */
    bool initial_sent;
    bool close_asked; /* RECV_CLOSE is in a batch */
    bool cancelled;
    bool cut; /* past its deadline, and the peer does not take what was sent */
    bool observed;
    bool sending;       /* a stream's message batch is in flight */
    bool reading;       /* bidi: a RECV_MESSAGE is in flight */
    bool read_closed;   /* bidi: the client will send no more */
    bool want_writable; /* FH_FULL was answered */
    bool tell_cancelled;
    int close_cancelled; /* gRPC writes it */
    struct fh_rpc_tag close_tag;
    struct fh_rpc_tag send_tag;   /* the batch with the status */
    struct fh_rpc_tag stream_tag; /* a message of a stream, or the initial metadata alone */
    struct fh_rpc_tag read_tag;
    grpc_byte_buffer *sent;     /* of the batch in flight */
    grpc_byte_buffer *received; /* bidi: gRPC writes it */

    fh_call_cancelled_cb *cancelled_cb;
    void *cancelled_arg;
    fh_call_writable_cb *writable_cb;
    void *writable_arg;

    struct fh_str trailer_keys[FH_RPC_TRAILERS_MAX];
    struct fh_str trailer_values[FH_RPC_TRAILERS_MAX];
    size_t trailer_count;

    /* A stream's final status, while messages are still queued before it. */
    struct fh_str final_message;
    struct fh_str final_details;

    size_t queue_first;
    size_t queue_count;
    size_t queue_bytes;
    struct rpc_queued queue[FH_RPC_QUEUE_MAX];
};

/* listener.c */
void fh_rpc_listener_close(struct rpc_listener *listener); /* after its grpc_server is gone */

/* slot.c */
FH_MUST_CHECK enum fh_code fh_rpc_slots_arm(struct rpc_method *method);

/* call.c */
void fh_rpc_call_arrived(struct rpc_slot *slot);
void fh_rpc_call_hold(struct fh_call *call);
void fh_rpc_call_release(struct fh_call *call); /* may free the call */
void fh_rpc_call_cancel(struct fh_call *call, enum fh_code code);
/* Callbacks that were put off to this turn. */
void fh_rpc_call_run_deferred(struct fh_rpc_server *server);
void fh_rpc_call_check_deadlines(struct fh_rpc_server *server, int64_t now_us);
/* Unpacks into call->request; ends the call and answers false when it cannot. */
FH_MUST_CHECK bool fh_rpc_call_unpack(struct fh_call *call, grpc_byte_buffer *payload);
void fh_rpc_call_handle(struct fh_call *call);

/* send.c */
/* Starts the batch that ends the call; takes `message` (may be NULL). */
void fh_rpc_send_status(struct fh_call *call, grpc_byte_buffer *message);
/* FH_TOO_LARGE, FH_NOMEM, or a new buffer. */
FH_MUST_CHECK enum fh_code fh_rpc_send_pack(struct fh_call *call, const ProtobufCMessage *message,
                                            grpc_byte_buffer **out, size_t *bytes);
size_t fh_rpc_send_initial_op(struct fh_call *call, grpc_op *op, grpc_metadata *metadata);

/* stream.c */
void fh_rpc_stream_open(struct fh_call *call); /* the handler returned: lets initial metadata out */
void fh_rpc_stream_pump(struct fh_call *call); /* sends what is due */
void fh_rpc_stream_drop(struct fh_call *call); /* forgets what is queued */
void fh_rpc_stream_read(struct fh_call *call); /* bidi: asks for the next message */
extern fh_rpc_tag_cb fh_rpc_stream_sent_cb;
extern fh_rpc_tag_cb fh_rpc_stream_read_cb;

/* server.c */
void fh_rpc_server_call_gone(struct fh_rpc_server *server);

#endif
