/* Development tokens: their claims, their signature, and keys that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "clients/cli/devserver.h"
#include "tests/unit/clients/kit.h"

#define UUID "01a1fc2a-178f-7c60-a0de-4800537e4561"

struct place {
    struct kit kit;
    EVP_PKEY *key;
};

static void write_keys(const struct place *place, const char *realm, unsigned mode)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "keys/%s.key.pem", realm);
    kit_write(&place->kit, name, "", 0600);
    FILE *file = fopen(kit_path(&place->kit, name), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, place->key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(kit_path(&place->kit, name), mode), 0);
    (void)snprintf(name, sizeof(name), "keys/%s.jwks.json", realm);
    kit_write(&place->kit, name, "{\"keys\":[{\"kid\":\"the-kid\"}]}", 0644);
}

static int setup(void **state)
{
    static struct place place;
    kit_open(&place.kit);
    kit_mkdir(&place.kit, "keys");
    place.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    *state = &place;
    return place.key != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    struct place *place = *state;
    EVP_PKEY_free(place->key);
    kit_close(&place->kit);
    return 0;
}

static const char *const roles[] = {"reader", "admin"};

static struct fh_devtoken tenant_token(void)
{
    return (struct fh_devtoken){
        .tenant = FH_STR(UUID),
        .subject = FH_STR("a\"b"),
        .roles = roles,
        .role_count = 2,
        .issued_s = 1000,
        .ttl_s = 60,
    };
}

static json_t *part(struct fh_str *rest)
{
    uint8_t bytes[4096];
    size_t len;
    const char *dot = memchr(rest->data, '.', rest->len);
    assert_non_null(dot);
    struct fh_str text = {.data = rest->data, .len = (size_t)(dot - rest->data)};
    assert_true(fh_base64url_decode(text, bytes, &len));
    rest->data += text.len + 1;
    rest->len -= text.len + 1;
    json_t *json = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    return json;
}

static void string_is(const json_t *object, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    assert_string_equal(text, value);
}

static void signature_is_good(const struct place *place, struct fh_str token, struct fh_str last)
{
    uint8_t signature[128];
    size_t len;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_true(fh_base64url_decode(last, signature, &len));
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, NULL, NULL, place->key), 1);
    assert_int_equal(EVP_DigestVerify(context, signature, len, (const unsigned char *)token.data,
                                      token.len - last.len - 1),
                     1);
    EVP_MD_CTX_free(context);
}

static void mints_a_tenants_token(void **state)
{
    const struct place *place = *state;
    const struct fh_devtoken request = tenant_token();
    struct fh_error error = FH_ERROR_INIT;
    struct fh_buf token;
    write_keys(place, "tenant", 0600);
    fh_buf_init(&token, 8192);
    assert_int_equal(fh_devtoken_mint(place->kit.dir, &request, &token, &error), FH_OK);
    struct fh_str rest = fh_buf_str(&token);
    json_t *header = part(&rest);
    json_t *claims = part(&rest);
    string_is(header, "alg", "EdDSA");
    string_is(header, "typ", "JWT");
    string_is(header, "kid", "the-kid");
    string_is(claims, "iss", "freehold-development");
    string_is(claims, "aud", "freehold");
    string_is(claims, "sub", "a\"b");
    string_is(claims, "tenant", UUID);
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), 1000);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), 1060);
    json_t *list = json_object_get(claims, "roles");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_array_get(list, 1)), "admin");
    signature_is_good(place, fh_buf_str(&token), rest);
    json_decref(header);
    json_decref(claims);
    fh_buf_close(&token);
}

static void mints_an_operators_token(void **state)
{
    const struct place *place = *state;
    struct fh_devtoken request = tenant_token();
    struct fh_error error = FH_ERROR_INIT;
    struct fh_buf token;
    request.operators = true;
    write_keys(place, "operator", 0600);
    fh_buf_init(&token, 8192);
    assert_int_equal(fh_devtoken_mint(place->kit.dir, &request, &token, &error), FH_OK);
    struct fh_str rest = fh_buf_str(&token);
    json_decref(part(&rest));
    json_t *claims = part(&rest);
    string_is(claims, "iss", "freehold-development-operator");
    string_is(claims, "aud", "freehold-operator");
    assert_null(json_object_get(claims, "tenant"));
    json_t *list = json_object_get(claims, "roles");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "operator");
    json_decref(claims);
    fh_buf_close(&token);
}

static enum fh_code mint(const struct place *place, const struct fh_devtoken *request)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_buf token;
    fh_buf_init(&token, 8192);
    const enum fh_code code = fh_devtoken_mint(place->kit.dir, request, &token, &error);
    assert_int_equal(token.len > 0, code == FH_OK);
    fh_buf_close(&token);
    return code;
}

static void refuses_keys(void **state)
{
    const struct place *place = *state;
    const struct fh_devtoken request = tenant_token();
    assert_int_equal(mint(place, &request), FH_NOT_FOUND);
    write_keys(place, "tenant", 0640);
    assert_int_equal(mint(place, &request), FH_PERMISSION);
    write_keys(place, "tenant", 0600);
    kit_write(&place->kit, "keys/tenant.jwks.json", "{\"keys\":[{\"kid\":\"a\\\"b\"}]}", 0644);
    assert_int_equal(mint(place, &request), FH_INVALID);
    kit_write(&place->kit, "keys/tenant.jwks.json", "{\"keys\":[]}", 0644);
    assert_int_equal(mint(place, &request), FH_INVALID);
    kit_write(&place->kit, "keys/tenant.key.pem", "nonsense", 0600);
    assert_int_equal(mint(place, &request), FH_INVALID);
}

static void refuses_requests(void **state)
{
    static const char *const other[] = {"operator"};
    const struct place *place = *state;
    struct fh_devtoken request = tenant_token();
    write_keys(place, "tenant", 0600);
    request.tenant = FH_STR("acme");
    assert_int_equal(mint(place, &request), FH_INVALID);
    request = tenant_token();
    request.subject = FH_STR("a b");
    assert_int_equal(mint(place, &request), FH_INVALID);
    request = tenant_token();
    request.roles = other;
    request.role_count = 1;
    assert_int_equal(mint(place, &request), FH_INVALID);
    request.role_count = 0;
    assert_int_equal(mint(place, &request), FH_INVALID);
    request = tenant_token();
    request.ttl_s = FH_TTL_S_MAX + 1;
    assert_int_equal(mint(place, &request), FH_INVALID);
    request.ttl_s = 0;
    assert_int_equal(mint(place, &request), FH_INVALID);
    request.ttl_s = FH_TTL_S_MAX;
    assert_int_equal(mint(place, &request), FH_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mints_a_tenants_token),
        TEST(mints_an_operators_token),
        TEST(refuses_keys),
        TEST(refuses_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
