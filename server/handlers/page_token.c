/* AES-256-GCM through OpenSSL's EVP. The scope goes in as additional data, each part with its
 * length before it so that parts cannot run into one another.
 *
 * Failures: anything that does not open is one and the same FH_INVALID; why is nobody's business.
 */
#include "server/handlers/page_token.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/codec.h"
#include "base/fault_point.h"

#define KEY_ID_LEN 4
#define NONCE_LEN 12
#define TAG_LEN 16
#define OVERHEAD (KEY_ID_LEN + NONCE_LEN + TAG_LEN)

static void put_be32(uint8_t *out, uint32_t v)
{
    out[0] = (uint8_t)(v >> 24);
    out[1] = (uint8_t)(v >> 16);
    out[2] = (uint8_t)(v >> 8);
    out[3] = (uint8_t)v;
}

static enum fh_code scope_data(const struct fh_page_scope *scope, struct fh_arena *arena,
                               struct fh_str *out)
{
    static const uint8_t nobody[sizeof(scope->tenant.bytes)];
    size_t len = sizeof(scope->tenant.bytes) + 4 + scope->method.len + 4 + scope->query.len;
    uint8_t *data = fh_arena_alloc(arena, len);
    if (data == NULL) {
        return FH_NOMEM;
    }
    uint8_t *at = data;
    memcpy(at, fh_fault_seeded("page_of_any_tenant") ? nobody : scope->tenant.bytes,
           sizeof(scope->tenant.bytes));
    at += sizeof(scope->tenant.bytes);
    put_be32(at, (uint32_t)scope->method.len);
    memcpy(at + 4, scope->method.data, scope->method.len);
    at += 4 + scope->method.len;
    put_be32(at, (uint32_t)scope->query.len);
    if (scope->query.len > 0) {
        memcpy(at + 4, scope->query.data, scope->query.len);
    }
    *out = (struct fh_str){.data = (const char *)data, .len = len};
    return FH_OK;
}

static bool seal(EVP_CIPHER_CTX *ctx, const struct fh_page_key *key, struct fh_str aad,
                 struct fh_str payload, uint8_t *sealed)
{
    int len = 0;
    uint8_t *nonce = sealed + KEY_ID_LEN;
    uint8_t *body = nonce + NONCE_LEN;
    put_be32(sealed, key->id);
    return RAND_bytes(nonce, NONCE_LEN) == 1 &&
           EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, nonce) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &len, (const uint8_t *)aad.data, (int)aad.len) == 1 &&
           EVP_EncryptUpdate(ctx, body, &len, (const uint8_t *)payload.data, (int)payload.len) ==
               1 &&
           EVP_EncryptFinal_ex(ctx, body + len, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, body + payload.len) == 1;
}

enum fh_code fh_page_token_seal(const struct fh_page_keys *keys, const struct fh_page_scope *scope,
                                struct fh_str payload, struct fh_arena *arena, struct fh_str *out)
{
    size_t sealed_len = payload.len + OVERHEAD;
    if (keys->count == 0) {
        return FH_INTERNAL;
    }
    if (FH_BASE64URL_LEN(sealed_len) > FH_PAGE_TOKEN_MAX) {
        return FH_TOO_LARGE;
    }
    struct fh_str aad;
    enum fh_code code = scope_data(scope, arena, &aad);
    uint8_t *sealed = fh_arena_alloc(arena, sealed_len);
    char *text = fh_arena_alloc(arena, FH_BASE64URL_LEN(sealed_len) + 1);
    if (code != FH_OK || sealed == NULL || text == NULL) {
        return FH_NOMEM;
    }
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return FH_NOMEM;
    }
    bool ok = seal(ctx, &keys->keys[0], aad, payload, sealed);
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        return FH_INTERNAL;
    }
    size_t len = fh_base64url_encode(sealed, sealed_len, text);
    text[len] = '\0';
    *out = (struct fh_str){.data = text, .len = len};
    return FH_OK;
}

static const struct fh_page_key *find_key(const struct fh_page_keys *keys, uint32_t id)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->keys[i].id == id) {
            return &keys->keys[i];
        }
    }
    return NULL;
}

static bool unseal(EVP_CIPHER_CTX *ctx, const struct fh_page_key *key, struct fh_str aad,
                   uint8_t *sealed, size_t payload_len, uint8_t *payload)
{
    int len = 0;
    const uint8_t *nonce = sealed + KEY_ID_LEN;
    const uint8_t *body = nonce + NONCE_LEN;
    return EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, nonce) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)aad.data, (int)aad.len) == 1 &&
           EVP_DecryptUpdate(ctx, payload, &len, body, (int)payload_len) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN,
                               sealed + KEY_ID_LEN + NONCE_LEN + payload_len) == 1 &&
           EVP_DecryptFinal_ex(ctx, payload + len, &len) == 1;
}

static enum fh_code refuse(struct fh_error *error)
{
    return fh_error_field(error, FH_INVALID, "page_token",
                          "page_token is not one of this list's; start again without it");
}

enum fh_code fh_page_token_open(const struct fh_page_keys *keys, const struct fh_page_scope *scope,
                                struct fh_str token, struct fh_arena *arena, struct fh_str *payload,
                                struct fh_error *error)
{
    if (token.len > FH_PAGE_TOKEN_MAX) {
        return refuse(error);
    }
    size_t sealed_len = 0;
    struct fh_str aad;
    enum fh_code code = scope_data(scope, arena, &aad);
    uint8_t *sealed = fh_arena_alloc(arena, token.len + 1);
    uint8_t *opened = fh_arena_alloc(arena, token.len + 1);
    if (code != FH_OK || sealed == NULL || opened == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    if (!fh_base64url_decode(token, sealed, &sealed_len) || sealed_len < OVERHEAD) {
        return refuse(error);
    }
    const struct fh_page_key *key = find_key(keys, fh_be32(sealed));
    if (key == NULL) {
        return refuse(error);
    }
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    size_t len = sealed_len - OVERHEAD;
    bool ok = unseal(ctx, key, aad, sealed, len, opened);
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        return refuse(error);
    }
    *payload = (struct fh_str){.data = (const char *)opened, .len = len};
    return FH_OK;
}
