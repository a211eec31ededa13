/* Memory that is out, at each allocation in turn: told, and nothing is left behind. */
#include "base/alloc.h"
#include "tests/unit/catalog_pg/kit.h"

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static void assert_told(enum fh_code code)
{
    assert_true(code == FH_OK || code == FH_NOMEM || code == FH_TOO_LARGE);
}

/* Some of each kind; whether all went well. */
static bool use(struct kit *f)
{
    struct fh_catalog_request requests[4] = {kit_get(&f->tenant),
                                             kit_advance(&f->tenant, FH_TENANT_ACTIVE),
                                             {.op = FH_CATALOG_TENANT_LIST},
                                             {.op = FH_CATALOG_EVENTS}};
    bool well = true;
    requests[2].as.list.limit = 10;
    requests[3].as.events.limit = 10;
    for (size_t i = 0; i < 4; i++) {
        enum fh_code code = kit_run(f, 2, &requests[i]);
        assert_told(code);
        well = well && code == FH_OK;
    }
    return well;
}

static void tells_every_allocation_that_fails(void **state)
{
    struct kit *f = *state;
    bool delivered = true;
    for (long n = 0; delivered; n++) {
        assert_true(n < 500);
        long live = fh_alloc_live();
        struct fh_error error = FH_ERROR_INIT;
        bool closed = false;
        bool well = false;
        fh_alloc_fault_on(n, 1);
        enum fh_code code = fh_catalog_pg_open(&f->env, kit_dsn(), &f->handles[2].catalog, &error);
        assert_told(code);
        assert_int_equal(error.code, code);
        if (code == FH_OK) {
            well = use(f);
        }
        delivered = fh_alloc_fault_off() != 0;
        assert_true(delivered ? !well : well);
        if (code == FH_OK) {
            fh_catalog_close(f->handles[2].catalog, closed_cb, &closed);
            f->handles[2].catalog = NULL;
        }
        for (size_t i = 4; i < 6; i++) {
            fh_arena_close(&f->arenas[i]);
            fh_arena_init(&f->arenas[i], (size_t)64 << 20);
        }
        while ((code == FH_OK && !closed) || fh_alloc_live() != live) {
            kit_turn(f); /* what was started ends on the loop */
        }
    }
    struct fh_catalog_request got = kit_get(&f->tenant);
    assert_int_equal(kit_run(f, 0, &got), FH_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_every_allocation_that_fails, kit_set_up,
                                        kit_tear_down),
    };
    return cmocka_run_group_tests(tests, kit_start_server, kit_stop_server);
}
