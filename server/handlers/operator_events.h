/* The operators' audit of one move or rollout, by pages: what ListMoveEvents and ListRolloutEvents
 * have in common. */
#ifndef FH_SERVER_HANDLERS_OPERATOR_EVENTS_H
#define FH_SERVER_HANDLERS_OPERATOR_EVENTS_H

#include "google/protobuf/timestamp.pb-c.h"
#include "server/handlers/admin.h"

struct fh_events_query {
    struct fh_str method; /* whose pages they are: "ListMoveEvents" */
    const char *prefix;   /* "moves/" */
    const char *name;     /* as it was asked for */
    struct fh_uuid uuid;  /* what the name means; by a page's token what it meant for the first */
    int32_t page_size;
    const char *page_token;
};

/* Makes base->catalog the request for the page. FH_INVALID names the field; FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_events_request(struct fh_admin_call *base,
                                             struct fh_events_query *query, struct fh_error *error);
/* When it is answered: where the next page begins; *out stays as it is when there is none. */
FH_MUST_CHECK enum fh_code fh_events_next_page(const struct fh_admin_call *base,
                                               const struct fh_events_query *query, char **out);
/* The fields of the message, in the arena. FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_event_parts(const struct fh_operator_event *in,
                                          struct fh_arena *arena,
                                          Google__Protobuf__Timestamp **time, char **actor,
                                          char **action, char **reason, char **detail);

#endif
