/* The one heap of Freehold, so that tests can make the nth allocation fail.
 *
 * Thread-safe. All return NULL when memory is out; the caller handles it. Sizes in bytes.
 */
#ifndef FH_BASE_ALLOC_H
#define FH_BASE_ALLOC_H

#include <stddef.h>

#include "base/code.h"

FH_MUST_CHECK void *fh_malloc(size_t size);
FH_MUST_CHECK void *fh_calloc(size_t count, size_t size); /* refuses an overflowing product */
FH_MUST_CHECK void *fh_realloc(void *memory, size_t size);
FH_MUST_CHECK char *fh_strdup(const char *text);
void fh_free(void *memory); /* NULL is fine */

/* Tests only. After `after` further successful allocations of any thread, `count` allocations fail
 * (count < 0: all of them), then all succeed again. fh_alloc_fault_off() ends it; answers whether a
 * fault was delivered. */
void fh_alloc_fault_on(long after, long count);
int fh_alloc_fault_off(void);
/* Live allocations made through this header. */
long fh_alloc_live(void);

#endif
