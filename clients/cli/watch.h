/* Watching what goes on at the server, a move or a rollout, until it is over: on a terminal a line
 * that is rewritten, else a line for each phase; as NDJSON every state, as JSON the last. One
 * thread. */
#ifndef FH_CLIENTS_CLI_WATCH_H
#define FH_CLIENTS_CLI_WATCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "clients/cli/session.h"

struct fh_watch {
    const ProtobufCServiceDescriptor *service;
    const char *method; /* answers the state: "GetMove" */
    const ProtobufCMessage *request;
    const char *(*phase)(const ProtobufCMessage *state); /* a text that stays */
    void (*add_line)(struct fh_buf *out, const ProtobufCMessage *state);
    bool (*is_over)(const ProtobufCMessage *state);
    bool (*is_done)(const ProtobufCMessage *state); /* over, as it was meant to be */
    int (*show)(struct fh_session *session, const ProtobufCMessage *state); /* at the end */
};

/* Asks the operators' listener until it is over. Exit code 0 for done, else FH_EXIT_REFUSED. */
int fh_watch_run(struct fh_session *session, const struct fh_watch *watch);

#endif
