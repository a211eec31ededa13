/* Happy path: header with the key set's kid, claims, Ed25519 over both. What the server's verifier
 * would refuse is refused here, in words. Secrets are wiped before their memory is given back. */
#include "clients/cli/devserver.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/uuid.h"
#include "clients/cli/file.h"

#define PATH_BYTES_MAX 4096
#define PEM_BYTES_MAX 4096
#define JWKS_BYTES_MAX 16384
#define KID_MAX 128
#define PART_BYTES_MAX 2048
#define TOKEN_BYTES_MAX 8192
#define SUBJECT_MAX 128
#define SIGNATURE_BYTES 64

static enum fh_code check(const struct fh_devtoken *request, struct fh_error *error)
{
    struct fh_uuid uuid;
    if (!request->operators && !fh_uuid_parse(request->tenant, &uuid)) {
        return fh_error_set(error, FH_INVALID, "a tenant's token needs the tenant's UUID");
    }
    if (request->subject.len == 0 || request->subject.len > SUBJECT_MAX) {
        return fh_error_set(error, FH_INVALID, "a subject has 1 to %d characters", SUBJECT_MAX);
    }
    for (size_t i = 0; i < request->subject.len; i++) {
        if (request->subject.data[i] <= ' ' || request->subject.data[i] > '~') {
            return fh_error_set(error, FH_INVALID, "a subject is visible ASCII");
        }
    }
    if (!request->operators && request->role_count == 0) {
        return fh_error_set(error, FH_INVALID, "a tenant's token needs a role");
    }
    for (size_t i = 0; !request->operators && i < request->role_count; i++) {
        const char *role = request->roles[i];
        if (strcmp(role, "reader") != 0 && strcmp(role, "writer") != 0 &&
            strcmp(role, "admin") != 0) {
            return fh_error_set(error, FH_INVALID,
                                "roles are reader, writer and admin, not '%.32s'", role);
        }
    }
    if (request->ttl_s < 1 || request->ttl_s > FH_TTL_S_MAX) {
        return fh_error_set(error, FH_INVALID, "a token lives 1 second to 365 days");
    }
    return FH_OK;
}

enum fh_code fh_devtoken_claims(const struct fh_devtoken *request, struct fh_buf *out)
{
    fh_buf_printf(out, "{\"iss\":\"freehold-development%s\",\"aud\":\"freehold%s\",\"sub\":\"",
                  request->operators ? "-operator" : "", request->operators ? "-operator" : "");
    fh_buf_add_json(out, request->subject);
    fh_buf_printf(out, "\",\"iat\":%lld,\"exp\":%lld", (long long)request->issued_s,
                  (long long)request->issued_s + (long long)request->ttl_s);
    if (request->operators) {
        fh_buf_add_text(out, ",\"roles\":[\"operator\"]}");
        return fh_buf_code(out);
    }
    fh_buf_add_text(out, ",\"tenant\":\"");
    fh_buf_add_json(out, request->tenant);
    fh_buf_add_text(out, "\",\"roles\":[");
    for (size_t i = 0; i < request->role_count; i++) {
        fh_buf_printf(out, "%s\"%s\"", i > 0 ? "," : "", request->roles[i]);
    }
    fh_buf_add_text(out, "]}");
    return fh_buf_code(out);
}

/* Without this OpenSSL would ask for a passphrase on the terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's pem_password_cb */
static int no_passphrase_cb(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static enum fh_code path_of(const char *dir, bool operators, const char *leaf,
                            char out[PATH_BYTES_MAX], struct fh_error *error)
{
    const int len = snprintf(out, PATH_BYTES_MAX, "%s/keys/%s.%s", dir,
                             operators ? "operator" : "tenant", leaf);
    return len < PATH_BYTES_MAX
               ? FH_OK
               : fh_error_set(error, FH_INVALID, "the data directory's path is too long");
}

static enum fh_code load_key(const char *dir, bool operators, EVP_PKEY **out,
                             struct fh_error *error)
{
    char path[PATH_BYTES_MAX];
    struct fh_buf pem;
    struct fh_file_facts facts;
    *out = NULL;
    enum fh_code code = path_of(dir, operators, "key.pem", path, error);
    if (code != FH_OK) {
        return code;
    }
    fh_buf_init(&pem, PEM_BYTES_MAX);
    code = fh_file_read_all(path, &pem, &facts, error);
    if (code == FH_OK && facts.readable_by_others) {
        code = fh_error_set(error, FH_PERMISSION, "%s can be read by others; run: chmod 600 %s",
                            path, path);
    }
    if (code == FH_OK) {
        BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
        *out = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase_cb, NULL) : NULL;
        BIO_free(bio);
        ERR_clear_error();
        if (*out == NULL || EVP_PKEY_is_a(*out, "ED25519") != 1) {
            code = fh_error_set(error, FH_INVALID, "%s does not hold an Ed25519 key", path);
        }
    }
    if (pem.data != NULL) {
        OPENSSL_cleanse(pem.data, pem.capacity);
    }
    fh_buf_close(&pem);
    if (code != FH_OK) {
        EVP_PKEY_free(*out);
        *out = NULL;
    }
    return code;
}

