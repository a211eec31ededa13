/* Happy path: bump a cursor in the newest chunk.
 *
 * When the newest chunk is too small a new one of twice the size goes in front; an object too large
 * for that gets a chunk of exactly its size behind the newest, so the room left there stays usable.
 * Failures: the bound or the heap; both answer NULL and leave the arena as it was. Sizes are
 * counted rounded up to the alignment, so `bytes_max` bounds real memory even for many tiny
 * objects.
 *
 * Under AddressSanitizer everything not handed out is poisoned, which makes a use after reset
 * visible.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif
#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(memory, size) ASAN_POISON_MEMORY_REGION((memory), (size))
#define UNPOISON(memory, size) ASAN_UNPOISON_MEMORY_REGION((memory), (size))
#else
#define POISON(memory, size) ((void)(memory), (void)(size))
#define UNPOISON(memory, size) ((void)(memory), (void)(size))
#endif

#define ALIGNMENT 16u
#define CHUNK_SIZE_MIN ((size_t)4096)
#define CHUNK_SIZE_MAX ((size_t)65536)

struct fh_arena_chunk {
    struct fh_arena_chunk *next;
    size_t size; /* of `data` */
    size_t used;
    bool single; /* holds one large object */
    _Alignas(ALIGNMENT) char data[];
};

#define HEADER_SIZE sizeof(struct fh_arena_chunk)

void fh_arena_init(struct fh_arena *arena, size_t bytes_max)
{
    *arena = (struct fh_arena){.bytes_max = bytes_max};
}

static void free_chunk(struct fh_arena_chunk *chunk)
{
    UNPOISON(chunk->data, chunk->size);
    fh_free(chunk);
}

void fh_arena_close(struct fh_arena *arena)
{
    while (arena->chunks != NULL) {
        struct fh_arena_chunk *next = arena->chunks->next;
        free_chunk(arena->chunks);
        arena->chunks = next;
    }
    arena->bytes_used = 0;
}

void fh_arena_reset(struct fh_arena *arena)
{
    struct fh_arena_chunk *kept = NULL;
    struct fh_arena_chunk *chunk = arena->chunks;
    while (chunk != NULL) {
        struct fh_arena_chunk *next = chunk->next;
        if (kept == NULL && !chunk->single && chunk->size == CHUNK_SIZE_MIN - HEADER_SIZE) {
            kept = chunk;
        } else {
            free_chunk(chunk);
        }
        chunk = next;
    }
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
        POISON(kept->data, kept->size);
    }
    arena->chunks = kept;
    arena->bytes_used = 0;
}

static struct fh_arena_chunk *make_chunk(size_t size, bool single)
{
    struct fh_arena_chunk *chunk = fh_malloc(HEADER_SIZE + size);
    if (chunk != NULL) {
        *chunk = (struct fh_arena_chunk){.size = size, .single = single};
        POISON(chunk->data, size);
    }
    return chunk;
}

/* A chunk in the list with room for `size` bytes, or NULL. */
static struct fh_arena_chunk *chunk_for(struct fh_arena *arena, size_t size)
{
    struct fh_arena_chunk *newest = arena->chunks;
    if (newest != NULL && newest->size - newest->used >= size) {
        return newest;
    }
    size_t next_size = CHUNK_SIZE_MIN;
    if (newest != NULL && !newest->single) {
        next_size = (newest->size + HEADER_SIZE) * 2;
        next_size = next_size < CHUNK_SIZE_MAX ? next_size : CHUNK_SIZE_MAX;
    }
    next_size -= HEADER_SIZE;

    bool single = size > next_size;
    struct fh_arena_chunk *chunk = make_chunk(single ? size : next_size, single);
    if (chunk == NULL) {
        return NULL;
    }
    if (single && newest != NULL) {
        chunk->next = newest->next;
        newest->next = chunk;
    } else {
        chunk->next = newest;
        arena->chunks = chunk;
    }
    return chunk;
}

/* `size` rounded up to what it costs; false: the bound would be passed. */
static bool cost_of(const struct fh_arena *arena, size_t size, size_t *cost)
{
    FH_ASSERT(arena->bytes_used <= arena->bytes_max);
    size_t room = arena->bytes_max - arena->bytes_used;
    if (size > room || size > PTRDIFF_MAX - HEADER_SIZE - ALIGNMENT) {
        return false;
    }
    size_t wanted = size > 0 ? size : 1;
    *cost = (wanted + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return *cost <= room;
}

void *fh_arena_alloc(struct fh_arena *arena, size_t size)
{
    size_t cost = 0;
    if (!cost_of(arena, size, &cost)) {
        return NULL;
    }
    struct fh_arena_chunk *chunk = chunk_for(arena, cost);
    if (chunk == NULL) {
        return NULL;
    }
    FH_ASSERT(cost <= chunk->size - chunk->used);
    char *memory = chunk->data + chunk->used;
    chunk->used += cost;
    arena->bytes_used += cost;
    UNPOISON(memory, size);
    return memory;
}

void *fh_arena_calloc(struct fh_arena *arena, size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    void *memory = fh_arena_alloc(arena, total);
    if (memory != NULL) {
        memset(memory, 0, total);
    }
    return memory;
}

char *fh_arena_copy(struct fh_arena *arena, const void *data, size_t len)
{
    if (len == SIZE_MAX) {
        return NULL;
    }
    char *copy = fh_arena_alloc(arena, len + 1);
    if (copy != NULL) {
        if (len > 0) {
            memcpy(copy, data, len);
        }
        copy[len] = '\0';
    }
    return copy;
}

char *fh_arena_printf(struct fh_arena *arena, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    char *text = NULL;
    int len = vsnprintf(NULL, 0, format, args);
    if (len >= 0) {
        text = fh_arena_alloc(arena, (size_t)len + 1);
    }
    if (text != NULL) {
        int written = vsnprintf(text, (size_t)len + 1, format, again);
        FH_ASSERT(written == len);
    }
    va_end(again);
    va_end(args);
    return text;
}

enum fh_code fh_arena_str(struct fh_arena *arena, struct fh_str in, struct fh_str *out)
{
    size_t cost = 0;
    if (in.len == SIZE_MAX || !cost_of(arena, in.len + 1, &cost)) {
        return FH_TOO_LARGE;
    }
    char *copy = fh_arena_copy(arena, in.data, in.len);
    if (copy == NULL) {
        return FH_NOMEM;
    }
    *out = (struct fh_str){.data = copy, .len = in.len};
    return FH_OK;
}
