/* protobuf-c's allocator over an arena: free is a no-op, everything goes with the call. */
#ifndef FH_SERVER_RPC_ALLOCATOR_H
#define FH_SERVER_RPC_ALLOCATOR_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* Borrows the arena; lives on the stack around protobuf_c_message_unpack(). A failed unpack of
 * bytes that fh_wire_check() accepted means that the arena's bound was reached. */
ProtobufCAllocator fh_rpc_allocator(struct fh_arena *arena);

#endif
