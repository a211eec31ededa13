/* Happy path: no secret member; purpose (use, key_ops, alg) is ours; kid is present; the numbers
 * are decoded and handed to OpenSSL, which checks that a point is on its curve.
 *
 * Failures: a key for another purpose is passed over; a broken one or a secret refuses the file,
 * since a file that says something else than its author meant is not to be trusted in part. */
#include "server/auth/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "base/alloc.h"
#include "base/codec.h"
#include "base/json.h"

#define COORDINATE_BYTES 32
#define MODULUS_BYTES_MAX (FH_RSA_BITS_MAX / 8 + 1) /* some writers put a zero byte in front */
#define EXPONENT_BYTES_MAX 4
#define KEY_OPS_MAX 16
/* What decoding a text of the greatest length for `max` bytes may write. */
#define DECODED_ROOM(max) (FH_BASE64URL_LEN(max) * 3 / 4)

/* Members that only a private or symmetric key has (RFC 7518, section 6; RFC 8037, section 2). */
static const char *const secret_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

/* Encodings (sign bit cleared) of the points whose order divides 8, the ones not reduced mod p
 * among them. Under such a "key" anybody can make signatures that verify. */
static const uint8_t small_order[][COORDINATE_BYTES] = {
    {0x00},
    {0x01},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static bool has_small_order(const uint8_t point[COORDINATE_BYTES])
{
    uint8_t y[COORDINATE_BYTES];
    memcpy(y, point, sizeof(y));
    y[COORDINATE_BYTES - 1] &= 0x7f;
    for (size_t i = 0; i < sizeof(small_order) / sizeof(small_order[0]); i++) {
        if (memcmp(y, small_order[i], sizeof(y)) == 0) {
            return true;
        }
    }
    return false;
}

/* A base64url member of 1..max bytes. `out` has room for DECODED_ROOM(max). */
static enum fh_code decode_member(const json_t *object, const char *name, uint8_t *out, size_t max,
                                  size_t *out_len, struct fh_error *error)
{
    const struct fh_str text = fh_json_text(object, name);
    if (text.len == 0) {
        return fh_error_set(error, FH_INVALID, "member \"%s\" is missing", name);
    }
    const bool fits = text.len <= FH_BASE64URL_LEN(max);
    if (fits && !fh_base64url_decode(text, out, out_len)) {
        return fh_error_set(error, FH_INVALID, "member \"%s\" is not base64url", name);
    }
    if (!fits || *out_len > max) {
        return fh_error_set(error, FH_INVALID, "member \"%s\" is longer than %zu bytes", name, max);
    }
    return FH_OK;
}

static enum fh_code decode_coordinate(const json_t *object, const char *name,
                                      uint8_t out[COORDINATE_BYTES], struct fh_error *error)
{
    uint8_t bytes[DECODED_ROOM(COORDINATE_BYTES)];
    size_t len = 0;
    const enum fh_code code = decode_member(object, name, bytes, COORDINATE_BYTES, &len, error);
    if (code != FH_OK) {
        return code;
    }
    if (len != COORDINATE_BYTES) {
        return fh_error_set(error, FH_INVALID, "member \"%s\" is not of %d bytes", name,
                            COORDINATE_BYTES);
    }
    memcpy(out, bytes, COORDINATE_BYTES);
    return FH_OK;
}

/* Consumes nothing; answers NULL when OpenSSL refuses the numbers. */
static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params != NULL && context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return key;
}

static enum fh_code check_rsa_numbers(const BIGNUM *n, const BIGNUM *e, struct fh_error *error)
{
    const int bits = BN_num_bits(n);
    if (bits < FH_RSA_BITS_MIN || bits > FH_RSA_BITS_MAX) {
        return fh_error_set(error, FH_INVALID, "an RSA key of %d bits; %d to %d are accepted", bits,
                            FH_RSA_BITS_MIN, FH_RSA_BITS_MAX);
    }
    if (!BN_is_odd(n)) {
        return fh_error_set(error, FH_INVALID, "the RSA modulus is even");
    }
    if (!BN_is_odd(e) || BN_is_one(e)) {
        return fh_error_set(error, FH_INVALID, "the RSA exponent is even or 1");
    }
    return FH_OK;
}

