/* What client.c (the channel and its queue) and call.c (one call) share. Not for users. */
#ifndef FH_CLIENTS_C_INTERNAL_H
#define FH_CLIENTS_C_INTERNAL_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>

#include "base/list.h"
#include "clients/c/client.h"

struct fh_client {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    grpc_slice authorization; /* "Bearer ...", or empty; wiped when gRPC let go of it */
    const struct fh_client_header *headers;
    size_t header_count;
    fh_client_stop_cb *stop_cb;
    void *stop_arg;
    const struct fh_clock *clock;
    int64_t deadline_us;
    uint32_t calls_max;
    uint32_t random;      /* state of the jitter; decides nothing else */
    bool answered;        /* a server spoke to this client at least once */
    struct fh_list sent;  /* with gRPC; each posts exactly one completion */
    struct fh_list held;  /* waiting for their next try */
    struct fh_list ended; /* to be given by fh_client_next() */
    size_t live;          /* on the three lists together */
    struct fh_client_status last;
};

struct fh_client_call {
    struct fh_list link;
    struct fh_client *client;
    const ProtobufCServiceDescriptor *service;
    const ProtobufCMethodDescriptor *method;
    void *arg;
    grpc_slice path;    /* "/freehold.v1.DataService/GetRecord" */
    grpc_slice request; /* packed; every try takes a reference */
    bool repeatable;
    bool cancelled;
    bool unknown; /* a try may have been carried out, and none has been answered since */
    unsigned tries;
    int64_t deadline_at_us;    /* monotonic */
    int64_t retry_at_us;       /* 0: not on `held` */
    ProtobufCMessage *message; /* owned */
    struct fh_client_status status;

    /* One try; empty between tries. */
    grpc_call *call;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_byte_buffer *response;
    grpc_status_code code;
    grpc_slice details;
};

/* Hands the call to gRPC and puts it on `sent`; or ends it with a status of our own. */
void fh_client_call_send(struct fh_client_call *call);
/* The try completed: decides between `ended` and `held`, and puts the call there. */
void fh_client_call_complete(struct fh_client_call *call);
/* Frees what gRPC gave for a try. */
void fh_client_call_clear(struct fh_client_call *call);

#endif
