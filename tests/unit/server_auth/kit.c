/* Tests only: a failed step here fails the test that asked for it. */
#include "tests/unit/server_auth/kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec.h"

EVP_PKEY *kit_make_key(const char *type)
{
    EVP_PKEY *key = NULL;
    if (strncmp(type, "RSA", 3) == 0) {
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)strtoul(type + 3, NULL, 10));
    } else if (strncmp(type, "P-", 2) == 0) {
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", type);
    } else {
        key = EVP_PKEY_Q_keygen(NULL, NULL, type);
    }
    assert_non_null(key);
    return key;
}

void kit_add_base64url(struct fh_buf *out, const void *data, size_t len)
{
    char text[FH_BASE64URL_LEN(16384)];
    assert_true(len <= 16384);
    fh_buf_add(out, text, fh_base64url_encode(data, len, text));
}

static void add_number(struct fh_buf *out, EVP_PKEY *key, const char *param, int width)
{
    BIGNUM *number = NULL;
    unsigned char bytes[2048];
    assert_int_equal(EVP_PKEY_get_bn_param(key, param, &number), 1);
    const int len = width > 0 ? BN_bn2binpad(number, bytes, width) : BN_bn2bin(number, bytes);
    assert_true(len > 0);
    kit_add_base64url(out, bytes, (size_t)len);
    BN_free(number);
}

void kit_add_jwk(struct fh_buf *out, EVP_PKEY *key, const char *kid, const char *extra)
{
    unsigned char raw[32];
    size_t len = sizeof(raw);
    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        fh_buf_add_text(out, "{\"kty\":\"RSA\",\"n\":\"");
        add_number(out, key, OSSL_PKEY_PARAM_RSA_N, 0);
        fh_buf_add_text(out, "\",\"e\":\"");
        add_number(out, key, OSSL_PKEY_PARAM_RSA_E, 0);
    } else if (EVP_PKEY_is_a(key, "EC") == 1) {
        const int width = (EVP_PKEY_get_bits(key) + 7) / 8;
        fh_buf_printf(out, "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"", EVP_PKEY_get_bits(key));
        add_number(out, key, OSSL_PKEY_PARAM_EC_PUB_X, width);
        fh_buf_add_text(out, "\",\"y\":\"");
        add_number(out, key, OSSL_PKEY_PARAM_EC_PUB_Y, width);
    } else {
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &len), 1);
        fh_buf_add_text(out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
        kit_add_base64url(out, raw, len);
    }
    fh_buf_add_text(out, "\"");
    if (kid != NULL) {
        fh_buf_printf(out, ",\"kid\":\"%s\"", kid);
    }
    fh_buf_printf(out, "%s}", extra);
}

void kit_write(const char *path, struct fh_str text)
{
    char temporary[160];
    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(text.len == 0 || write(fd, text.data, text.len) == (ssize_t)text.len);
    assert_int_equal(close(fd), 0);
    assert_int_equal(rename(temporary, path), 0);
}

void kit_write_tenant_keys(struct kit *kit, bool rsa, bool ec, bool ed)
{
    struct fh_buf text;
    const char *comma = "";
    fh_buf_init(&text, 65536);
    fh_buf_add_text(&text, "{\"keys\":[");
    if (rsa) {
        kit_add_jwk(&text, kit->rsa, "rsa", ",\"use\":\"sig\",\"alg\":\"RS256\"");
        comma = ",";
    }
    if (ec) {
        fh_buf_add_text(&text, comma);
        kit_add_jwk(&text, kit->ec, "ec", ",\"key_ops\":[\"verify\"]");
        comma = ",";
    }
    if (ed) {
        fh_buf_add_text(&text, comma);
        kit_add_jwk(&text, kit->ed, "ed", "");
    }
    fh_buf_add_text(&text, "]}");
    assert_int_equal(fh_buf_code(&text), FH_OK);
    kit_write(kit->tenant_path, fh_buf_str(&text));
    fh_buf_close(&text);
}

void kit_open(struct kit *kit)
{
    struct fh_buf text;
    memset(kit, 0, sizeof(*kit));
    (void)snprintf(kit->dir, sizeof(kit->dir), "/tmp/fh-auth-XXXXXX");
    assert_non_null(mkdtemp(kit->dir));
    (void)snprintf(kit->tenant_path, sizeof(kit->tenant_path), "%s/tenant.json", kit->dir);
    (void)snprintf(kit->operator_path, sizeof(kit->operator_path), "%s/operator.json", kit->dir);
    kit->rsa = kit_make_key("RSA2048");
    kit->ec = kit_make_key("P-256");
    kit->ed = kit_make_key("ED25519");
    kit->operator_key = kit_make_key("ED25519");
    kit->stranger = kit_make_key("ED25519");
    kit->stranger_ec = kit_make_key("P-256");
    kit->stranger_rsa = kit_make_key("RSA2048");
    kit_write_tenant_keys(kit, true, true, true);
    fh_buf_init(&text, 65536);
    fh_buf_add_text(&text, "{\"keys\":[");
    kit_add_jwk(&text, kit->operator_key, "staff", "");
    fh_buf_add_text(&text, "]}");
    kit_write(kit->operator_path, fh_buf_str(&text));
    fh_buf_close(&text);
    fh_clock_virtual_init(&kit->clock, (int64_t)KIT_NOW_S * 1000000);
    kit->env = (struct fh_env){.clock = &kit->clock.clock};
    fh_arena_init(&kit->arena, 65536);
}

