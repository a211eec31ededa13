/* The protobuf wire format, read one field at a time without allocating. Pure functions. */
#ifndef FH_SERVER_RPC_WIRE_H
#define FH_SERVER_RPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum fh_wire_type {
    FH_WIRE_VARINT = 0,
    FH_WIRE_FIXED64 = 1,
    FH_WIRE_BYTES = 2,
    FH_WIRE_FIXED32 = 5,
};

struct fh_wire_field {
    uint32_t number;
    enum fh_wire_type type;
    uint64_t varint;     /* FH_WIRE_VARINT */
    struct fh_str bytes; /* FH_WIRE_BYTES; borrows */
};

/* A cursor over the bytes of one message. */
struct fh_wire_reader {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct fh_wire_reader fh_wire_reader(struct fh_str bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.data;

    return (struct fh_wire_reader){.at = at, .end = bytes.len > 0 ? at + bytes.len : at};
}

/* False: truncated, or more than ten bytes long. */
bool fh_wire_varint(struct fh_wire_reader *reader, uint64_t *out);
/* The next field. False at the end, and when the bytes are broken (`*broken` tells). Groups and
 * reserved wire types count as broken: proto3 has neither. */
bool fh_wire_next(struct fh_wire_reader *reader, struct fh_wire_field *out, bool *broken);

#endif
