/* Growing byte buffer with a stated maximum. One thread.
 *
 * Errors stick: after one failed append every later one is a no-op, and fh_buf_code() tells
 * FH_TOO_LARGE or FH_NOMEM; so callers append freely and check once. After a failure the contents
 * must not be used.
 */
#ifndef FH_BASE_BUF_H
#define FH_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/code.h"
#include "base/str.h"

struct fh_buf {
    char *data; /* owned; NUL-terminated whenever len > 0 */
    size_t len;
    size_t capacity;
    size_t len_max;
    enum fh_code code;
};

void fh_buf_init(struct fh_buf *buf, size_t len_max);
void fh_buf_close(struct fh_buf *buf);
void fh_buf_clear(struct fh_buf *buf); /* keeps the memory, clears a stuck error */
void fh_buf_add(struct fh_buf *buf, const void *data, size_t len);
void fh_buf_add_str(struct fh_buf *buf, struct fh_str s);
void fh_buf_add_text(struct fh_buf *buf, const char *text);
void fh_buf_add_char(struct fh_buf *buf, char c);
void fh_buf_add_be16(struct fh_buf *buf, uint16_t v);
void fh_buf_add_be32(struct fh_buf *buf, uint32_t v);
void fh_buf_add_be64(struct fh_buf *buf, uint64_t v);
void fh_buf_printf(struct fh_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends `s` as the inside of a JSON string: quotes, backslash, control bytes and invalid UTF-8
 * escaped; no surrounding quotes. */
void fh_buf_add_json(struct fh_buf *buf, struct fh_str s);
FH_MUST_CHECK enum fh_code fh_buf_code(const struct fh_buf *buf);
struct fh_str fh_buf_str(const struct fh_buf *buf); /* borrows until the next append */

#endif
