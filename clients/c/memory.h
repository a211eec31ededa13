/* protobuf-c over the house's heap, so that tests can make its allocations fail. Any thread. */
#ifndef FH_CLIENTS_C_MEMORY_H
#define FH_CLIENTS_C_MEMORY_H

#include <protobuf-c/protobuf-c.h>

extern ProtobufCAllocator fh_client_allocator;

#endif
