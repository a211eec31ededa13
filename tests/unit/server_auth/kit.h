/* Keys, tokens, files and a clock for the tests of server/auth.
 *
 * Everything is made in the test and lives in a temporary directory that kit_close() removes.
 */
#ifndef FH_TESTS_UNIT_SERVER_AUTH_KIT_H
#define FH_TESTS_UNIT_SERVER_AUTH_KIT_H

#include <openssl/types.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/env.h"
#include "server/auth/verifier.h"

#define KIT_NOW_S 1700000000 /* 2023-11-14T22:13:20Z */
#define KIT_ISSUER "https://id.example"
#define KIT_AUDIENCE "freehold-test"
#define KIT_OPERATOR_ISSUER "https://staff.example"
#define KIT_OPERATOR_AUDIENCE "freehold-test-operator"
#define KIT_TENANT "0190c0de-1111-7222-8333-444455556666"

enum kit_signer {
    KIT_RSA,
    KIT_EC,
    KIT_ED,
    KIT_OPERATOR,     /* Ed25519, in the operators' key set */
    KIT_STRANGER,     /* Ed25519, in no key set */
    KIT_STRANGER_EC,  /* P-256, in no key set */
    KIT_STRANGER_RSA, /* in no key set */
    KIT_RSA_PSS,      /* the RSA key with PSS padding */
    KIT_RSA_SHA512,   /* the RSA key with another digest */
    KIT_EC_DER,       /* the EC key, signature in DER instead of r || s */
    KIT_HMAC_PEM,     /* HMAC with the RSA public key's PEM as secret */
    KIT_HMAC_RAW,     /* HMAC with the Ed25519 public key's bytes as secret */
    KIT_NO_SIGNATURE, /* nothing behind the second dot */
    KIT_ZERO_64,      /* 64 zero bytes */
    KIT_SIGNER_COUNT
};

struct kit {
    EVP_PKEY *rsa;
    EVP_PKEY *ec;
    EVP_PKEY *ed;
    EVP_PKEY *operator_key;
    EVP_PKEY *stranger;
    EVP_PKEY *stranger_ec;
    EVP_PKEY *stranger_rsa;
    char dir[64];
    char tenant_path[128];
    char operator_path[128];
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fh_arena arena;
};

/* Asserts that it worked, as all here do. Writes both key files. */
void kit_open(struct kit *kit);
void kit_close(struct kit *kit);

EVP_PKEY *kit_make_key(const char *type);
/* Appends a JWK of the public key; `extra` ("" or ",\"use\":\"sig\"") goes in front of the closing
 * brace. */
void kit_add_jwk(struct fh_buf *out, EVP_PKEY *key, const char *kid, const char *extra);
void kit_write(const char *path, struct fh_str text);
/* The tenants' key file with any of the kit's three keys. */
void kit_write_tenant_keys(struct kit *kit, bool rsa, bool ec, bool ed);

/* Encodes both JSON texts and signs. */
void kit_token(struct kit *kit, enum kit_signer signer, const char *header, const char *claims,
               struct fh_buf *out);
void kit_add_base64url(struct fh_buf *out, const void *data, size_t len);

struct fh_verifier *kit_verifier(struct kit *kit, size_t cache_max);
enum fh_code kit_verify(struct kit *kit, struct fh_verifier *verifier, enum fh_realm realm,
                        struct fh_str token, struct fh_principal *out, struct fh_error *error);

#endif
