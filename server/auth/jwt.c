/* Happy path: three parts; the header is JSON with an algorithm of ours and a kid; the payload is
 * JSON; the signature is bytes.
 *
 * Failures: each says which part is wrong. No message quotes the token: it may be a valid one that
 * was damaged on the way, and messages end in logs. Header members that bring or point to keys
 * (jwk, jku, x5c, x5u) are not looked at; "crit" means that something must be understood which we
 * do not know, so it is refused. */
#include "server/auth/jwt.h"

#include <string.h>
#include <strings.h>

#include "base/codec.h"
#include "base/json.h"
#include "server/auth/jwk.h"
#include "server/auth/verifier.h"

struct parts {
    struct fh_str header;
    struct fh_str payload;
    struct fh_str signature;
};

static bool split(struct fh_str token, struct parts *out)
{
    const char *end = token.data + token.len;
    const char *first = memchr(token.data, '.', token.len);
    if (first == NULL) {
        return false;
    }
    const char *second = memchr(first + 1, '.', (size_t)(end - first - 1));
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL) {
        return false;
    }
    out->header = (struct fh_str){.data = token.data, .len = (size_t)(first - token.data)};
    out->payload = (struct fh_str){.data = first + 1, .len = (size_t)(second - first - 1)};
    out->signature = (struct fh_str){.data = second + 1, .len = (size_t)(end - second - 1)};
    return true;
}

static enum fh_code decode_json(struct fh_str part, const char *name, json_t **out,
                                struct fh_error *error)
{
    uint8_t bytes[FH_TOKEN_BYTES_MAX * 3 / 4 + 3];
    size_t len = 0;
    const char *why = NULL;
    if (part.len == 0 || !fh_base64url_decode(part, bytes, &len)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's %s is not base64url", name);
    }
    const struct fh_str text = {.data = (const char *)bytes, .len = len};
    const enum fh_code code = fh_json_parse_object(text, out, &why);
    if (code == FH_INVALID) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's %s %s", name, why);
    }
    return code;
}

static enum fh_code check_alg(const json_t *header, enum fh_alg *alg, struct fh_error *error)
{
    const json_t *value = json_object_get(header, "alg");
    if (!json_is_string(value)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's header has no \"alg\"");
    }
    for (int i = FH_ALG_RS256; i <= FH_ALG_EDDSA; i++) {
        if (fh_json_text_is(value, fh_alg_name((enum fh_alg)i))) {
            *alg = (enum fh_alg)i;
            return FH_OK;
        }
    }
    const char *text = json_string_value(value);
    if (strcasecmp(text, "none") == 0) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "unsigned tokens (alg none) are refused");
    }
    if (strncasecmp(text, "HS", 2) == 0) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "HMAC tokens (alg HS...) are refused");
    }
    return fh_error_set(error, FH_UNAUTHENTICATED,
                        "the token's alg is none of RS256, ES256, EdDSA");
}

/* Media types compare without case, and "application/" may be left out (RFC 7515, 4.1.9). */
static bool type_accepted(const json_t *type)
{
    if (type == NULL) {
        return true;
    }
    const char *text = json_string_value(type);
    if (text == NULL) {
        return false;
    }
    if (strncasecmp(text, "application/", strlen("application/")) == 0) {
        text += strlen("application/");
    }
    return strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0;
}

static enum fh_code check_header(struct fh_jwt *jwt, struct fh_error *error)
{
    const json_t *header = jwt->header;
    const enum fh_code code = check_alg(header, &jwt->alg, error);
    if (code != FH_OK) {
        return code;
    }
    if (json_object_get(header, "crit") != NULL) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's header has \"crit\"");
    }
    if (!type_accepted(json_object_get(header, "typ"))) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's typ is not JWT or at+jwt");
    }
    jwt->key_id = fh_json_text(header, "kid");
    if (jwt->key_id.len == 0) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's header has no \"kid\"");
    }
    if (jwt->key_id.len > FH_KID_BYTES_MAX) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's kid is too long");
    }
    return FH_OK;
}

static enum fh_code decode_signature(struct fh_str part, struct fh_jwt *jwt, struct fh_error *error)
{
    if (part.len == 0) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token has no signature");
    }
    if (part.len * 3 / 4 > sizeof(jwt->signature)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's signature is too long");
    }
    if (!fh_base64url_decode(part, jwt->signature, &jwt->signature_len)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's signature is not base64url");
    }
    return FH_OK;
}

enum fh_code fh_jwt_decode(struct fh_str token, struct fh_jwt *out, struct fh_error *error)
{
    struct parts parts;
    memset(out, 0, sizeof(*out));
    if (token.len == 0) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token is empty");
    }
    if (token.len > FH_TOKEN_BYTES_MAX) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token is longer than %d bytes",
                            FH_TOKEN_BYTES_MAX);
    }
    if (!split(token, &parts)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "a token has three parts");
    }
    enum fh_code code = decode_json(parts.header, "header", &out->header, error);
    if (code != FH_OK) {
        goto failed;
    }
    code = check_header(out, error);
    if (code != FH_OK) {
        goto failed;
    }
    code = decode_json(parts.payload, "payload", &out->claims, error);
    if (code != FH_OK) {
        goto failed;
    }
    code = decode_signature(parts.signature, out, error);
    if (code != FH_OK) {
        goto failed;
    }
    out->signing_input =
        (struct fh_str){.data = token.data, .len = parts.header.len + 1 + parts.payload.len};
    return FH_OK;
failed:
    fh_jwt_close(out);
    return code;
}

void fh_jwt_close(struct fh_jwt *jwt)
{
    json_decref(jwt->claims);
    json_decref(jwt->header);
    jwt->claims = NULL;
    jwt->header = NULL;
}
