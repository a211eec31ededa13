/* Whole tokens against a fixed key set, signed claims, and key sets. The first byte chooses:
 *
 * - 's': the rest is claims, signed here under a good header to reach what lies behind a signature;
 * - 'h': "header NEWLINE claims", both encoded and signed here;
 * - 'k': the rest is a key set;
 * - else the input, all of it, is the token.
 *
 * A token that was not signed here must never be accepted; an accepted one must give a whole
 * principal.
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/env.h"
#include "server/auth/jwks.h"
#include "server/auth/verifier.h"

#define NOW_S 1700000000
#define INPUT_MAX 16384

/* The key pair of RFC 8037, A.1 and A.2. */
static const uint8_t private_key[32] = {
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
static const char key_set[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","
                              "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
                              "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\","
                              "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                              "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct fh_verifier *verifier;
static struct fh_clock_virtual virtual_clock;
static EVP_PKEY *key;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    char path[] = "/tmp/fh-fuzz-jwt-XXXXXX";
    struct fh_error error = FH_ERROR_INIT;
    const int fd = mkstemp(path);
    FH_ASSERT(fd >= 0 && write(fd, key_set, sizeof(key_set) - 1) == (ssize_t)(sizeof(key_set) - 1));
    close(fd);
    fh_clock_virtual_init(&virtual_clock, (int64_t)NOW_S * 1000000);
    const struct fh_env env = {.clock = &virtual_clock.clock};
    const struct fh_issuer_config issuer = {FH_REALM_TENANT, "i", "a", path};
    const enum fh_code code = fh_verifier_create(&env, &issuer, 1, 16, &verifier, &error);
    FH_ASSERT(code == FH_OK);
    unlink(path);
    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, sizeof(private_key));
    FH_ASSERT(key != NULL);
    return 0;
}

static void add_base64url(struct fh_buf *out, const void *data, size_t len)
{
    static char text[FH_BASE64URL_LEN(INPUT_MAX)];
    FH_ASSERT(len <= INPUT_MAX);
    fh_buf_add(out, text, fh_base64url_encode(data, len, text));
}

static void sign(struct fh_buf *token, struct fh_str header, struct fh_str claims)
{
    uint8_t signature[64];
    size_t len = sizeof(signature);
    add_base64url(token, header.data, header.len);
    fh_buf_add_char(token, '.');
    add_base64url(token, claims.data, claims.len);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    FH_ASSERT(EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, key, NULL) == 1);
    FH_ASSERT(EVP_DigestSign(context, signature, &len, (const uint8_t *)token->data, token->len) ==
              1);
    EVP_MD_CTX_free(context);
    fh_buf_add_char(token, '.');
    add_base64url(token, signature, len);
}

static enum fh_code verify(struct fh_str token)
{
    struct fh_arena arena;
    struct fh_principal principal;
    struct fh_error error = FH_ERROR_INIT;
    fh_arena_init(&arena, 4096);
    const enum fh_code code =
        fh_verifier_verify(verifier, FH_REALM_TENANT, token, &arena, &principal, &error);
    FH_ASSERT(code == FH_OK || (code == FH_UNAUTHENTICATED && error.code == code));
    if (code == FH_OK) {
        FH_ASSERT(principal.realm == FH_REALM_TENANT && !fh_uuid_is_nil(&principal.tenant));
        FH_ASSERT(principal.subject.len > 0 && principal.subject.len <= FH_SUBJECT_MAX);
        FH_ASSERT((principal.roles & ~(uint32_t)FH_ACCESS_READ) == 0);
        FH_ASSERT(principal.expires_at_us > (int64_t)(NOW_S - 30) * 1000000);
    } else {
        FH_ASSERT(principal.realm == 0 && error.message[0] != '\0');
    }
    fh_arena_close(&arena);
    return code;
}

static void try_key_set(struct fh_str text)
{
    struct fh_jwks *jwks = NULL;
    struct fh_error error = FH_ERROR_INIT;
    const enum fh_code code = fh_jwks_parse(text, &jwks, &error);
    FH_ASSERT((code == FH_OK) == (jwks != NULL));
    FH_ASSERT(code == FH_OK || error.message[0] != '\0');
    fh_jwks_destroy(jwks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fh_buf token;
    const struct fh_str whole = {.data = (const char *)data, .len = size};
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    const struct fh_str rest = {.data = whole.data + 1, .len = size - 1};
    const char *newline = memchr(rest.data, '\n', rest.len);
    fh_buf_init(&token, (size_t)4 * INPUT_MAX);
    if (data[0] == 's') {
        sign(&token, FH_STR("{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"), rest);
        (void)verify(fh_buf_str(&token));
        (void)verify(fh_buf_str(&token)); /* from the cache, when accepted */
    } else if (data[0] == 'h' && newline != NULL) {
        const size_t len = (size_t)(newline - rest.data);
        sign(&token, (struct fh_str){.data = rest.data, .len = len},
             (struct fh_str){.data = newline + 1, .len = rest.len - len - 1});
        (void)verify(fh_buf_str(&token));
    } else if (data[0] == 'k') {
        try_key_set(rest);
    } else {
        FH_ASSERT(verify(whole) == FH_UNAUTHENTICATED);
    }
    fh_buf_close(&token);
    return 0;
}
