/* The verifier over time: rotation, reload, broken files, realms, the cache and its bound, the
 * failing heap. */
#include "server/auth/verifier.h"

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/auth/signature.h"
#include "tests/unit/server_auth/kit.h"

static struct kit kit;
static struct fh_buf token;
static int signatures; /* checks made: see CMakeLists.txt */

enum fh_code __real_fh_signature_check(enum fh_alg alg, EVP_PKEY *key, struct fh_str input,
                                       const uint8_t *signature, size_t len);
enum fh_code __wrap_fh_signature_check(enum fh_alg alg, EVP_PKEY *key, struct fh_str input,
                                       const uint8_t *signature, size_t len);

enum fh_code __wrap_fh_signature_check(enum fh_alg alg, EVP_PKEY *key, struct fh_str input,
                                       const uint8_t *signature, size_t len)
{
    signatures++;
    return __real_fh_signature_check(alg, key, input, signature, len);
}

static void make_token(enum kit_signer signer, const char *subject, long exp_s)
{
    static const char *const headers[] = {
        [KIT_RSA] = "{\"alg\":\"RS256\",\"kid\":\"rsa\"}",
        [KIT_EC] = "{\"alg\":\"ES256\",\"kid\":\"ec\"}",
        [KIT_ED] = "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}",
        [KIT_OPERATOR] = "{\"alg\":\"EdDSA\",\"kid\":\"staff\"}",
    };
    char claims[1024];
    if (signer == KIT_OPERATOR) {
        (void)snprintf(claims, sizeof(claims),
                       "{\"iss\":\"" KIT_OPERATOR_ISSUER "\",\"aud\":\"" KIT_OPERATOR_AUDIENCE
                       "\",\"sub\":\"%s\",\"exp\":%ld,\"roles\":[\"operator\"]}",
                       subject, exp_s);
    } else {
        (void)snprintf(claims, sizeof(claims),
                       "{\"iss\":\"" KIT_ISSUER "\",\"aud\":\"" KIT_AUDIENCE
                       "\",\"sub\":\"%s\",\"exp\":%ld,\"tenant\":\"" KIT_TENANT
                       "\",\"roles\":[\"reader\",\"writer\"]}",
                       subject, exp_s);
    }
    kit_token(&kit, signer, headers[signer], claims, &token);
}

static enum fh_code verify(struct fh_verifier *verifier, enum fh_realm realm,
                           struct fh_error *error)
{
    struct fh_principal principal;
    return kit_verify(&kit, verifier, realm, fh_buf_str(&token), &principal, error);
}

/* Expects acceptance after exactly `checks` signature checks. */
static void accepted(struct fh_verifier *verifier, int checks)
{
    struct fh_error error;
    signatures = 0;
    assert_int_equal(verify(verifier, FH_REALM_TENANT, &error), FH_OK);
    assert_int_equal(signatures, checks);
}

static void refused(struct fh_verifier *verifier, const char *reason)
{
    struct fh_error error;
    assert_int_equal(verify(verifier, FH_REALM_TENANT, &error), FH_UNAUTHENTICATED);
    if (strstr(error.message, reason) == NULL) {
        fail_msg("\"%s\", expected \"%s\"", error.message, reason);
    }
}

static void test_cache_hit(void **state)
{
    (void)state;
    struct fh_verifier *verifier = kit_verifier(&kit, 8);
    struct fh_principal first;
    struct fh_principal second;
    struct fh_error error;
    struct fh_arena arena;
    char subject[] = "alice";
    fh_arena_init(&arena, 4096);
    make_token(KIT_RSA, subject, KIT_NOW_S + 600);
    signatures = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fh_verifier_verify(verifier, FH_REALM_TENANT, fh_buf_str(&token), &arena,
                                            i == 0 ? &first : &second, &error),
                         FH_OK);
    }
    assert_int_equal(signatures, 1);
    /* Strings outlive the token's text and the verifier. */
    memset(token.data, 'x', token.len);
    fh_verifier_destroy(verifier);
    assert_true(fh_str_eq(first.subject, FH_STR("alice")));
    assert_true(fh_str_eq(second.subject, FH_STR("alice")));
    assert_true(first.subject.data != second.subject.data);
    assert_int_equal(second.realm, FH_REALM_TENANT);
    assert_int_equal(second.roles, FH_ROLE_READER | FH_ROLE_WRITER);
    assert_true(second.expires_at_us == (int64_t)(KIT_NOW_S + 600) * 1000000);
    assert_true(fh_uuid_eq(&first.tenant, &second.tenant));
    assert_false(fh_uuid_is_nil(&second.tenant));
    fh_arena_close(&arena);
}

