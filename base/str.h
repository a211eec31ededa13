/* A borrowed run of bytes with a length: no NUL needed, none forbidden. Never owns. */
#ifndef FH_BASE_STR_H
#define FH_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct fh_str {
    const char *data; /* borrows; may be NULL when len is 0 */
    size_t len;       /* bytes */
};

#define FH_STR(literal) ((struct fh_str){.data = "" literal, .len = sizeof(literal) - 1})
/* For printf's %.*s */
#define FH_STR_ARG(s) ((int)((s).len > 4096 ? 4096 : (s).len)), ((s).len > 0 ? (s).data : "")

static inline struct fh_str fh_str_of(const char *text)
{
    return (struct fh_str){.data = text, .len = text != NULL ? strlen(text) : 0};
}

static inline bool fh_str_eq(struct fh_str a, struct fh_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Byte-wise order, shorter first: <0, 0, >0. */
int fh_str_cmp(struct fh_str a, struct fh_str b);
bool fh_str_starts_with(struct fh_str s, struct fh_str prefix);
/* Strict UTF-8 (no surrogates, no overlong forms, at most U+10FFFF) without U+0000. */
bool fh_str_is_text(struct fh_str s);
/* Bytes of the well-formed UTF-8 character (U+0000 included) that `s` starts with; 0: none there.
 */
size_t fh_str_utf8_len(struct fh_str s);
/* Whole string as a decimal int64; false on anything else (sign, digits, no blanks, no overflow).
 */
bool fh_str_to_int64(struct fh_str s, long long *out);

#endif
