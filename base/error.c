/* Happy path: format into a local buffer, cut to whole characters, copy into the caller's error.
 *
 * The local buffer lets a caller wrap an error in itself: fh_error_set(e, code, "opening: %s",
 * e->message). A message too long is cut, never at half a UTF-8 character, because it ends up in
 * protobuf strings. A format that cannot be printed gives an empty message: fh_error_text() then
 * answers the code's own text.
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Copies `text` of any length into `out` of `size`, cut at a character. */
static void copy_cut(char *out, size_t size, const char *text)
{
    size_t len = strnlen(text, size);
    if (len == size) {
        len = size - 1;
        /* Step back over continuation bytes to the lead byte of the character that is cut; no
         * character has more than three. */
        while (len > size - 4 && ((unsigned char)text[len] & 0xC0) == 0x80) {
            len--;
        }
    }
    memmove(out, text, len);
    out[len] = '\0';
}

__attribute__((format(printf, 4, 0))) static void
fill(struct fh_error *error, enum fh_code code, const char *field, const char *format, va_list args)
{
    if (error == NULL) {
        return;
    }
    char message[FH_ERROR_MESSAGE_MAX + 1]; /* one more, to see that something was cut */
    int len = vsnprintf(message, sizeof(message), format, args);
    if (len < 0) {
        message[0] = '\0';
    }
    error->code = code;
    copy_cut(error->field, sizeof(error->field), field != NULL ? field : "");
    copy_cut(error->message, sizeof(error->message), message);
}

enum fh_code fh_error_set(struct fh_error *error, enum fh_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(error, code, "", format, args);
    va_end(args);
    return code;
}

enum fh_code fh_error_field(struct fh_error *error, enum fh_code code, const char *field,
                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(error, code, field, format, args);
    va_end(args);
    return code;
}

const char *fh_error_text(const struct fh_error *error)
{
    if (error == NULL) {
        return fh_code_text(FH_INTERNAL);
    }
    return error->message[0] != '\0' ? error->message : fh_code_text(error->code);
}