static void test_cache_bound(void **state)
{
    (void)state;
    const long live = fh_alloc_live();
    struct fh_verifier *verifier = kit_verifier(&kit, 2);
    make_token(KIT_ED, "a", KIT_NOW_S + 600);
    accepted(verifier, 1);
    make_token(KIT_ED, "b", KIT_NOW_S + 600);
    accepted(verifier, 1);
    make_token(KIT_ED, "a", KIT_NOW_S + 600); /* Ed25519 signs alike: the same token */
    accepted(verifier, 0);
    make_token(KIT_ED, "c", KIT_NOW_S + 600); /* pushes b out, the one unused for longest */
    accepted(verifier, 1);
    make_token(KIT_ED, "a", KIT_NOW_S + 600);
    accepted(verifier, 0);
    make_token(KIT_ED, "b", KIT_NOW_S + 600);
    accepted(verifier, 1);
    const long full = fh_alloc_live();
    for (int i = 0; i < 100; i++) {
        char subject[16];
        (void)snprintf(subject, sizeof(subject), "s%d", i);
        make_token(KIT_ED, subject, KIT_NOW_S + 600);
        accepted(verifier, 1);
    }
    assert_int_equal(fh_alloc_live(), full);
    fh_verifier_destroy(verifier);
    assert_int_equal(fh_alloc_live(), live);

    verifier = kit_verifier(&kit, 0);
    accepted(verifier, 1);
    accepted(verifier, 1);
    fh_verifier_destroy(verifier);
}

static void test_refused_not_cached(void **state)
{
    (void)state;
    struct fh_verifier *verifier = kit_verifier(&kit, 8);
    make_token(KIT_ED, "alice", KIT_NOW_S + 600);
    token.data[token.len - 10] = token.data[token.len - 10] == 'A' ? 'B' : 'A';
    for (int i = 0; i < 3; i++) {
        signatures = 0;
        refused(verifier, "signature does not verify");
        assert_int_equal(signatures, 1);
    }
    fh_verifier_destroy(verifier);
}

static void set_clock(int64_t after_us)
{
    kit.clock.realtime_us = (int64_t)KIT_NOW_S * 1000000 + after_us;
}

static void test_time(void **state)
{
    (void)state;
    struct fh_verifier *verifier = kit_verifier(&kit, 8);
    make_token(KIT_EC, "alice", KIT_NOW_S + 60);
    accepted(verifier, 1);
    set_clock(INT64_C(89999999));
    accepted(verifier, 0);
    set_clock(INT64_C(90000000)); /* exp and the whole leeway are over: cached or not */
    refused(verifier, "expired at 2023-11-14T22:14:20Z");
    set_clock(INT64_C(89999999));
    accepted(verifier, 1); /* the entry is gone */

    kit_token(&kit, KIT_ED, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}",
              "{\"iss\":\"" KIT_ISSUER "\",\"aud\":\"" KIT_AUDIENCE
              "\",\"sub\":\"s\",\"nbf\":1700000100,\"exp\":1700000200,\"tenant\":\"" KIT_TENANT
              "\"}",
              &token);
    set_clock(INT64_C(69999999));
    refused(verifier, "not valid before 2023-11-14T22:15:00Z");
    set_clock(INT64_C(70000000));
    accepted(verifier, 1);
    /* The clock set back: what is cached does not count before its time either. */
    set_clock(INT64_C(69999999));
    refused(verifier, "not valid before");
    set_clock(0);
    fh_verifier_destroy(verifier);
}

static void test_realms(void **state)
{
    (void)state;
    struct fh_verifier *verifier = kit_verifier(&kit, 8);
    struct fh_error error;
    /* Twice each way: the second time the token is cached where it belongs. */
    for (int i = 0; i < 2; i++) {
        make_token(KIT_ED, "alice", KIT_NOW_S + 600);
        assert_int_equal(verify(verifier, FH_REALM_OPERATOR, &error), FH_UNAUTHENTICATED);
        assert_non_null(strstr(error.message, "of the tenant realm"));
        assert_int_equal(verify(verifier, FH_REALM_TENANT, &error), FH_OK);
        make_token(KIT_OPERATOR, "root", KIT_NOW_S + 600);
        assert_int_equal(verify(verifier, FH_REALM_TENANT, &error), FH_UNAUTHENTICATED);
        assert_non_null(strstr(error.message, "of the operator realm"));
        assert_int_equal(verify(verifier, FH_REALM_OPERATOR, &error), FH_OK);
    }
    fh_verifier_destroy(verifier);
}

