/* Which connection strings are taken, and that refusals name keywords but never values. */
#include "stores/pg/conninfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

static enum fh_code parse(const char *text, struct fh_error *error)
{
    struct fh_pg_conninfo info;
    enum fh_code code = fh_pg_conninfo_parse(text, "location", &info, error);
    if (code == FH_OK) {
        fh_pg_conninfo_close(&info);
    }
    return code;
}

static void test_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        "host=/run/postgresql port=5432 dbname=a user=b",
        "hostaddr=127.0.0.1 dbname=a user=b",
        "host=db.example.org hostaddr=10.0.0.1 dbname=a user=b sslmode=verify-full",
        "host=db.example.org dbname=a user=b sslrootcert=/etc/ca.pem sslcert=/c sslkey=/k",
        "host=::1 dbname=a user=b passfile=/x connect_timeout=3 application_name=z",
        "postgresql://b@localhost/a",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse(good[i], NULL), FH_OK);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "host=x",
        "host=x dbname=a",
        "dbname=a user=b",
        "host=x dbname=a user=b password=hunter2",
        "postgresql://b:hunter2@localhost/a",
        "host=x dbname=a user=b options='-c search_path=hunter2'",
        "host=x dbname=a user=b service=hunter2",
        "host=x dbname=a user=b krbsrvname=hunter2",
        "host=x dbname=a user=b replication=database",
        "host=x,y dbname=a user=b",
        "hostaddr=hunter2 dbname=a user=b",
        "host=x dbname=a user=b connect_timeout=0",
        "host=x dbname=a user=b connect_timeout=999",
        "host=x dbname=a user=b connect_timeout=x",
        "host=x user=b dbname='host=hunter2 user=c'",
        "host=x user=b dbname='postgresql://hunter2/'",
        "host='x dbname=a user=b",
        "nonsense=hunter2",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fh_error error = FH_ERROR_INIT;
        assert_int_equal(parse(bad[i], &error), FH_INVALID);
        assert_true(error.message[0] != '\0');
        assert_null(strstr(error.message, "hunter2"));
    }
    assert_int_equal(parse(NULL, NULL), FH_INVALID);
}

static void test_resolves(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool resolves;
    } cases[] = {
        {"host=localhost dbname=a user=b", true},
        {"host=db.example.org dbname=a user=b", true},
        {"host=db.example.org hostaddr=10.0.0.1 dbname=a user=b", false},
        {"host=10.0.0.1 dbname=a user=b", false},
        {"host=/tmp dbname=a user=b", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fh_pg_conninfo info;
        assert_int_equal(fh_pg_conninfo_parse(cases[i].text, "x", &info, NULL), FH_OK);
        assert_int_equal(info.resolves, cases[i].resolves);
        assert_int_equal(info.connect_timeout_ms, 5000);
        fh_pg_conninfo_close(&info);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    long live = fh_alloc_live();
    for (long after = 0;; after++) {
        fh_alloc_fault_on(after, 1);
        enum fh_code code = parse("host=/tmp port=1 dbname=a user=b", NULL);
        bool failed = fh_alloc_fault_off() != 0;
        assert_int_equal(code, failed ? FH_NOMEM : FH_OK);
        assert_int_equal(fh_alloc_live(), live);
        if (!failed) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_taken), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_resolves),
                                       cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
