/* Which connection strings are taken, and what a hint looks like. */
#include "router/catalog_pg/conninfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "router/catalog_pg/listener.h"

static void refuses(const char *text, const char *expected)
{
    struct fh_catalog_pg_conninfo info;
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(fh_catalog_pg_conninfo_parse(text, &info, &error), FH_INVALID);
    if (strstr(error.message, expected) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error.message, expected);
    }
    assert_null(strstr(error.message, "secret"));
    assert_int_equal(fh_alloc_live(), 0);
}

static void refuses_what_is_not_on_the_list(void **state)
{
    (void)state;
    refuses(NULL, "missing");
    refuses("host=a dbname=b user", "not valid");
    refuses("dbname=b user=c", "host or hostaddr");
    refuses("host=a user=c", "user and dbname");
    refuses("host=a dbname=b", "user and dbname");
    refuses("host=a dbname=b user=c password=secret", "passfile");
    refuses("postgresql://c:secret@a/b", "passfile");
    refuses("host=a dbname=b user=c options=secret", "\"options\" is not allowed");
    refuses("host=a dbname=b user=c service=secret", "\"service\" is not allowed");
    refuses("host=a,b dbname=b user=c", "one host");
    refuses("hostaddr=10.0.0.1,10.0.0.2 dbname=b user=c", "one host");
    refuses("hostaddr=secret dbname=b user=c", "not an IP address");
    refuses("host=a dbname='host=x' user=c", "plain name");
    refuses("host=a dbname=b user=c connect_timeout=0", "1 to 60");
    refuses("host=a dbname=b user=c connect_timeout=61", "1 to 60");
    refuses("host=a dbname=b user=c connect_timeout=5s", "1 to 60");
    char longer[5000];
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    refuses(longer, "longer than 4096");
}

static const char *setting(const char *const keywords[], const char *const values[],
                           const char *keyword)
{
    for (size_t i = 0; keywords[i] != NULL; i++) {
        if (strcmp(keywords[i], keyword) == 0) {
            return values[i];
        }
    }
    return "";
}

static void adds_what_every_session_has(void **state)
{
    (void)state;
    struct fh_catalog_pg_conninfo info;
    struct fh_error error = FH_ERROR_INIT;
    const char *keywords[FH_CATALOG_PG_SETTINGS_MAX];
    const char *values[FH_CATALOG_PG_SETTINGS_MAX];
    assert_int_equal(fh_catalog_pg_conninfo_parse("postgresql://c@a:77/b?connect_timeout=7&"
                                                  "sslmode=require",
                                                  &info, &error),
                     FH_OK);
    assert_int_equal(info.connect_timeout_us, 7000000);
    fh_catalog_pg_conninfo_settings(&info, "ours", keywords, values);
    assert_string_equal(setting(keywords, values, "host"), "a");
    assert_string_equal(setting(keywords, values, "port"), "77");
    assert_string_equal(setting(keywords, values, "dbname"), "b");
    assert_string_equal(setting(keywords, values, "user"), "c");
    assert_string_equal(setting(keywords, values, "sslmode"), "require");
    assert_string_equal(setting(keywords, values, "application_name"), "ours");
    assert_string_equal(setting(keywords, values, "target_session_attrs"), "read-write");
    assert_string_equal(setting(keywords, values, "connect_timeout"), ""); /* ours to keep */
    const char *options = setting(keywords, values, "options");
    assert_non_null(strstr(options, "synchronous_commit=on"));
    assert_non_null(strstr(options, "statement_timeout="));
    assert_non_null(strstr(options, "lock_timeout="));
    fh_catalog_pg_conninfo_close(&info);
    assert_int_equal(fh_catalog_pg_conninfo_parse("host=/x dbname=b user=c application_name=theirs",
                                                  &info, &error),
                     FH_OK);
    fh_catalog_pg_conninfo_settings(&info, "ours", keywords, values);
    assert_string_equal(setting(keywords, values, "application_name"), "theirs");
    fh_catalog_pg_conninfo_close(&info);
    assert_int_equal(fh_alloc_live(), 0);
}

static void reads_hints(void **state)
{
    (void)state;
    const struct fh_uuid nil = {{0}};
    enum fh_catalog_hint hint = FH_CATALOG_HINT_TENANT;
    struct fh_uuid uuid;
    assert_true(
        fh_catalog_pg_hint_parse("move:01890a5d-ac96-774b-bcce-b302099a8057", &hint, &uuid));
    assert_int_equal(hint, FH_CATALOG_HINT_MOVE);
    assert_int_equal(uuid.bytes[1], 0x89);
    assert_true(
        fh_catalog_pg_hint_parse("tenant:01890a5d-ac96-774b-bcce-b302099a8057", &hint, &uuid));
    assert_int_equal(hint, FH_CATALOG_HINT_TENANT);
    assert_true(fh_catalog_pg_hint_parse("stores", &hint, &uuid));
    assert_int_equal(hint, FH_CATALOG_HINT_STORES);
    assert_true(fh_uuid_eq(&uuid, &nil));
    assert_true(fh_catalog_pg_hint_parse("schema", &hint, &uuid));
    assert_int_equal(hint, FH_CATALOG_HINT_SCHEMA);
    /* Anybody may notify on the channel. */
    const char *const foreign[] = {"", "tenant:", "tenant:x", "move", "stores ", "MOVE:x", "other"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        assert_false(fh_catalog_pg_hint_parse(foreign[i], &hint, &uuid));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_on_the_list),
        cmocka_unit_test(adds_what_every_session_has),
        cmocka_unit_test(reads_hints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
