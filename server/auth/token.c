/* Mints a development token: header and claims as compact JSON, signed with Ed25519.
 *
 * Everything is checked here as the verifier will check it, so that a token which was minted is
 * accepted. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/codec.h"
#include "server/auth/claims.h"
#include "server/auth/devkey.h"
#include "server/auth/keys.h"
#include "server/auth/verifier.h"

#define LIFETIME_MAX_S ((int64_t)365 * 86400)
#define PART_BYTES_MAX 2048
#define ED25519_SIGNATURE_BYTES 64

static uint32_t roles_of(enum fh_realm realm)
{
    return realm == FH_REALM_OPERATOR ? FH_ROLE_OPERATOR
                                      : FH_ROLE_READER | FH_ROLE_WRITER | FH_ROLE_ADMIN;
}

static enum fh_code check(const struct fh_token_request *request, struct fh_error *error)
{
    if (request->realm != FH_REALM_TENANT && request->realm != FH_REALM_OPERATOR) {
        return fh_error_field(error, FH_INVALID, "realm", "unknown realm");
    }
    if (request->realm == FH_REALM_TENANT && fh_uuid_is_nil(&request->tenant)) {
        return fh_error_field(error, FH_INVALID, "tenant", "a tenant's token needs a tenant");
    }
    if (request->realm == FH_REALM_OPERATOR && !fh_uuid_is_nil(&request->tenant)) {
        return fh_error_field(error, FH_INVALID, "tenant",
                              "an operator's token must not name a tenant");
    }
    if (!fh_subject_valid(request->subject)) {
        return fh_error_field(error, FH_INVALID, "subject",
                              "a subject is 1 to %d bytes of visible ASCII", FH_SUBJECT_MAX);
    }
    if (request->roles == 0 || (request->roles & ~roles_of(request->realm)) != 0) {
        return fh_error_field(error, FH_INVALID, "roles",
                              request->realm == FH_REALM_OPERATOR
                                  ? "the operator realm has the role operator"
                                  : "the tenant realm has the roles reader, writer, admin");
    }
    if (request->lifetime_s < 1 || request->lifetime_s > LIFETIME_MAX_S) {
        return fh_error_field(error, FH_INVALID, "lifetime", "a lifetime is 1 s to 365 days");
    }
    return FH_OK;
}

static void add_claims(const struct fh_token_request *request, int64_t now_s, struct fh_buf *out)
{
    const bool operator_realm = request->realm == FH_REALM_OPERATOR;
    const char *separator = "";
    fh_buf_printf(out, "{\"iss\":\"%s\",\"aud\":\"%s\",\"sub\":\"",
                  operator_realm ? FH_DEVELOPMENT_ISSUER_OPERATOR : FH_DEVELOPMENT_ISSUER_TENANT,
                  operator_realm ? FH_AUDIENCE_OPERATOR : FH_AUDIENCE_TENANT);
    fh_buf_add_json(out, request->subject);
    fh_buf_printf(out, "\",\"iat\":%lld,\"exp\":%lld", (long long)now_s,
                  (long long)now_s + (long long)request->lifetime_s);
    if (!operator_realm) {
        char tenant[FH_UUID_TEXT_LEN + 1];
        fh_uuid_format(&request->tenant, tenant);
        fh_buf_printf(out, ",\"tenant\":\"%s\"", tenant);
    }
    fh_buf_add_text(out, ",\"roles\":[");
    for (uint32_t bit = FH_ROLE_READER; bit <= FH_ROLE_OPERATOR; bit <<= 1) {
        if ((request->roles & bit) != 0) {
            fh_buf_printf(out, "%s\"%s\"", separator, fh_role_name((enum fh_role)bit));
            separator = ",";
        }
    }
    fh_buf_add_text(out, "]}");
}

static void add_base64url(struct fh_buf *out, const void *data, size_t len)
{
    char text[FH_BASE64URL_LEN(PART_BYTES_MAX)];
    if (len > PART_BYTES_MAX) {
        out->code = FH_TOO_LARGE;
        return;
    }
    const size_t written = fh_base64url_encode(data, len, text);
    fh_buf_add(out, text, written);
}

static enum fh_code sign(EVP_PKEY *key, struct fh_str input,
                         uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    size_t len = ED25519_SIGNATURE_BYTES;
    ERR_set_mark();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool signed_ok =
        context != NULL && EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
        EVP_DigestSign(context, signature, &len, (const unsigned char *)input.data, input.len) ==
            1 &&
        len == ED25519_SIGNATURE_BYTES;
    EVP_MD_CTX_free(context);
    ERR_pop_to_mark();
    return signed_ok ? FH_OK : FH_NOMEM;
}

enum fh_code fh_token_mint(const char *dir, const struct fh_token_request *request,
                           const struct fh_clock *clock, struct fh_buf *out, struct fh_error *error)
{
    struct fh_devkey devkey;
    struct fh_buf part;
    struct fh_buf token;
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    enum fh_code code = check(request, error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_devkey_load(dir, request->realm, &devkey, error);
    if (code != FH_OK) {
        return code;
    }
    fh_buf_init(&part, PART_BYTES_MAX);
    fh_buf_init(&token, FH_TOKEN_BYTES_MAX);
    fh_buf_printf(&part, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}", devkey.kid);
    code = fh_buf_code(&part);
    if (code != FH_OK) {
        goto done;
    }
    add_base64url(&token, part.data, part.len);
    fh_buf_add_char(&token, '.');
    fh_buf_clear(&part);
    add_claims(request, fh_clock_realtime_us(clock) / 1000000, &part);
    code = fh_buf_code(&part);
    if (code != FH_OK) {
        goto done;
    }
    add_base64url(&token, part.data, part.len);
    code = fh_buf_code(&token);
    if (code == FH_OK) {
        code = sign(devkey.key, fh_buf_str(&token), signature);
    }
    if (code != FH_OK) {
        goto done;
    }
    fh_buf_add_char(&token, '.');
    add_base64url(&token, signature, sizeof(signature));
    code = fh_buf_code(&token);
    if (code == FH_OK) {
        fh_buf_add_str(out, fh_buf_str(&token));
        code = fh_buf_code(out);
    }
done:
    fh_buf_close(&token);
    fh_buf_close(&part);
    fh_devkey_close(&devkey);
    return code == FH_OK ? FH_OK : fh_error_set(error, code, "the token cannot be made");
}
