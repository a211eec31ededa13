/* Happy path: protobuf-c asks, the arena answers. Failure: NULL, which makes the unpack fail. */
#include "server/rpc/allocator.h"

static void *arena_alloc(void *arena, size_t size)
{
    return fh_arena_alloc(arena, size);
}

static void arena_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

ProtobufCAllocator fh_rpc_allocator(struct fh_arena *arena)
{
    return (ProtobufCAllocator){.alloc = arena_alloc, .free = arena_free, .allocator_data = arena};
}