/* The kid goes into our JSON unescaped, so only what needs no escape is taken. */
static bool kid_is_plain(const char *kid)
{
    return kid != NULL && kid[0] != '\0' && strlen(kid) < KID_MAX &&
           strspn(kid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
               strlen(kid);
}

static enum fh_code load_kid(const char *dir, bool operators, char out[KID_MAX],
                             struct fh_error *error)
{
    char path[PATH_BYTES_MAX];
    struct fh_buf text;
    enum fh_code code = path_of(dir, operators, "jwks.json", path, error);
    if (code != FH_OK) {
        return code;
    }
    fh_buf_init(&text, JWKS_BYTES_MAX);
    code = fh_file_read_all(path, &text, NULL, error);
    if (code == FH_OK) {
        json_t *root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
        const json_t *key = json_array_get(json_object_get(root, "keys"), 0);
        const char *kid = json_string_value(json_object_get(key, "kid"));
        if (kid_is_plain(kid)) {
            (void)snprintf(out, KID_MAX, "%s", kid);
        } else {
            code = fh_error_set(error, FH_INVALID, "%s names no key", path);
        }
        json_decref(root);
    }
    fh_buf_close(&text);
    return code;
}

static void add_part(struct fh_buf *out, const void *data, size_t len)
{
    char text[FH_BASE64URL_LEN(PART_BYTES_MAX)];
    fh_buf_add(out, text, fh_base64url_encode(data, len, text));
    OPENSSL_cleanse(text, sizeof(text));
}

static enum fh_code sign(EVP_PKEY *key, struct fh_buf *token)
{
    uint8_t signature[SIGNATURE_BYTES];
    size_t len = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool done = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                      EVP_DigestSign(context, signature, &len, (const unsigned char *)token->data,
                                     token->len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    if (!done) {
        return FH_NOMEM;
    }
    fh_buf_add_char(token, '.');
    add_part(token, signature, len);
    return fh_buf_code(token);
}

static enum fh_code build(EVP_PKEY *key, const char *kid, const struct fh_devtoken *request,
                          struct fh_buf *out)
{
    struct fh_buf part;
    struct fh_buf token;
    fh_buf_init(&part, PART_BYTES_MAX);
    fh_buf_init(&token, TOKEN_BYTES_MAX);
    fh_buf_printf(&part, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}", kid);
    enum fh_code code = fh_buf_code(&part);
    if (code == FH_OK) {
        add_part(&token, part.data, part.len);
        fh_buf_add_char(&token, '.');
        fh_buf_clear(&part);
        code = fh_devtoken_claims(request, &part);
    }
    if (code == FH_OK) {
        add_part(&token, part.data, part.len);
        code = fh_buf_code(&token);
    }
    if (code == FH_OK) {
        code = sign(key, &token);
    }
    if (code == FH_OK) {
        fh_buf_add_str(out, fh_buf_str(&token));
        code = fh_buf_code(out);
    }
    if (token.data != NULL) {
        OPENSSL_cleanse(token.data, token.capacity);
    }
    fh_buf_close(&token);
    fh_buf_close(&part);
    return code;
}

enum fh_code fh_devtoken_mint(const char *dir, const struct fh_devtoken *request,
                              struct fh_buf *out, struct fh_error *error)
{
    char kid[KID_MAX];
    EVP_PKEY *key = NULL;
    enum fh_code code = check(request, error);
    if (code == FH_OK) {
        code = load_key(dir, request->operators, &key, error);
    }
    if (code != FH_OK) {
        return code;
    }
    code = load_kid(dir, request->operators, kid, error);
    if (code == FH_OK) {
        code = build(key, kid, request, out);
        if (code != FH_OK) {
            (void)fh_error_set(error, code, "the token cannot be made");
        }
    }
    EVP_PKEY_free(key);
    return code;
}
