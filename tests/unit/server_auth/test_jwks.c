/* Key sets: what is taken, what is passed over, what refuses the file. */
#include "server/auth/jwks.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "tests/unit/server_auth/kit.h"

#define X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define OKP(more) "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X "\"" more "}"
#define OKP_X(x) "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":\"" x "\"}"
#define EC(x, y) "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" x "\",\"y\":\"" y "\"}"
#define SET(keys) "{\"keys\":[" keys "]}"
#define KID ",\"kid\":\"a\""
#define S50 "ssssssssssssssssssssssssssssssssssssssssssssssssss"

static const struct {
    const char *name;
    const char *text;
    size_t count;
    size_t skipped;
} taken[] = {
    {"empty set", SET(""), 0, 0},
    {"one", SET(OKP(KID)), 1, 0},
    {"members of ours and others", "{\"a\":1,\"keys\":[" OKP(KID ",\"x5t\":\"q\"") "]}", 1, 0},
    {"use sig", SET(OKP(KID ",\"use\":\"sig\"")), 1, 0},
    {"use enc", SET(OKP(KID ",\"use\":\"enc\"")), 0, 1},
    {"alg EdDSA", SET(OKP(KID ",\"alg\":\"EdDSA\"")), 1, 0},
    {"alg of another kind", SET(OKP(KID ",\"alg\":\"RS256\"")), 0, 1},
    {"key_ops verify", SET(OKP(KID ",\"key_ops\":[\"verify\",\"wrapKey\"]")), 1, 0},
    {"key_ops sign", SET(OKP(KID ",\"key_ops\":[\"sign\"]")), 0, 1},
    {"key_ops empty", SET(OKP(KID ",\"key_ops\":[]")), 0, 1},
    {"another kty", SET("{\"kty\":\"AKP\",\"kid\":\"a\"}," OKP(KID)), 1, 1},
    {"another curve", SET("{\"kty\":\"EC\",\"crv\":\"secp256k1\"}," OKP(KID)), 1, 1},
    {"Ed448", SET("{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"kid\":\"b\"}"), 0, 1},
    {"P-256", SET(EC(EC_X, EC_Y)), 1, 0},
};

