/* Development keys and tokens: made once, private, mended after a kill; minted tokens are accepted.
 */
#include "server/auth/keys.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "server/auth/verifier.h"
#include "tests/unit/server_auth/kit.h"

struct place {
    char root[64];
    char dir[96];
};

static void path_in(const struct place *place, const char *name, char out[256])
{
    (void)snprintf(out, 256, "%s/%s", place->dir, name);
}

static int place_open(void **state)
{
    static struct place place;
    (void)snprintf(place.root, sizeof(place.root), "/tmp/fh-keys-XXXXXX");
    assert_non_null(mkdtemp(place.root));
    (void)snprintf(place.dir, sizeof(place.dir), "%s/keys", place.root);
    *state = &place;
    return 0;
}

static int place_close(void **state)
{
    const struct place *place = *state;
    static const char *const names[] = {
        "tenant.key.pem",   "tenant.jwks.json",   "tenant.key.pem.tmp",   "tenant.jwks.json.tmp",
        "operator.key.pem", "operator.jwks.json", "operator.key.pem.tmp", "operator.jwks.json.tmp",
    };
    char path[256];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path_in(place, names[i], path);
        (void)unlink(path);
    }
    (void)rmdir(place->dir);
    /* Fails when a test left anything else behind. */
    return rmdir(place->root);
}

static void ensure(const struct place *place)
{
    struct fh_error error = FH_ERROR_INIT;
    if (fh_keys_ensure(place->dir, &error) != FH_OK) {
        fail_msg("%s", error.message);
    }
}

