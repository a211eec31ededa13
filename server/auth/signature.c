/* EVP_DigestVerify for all three. ES256 travels as r || s (RFC 7518, 3.4) and is turned into the
 * DER that OpenSSL wants; Ed25519 hashes by itself and takes no digest. */
#include "server/auth/signature.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>

#include "base/assert.h"

#define ES256_HALF 32
#define ES256_DER_MAX 80 /* SEQUENCE of two INTEGERs of at most 33 bytes: 72 */

const char *fh_alg_name(enum fh_alg alg)
{
    switch (alg) {
    case FH_ALG_RS256:
        return "RS256";
    case FH_ALG_ES256:
        return "ES256";
    case FH_ALG_EDDSA:
        return "EdDSA";
    }
    return "unknown";
}

/* Answers the DER length, 0 when memory is out. */
static size_t es256_to_der(const uint8_t *raw, uint8_t der[ES256_DER_MAX])
{
    size_t written = 0;
    BIGNUM *r = BN_bin2bn(raw, ES256_HALF, NULL);
    BIGNUM *s = BN_bin2bn(raw + ES256_HALF, ES256_HALF, NULL);
    ECDSA_SIG *pair = ECDSA_SIG_new();
    if (r == NULL || s == NULL || pair == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        goto done;
    }
    int len = i2d_ECDSA_SIG(pair, NULL);
    if (len <= 0) {
        goto done;
    }
    FH_ASSERT(len <= ES256_DER_MAX);
    uint8_t *cursor = der;
    len = i2d_ECDSA_SIG(pair, &cursor);
    written = len > 0 ? (size_t)len : 0;
done:
    ECDSA_SIG_free(pair);
    return written;
}

static enum fh_code check(enum fh_alg alg, EVP_PKEY *key, struct fh_str input,
                          const uint8_t *signature, size_t len)
{
    uint8_t der[ES256_DER_MAX];
    if (alg == FH_ALG_ES256) {
        if (len != 2 * (size_t)ES256_HALF) {
            return FH_UNAUTHENTICATED;
        }
        len = es256_to_der(signature, der);
        if (len == 0) {
            return FH_NOMEM;
        }
        signature = der;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL) {
        return FH_NOMEM;
    }
    enum fh_code code = FH_NOMEM;
    const char *digest = alg == FH_ALG_EDDSA ? NULL : "SHA256";
    if (EVP_DigestVerifyInit_ex(context, NULL, digest, NULL, NULL, key, NULL) == 1) {
        /* 0 and negative: OpenSSL tells a wrong signature from a malformed one; we do not. */
        const int verdict =
            EVP_DigestVerify(context, signature, len, (const unsigned char *)input.data, input.len);
        code = verdict == 1 ? FH_OK : FH_UNAUTHENTICATED;
    }
    EVP_MD_CTX_free(context);
    return code;
}

enum fh_code fh_signature_check(enum fh_alg alg, EVP_PKEY *key, struct fh_str input,
                                const uint8_t *signature, size_t len)
{
    ERR_set_mark();
    const enum fh_code code = check(alg, key, input, signature, len);
    ERR_pop_to_mark();
    return code;
}
