/* Arena: memory of one call, freed all at once.
 *
 * Bump allocation from chunks that grow (4 KiB, doubling to 64 KiB); larger objects get a chunk of
 * their own. Bounded: once `bytes_max` would be passed, allocation answers NULL. One owner at a
 * time: the loop hands it to a worker with a request and does not touch it until the request
 * completes.
 */
#ifndef FH_BASE_ARENA_H
#define FH_BASE_ARENA_H

#include <stddef.h>

#include "base/code.h"
#include "base/str.h"

struct fh_arena_chunk;

struct fh_arena {
    struct fh_arena_chunk *chunks; /* newest first; the first chunk is kept by reset */
    size_t bytes_used;             /* handed out since the last reset, rounded up to 16 */
    size_t bytes_max;
};

void fh_arena_init(struct fh_arena *arena, size_t bytes_max);
void fh_arena_close(struct fh_arena *arena);
/* All memory handed out is void; keeps one small chunk for the next user. */
void fh_arena_reset(struct fh_arena *arena);

/* 16-byte aligned; a size of 0 gives a valid pointer. NULL: bound reached or out of memory. */
FH_MUST_CHECK void *fh_arena_alloc(struct fh_arena *arena, size_t size);
FH_MUST_CHECK void *fh_arena_calloc(struct fh_arena *arena, size_t count, size_t size);
/* Copies the bytes and adds a NUL behind them. */
FH_MUST_CHECK char *fh_arena_copy(struct fh_arena *arena, const void *data, size_t len);
FH_MUST_CHECK char *fh_arena_printf(struct fh_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Copies `in` to `*out` (NUL behind it). */
FH_MUST_CHECK enum fh_code fh_arena_str(struct fh_arena *arena, struct fh_str in,
                                        struct fh_str *out);

#define FH_ARENA_NEW(arena, type) ((type *)fh_arena_calloc((arena), 1, sizeof(type)))
#define FH_ARENA_ARRAY(arena, type, count) ((type *)fh_arena_calloc((arena), (count), sizeof(type)))

#endif