static void read_text(const struct place *place, const char *name, char out[4096])
{
    char path[256];
    path_in(place, name, path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    const ssize_t len = read(fd, out, 4095);
    assert_true(len > 0);
    out[len] = '\0';
    close(fd);
}

static mode_t mode_of(const struct place *place, const char *name)
{
    struct stat status;
    char path[256];
    path_in(place, name, path);
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static struct fh_verifier *open_verifier(const struct place *place, const struct fh_env *env)
{
    char tenant[256];
    char operator_path[256];
    struct fh_error error = FH_ERROR_INIT;
    struct fh_verifier *verifier = NULL;
    path_in(place, "tenant.jwks.json", tenant);
    path_in(place, "operator.jwks.json", operator_path);
    const struct fh_issuer_config issuers[] = {
        {FH_REALM_TENANT, FH_DEVELOPMENT_ISSUER_TENANT, FH_AUDIENCE_TENANT, tenant},
        {FH_REALM_OPERATOR, FH_DEVELOPMENT_ISSUER_OPERATOR, FH_AUDIENCE_OPERATOR, operator_path},
    };
    assert_int_equal(fh_verifier_create(env, issuers, 2, 8, &verifier, &error), FH_OK);
    return verifier;
}

static struct fh_token_request tenant_request(void)
{
    struct fh_token_request request = {.realm = FH_REALM_TENANT,
                                       .subject = FH_STR("dev\"\\/<alice>"),
                                       .roles = FH_ROLE_READER | FH_ROLE_ADMIN,
                                       .lifetime_s = 3600};
    assert_true(fh_uuid_parse(FH_STR(KIT_TENANT), &request.tenant));
    return request;
}

/* Mints for a realm and has the token verified by what the directory holds. */
static void check_mint(const struct place *place, enum fh_realm realm)
{
    struct fh_clock_virtual clock;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_principal principal;
    struct fh_arena arena;
    struct fh_buf token;
    fh_clock_virtual_init(&clock, (int64_t)KIT_NOW_S * 1000000);
    const struct fh_env env = {.clock = &clock.clock};
    fh_arena_init(&arena, 4096);
    fh_buf_init(&token, FH_TOKEN_BYTES_MAX);
    struct fh_token_request request = tenant_request();
    if (realm == FH_REALM_OPERATOR) {
        request.realm = realm;
        request.tenant = (struct fh_uuid){{0}};
        request.roles = FH_ROLE_OPERATOR;
    }
    if (fh_token_mint(place->dir, &request, &clock.clock, &token, &error) != FH_OK) {
        fail_msg("%s", error.message);
    }
    struct fh_verifier *verifier = open_verifier(place, &env);
    if (fh_verifier_verify(verifier, realm, fh_buf_str(&token), &arena, &principal, &error) !=
        FH_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(principal.realm, realm);
    assert_int_equal(principal.roles, request.roles);
    assert_true(fh_uuid_eq(&principal.tenant, &request.tenant));
    assert_true(fh_str_eq(principal.subject, request.subject));
    assert_true(principal.expires_at_us == (int64_t)(KIT_NOW_S + 3600) * 1000000);
    fh_clock_virtual_advance(&clock, INT64_C(3630000000));
    assert_int_equal(
        fh_verifier_verify(verifier, realm, fh_buf_str(&token), &arena, &principal, &error),
        FH_UNAUTHENTICATED);
    fh_verifier_destroy(verifier);
    fh_buf_close(&token);
    fh_arena_close(&arena);
}

static void test_first_start(void **state)
{
    const struct place *place = *state;
    char before[2][4096];
    char after[4096];
    struct stat status;
    const mode_t umask_before = umask(0); /* the modes are ours, not the umask's */
    ensure(place);
    (void)umask(umask_before);
    assert_int_equal(stat(place->dir, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(mode_of(place, "tenant.key.pem"), 0600);
    assert_int_equal(mode_of(place, "operator.key.pem"), 0600);
    read_text(place, "tenant.key.pem", before[0]);
    read_text(place, "operator.key.pem", before[1]);
    assert_string_not_equal(before[0], before[1]);
    check_mint(place, FH_REALM_TENANT);
    check_mint(place, FH_REALM_OPERATOR);

    ensure(place);
    read_text(place, "tenant.key.pem", after);
    assert_string_equal(before[0], after);
    read_text(place, "operator.key.pem", after);
    assert_string_equal(before[1], after);
}

/* Whatever a kill left behind, the next start makes whole. */
static void test_mended(void **state)
{
    const struct place *place = *state;
    char path[256];
    char key[4096];
    char text[4096];
    const mode_t umask_before = umask(0077);
    ensure(place);
    (void)umask(umask_before);
    assert_int_equal(mode_of(place, "tenant.jwks.json"), 0644);
    /* After the key set and before the key: an orphan set, and a half-written temporary. */
    path_in(place, "tenant.key.pem", path);
    assert_int_equal(unlink(path), 0);
    path_in(place, "tenant.key.pem.tmp", path);
    kit_write(path, FH_STR("-----BEGIN PRI"));
    ensure(place);
    assert_int_not_equal(access(path, F_OK), 0);
    check_mint(place, FH_REALM_TENANT);

    /* A set that was removed comes back from the key. */
    read_text(place, "tenant.key.pem", key);
    path_in(place, "tenant.jwks.json", path);
    assert_int_equal(unlink(path), 0);
    ensure(place);
    check_mint(place, FH_REALM_TENANT);
    read_text(place, "tenant.key.pem", text);
    assert_string_equal(text, key);

    /* A set without the development key is its owner's decision. */
    kit_write(path, FH_STR("{\"keys\":[]}"));
    ensure(place);
    read_text(place, "tenant.jwks.json", text);
    assert_string_equal(text, "{\"keys\":[]}");
}

/* RFC 8037: the key of A.1, its public key of A.2, its thumbprint of A.3. */
static void test_known_key(void **state)
{
    const struct place *place = *state;
    char path[256];
    char text[4096];
    assert_int_equal(mkdir(place->dir, 0700), 0);
    path_in(place, "tenant.key.pem", path);
    kit_write(path, FH_STR("-----BEGIN PRIVATE KEY-----\n"
                           "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                           "-----END PRIVATE KEY-----\n"));
    ensure(place);
    read_text(place, "tenant.jwks.json", text);
    assert_non_null(strstr(text, "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""));
    assert_non_null(strstr(text, "\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\""));
    assert_null(strstr(text, "nWGxne"));
    assert_null(strstr(text, "\"d\""));
    check_mint(place, FH_REALM_TENANT);
}

static void mint_refused(const struct place *place, const struct fh_token_request *request,
                         enum fh_code code, const char *reason)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_buf token;
    fh_buf_init(&token, FH_TOKEN_BYTES_MAX);
    const enum fh_code got = fh_token_mint(place->dir, request, fh_clock_system(), &token, &error);
    if (got != code || strstr(error.message, reason) == NULL) {
        fail_msg("%s \"%s\", expected \"%s\"", fh_code_name(got), error.message, reason);
    }
    assert_int_equal(token.len, 0);
    fh_buf_close(&token);
}

static void test_mint_refused(void **state)
{
    const struct place *place = *state;
    static char long_subject[FH_SUBJECT_MAX + 2];
    struct fh_token_request request = tenant_request();
    mint_refused(place, &request, FH_NOT_FOUND, "cannot open");
    ensure(place);
    request.tenant = (struct fh_uuid){{0}};
    mint_refused(place, &request, FH_INVALID, "needs a tenant");
    request = tenant_request();
    request.realm = FH_REALM_OPERATOR;
    mint_refused(place, &request, FH_INVALID, "must not name a tenant");
    request = tenant_request();
    request.roles = FH_ROLE_OPERATOR;
    mint_refused(place, &request, FH_INVALID, "roles reader, writer, admin");
    request.roles = 0;
    mint_refused(place, &request, FH_INVALID, "roles reader, writer, admin");
    request = tenant_request();
    request.subject = FH_STR("a b");
    mint_refused(place, &request, FH_INVALID, "visible ASCII");
    memset(long_subject, 's', sizeof(long_subject) - 1);
    request.subject = fh_str_of(long_subject);
    mint_refused(place, &request, FH_INVALID, "visible ASCII");
    request = tenant_request();
    request.lifetime_s = 0;
    mint_refused(place, &request, FH_INVALID, "365 days");
    request.lifetime_s = 365 * 86400 + 1;
    mint_refused(place, &request, FH_INVALID, "365 days");
    request = tenant_request();
    request.realm = (enum fh_realm)0;
    mint_refused(place, &request, FH_INVALID, "realm");
}

static void test_bad_key_files(void **state)
{
    const struct place *place = *state;
    static const char encrypted[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjSBiqXTWRMVgICCAAw\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n";
    const struct fh_token_request request = tenant_request();
    char path[256];
    ensure(place);
    path_in(place, "tenant.key.pem", path);
    assert_int_equal(chmod(path, 0640), 0);
    mint_refused(place, &request, FH_PRECONDITION, "chmod 600");
    kit_write(path, FH_STR("not a key\n"));
    mint_refused(place, &request, FH_INVALID, "does not hold an Ed25519 key");
    kit_write(path, fh_str_of(encrypted)); /* must not ask for a passphrase */
    mint_refused(place, &request, FH_INVALID, "does not hold an Ed25519 key");
    kit_write(path, (struct fh_str){.data = (char[8192]){0}, .len = 8192});
    mint_refused(place, &request, FH_TOO_LARGE, "larger than");
}

static void test_bad_directory(void **state)
{
    const struct place *place = *state;
    struct fh_error error = FH_ERROR_INIT;
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/a/b", place->root);
    assert_int_equal(fh_keys_ensure(path, &error), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "cannot make directory"));
    kit_write(place->dir, FH_STR("a file"));
    assert_int_equal(fh_keys_ensure(place->dir, &error), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "cannot open directory"));
    assert_int_equal(unlink(place->dir), 0);
}

/* Servers starting at once in one directory agree on the keys. */
static void test_together(void **state)
{
    const struct place *place = *state;
    pid_t children[8];
    for (size_t i = 0; i < 8; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct fh_error error = FH_ERROR_INIT;
            _exit(fh_keys_ensure(place->dir, &error) == FH_OK ? 0 : 1);
        }
    }
    for (size_t i = 0; i < 8; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    check_mint(place, FH_REALM_TENANT);
    check_mint(place, FH_REALM_OPERATOR);
}

/* Each allocation fails in turn; what is left behind is mended by the next try. */
static void test_memory(void **state)
{
    const struct place *place = *state;
    const long live = fh_alloc_live();
    int delivered = 1;
    for (long n = 0; delivered; n++) {
        struct fh_error error = FH_ERROR_INIT;
        fh_alloc_fault_on(n, 1);
        const enum fh_code code = fh_keys_ensure(place->dir, &error);
        delivered = fh_alloc_fault_off();
        assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
        assert_int_equal(fh_alloc_live(), live);
    }
    check_mint(place, FH_REALM_TENANT);
    check_mint(place, FH_REALM_OPERATOR);
    delivered = 1;
    for (long n = 0; delivered; n++) {
        struct fh_error error = FH_ERROR_INIT;
        struct fh_buf token;
        const struct fh_token_request request = tenant_request();
        fh_buf_init(&token, FH_TOKEN_BYTES_MAX);
        fh_alloc_fault_on(n, 1);
        const enum fh_code code =
            fh_token_mint(place->dir, &request, fh_clock_system(), &token, &error);
        delivered = fh_alloc_fault_off();
        assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
        fh_buf_close(&token);
        assert_int_equal(fh_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_start, place_open, place_close),
        cmocka_unit_test_setup_teardown(test_mended, place_open, place_close),
        cmocka_unit_test_setup_teardown(test_known_key, place_open, place_close),
        cmocka_unit_test_setup_teardown(test_mint_refused, place_open, place_close),
        cmocka_unit_test_setup_teardown(test_bad_key_files, place_open, place_close),
        cmocka_unit_test_setup_teardown(test_bad_directory, place_open, place_close),
        cmocka_unit_test_setup_teardown(test_together, place_open, place_close),
        cmocka_unit_test_setup_teardown(test_memory, place_open, place_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
