/* What "the same request" means for a request_id: a SHA-256 over method and writes in canonical
 * form, so that the order of a map's fields or the spelling of a number does not matter. */
#ifndef FH_SERVER_HANDLERS_REQUEST_HASH_H
#define FH_SERVER_HANDLERS_REQUEST_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/code.h"
#include "stores/write.h"

FH_MUST_CHECK enum fh_code fh_request_hash(const char *method, const struct fh_write *writes,
                                           size_t count, uint8_t out[32]);

#endif
