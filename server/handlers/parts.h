/* Parts that messages of several services have in common. In the arena; NULL: out of memory. */
#ifndef FH_SERVER_HANDLERS_PARTS_H
#define FH_SERVER_HANDLERS_PARTS_H

#include "base/arena.h"
#include "base/uuid.h"
#include "google/protobuf/duration.pb-c.h"

FH_MUST_CHECK char *fh_part_text(struct fh_arena *arena, struct fh_str text);
/* "moves/<uuid>" */
FH_MUST_CHECK char *fh_part_name(struct fh_arena *arena, const char *prefix,
                                 const struct fh_uuid *uuid);
FH_MUST_CHECK Google__Protobuf__Duration *fh_part_duration(int64_t us, struct fh_arena *arena);

#endif