static void test_rotation(void **state)
{
    (void)state;
    struct fh_verifier *verifier = kit_verifier(&kit, 8);
    const uint64_t generation = fh_verifier_generation(verifier);
    make_token(KIT_ED, "alice", KIT_NOW_S + 600);
    accepted(verifier, 1);
    fh_verifier_reload(verifier);
    assert_true(fh_verifier_generation(verifier) == generation);
    accepted(verifier, 0);

    /* The key goes: until the files are looked at, nothing changes; then the cached token ends. */
    kit_write_tenant_keys(&kit, true, true, false);
    accepted(verifier, 0);
    fh_verifier_reload(verifier);
    assert_true(fh_verifier_generation(verifier) == generation + 1);
    refused(verifier, "unknown key id");
    make_token(KIT_EC, "alice", KIT_NOW_S + 600);
    accepted(verifier, 1);

    /* Another key under the same id: what the old one signed does not count. */
    make_token(KIT_ED, "alice", KIT_NOW_S + 600);
    struct fh_buf text;
    fh_buf_init(&text, 4096);
    fh_buf_add_text(&text, "{\"keys\":[");
    kit_add_jwk(&text, kit.stranger, "ed", "");
    fh_buf_add_text(&text, "]}");
    kit_write(kit.tenant_path, fh_buf_str(&text));
    fh_buf_close(&text);
    fh_verifier_reload(verifier);
    refused(verifier, "signature does not verify");

    kit_write_tenant_keys(&kit, true, true, true);
    fh_verifier_reload(verifier);
    assert_true(fh_verifier_generation(verifier) == generation + 3);
    accepted(verifier, 1);

    /* The same text in a new file is no change: the cache stays. */
    kit_write_tenant_keys(&kit, true, true, true);
    fh_verifier_reload(verifier);
    assert_true(fh_verifier_generation(verifier) == generation + 3);
    accepted(verifier, 0);

    /* An empty set is how an issuer is cut off at once. */
    kit_write(kit.tenant_path, FH_STR("{\"keys\":[]}"));
    fh_verifier_reload(verifier);
    refused(verifier, "unknown key id");
    kit_write_tenant_keys(&kit, true, true, true);
    fh_verifier_destroy(verifier);
}

static size_t count_in(int fd, const char *what)
{
    static char text[65536];
    const ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    size_t count = 0;
    assert_true(len >= 0);
    text[len] = '\0';
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        count++;
    }
    return count;
}

/* Whatever happens to the file, the keys in force stay; each state of it is logged once. */
static void test_broken_files(void **state)
{
    (void)state;
    const int fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fh_log_create(fd, FH_LOG_INFO, &kit.clock.clock, &kit.env.log), FH_OK);
    struct fh_verifier *verifier = kit_verifier(&kit, 8);
    const uint64_t generation = fh_verifier_generation(verifier);
    make_token(KIT_ED, "alice", KIT_NOW_S + 600);
    accepted(verifier, 1);
    static const char *const broken[] = {
        "",
        "{\"keys\":[",
        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"x\",\"k\":\"c2VjcmV0LXNlY3JldA\"}]}",
        "\xff\xfe",
    };
    size_t expected = 0;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        kit_write(kit.tenant_path, fh_str_of(broken[i]));
        expected++;
        for (int again = 0; again < 3; again++) {
            fh_verifier_reload(verifier);
            fh_log_flush(kit.env.log);
            assert_int_equal(count_in(fd, "auth.keys_not_loaded"), expected);
            assert_true(fh_verifier_generation(verifier) == generation);
            accepted(verifier, 0);
        }
    }
    assert_int_equal(count_in(fd, "c2VjcmV0"), 0);

    assert_int_equal(unlink(kit.tenant_path), 0);
    fh_verifier_reload(verifier);
    fh_verifier_reload(verifier);
    assert_int_equal(mkfifo(kit.tenant_path, 0600), 0); /* must not hang */
    fh_verifier_reload(verifier);
    fh_verifier_reload(verifier);
    fh_log_flush(kit.env.log);
    assert_int_equal(count_in(fd, "auth.keys_not_loaded"), expected + 2);
    accepted(verifier, 0);

    /* Healed. */
    assert_int_equal(unlink(kit.tenant_path), 0);
    kit_write_tenant_keys(&kit, false, true, true);
    fh_verifier_reload(verifier);
    assert_true(fh_verifier_generation(verifier) == generation + 1);
    accepted(verifier, 1);
    kit_write_tenant_keys(&kit, true, true, true);
    fh_verifier_destroy(verifier);
    fh_log_destroy(kit.env.log);
    kit.env.log = NULL;
    close(fd);
}

