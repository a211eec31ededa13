/* Happy path: malloc and friends, plus one atomic count of what is live.
 *
 * Failures: memory out answers NULL, and so does a request above PTRDIFF_MAX, which no allocator
 * can serve and which is always the fruit of an overflow. An armed fault numbers every allocation
 * with one atomic counter, so the nth one fails exactly once whatever the threads do.
 */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_long live;

static atomic_bool fault_armed;
static atomic_bool fault_delivered;
static atomic_long fault_seen; /* allocations since arming */
static atomic_long fault_after;
static atomic_long fault_count;

static bool must_fail(void)
{
    if (!atomic_load_explicit(&fault_armed, memory_order_acquire)) {
        return false;
    }
    long seen = atomic_fetch_add(&fault_seen, 1);
    long after = atomic_load(&fault_after);
    long count = atomic_load(&fault_count);
    if (seen < after || (count >= 0 && seen - after >= count)) {
        return false;
    }
    atomic_store(&fault_delivered, true);
    return true;
}

/* A size of 0 becomes 1, so that NULL always means failure. */
static size_t usable_size(size_t size)
{
    return size > 0 ? size : 1;
}

static void *counted(void *memory)
{
    if (memory != NULL) {
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    }
    return memory;
}

void *fh_malloc(size_t size)
{
    if (size > PTRDIFF_MAX || must_fail()) {
        return NULL;
    }
    return counted(malloc(usable_size(size)));
}

void *fh_calloc(size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total) || total > PTRDIFF_MAX || must_fail()) {
        return NULL;
    }
    return counted(calloc(1, usable_size(total)));
}

void *fh_realloc(void *memory, size_t size)
{
    if (memory == NULL) {
        return fh_malloc(size);
    }
    if (size > PTRDIFF_MAX || must_fail()) {
        return NULL;
    }
    return realloc(memory, usable_size(size));
}

char *fh_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = fh_malloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void fh_free(void *memory)
{
    if (memory != NULL) {
        atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
        free(memory);
    }
}

void fh_alloc_fault_on(long after, long count)
{
    atomic_store(&fault_armed, false);
    atomic_store(&fault_delivered, false);
    atomic_store(&fault_seen, 0);
    atomic_store(&fault_after, after);
    atomic_store(&fault_count, count);
    atomic_store_explicit(&fault_armed, true, memory_order_release);
}

int fh_alloc_fault_off(void)
{
    atomic_store(&fault_armed, false);
    return atomic_load(&fault_delivered) ? 1 : 0;
}

long fh_alloc_live(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed);
}
