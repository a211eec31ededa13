/* Happy path: jansson reads the text to a tree, the tree is written out in canonical order into a
 * buffer, the buffer is copied to the arena. A double with an integral value below 2^53 is written
 * as an integer, so that 1, 1.0 and 1e0 are one value.
 *
 * Failures: a text that jansson refuses is FH_INVALID with its line and column, never its content;
 * a buffer that outgrows FH_VALUE_BYTES_MAX is FH_INVALID too; memory is FH_NOMEM.
 */
#include "stores/value_json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/json.h"
#include "stores/value.h"

#define EXACT_INTEGER_MAX 9007199254740992.0 /* 2^53 */

void fh_double_format(double value, char out[32])
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            return;
        }
    }
}

void fh_float_format(float value, char out[32])
{
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(out, 32, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value) {
            return;
        }
    }
}

static char short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
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
        return '\0';
    }
}

static void add_string(const char *text, size_t len, struct fh_buf *out)
{
    fh_buf_add_char(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        fh_buf_add(out, text + start, i - start);
        start = i + 1;
        char letter = short_escape(c);
        if (letter != '\0') {
            fh_buf_add_char(out, '\\');
            fh_buf_add_char(out, letter);
        } else {
            fh_buf_printf(out, "\\u%04x", c);
        }
    }
    fh_buf_add(out, text + start, len - start);
    fh_buf_add_char(out, '"');
}

static void add_real(double value, struct fh_buf *out)
{
    if (fabs(value) < EXACT_INTEGER_MAX && trunc(value) == value) {
        fh_buf_printf(out, "%lld", (long long)value); /* -0.0 becomes 0 */
        return;
    }
    char text[32];
    fh_double_format(value, text);
    fh_buf_add_text(out, text);
}

static int compare_keys(const void *a, const void *b)
{
    /* Keys hold no NUL: jansson refuses \u0000 unless asked. */
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum fh_code add_node(json_t *node, unsigned depth, struct fh_buf *out,
                             struct fh_error *error);

static enum fh_code add_object(json_t *object, unsigned depth, struct fh_buf *out,
                               struct fh_error *error)
{
    size_t count = json_object_size(object);
    const char **keys = fh_calloc(count + 1, sizeof(*keys));
    if (keys == NULL) {
        return FH_NOMEM;
    }
    size_t n = 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        keys[n++] = key;
    }
    qsort(keys, n, sizeof(*keys), compare_keys);
    enum fh_code code = FH_OK;
    fh_buf_add_char(out, '{');
    for (size_t i = 0; i < n && code == FH_OK; i++) {
        if (i > 0) {
            fh_buf_add_char(out, ',');
        }
        add_string(keys[i], strlen(keys[i]), out);
        fh_buf_add_char(out, ':');
        code = add_node(json_object_get(object, keys[i]), depth, out, error);
    }
    fh_buf_add_char(out, '}');
    fh_free(keys);
    return code;
}

static enum fh_code add_node(json_t *node, unsigned depth, struct fh_buf *out,
                             struct fh_error *error)
{
    if ((json_is_object(node) || json_is_array(node)) && depth == FH_JSON_DEPTH_MAX) {
        return fh_error_set(error, FH_INVALID, "JSON is nested deeper than %d levels",
                            FH_JSON_DEPTH_MAX);
    }
    enum fh_code code = FH_OK;
    switch (json_typeof(node)) {
    case JSON_OBJECT:
        return add_object(node, depth + 1, out, error);
    case JSON_ARRAY:
        fh_buf_add_char(out, '[');
        for (size_t i = 0; i < json_array_size(node) && code == FH_OK; i++) {
            if (i > 0) {
                fh_buf_add_char(out, ',');
            }
            code = add_node(json_array_get(node, i), depth + 1, out, error);
        }
        fh_buf_add_char(out, ']');
        return code;
    case JSON_STRING:
        add_string(json_string_value(node), json_string_length(node), out);
        return FH_OK;
    case JSON_INTEGER:
        fh_buf_printf(out, "%lld", (long long)json_integer_value(node));
        return FH_OK;
    case JSON_REAL:
        add_real(json_real_value(node), out);
        return FH_OK;
    case JSON_TRUE:
        fh_buf_add_text(out, "true");
        return FH_OK;
    case JSON_FALSE:
        fh_buf_add_text(out, "false");
        return FH_OK;
    case JSON_NULL:
        fh_buf_add_text(out, "null");
        return FH_OK;
    }
    return FH_INTERNAL;
}

enum fh_code fh_json_canonicalize(struct fh_str in, struct fh_arena *arena, struct fh_str *out,
                                  struct fh_error *error)
{
    if (in.len > FH_VALUE_BYTES_MAX) {
        return fh_error_set(error, FH_INVALID, "JSON of %zu bytes is longer than %d", in.len,
                            FH_VALUE_BYTES_MAX);
    }
    json_error_t where;
    json_t *root = NULL;
    enum fh_code code = fh_json_parse(in, &root, &where);
    if (code == FH_NOMEM) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    if (code != FH_OK) {
        /* Not where.text: it quotes the caller's payload. */
        return fh_error_set(error, FH_INVALID, "JSON is not valid at line %d, column %d",
                            where.line, where.column);
    }
    struct fh_buf buf;
    fh_buf_init(&buf, FH_VALUE_BYTES_MAX);
    code = add_node(root, 0, &buf, error);
    if (code == FH_OK) {
        code = fh_buf_code(&buf);
        if (code == FH_TOO_LARGE) {
            code =
                fh_error_set(error, FH_INVALID, "JSON is longer than %d bytes", FH_VALUE_BYTES_MAX);
        }
    }
    if (code == FH_OK) {
        code = fh_arena_str(arena, fh_buf_str(&buf), out);
    }
    fh_buf_close(&buf);
    json_decref(root);
    return code;
}