void kit_close(struct kit *kit)
{
    DIR *dir = opendir(kit->dir);
    assert_non_null(dir);
    const struct dirent *entry = readdir(dir);
    while (entry != NULL) {
        if (entry->d_name[0] != '.') {
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
        }
        entry = readdir(dir);
    }
    closedir(dir);
    assert_int_equal(rmdir(kit->dir), 0);
    fh_arena_close(&kit->arena);
    EVP_PKEY_free(kit->rsa);
    EVP_PKEY_free(kit->ec);
    EVP_PKEY_free(kit->ed);
    EVP_PKEY_free(kit->operator_key);
    EVP_PKEY_free(kit->stranger);
    EVP_PKEY_free(kit->stranger_ec);
    EVP_PKEY_free(kit->stranger_rsa);
}

static size_t sign(EVP_PKEY *key, const char *digest, bool pss, struct fh_str input,
                   unsigned char *out, size_t size)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    size_t len = size;
    assert_int_equal(EVP_DigestSignInit_ex(context, &options, digest, NULL, NULL, key, NULL), 1);
    if (pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
    }
    assert_int_equal(
        EVP_DigestSign(context, out, &len, (const unsigned char *)input.data, input.len), 1);
    EVP_MD_CTX_free(context);
    return len;
}

static size_t sign_es256(EVP_PKEY *key, struct fh_str input, unsigned char *out, size_t size)
{
    const size_t len = sign(key, "SHA256", false, input, out, size);
    const unsigned char *cursor = out;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &cursor, (long)len);
    unsigned char raw[64];
    assert_non_null(pair);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32), 32);
    ECDSA_SIG_free(pair);
    memcpy(out, raw, sizeof(raw));
    return sizeof(raw);
}

static size_t sign_hmac(const void *secret, size_t secret_len, struct fh_str input,
                        unsigned char *out)
{
    unsigned int len = 0;
    assert_non_null(HMAC(EVP_sha256(), secret, (int)secret_len, (const unsigned char *)input.data,
                         input.len, out, &len));
    return len;
}

static size_t sign_with(struct kit *kit, enum kit_signer signer, struct fh_str input,
                        unsigned char *out, size_t size)
{
    char *pem = NULL;
    unsigned char raw[32];
    size_t len = sizeof(raw);
    switch (signer) {
    case KIT_RSA:
        return sign(kit->rsa, "SHA256", false, input, out, size);
    case KIT_STRANGER_RSA:
        return sign(kit->stranger_rsa, "SHA256", false, input, out, size);
    case KIT_RSA_PSS:
        return sign(kit->rsa, "SHA256", true, input, out, size);
    case KIT_RSA_SHA512:
        return sign(kit->rsa, "SHA512", false, input, out, size);
    case KIT_EC:
        return sign_es256(kit->ec, input, out, size);
    case KIT_STRANGER_EC:
        return sign_es256(kit->stranger_ec, input, out, size);
    case KIT_EC_DER:
        return sign(kit->ec, "SHA256", false, input, out, size);
    case KIT_ED:
        return sign(kit->ed, NULL, false, input, out, size);
    case KIT_OPERATOR:
        return sign(kit->operator_key, NULL, false, input, out, size);
    case KIT_STRANGER:
        return sign(kit->stranger, NULL, false, input, out, size);
    case KIT_HMAC_PEM: {
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PUBKEY(bio, kit->rsa), 1);
        const long pem_len = BIO_get_mem_data(bio, &pem);
        len = sign_hmac(pem, (size_t)pem_len, input, out);
        BIO_free(bio);
        return len;
    }
    case KIT_HMAC_RAW:
        assert_int_equal(EVP_PKEY_get_raw_public_key(kit->ed, raw, &len), 1);
        return sign_hmac(raw, len, input, out);
    case KIT_ZERO_64:
        memset(out, 0, 64);
        return 64;
    case KIT_NO_SIGNATURE:
    case KIT_SIGNER_COUNT:
        break;
    }
    return 0;
}

void kit_token(struct kit *kit, enum kit_signer signer, const char *header, const char *claims,
               struct fh_buf *out)
{
    unsigned char signature[1024];
    fh_buf_clear(out);
    kit_add_base64url(out, header, strlen(header));
    fh_buf_add_char(out, '.');
    kit_add_base64url(out, claims, strlen(claims));
    const size_t len = sign_with(kit, signer, fh_buf_str(out), signature, sizeof(signature));
    fh_buf_add_char(out, '.');
    kit_add_base64url(out, signature, len);
    assert_int_equal(fh_buf_code(out), FH_OK);
}

struct fh_verifier *kit_verifier(struct kit *kit, size_t cache_max)
{
    const struct fh_issuer_config issuers[] = {
        {FH_REALM_TENANT, KIT_ISSUER, KIT_AUDIENCE, kit->tenant_path},
        {FH_REALM_OPERATOR, KIT_OPERATOR_ISSUER, KIT_OPERATOR_AUDIENCE, kit->operator_path},
    };
    struct fh_verifier *verifier = NULL;
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(fh_verifier_create(&kit->env, issuers, 2, cache_max, &verifier, &error),
                     FH_OK);
    return verifier;
}

enum fh_code kit_verify(struct kit *kit, struct fh_verifier *verifier, enum fh_realm realm,
                        struct fh_str token, struct fh_principal *out, struct fh_error *error)
{
    fh_arena_reset(&kit->arena);
    *error = (struct fh_error)FH_ERROR_INIT;
    return fh_verifier_verify(verifier, realm, token, &kit->arena, out, error);
}
