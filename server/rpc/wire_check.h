/* Looks at a raw request before protobuf-c unpacks it. Pure.
 *
 * protobuf-c 1.4 checks neither UTF-8 nor nesting depth, stops C strings at a NUL byte, and
 * allocates before it looks. So the bytes are walked against the descriptor first: afterwards every
 * string field is UTF-8 without NUL, nesting is bounded (unpack recurses), and the number of
 * elements is bounded.
 */
#ifndef FH_SERVER_RPC_WIRE_CHECK_H
#define FH_SERVER_RPC_WIRE_CHECK_H

#include <protobuf-c/protobuf-c.h>

#include "base/code.h"
#include "base/error.h"
#include "base/str.h"

#define FH_WIRE_DEPTH_MAX 32
/* Fields and packed values of one request together: 4 MiB of the smallest ones would be two
 * million, each costing protobuf-c up to a hundred bytes. */
#define FH_WIRE_ELEMENTS_MAX 262144

/* FH_INVALID names the field at fault in `error->field`, as a path from the root; FH_TOO_LARGE for
 * too many elements. */
FH_MUST_CHECK enum fh_code fh_wire_check(const ProtobufCMessageDescriptor *type,
                                         struct fh_str bytes, struct fh_error *error);

#endif
