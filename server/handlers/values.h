/* freehold.v1.Value to canonical column value and back. Pure functions. */
#ifndef FH_SERVER_HANDLERS_VALUES_H
#define FH_SERVER_HANDLERS_VALUES_H

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "freehold/v1/data.pb-c.h"
#include "stores/model.h"
#include "stores/value.h"

/* Refuses a kind the column does not take, and whatever fh_value_canonicalize() refuses. The value
 * borrows from `in` or the arena. */
FH_MUST_CHECK enum fh_code fh_value_from_proto(const Freehold__V1__Value *in,
                                               const struct fh_column *column,
                                               struct fh_arena *arena, struct fh_value *out,
                                               struct fh_error *error);
/* `out` is initialised here; what it points to is in the arena or borrowed from `in`. */
FH_MUST_CHECK enum fh_code fh_value_to_proto(const struct fh_value *in,
                                             const struct fh_column *column, struct fh_arena *arena,
                                             Freehold__V1__Value *out);

/* Microseconds since 1970 to a message in the arena; NULL when out of memory. */
Google__Protobuf__Timestamp *fh_timestamp_to_proto(int64_t at_us, struct fh_arena *arena);

#endif
