/* Rollouts between the catalog's form and the API's. Results are in the arena. */
#ifndef FH_SERVER_HANDLERS_ROLLOUT_MESSAGES_H
#define FH_SERVER_HANDLERS_ROLLOUT_MESSAGES_H

#include "freehold/v1/schema.pb-c.h"

#include "router/catalog.h"

FH_MUST_CHECK enum fh_code fh_rollout_to_proto(const struct fh_rollout *in, struct fh_arena *arena,
                                               Freehold__V1__Rollout **out);
FH_MUST_CHECK enum fh_code fh_rollout_home_to_proto(const struct fh_rollout_home *in,
                                                    struct fh_arena *arena,
                                                    Freehold__V1__RolloutHome **out);
FH_MUST_CHECK enum fh_code fh_rollout_event_to_proto(const struct fh_operator_event *in,
                                                     struct fh_arena *arena,
                                                     Freehold__V1__RolloutEvent **out);
/* `in` may be NULL: the defaults. FH_INVALID names the field; other bounds are the catalog's. */
FH_MUST_CHECK enum fh_code fh_rollout_settings_from_proto(const Freehold__V1__RolloutSettings *in,
                                                          struct fh_rollout_settings *out,
                                                          struct fh_error *error);
/* "rollouts/{uuid}"; "rollouts/-" gives nil, the newest. */
FH_MUST_CHECK enum fh_code fh_rollout_name_parse(const char *name, struct fh_uuid *out,
                                                 struct fh_error *error);

#endif
