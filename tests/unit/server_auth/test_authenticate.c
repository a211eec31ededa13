/* From metadata to a principal on the call, and the role check. The call is a fake put in at link
 * time: what is tested is what goes on between metadata and context, which needs no server. */
#include "server/auth/authenticate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/server_auth/kit.h"

struct fh_call {
    struct fh_arena arena;
    struct fh_str authorization;
    const void *context;
};

struct fh_arena *fh_call_arena(struct fh_call *call)
{
    return &call->arena;
}

struct fh_str fh_call_metadata(const struct fh_call *call, const char *key)
{
    assert_string_equal(key, "authorization");
    return call->authorization;
}

void fh_call_set_context(struct fh_call *call, const void *context)
{
    call->context = context;
}

const void *fh_call_context(const struct fh_call *call)
{
    return call->context;
}

static struct kit kit;
static struct fh_verifier *verifier;

static enum fh_code authenticate(const char *format, const char *roles, enum fh_realm realm,
                                 uint32_t access, struct fh_call *call, struct fh_error *error)
{
    struct fh_buf token;
    char claims[1024];
    char value[4096];
    struct fh_authenticator authenticator = {.verifier = verifier, .realm = realm};
    fh_buf_init(&token, FH_TOKEN_BYTES_MAX);
    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"" KIT_ISSUER "\",\"aud\":\"" KIT_AUDIENCE
                   "\",\"sub\":\"alice\",\"exp\":1700000600,\"tenant\":\"" KIT_TENANT
                   "\",\"roles\":[%s]}",
                   roles);
    kit_token(&kit, KIT_ED, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", claims, &token);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(value, sizeof(value), format, token.data);
#pragma GCC diagnostic pop
    *error = (struct fh_error)FH_ERROR_INIT;
    call->authorization = fh_str_of(value);
    call->context = NULL;
    const enum fh_code code = fh_authenticate(call, access, &authenticator, error);
    call->authorization = FH_STR("");
    memset(value, 'x', sizeof(value)); /* the principal must not borrow from metadata */
    fh_buf_close(&token);
    return code;
}

static void test_accepted(void **state)
{
    (void)state;
    static const char *const formats[] = {"Bearer %s", "bearer %s", "BEARER   %s"};
    struct fh_error error;
    struct fh_call call = {.context = NULL};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        fh_arena_init(&call.arena, 65536);
        assert_int_equal(
            authenticate(formats[i], "\"writer\"", FH_REALM_TENANT, FH_ACCESS_WRITE, &call, &error),
            FH_OK);
        const struct fh_principal *principal = fh_call_principal(&call);
        assert_non_null(principal);
        assert_int_equal(principal->realm, FH_REALM_TENANT);
        assert_int_equal(principal->roles, FH_ROLE_WRITER);
        assert_true(fh_str_eq(principal->subject, FH_STR("alice")));
        fh_arena_close(&call.arena);
    }
}

static void test_roles(void **state)
{
    (void)state;
    static const struct {
        const char *roles;
        uint32_t access;
        const char *reason; /* NULL: permitted */
    } rows[] = {
        {"\"reader\"", FH_ACCESS_READ, NULL},
        {"\"writer\"", FH_ACCESS_READ, NULL},
        {"\"admin\"", FH_ACCESS_READ, NULL},
        {"\"reader\"", FH_ACCESS_WRITE, "one of the roles: writer, admin"},
        {"\"admin\"", FH_ACCESS_WRITE, NULL},
        {"\"reader\",\"writer\"", FH_ACCESS_ADMIN, "one of the roles: admin"},
        {"\"admin\"", FH_ACCESS_ADMIN, NULL},
        {"\"reader\",\"writer\",\"admin\"", FH_ACCESS_OPERATOR, "one of the roles: operator"},
        {"\"operator\"", FH_ACCESS_OPERATOR, "one of the roles: operator"},
        {"", FH_ACCESS_READ, "one of the roles: reader, writer, admin"},
        {"\"root\"", UINT32_MAX, "one of the roles: reader, writer, admin, operator"},
        {"\"reader\",\"writer\",\"admin\"", 0, "no access rule"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fh_error error;
        struct fh_call call = {.context = NULL};
        fh_arena_init(&call.arena, 65536);
        const enum fh_code code = authenticate("Bearer %s", rows[i].roles, FH_REALM_TENANT,
                                               rows[i].access, &call, &error);
        assert_int_equal(code, rows[i].reason == NULL ? FH_OK : FH_PERMISSION);
        if (rows[i].reason != NULL) {
            assert_int_equal(error.code, FH_PERMISSION);
            assert_non_null(strstr(error.message, rows[i].reason));
        }
        /* Known in either case: the access log names who was refused. */
        assert_non_null(fh_call_principal(&call));
        fh_arena_close(&call.arena);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        enum fh_realm realm;
        const char *reason;
    } rows[] = {
        {"%.0s", FH_REALM_TENANT, "no credentials"},
        {"%s", FH_REALM_TENANT, "not \"Bearer <token>\""},
        {"Basic %s", FH_REALM_TENANT, "not \"Bearer <token>\""},
        {"Bearer%s", FH_REALM_TENANT, "not \"Bearer <token>\""},
        {"Bearer\t%s", FH_REALM_TENANT, "not \"Bearer <token>\""},
        {"Bearer%.0s", FH_REALM_TENANT, "not \"Bearer <token>\""},
        {"Bearer %.0s", FH_REALM_TENANT, "is empty"},
        {"Bearer x%s", FH_REALM_TENANT, "the token's header"},
        {"Bearer %s,", FH_REALM_TENANT, "the token's signature"},
        {"Bearer %s", FH_REALM_OPERATOR, "a token of the tenant realm"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fh_error error;
        struct fh_call call = {.context = NULL};
        fh_arena_init(&call.arena, 65536);
        assert_int_equal(
            authenticate(rows[i].format, "\"admin\"", rows[i].realm, UINT32_MAX, &call, &error),
            FH_UNAUTHENTICATED);
        if (strstr(error.message, rows[i].reason) == NULL) {
            fail_msg("%s: \"%s\"", rows[i].format, error.message);
        }
        assert_null(fh_call_principal(&call));
        fh_arena_close(&call.arena);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fh_error error;
    struct fh_call call = {.context = NULL};
    fh_arena_init(&call.arena, 16);
    assert_int_equal(
        authenticate("Bearer %s", "\"admin\"", FH_REALM_TENANT, FH_ACCESS_READ, &call, &error),
        FH_NOMEM);
    assert_null(fh_call_principal(&call));
    fh_arena_close(&call.arena);
}

static int open_all(void **state)
{
    (void)state;
    kit_open(&kit);
    verifier = kit_verifier(&kit, 8);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fh_verifier_destroy(verifier);
    kit_close(&kit);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
