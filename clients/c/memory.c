/* Nothing to tell: two functions handed through. */
#include "clients/c/memory.h"

#include "base/alloc.h"

static void *alloc_cb(void *arg, size_t size)
{
    (void)arg;
    return fh_malloc(size);
}

static void free_cb(void *arg, void *memory)
{
    (void)arg;
    fh_free(memory);
}

/* Not const: protobuf-c asks for a plain pointer. */
ProtobufCAllocator fh_client_allocator = {.alloc = alloc_cb, .free = free_cb};