static void test_create(void **state)
{
    (void)state;
    char missing[160];
    (void)snprintf(missing, sizeof(missing), "%s/missing", kit.dir);
    const struct fh_issuer_config good = {FH_REALM_TENANT, "i", "a", kit.tenant_path};
    const struct {
        const char *reason;
        struct fh_issuer_config second;
    } rows[] = {
        {"cannot open", {FH_REALM_TENANT, "j", "a", missing}},
        {"not a regular file", {FH_REALM_TENANT, "j", "a", kit.dir}},
        {"configured twice", {FH_REALM_OPERATOR, "i", "b", kit.operator_path}},
        {"needs a name", {FH_REALM_OPERATOR, "", "b", kit.operator_path}},
        {"needs a name", {FH_REALM_OPERATOR, "j", NULL, kit.operator_path}},
        {"needs a name", {(enum fh_realm)0, "j", "b", kit.operator_path}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct fh_issuer_config issuers[] = {good, rows[i].second};
        struct fh_error error = FH_ERROR_INIT;
        struct fh_verifier *verifier = NULL;
        const long live = fh_alloc_live();
        assert_int_not_equal(fh_verifier_create(&kit.env, issuers, 2, 8, &verifier, &error), FH_OK);
        assert_null(verifier);
        assert_non_null(strstr(error.message, rows[i].reason));
        assert_int_equal(fh_alloc_live(), live);
    }
    struct fh_error error = FH_ERROR_INIT;
    struct fh_verifier *verifier = NULL;
    assert_int_equal(fh_verifier_create(&kit.env, &good, 0, 8, &verifier, &error), FH_INVALID);
    fh_verifier_destroy(NULL);
}

/* Every allocation of creating and verifying fails in turn: the answer is then FH_NOMEM, or the
 * right one; never a wrong verdict, never a leak. */
static void memory_loop(enum kit_signer signer, bool valid)
{
    const struct fh_issuer_config issuers[] = {
        {FH_REALM_TENANT, KIT_ISSUER, KIT_AUDIENCE, kit.tenant_path},
    };
    make_token(signer, "alice", KIT_NOW_S + (valid ? 600 : -600));
    const enum fh_code truth = valid ? FH_OK : FH_UNAUTHENTICATED;
    for (long n = 0;; n++) {
        struct fh_error error = FH_ERROR_INIT;
        struct fh_verifier *verifier = NULL;
        struct fh_principal principal;
        struct fh_arena arena;
        const long live = fh_alloc_live();
        fh_arena_init(&arena, 65536);
        fh_alloc_fault_on(n, 1);
        enum fh_code code = fh_verifier_create(&kit.env, issuers, 1, 8, &verifier, &error);
        if (code == FH_OK) {
            code = fh_verifier_verify(verifier, FH_REALM_TENANT, fh_buf_str(&token), &arena,
                                      &principal, &error);
        }
        const int delivered = fh_alloc_fault_off();
        assert_true(code == truth || (delivered && code == FH_NOMEM));
        if (code == FH_OK) {
            assert_true(fh_str_eq(principal.subject, FH_STR("alice")));
            /* Whether or not it was cached, the next call is right too. */
            assert_int_equal(fh_verifier_verify(verifier, FH_REALM_TENANT, fh_buf_str(&token),
                                                &arena, &principal, &error),
                             FH_OK);
        }
        fh_verifier_destroy(verifier);
        fh_arena_close(&arena);
        assert_int_equal(fh_alloc_live(), live);
        assert_int_equal(ERR_peek_error(), 0);
        if (!delivered) {
            assert_true(n > 30);
            return;
        }
    }
}

static void test_memory(void **state)
{
    (void)state;
    memory_loop(KIT_RSA, true);
    memory_loop(KIT_EC, true);
    memory_loop(KIT_ED, true);
    memory_loop(KIT_ED, false);
}

/* Out of memory while keys are reloaded: the old set stays, the next look succeeds. */
static void test_memory_reload(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        kit_write_tenant_keys(&kit, true, true, true);
        struct fh_verifier *verifier = kit_verifier(&kit, 8);
        make_token(KIT_ED, "alice", KIT_NOW_S + 600);
        accepted(verifier, 1);
        const uint64_t generation = fh_verifier_generation(verifier);
        kit_write_tenant_keys(&kit, true, true, false);
        fh_alloc_fault_on(n, 1);
        fh_verifier_reload(verifier);
        const int delivered = fh_alloc_fault_off();
        if (delivered) {
            assert_true(fh_verifier_generation(verifier) == generation);
            accepted(verifier, 0);
            fh_verifier_reload(verifier);
        }
        assert_true(fh_verifier_generation(verifier) == generation + 1);
        refused(verifier, "unknown key id");
        fh_verifier_destroy(verifier);
        if (!delivered) {
            break;
        }
    }
    kit_write_tenant_keys(&kit, true, true, true);
}

static int open_all(void **state)
{
    (void)state;
    kit_open(&kit);
    assert_non_null(
        fh_arena_alloc(&kit.arena, 1)); /* its first chunk stays: no news in later counts */
    fh_buf_init(&token, 65536);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fh_buf_close(&token);
    kit_close(&kit);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_hit),
        cmocka_unit_test(test_cache_bound),
        cmocka_unit_test(test_refused_not_cached),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_realms),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_reload),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