static enum fh_code parse_rsa(const json_t *object, struct fh_jwk *out, struct fh_error *error)
{
    uint8_t modulus[DECODED_ROOM(MODULUS_BYTES_MAX)];
    uint8_t exponent[DECODED_ROOM(EXPONENT_BYTES_MAX)];
    size_t modulus_len = 0;
    size_t exponent_len = 0;
    enum fh_code code = decode_member(object, "n", modulus, MODULUS_BYTES_MAX, &modulus_len, error);
    if (code == FH_OK) {
        code = decode_member(object, "e", exponent, EXPONENT_BYTES_MAX, &exponent_len, error);
    }
    if (code != FH_OK) {
        return code;
    }
    BIGNUM *n = BN_bin2bn(modulus, (int)modulus_len, NULL);
    BIGNUM *e = BN_bin2bn(exponent, (int)exponent_len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (n == NULL || e == NULL || builder == NULL) {
        code = FH_NOMEM;
        goto done;
    }
    code = check_rsa_numbers(n, e, error);
    if (code != FH_OK) {
        goto done;
    }
    if (OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        out->key = key_from("RSA", builder);
    }
    if (out->key == NULL) {
        code = fh_error_set(error, FH_INVALID, "not an RSA key");
    }
done:
    OSSL_PARAM_BLD_free(builder);
    BN_free(e);
    BN_free(n);
    return code;
}

static enum fh_code parse_ec(const json_t *object, struct fh_jwk *out, struct fh_error *error)
{
    uint8_t point[1 + 2 * COORDINATE_BYTES] = {0x04}; /* uncompressed (SEC 1, 2.3.3) */
    enum fh_code code = decode_coordinate(object, "x", point + 1, error);
    if (code == FH_OK) {
        code = decode_coordinate(object, "y", point + 1 + COORDINATE_BYTES, error);
    }
    if (code != FH_OK) {
        return code;
    }
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder == NULL) {
        return FH_NOMEM;
    }
    if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ==
            1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) ==
            1) {
        out->key = key_from("EC", builder);
    }
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX *context = out->key != NULL ? EVP_PKEY_CTX_new(out->key, NULL) : NULL;
    const bool valid = context != NULL && EVP_PKEY_public_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    return valid ? FH_OK : fh_error_set(error, FH_INVALID, "not a point on the curve P-256");
}

static enum fh_code parse_okp(const json_t *object, struct fh_jwk *out, struct fh_error *error)
{
    uint8_t point[COORDINATE_BYTES];
    const enum fh_code code = decode_coordinate(object, "x", point, error);
    if (code != FH_OK) {
        return code;
    }
    if (has_small_order(point)) {
        return fh_error_set(error, FH_INVALID, "an Ed25519 point of small order");
    }
    out->key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, sizeof(point));
    return out->key != NULL ? FH_OK : FH_NOMEM;
}

/* Whether kty and crv name a kind of ours; `alg` tells which. */
static bool find_kind(const json_t *object, enum fh_alg *alg)
{
    const json_t *kty = json_object_get(object, "kty");
    const json_t *crv = json_object_get(object, "crv");
    if (fh_json_text_is(kty, "RSA")) {
        *alg = FH_ALG_RS256;
        return true;
    }
    if (fh_json_text_is(kty, "EC") && fh_json_text_is(crv, "P-256")) {
        *alg = FH_ALG_ES256;
        return true;
    }
    if (fh_json_text_is(kty, "OKP") && fh_json_text_is(crv, "Ed25519")) {
        *alg = FH_ALG_EDDSA;
        return true;
    }
    return false;
}

