/* Happy path: tag, then the value its type names. Failures: anything that would read past the end,
 * a field number of 0 or above 2^29-1, a varint above 64 bits, a tag or length of more than five
 * bytes (no encoder pads them so far, and protobuf-c would refuse what we let pass), a group. */
#include "server/rpc/wire.h"

#define FIELD_NUMBER_MAX 536870911U
#define VARINT_BYTES_MAX 10
#define VARINT32_BYTES_MAX 5

bool fh_wire_varint(struct fh_wire_reader *reader, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
        if (reader->at == reader->end) {
            return false;
        }
        uint8_t byte = *reader->at++;
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* A tag or a length: what is used of it has 32 bits. */
static bool varint32(struct fh_wire_reader *reader, uint64_t *out)
{
    const uint8_t *start = reader->at;

    return fh_wire_varint(reader, out) && reader->at - start <= VARINT32_BYTES_MAX;
}

static bool skip(struct fh_wire_reader *reader, size_t count)
{
    if ((size_t)(reader->end - reader->at) < count) {
        return false;
    }
    reader->at += count;
    return true;
}

static bool read_value(struct fh_wire_reader *reader, struct fh_wire_field *field)
{
    uint64_t len = 0;

    switch (field->type) {
    case FH_WIRE_VARINT:
        return fh_wire_varint(reader, &field->varint);
    case FH_WIRE_FIXED64:
        return skip(reader, 8);
    case FH_WIRE_FIXED32:
        return skip(reader, 4);
    case FH_WIRE_BYTES:
        if (!varint32(reader, &len) || len > (size_t)(reader->end - reader->at)) {
            return false;
        }
        field->bytes = (struct fh_str){.data = (const char *)reader->at, .len = (size_t)len};
        reader->at += len;
        return true;
    default:
        return false;
    }
}

bool fh_wire_next(struct fh_wire_reader *reader, struct fh_wire_field *out, bool *broken)
{
    uint64_t tag = 0;

    *broken = false;
    if (reader->at == reader->end) {
        return false;
    }
    if (!varint32(reader, &tag) || (tag >> 3) == 0 || (tag >> 3) > FIELD_NUMBER_MAX) {
        *broken = true;
        return false;
    }
    *out = (struct fh_wire_field){.number = (uint32_t)(tag >> 3),
                                  .type = (enum fh_wire_type)(tag & 7)};
    if (!read_value(reader, out)) {
        *broken = true;
        return false;
    }
    return true;
}