static const struct {
    const char *name;
    const char *text;
    const char *reason;
} refused[] = {
    {"empty", "", "is not JSON"},
    {"not JSON", "{\"keys\":[", "is not JSON"},
    {"a list", "[]", "is not a JSON object"},
    {"no keys", "{}", "no array \"keys\""},
    {"keys an object", "{\"keys\":{}}", "no array \"keys\""},
    {"keys twice", "{\"keys\":[],\"keys\":[]}", "names a member twice"},
    {"kid twice in a key", SET(OKP(KID KID)), "names a member twice"},
    {"a key a number", SET("7"), "keys[0]: a key is not an object"},
    {"kty missing", SET("{\"kid\":\"a\"}"), "\"kty\" is missing"},
    {"kty a number", SET("{\"kty\":1,\"kid\":\"a\"}"), "\"kty\" is missing"},
    {"kid missing", SET(OKP("")), "\"kid\" is missing"},
    {"kid empty", SET(OKP(",\"kid\":\"\"")), "\"kid\" is missing"},
    {"kid a number", SET(OKP(",\"kid\":1")), "\"kid\" is missing"},
    {"kid too long", SET(OKP(",\"kid\":\"" S50 S50 S50 S50 S50 S50 "\"")), "longer than 256"},
    {"kid of two keys", SET(OKP(KID) "," OKP(KID)), "keys[1]: an earlier key has the same kid"},
    {"d", SET(OKP(KID ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"")),
     "secret member \"d\""},
    {"d of a key that is not for us", SET("{\"kty\":\"EC\",\"crv\":\"P-521\",\"d\":\"AA\"}"),
     "secret member \"d\""},
    {"p", SET("{\"kty\":\"RSA\",\"kid\":\"a\",\"p\":\"AA\"}"), "secret member \"p\""},
    {"oct", SET("{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AA\"}"), "secret member \"k\""},
    {"use a number", SET(OKP(KID ",\"use\":1")), "wrong type"},
    {"alg null", SET(OKP(KID ",\"alg\":null")), "wrong type"},
    {"key_ops a string", SET(OKP(KID ",\"key_ops\":\"verify\"")), "wrong type"},
    {"x missing", SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\"}"), "\"x\" is missing"},
    {"x short", SET(OKP_X("AAAA")), "not of 32 bytes"},
    {"x long", SET(OKP_X(X "AAAA")), "longer than 32 bytes"},
    {"x padded", SET(OKP_X(X "=")), "not base64url"},
    {"x in base64", SET(OKP_X("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo")), "not base64url"},
    {"small order 0", SET(OKP_X("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")), "small order"},
    {"small order 1", SET(OKP_X("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")), "small order"},
    {"small order 1, signed", SET(OKP_X("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA")),
     "small order"},
    {"small order of 8", SET(OKP_X("JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU")), "small order"},
    {"off the curve", SET(EC(EC_X, EC_X)), "not a point"},
    {"origin",
     SET(EC("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
     "not a point"},
    {"beyond the field", SET(EC("__________________________________________8", EC_Y)),
     "not a point"},
    {"y missing", SET("{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" EC_X "\"}"),
     "\"y\" is missing"},
    {"n missing", SET("{\"kty\":\"RSA\",\"kid\":\"a\",\"e\":\"AQAB\"}"), "\"n\" is missing"},
    {"RSA of 24 bits", SET("{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"gAAB\",\"e\":\"AQAB\"}"),
     "RSA key of 24 bits"},
};

static void test_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct fh_error error = FH_ERROR_INIT;
        struct fh_jwks *jwks = NULL;
        if (fh_jwks_parse(fh_str_of(taken[i].text), &jwks, &error) != FH_OK) {
            fail_msg("%s: %s", taken[i].name, error.message);
        }
        if (jwks->count != taken[i].count || jwks->skipped != taken[i].skipped) {
            fail_msg("%s: %zu keys, %zu passed over", taken[i].name, jwks->count, jwks->skipped);
        }
        assert_true((fh_jwks_find(jwks, FH_STR("a")) != NULL) == (taken[i].count > 0));
        assert_null(fh_jwks_find(jwks, FH_STR("b")));
        fh_jwks_destroy(jwks);
    }
}

static void must_refuse(const char *name, struct fh_str text, const char *reason)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_jwks *jwks = NULL;
    const long live = fh_alloc_live();
    const enum fh_code code = fh_jwks_parse(text, &jwks, &error);
    if ((code != FH_INVALID && code != FH_TOO_LARGE) || jwks != NULL ||
        strstr(error.message, reason) == NULL) {
        fail_msg("%s: %s \"%s\", expected \"%s\"", name, fh_code_name(code), error.message, reason);
    }
    assert_int_equal(fh_alloc_live(), live);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        must_refuse(refused[i].name, fh_str_of(refused[i].text), refused[i].reason);
    }
}