/* Whether "use", "alg" and "key_ops", where present, permit verifying signatures with `alg`. */
static enum fh_code check_purpose(const json_t *object, enum fh_alg alg, bool *usable,
                                  struct fh_error *error)
{
    const json_t *use = json_object_get(object, "use");
    const json_t *name = json_object_get(object, "alg");
    const json_t *ops = json_object_get(object, "key_ops");
    if ((use != NULL && !json_is_string(use)) || (name != NULL && !json_is_string(name)) ||
        (ops != NULL && !json_is_array(ops))) {
        return fh_error_set(error, FH_INVALID, "use, alg or key_ops is of the wrong type");
    }
    if ((use != NULL && !fh_json_text_is(use, "sig")) ||
        (name != NULL && !fh_json_text_is(name, fh_alg_name(alg)))) {
        *usable = false;
        return FH_OK;
    }
    if (ops == NULL) {
        return FH_OK;
    }
    if (json_array_size(ops) > KEY_OPS_MAX) {
        return fh_error_set(error, FH_INVALID, "key_ops has more than %d entries", KEY_OPS_MAX);
    }
    *usable = false;
    for (size_t i = 0; i < json_array_size(ops); i++) {
        *usable = *usable || fh_json_text_is(json_array_get(ops, i), "verify");
    }
    return FH_OK;
}

static enum fh_code parse_id(const json_t *object, struct fh_jwk *out, struct fh_error *error)
{
    const struct fh_str id = fh_json_text(object, "kid");
    if (id.len == 0) {
        return fh_error_set(error, FH_INVALID, "member \"kid\" is missing");
    }
    if (id.len > FH_KID_BYTES_MAX) {
        return fh_error_set(error, FH_INVALID, "member \"kid\" is longer than %d bytes",
                            FH_KID_BYTES_MAX);
    }
    char *copy = fh_malloc(id.len);
    if (copy == NULL) {
        return FH_NOMEM;
    }
    memcpy(copy, id.data, id.len);
    out->id = (struct fh_str){.data = copy, .len = id.len};
    return FH_OK;
}

static enum fh_code parse_material(const json_t *object, struct fh_jwk *out, struct fh_error *error)
{
    switch (out->alg) {
    case FH_ALG_RS256:
        return parse_rsa(object, out, error);
    case FH_ALG_ES256:
        return parse_ec(object, out, error);
    case FH_ALG_EDDSA:
        break;
    }
    return parse_okp(object, out, error);
}

enum fh_code fh_jwk_parse(const json_t *object, struct fh_jwk *out, bool *usable,
                          struct fh_error *error)
{
    memset(out, 0, sizeof(*out));
    *usable = true;
    if (!json_is_object(object)) {
        return fh_error_set(error, FH_INVALID, "a key is not an object");
    }
    for (size_t i = 0; i < sizeof(secret_members) / sizeof(secret_members[0]); i++) {
        if (json_object_get(object, secret_members[i]) != NULL) {
            return fh_error_set(error, FH_INVALID,
                                "holds secret member \"%s\"; a key set has public keys only",
                                secret_members[i]);
        }
    }
    if (!json_is_string(json_object_get(object, "kty"))) {
        return fh_error_set(error, FH_INVALID, "member \"kty\" is missing");
    }
    if (!find_kind(object, &out->alg)) {
        *usable = false;
        return FH_OK;
    }
    enum fh_code code = check_purpose(object, out->alg, usable, error);
    if (code != FH_OK || !*usable) {
        return code;
    }
    ERR_set_mark();
    code = parse_id(object, out, error);
    if (code == FH_OK) {
        code = parse_material(object, out, error);
    }
    ERR_pop_to_mark();
    if (code != FH_OK) {
        fh_jwk_close(out);
    }
    return code;
}

void fh_jwk_close(struct fh_jwk *jwk)
{
    EVP_PKEY_free(jwk->key);
    fh_free((char *)jwk->id.data);
    memset(jwk, 0, sizeof(*jwk));
}
