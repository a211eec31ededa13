#include "server/handlers/parts.h"

char *fh_part_text(struct fh_arena *arena, struct fh_str text)
{
    return fh_arena_copy(arena, text.data, text.len);
}

char *fh_part_name(struct fh_arena *arena, const char *prefix, const struct fh_uuid *uuid)
{
    char text[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(uuid, text);
    return fh_arena_printf(arena, "%s%s", prefix, text);
}

Google__Protobuf__Duration *fh_part_duration(int64_t us, struct fh_arena *arena)
{
    Google__Protobuf__Duration *out = FH_ARENA_NEW(arena, Google__Protobuf__Duration);
    if (out != NULL) {
        google__protobuf__duration__init(out);
        out->seconds = us / 1000000;
        out->nanos = (int32_t)(us % 1000000) * 1000;
    }
    return out;
}
