/* Canonical JSON: keys sorted by bytes, no blanks, numbers in one form, minimal escapes. Pure but
 * for the arena. */
#ifndef FH_STORES_VALUE_JSON_H
#define FH_STORES_VALUE_JSON_H

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"

/* FH_INVALID with a message for what is not JSON, too deep, too long, or holds a duplicate key, a
 * NUL or a number that is neither an int64 nor a finite double. */
FH_MUST_CHECK enum fh_code fh_json_canonicalize(struct fh_str in, struct fh_arena *arena,
                                                struct fh_str *out, struct fh_error *error);

/* The shortest decimal that reads back as the same double; "%.17g" at worst. `out` has room for 32.
 */
void fh_double_format(double value, char out[32]);
void fh_float_format(float value, char out[32]);

#endif
