/* What went wrong, for people: filled by I/O, set-up and validation beside the returned fh_code.
 *
 * Caller-owned, fixed size, never allocates. `message` says what was wrong, where and what to do;
 * it never holds a secret, a token or a caller's payload beyond the name of a field.
 */
#ifndef FH_BASE_ERROR_H
#define FH_BASE_ERROR_H

#include <stdarg.h>

#include "base/code.h"

#define FH_ERROR_MESSAGE_MAX 512
#define FH_ERROR_FIELD_MAX 128

struct fh_error {
    enum fh_code code;
    char message[FH_ERROR_MESSAGE_MAX]; /* NUL-terminated; truncated, never overrun */
    char field[FH_ERROR_FIELD_MAX];     /* request field at fault ("record.fields.name"), or "" */
};

#define FH_ERROR_INIT \
    {                 \
        .code = FH_OK \
    }

/* Fills `error` (may be NULL) and returns `code`, so that failing is one line:
 *     return fh_error_set(error, FH_INVALID, "page_size %d is negative", size); */
enum fh_code fh_error_set(struct fh_error *error, enum fh_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, naming the request field at fault. */
enum fh_code fh_error_field(struct fh_error *error, enum fh_code code, const char *field,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Text for people: the message, or the code's own text when there is none. */
const char *fh_error_text(const struct fh_error *error);

#endif
