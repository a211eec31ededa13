/* Moves as messages, and back. Pure functions; what they make is in the arena. */
#ifndef FH_SERVER_HANDLERS_MOVE_MESSAGES_H
#define FH_SERVER_HANDLERS_MOVE_MESSAGES_H

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "freehold/v1/move_admin.pb-c.h"
#include "migrator/migrator.h"
#include "router/catalog.h"

FH_MUST_CHECK enum fh_code fh_move_to_proto(const struct fh_move *in, struct fh_arena *arena,
                                            Freehold__V1__Move **out);
FH_MUST_CHECK enum fh_code fh_move_plan_to_proto(const struct fh_move_plan *in,
                                                 struct fh_arena *arena,
                                                 Freehold__V1__MovePlan **out);
FH_MUST_CHECK enum fh_code fh_move_event_to_proto(const struct fh_operator_event *in,
                                                  struct fh_arena *arena,
                                                  Freehold__V1__MoveEvent **out);
/* NULL: the defaults. FH_INVALID names the field. */
FH_MUST_CHECK enum fh_code fh_move_settings_from_proto(const Freehold__V1__MoveSettings *in,
                                                       struct fh_move_settings *out,
                                                       struct fh_error *error);
/* "moves/{uuid}"; FH_INVALID otherwise. */
FH_MUST_CHECK enum fh_code fh_move_name_parse(const char *name, struct fh_uuid *out,
                                              struct fh_error *error);

#endif
