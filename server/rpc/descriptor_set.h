/* Look-ups in a packed google.protobuf.FileDescriptorSet, without unpacking it. Pure.
 *
 * Each look-up walks the whole set: some hundred kilobytes at most, asked by people's tools only.
 */
#ifndef FH_SERVER_RPC_DESCRIPTOR_SET_H
#define FH_SERVER_RPC_DESCRIPTOR_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* A file with everything it imports is at most this many files; more are left out, and clients ask
 * for them by name. */
#define FH_DESCRIPTOR_FILES_MAX 64

/* The packed FileDescriptorProto of that name; borrows from the set. */
bool fh_descriptor_file(struct fh_str set, struct fh_str name, struct fh_str *out);
/* The file that defines a message, field, oneof, enum, enum value, service or method by its full
 * name. */
bool fh_descriptor_symbol(struct fh_str set, struct fh_str symbol, struct fh_str *out);
/* `file` itself, then all it imports, directly or not, each once. Answers the count. */
size_t fh_descriptor_closure(struct fh_str set, struct fh_str file,
                             struct fh_str out[FH_DESCRIPTOR_FILES_MAX]);

#endif
