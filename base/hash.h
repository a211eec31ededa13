/* SipHash-2-4 (Aumasson and Bernstein, 2012) with a key drawn once per process, so that callers
 * cannot choose colliding keys for our maps. Thread-safe after fh_hash_seed(). */
#ifndef FH_BASE_HASH_H
#define FH_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Draws the process key from getrandom(2). Called by the first fh_hash() if nobody did. */
void fh_hash_seed(void);
uint64_t fh_hash(const void *data, size_t len);
/* With a key of the caller's; the pure function, for tests against the published vectors. */
uint64_t fh_hash_keyed(const unsigned char key[16], const void *data, size_t len);

#endif
