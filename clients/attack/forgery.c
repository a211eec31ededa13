/* Happy path: the token is cut at its two dots, one part is changed, all is joined again. */
#include "clients/attack/forgery.h"

#include "base/codec.h"

#define CLAIMS_BYTES_MAX (FH_TOKEN_TEXT_MAX * 3 / 4)

struct parts {
    struct fh_str header;
    struct fh_str claims;
    struct fh_str signature;
};

static bool split(struct fh_str token, struct parts *out)
{
    const char *end = token.data + token.len;
    const char *first = token.len > 0 ? memchr(token.data, '.', token.len) : NULL;
    const char *second = first != NULL ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (second == NULL || token.len > FH_TOKEN_TEXT_MAX) {
        return false;
    }
    out->header = (struct fh_str){.data = token.data, .len = (size_t)(first - token.data)};
    out->claims = (struct fh_str){.data = first + 1, .len = (size_t)(second - first - 1)};
    out->signature = (struct fh_str){.data = second + 1, .len = (size_t)(end - second - 1)};
    return true;
}

static enum fh_code join(struct fh_str header, struct fh_str claims, struct fh_str signature,
                         struct fh_buf *out)
{
    fh_buf_clear(out);
    fh_buf_add_str(out, header);
    fh_buf_add_char(out, '.');
    fh_buf_add_str(out, claims);
    fh_buf_add_char(out, '.');
    fh_buf_add_str(out, signature);
    return fh_buf_code(out);
}

enum fh_code fh_forgery_unsigned(struct fh_str token, struct fh_buf *out)
{
    static const char header[] = "{\"alg\":\"none\",\"typ\":\"JWT\"}";
    char text[FH_BASE64URL_LEN(sizeof(header))];
    struct parts parts;
    if (!split(token, &parts)) {
        return FH_INVALID;
    }
    const size_t len = fh_base64url_encode(header, sizeof(header) - 1, text);
    return join((struct fh_str){.data = text, .len = len}, parts.claims, FH_STR(""), out);
}

/* Where `what` begins; NULL: nowhere. */
static uint8_t *find(uint8_t *bytes, size_t len, struct fh_str what)
{
    for (size_t i = 0; what.len > 0 && i + what.len <= len; i++) {
        if (memcmp(bytes + i, what.data, what.len) == 0) {
            return bytes + i;
        }
    }
    return NULL;
}

enum fh_code fh_forgery_claims(struct fh_str token, struct fh_str from, struct fh_str to,
                               struct fh_buf *out)
{
    uint8_t claims[CLAIMS_BYTES_MAX];
    char text[FH_BASE64URL_LEN(CLAIMS_BYTES_MAX)];
    size_t len = 0;
    struct parts parts;
    if (from.len != to.len || fh_str_eq(from, to) || !split(token, &parts) ||
        !fh_base64url_decode(parts.claims, claims, &len)) {
        return FH_INVALID;
    }
    uint8_t *at = find(claims, len, from);
    if (at == NULL) {
        return FH_INVALID;
    }
    for (; at != NULL; at = find(claims, len, from)) {
        memcpy(at, to.data, to.len);
    }
    const size_t text_len = fh_base64url_encode(claims, len, text);
    return join(parts.header, (struct fh_str){.data = text, .len = text_len}, parts.signature, out);
}

/* In the middle: the last characters may hold unused bits, which a strict reader wants zero. */
static enum fh_code bend(struct fh_buf *out, size_t at, size_t len)
{
    if (len < 8) {
        return FH_INVALID;
    }
    char *c = out->data + at + len / 2;
    *c = *c == 'A' ? 'B' : 'A';
    return FH_OK;
}

enum fh_code fh_forgery_signature(struct fh_str token, struct fh_buf *out)
{
    struct parts parts;
    if (!split(token, &parts)) {
        return FH_INVALID;
    }
    const enum fh_code code = join(parts.header, parts.claims, parts.signature, out);
    return code == FH_OK ? bend(out, out->len - parts.signature.len, parts.signature.len) : code;
}

enum fh_code fh_forgery_sealed(struct fh_str sealed, struct fh_buf *out)
{
    fh_buf_clear(out);
    fh_buf_add_str(out, sealed);
    const enum fh_code code = fh_buf_code(out);
    return code == FH_OK ? bend(out, 0, out->len) : code;
}