static void add_rsa(struct fh_buf *out, const unsigned char *n, size_t n_len, const char *e)
{
    fh_buf_clear(out);
    fh_buf_add_text(out, "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"");
    kit_add_base64url(out, n, n_len);
    fh_buf_printf(out, "\",\"e\":\"%s\"}]}", e);
    assert_int_equal(fh_buf_code(out), FH_OK);
}

static void test_rsa_bounds(void **state)
{
    (void)state;
    static unsigned char n[2000];
    struct fh_buf text;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_jwks *jwks = NULL;
    fh_buf_init(&text, 65536);
    memset(n, 0xff, sizeof(n));
    static const size_t accepted[] = {256, 384, 512, 1024};
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        add_rsa(&text, n, accepted[i], "AQAB");
        assert_int_equal(fh_jwks_parse(fh_buf_str(&text), &jwks, &error), FH_OK);
        assert_int_equal(EVP_PKEY_get_bits(jwks->keys[0].key), accepted[i] * 8);
        fh_jwks_destroy(jwks);
    }
    add_rsa(&text, n, 128, "AQAB");
    must_refuse("1024 bits", fh_buf_str(&text), "RSA key of 1024 bits");
    add_rsa(&text, n, 2000, "AQAB");
    must_refuse("16000 bits", fh_buf_str(&text), "longer than");
    add_rsa(&text, n, 256, "AQ");
    must_refuse("exponent 1", fh_buf_str(&text), "exponent is even or 1");
    add_rsa(&text, n, 256, "Ag");
    must_refuse("exponent 2", fh_buf_str(&text), "exponent is even or 1");
    add_rsa(&text, n, 256, "AQAAAAAB");
    must_refuse("exponent of 6 bytes", fh_buf_str(&text), "longer than 4 bytes");
    n[0] = 0x7f;
    add_rsa(&text, n, 256, "AQAB");
    must_refuse("2047 bits", fh_buf_str(&text), "RSA key of 2047 bits");
    n[0] = 0; /* a sign byte in front, as some writers put it */
    add_rsa(&text, n, 257, "AQAB");
    assert_int_equal(fh_jwks_parse(fh_buf_str(&text), &jwks, &error), FH_OK);
    fh_jwks_destroy(jwks);
    n[0] = 0xff;
    n[255] = 0xfe;
    add_rsa(&text, n, 256, "AQAB");
    must_refuse("even modulus", fh_buf_str(&text), "modulus is even");
    fh_buf_close(&text);
}

static void test_bounds(void **state)
{
    (void)state;
    struct fh_buf text;
    struct fh_jwks *jwks = NULL;
    struct fh_error error = FH_ERROR_INIT;
    fh_buf_init(&text, FH_JWKS_BYTES_MAX * 2);
    for (int count = FH_JWKS_KEYS_MAX; count <= FH_JWKS_KEYS_MAX + 1; count++) {
        fh_buf_clear(&text);
        fh_buf_add_text(&text, "{\"keys\":[");
        for (int i = 0; i < count; i++) {
            fh_buf_printf(&text,
                          "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%d\",\"x\":\"" X "\"}",
                          i > 0 ? "," : "", i);
        }
        fh_buf_add_text(&text, "]}");
        if (count <= FH_JWKS_KEYS_MAX) {
            assert_int_equal(fh_jwks_parse(fh_buf_str(&text), &jwks, &error), FH_OK);
            assert_int_equal(jwks->count, count);
            fh_jwks_destroy(jwks);
        } else {
            must_refuse("65 keys", fh_buf_str(&text), "at most 64 keys");
        }
    }
    while (text.len <= FH_JWKS_BYTES_MAX) {
        fh_buf_add_char(&text, ' ');
    }
    must_refuse("too large", fh_buf_str(&text), "larger than");
    fh_buf_close(&text);
}

static void test_memory(void **state)
{
    (void)state;
    static const char text[] = SET(OKP(KID) ",{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"b\","
                                            "\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}");
    const long live = fh_alloc_live();
    for (long n = 0;; n++) {
        struct fh_error error = FH_ERROR_INIT;
        struct fh_jwks *jwks = NULL;
        fh_alloc_fault_on(n, 1);
        const enum fh_code code = fh_jwks_parse(fh_str_of(text), &jwks, &error);
        const int delivered = fh_alloc_fault_off();
        if (code != (delivered ? FH_NOMEM : FH_OK)) {
            fail_msg("allocation %ld: %s \"%s\"", n, fh_code_name(code), error.message);
        }
        fh_jwks_destroy(jwks);
        assert_int_equal(fh_alloc_live(), live);
        if (!delivered) {
            assert_true(n > 10);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_rsa_bounds), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
