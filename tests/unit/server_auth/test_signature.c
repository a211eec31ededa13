/* Signatures against the published examples: RFC 7515 A.2 and A.3, RFC 8037 A.4. */
#include "server/auth/signature.h"

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/json.h"
#include "server/auth/jwk.h"

#define RFC7515_PAYLOAD                                                                            \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

static const struct vector {
    const char *name;
    enum fh_alg alg;
    const char *jwk;
    const char *input;
    const char *signature;
} vectors[] = {
    {"RFC 7515 A.2", FH_ALG_RS256,
     "{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26m"
     "PddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soM"
     "Zo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4"
     "uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb5"
     "4h4FRWyuXpoQ\",\"e\":\"AQAB\"}",
     "eyJhbGciOiJSUzI1NiJ9." RFC7515_PAYLOAD,
     "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
     "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
     "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
     "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
    {"RFC 7515 A.3", FH_ALG_ES256,
     "{\"kty\":\"EC\",\"kid\":\"b\",\"crv\":\"P-256\","
     "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
     "eyJhbGciOiJFUzI1NiJ9." RFC7515_PAYLOAD,
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
    {"RFC 8037 A.4", FH_ALG_EDDSA,
     "{\"kty\":\"OKP\",\"kid\":\"c\",\"crv\":\"Ed25519\","
     "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
     "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
};

static void check_vector(const struct vector *vector)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_jwk jwk;
    json_t *object = NULL;
    const char *why = NULL;
    bool usable = false;
    uint8_t signature[FH_SIGNATURE_BYTES_MAX];
    size_t len = 0;
    char altered[512];
    assert_int_equal(fh_json_parse_object(fh_str_of(vector->jwk), &object, &why), FH_OK);
    assert_int_equal(fh_jwk_parse(object, &jwk, &usable, &error), FH_OK);
    assert_true(usable);
    assert_int_equal(jwk.alg, vector->alg);
    assert_true(fh_base64url_decode(fh_str_of(vector->signature), signature, &len));
    const struct fh_str input = fh_str_of(vector->input);
    assert_int_equal(fh_signature_check(jwk.alg, jwk.key, input, signature, len), FH_OK);

    for (size_t i = 0; i < len; i++) {
        signature[i] ^= 0x01;
        assert_int_equal(fh_signature_check(jwk.alg, jwk.key, input, signature, len),
                         FH_UNAUTHENTICATED);
        signature[i] ^= 0x01;
        assert_int_equal(fh_signature_check(jwk.alg, jwk.key, input, signature, i),
                         FH_UNAUTHENTICATED);
    }
    assert_int_equal(fh_signature_check(jwk.alg, jwk.key, input, signature, len + 1),
                     FH_UNAUTHENTICATED);
    memcpy(altered, input.data, input.len);
    altered[input.len - 1] ^= 0x01;
    assert_int_equal(fh_signature_check(jwk.alg, jwk.key,
                                        (struct fh_str){.data = altered, .len = input.len},
                                        signature, len),
                     FH_UNAUTHENTICATED);
    /* gRPC's TLS looks at the same queue of errors: nothing of ours may stay in it. */
    assert_int_equal(ERR_peek_error(), 0);
    fh_jwk_close(&jwk);
    json_decref(object);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        print_message("%s\n", vectors[i].name);
        check_vector(&vectors[i]);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(fh_alg_name(FH_ALG_RS256), "RS256");
    assert_string_equal(fh_alg_name(FH_ALG_ES256), "ES256");
    assert_string_equal(fh_alg_name(FH_ALG_EDDSA), "EdDSA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
