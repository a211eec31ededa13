/* Happy path: there is room; copy and move on.
 *
 * Room is made by doubling, never past `len_max` plus the NUL. Failures stick in `code`; every
 * append begins by looking at it.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"

#define CAPACITY_FIRST ((size_t)256)

void fh_buf_init(struct fh_buf *buf, size_t len_max)
{
    *buf = (struct fh_buf){.len_max = len_max, .code = FH_OK};
}

void fh_buf_close(struct fh_buf *buf)
{
    fh_free(buf->data);
    *buf = (struct fh_buf){.len_max = buf->len_max, .code = FH_OK};
}

void fh_buf_clear(struct fh_buf *buf)
{
    buf->len = 0;
    buf->code = FH_OK;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

/* Makes room for `more` bytes and a NUL; false: the error is stuck. */
static bool reserve(struct fh_buf *buf, size_t more)
{
    if (buf->code != FH_OK) {
        return false;
    }
    FH_ASSERT(buf->len <= buf->len_max);
    if (more > buf->len_max - buf->len || more > PTRDIFF_MAX - buf->len - 1) {
        buf->code = FH_TOO_LARGE;
        return false;
    }
    size_t needed = buf->len + more + 1;
    if (needed <= buf->capacity) {
        return true;
    }
    /* No overflow: a capacity never exceeds PTRDIFF_MAX. */
    size_t capacity = buf->capacity > 0 ? buf->capacity * 2 : CAPACITY_FIRST;
    if (capacity - 1 > buf->len_max) {
        capacity = buf->len_max + 1;
    }
    if (capacity < needed) {
        capacity = needed;
    }
    char *data = fh_realloc(buf->data, capacity);
    if (data == NULL) {
        buf->code = FH_NOMEM;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void fh_buf_add(struct fh_buf *buf, const void *data, size_t len)
{
    if (len == 0 || !reserve(buf, len)) {
        return;
    }
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void fh_buf_add_str(struct fh_buf *buf, struct fh_str s)
{
    fh_buf_add(buf, s.data, s.len);
}

void fh_buf_add_text(struct fh_buf *buf, const char *text)
{
    fh_buf_add(buf, text, strlen(text));
}

void fh_buf_add_char(struct fh_buf *buf, char c)
{
    fh_buf_add(buf, &c, 1);
}

void fh_buf_add_be16(struct fh_buf *buf, uint16_t v)
{
    const uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    fh_buf_add(buf, bytes, sizeof(bytes));
}

void fh_buf_add_be32(struct fh_buf *buf, uint32_t v)
{
    const uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
                              (uint8_t)v};
    fh_buf_add(buf, bytes, sizeof(bytes));
}

void fh_buf_add_be64(struct fh_buf *buf, uint64_t v)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(v >> (56 - 8 * i));
    }
    fh_buf_add(buf, bytes, sizeof(bytes));
}

void fh_buf_printf(struct fh_buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len < 0) {
        /* Only a text above INT_MAX cannot be counted. */
        buf->code = buf->code == FH_OK ? FH_TOO_LARGE : buf->code;
    } else if (reserve(buf, (size_t)len)) {
        int written = vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        FH_ASSERT(written == len);
        buf->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
}

/* The short escape of a byte, or 0. */
static char short_escape(unsigned char byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return (char)byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void add_escaped(struct fh_buf *buf, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    char letter = short_escape(byte);
    if (letter != 0) {
        const char text[2] = {'\\', letter};
        fh_buf_add(buf, text, sizeof(text));
    } else if (byte < 0x80) {
        const char text[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
        fh_buf_add(buf, text, sizeof(text));
    } else {
        /* Not UTF-8: JSON has no way to carry the byte; U+FFFD is the agreed mark for that. */
        fh_buf_add_text(buf, "\\ufffd");
    }
}

void fh_buf_add_json(struct fh_buf *buf, struct fh_str s)
{
    size_t run = 0; /* start of the bytes that go out as they are */
    size_t at = 0;
    while (at < s.len && buf->code == FH_OK) {
        unsigned char byte = (unsigned char)s.data[at];
        size_t len = fh_str_utf8_len((struct fh_str){.data = s.data + at, .len = s.len - at});
        if (len > 0 && byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F) {
            at += len;
            continue;
        }
        if (at > run) {
            fh_buf_add(buf, s.data + run, at - run);
        }
        add_escaped(buf, byte);
        at++;
        run = at;
    }
    if (at > run) {
        fh_buf_add(buf, s.data + run, at - run);
    }
}

enum fh_code fh_buf_code(const struct fh_buf *buf)
{
    return buf->code;
}

struct fh_str fh_buf_str(const struct fh_buf *buf)
{
    return (struct fh_str){.data = buf->data, .len = buf->len};
}
