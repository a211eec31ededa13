/* The check: every way by which a home may have come to its version is right, and each of a list of
 * sabotages is found and named. */
#include "tests/unit/stores_sqlite/world.h"

#include <stdio.h>

#include "stores/sqlite/check.h"

static const enum fh_tier tiers[] = {FH_TIER_SHARED, FH_TIER_SCHEMA, FH_TIER_DATABASE};
#define TIERS (sizeof(tiers) / sizeof(tiers[0]))

static const char *const files[] = {
    ("CREATE TABLE p(id bigint PRIMARY KEY, name text NOT NULL);"
     "CREATE TABLE t(id bigint PRIMARY KEY, a text, b integer, p_id bigint REFERENCES p(id));"
     "CREATE UNIQUE INDEX t_b ON t(b);"),
    "ALTER TABLE t ADD COLUMN c integer NOT NULL DEFAULT 3; ALTER TABLE p ADD COLUMN d date;",
    "ALTER TABLE t RENAME COLUMN a TO aa;",
    "ALTER TABLE t ADD CONSTRAINT positive CHECK (b > 0); CREATE TABLE n(id uuid PRIMARY KEY);",
    "ALTER TABLE t DROP COLUMN c; CREATE INDEX p_name ON p(name);",
};
#define VERSIONS (sizeof(files) / sizeof(files[0]))

static void migrate_all(struct world *w, const struct fh_schema *versions[VERSIONS])
{
    for (size_t i = 0; i < VERSIONS; i++) {
        versions[i] = world_migrate(w, i > 0 ? versions[i - 1] : NULL, files[i]);
    }
}

/* Made at k, brought to n in steps of `step`, checked at every stop. */
static void walk(struct fixture *f, enum fh_tier tier, size_t k, size_t step)
{
    struct world w;
    const struct fh_schema *versions[VERSIONS];
    struct fh_error error = FH_ERROR_INIT;
    world_open(&w, f, tier);
    migrate_all(&w, versions);
    world_put_fence(&w, &f->a);
    for (size_t at = k; at < VERSIONS; at += step) {
        assert_code(world_apply(&w, &f->a, versions[at], &error), FH_OK);
        world_check_is_clean(&w, versions[at]);
    }
    world_close(&w);
}

static void test_every_path_is_right(void **state)
{
    struct fixture *f = *state;
    for (size_t t = 0; t < TIERS; t++) {
        for (size_t k = 0; k < VERSIONS; k++) {
            walk(f, tiers[t], k, 1);
            walk(f, tiers[t], k, 2);
        }
    }
}

struct sabotage {
    const char *sql; /* `@`: the prefix */
    const char *subject;
};

static const struct sabotage sabotages[] = {
    {"DROP TRIGGER @fh_tu_t", "fh_tu_t"},
    {"DROP INDEX @fh_ix_t_b", "fh_ix_t_b"},
    {"DROP INDEX \"@fh_fk_t.t_p_id_fkey\"", "fh_fk_t.t_p_id_fkey"},
    {"DROP TABLE @n", "table n"},
    {"ALTER TABLE @p ADD COLUMN extra TEXT", "table p"},
    {"CREATE TABLE @fh_other(x)", "fh_other"},
    {"CREATE VIEW @fh_see AS SELECT * FROM @t", "fh_see"},
    {"CREATE TRIGGER @fh_spy AFTER INSERT ON @t BEGIN DELETE FROM @t; END", "fh_spy"},
    {"DROP TRIGGER @fh_ti_fh_fence; CREATE TRIGGER @fh_ti_fh_fence BEFORE INSERT ON @fh_fence "
     "WHEN 0 BEGIN SELECT 1; END",
     "fh_ti_fh_fence"},
    {"DROP INDEX @fh_ix_p_name; CREATE INDEX @fh_ix_p_name ON @p(name)", "fh_ix_p_name"},
    {"DROP TABLE @fh_move", "fh_move"},
    {"UPDATE @fh_meta SET value=2", "table t"},
};

static bool is_found(const struct fh_op_check *op, const char *subject)
{
    for (size_t i = 0; i < op->count; i++) {
        if (!op->findings[i].ok && strstr(op->findings[i].subject.data, subject) != NULL) {
            return true;
        }
    }
    return false;
}

static void run_sabotage(struct fixture *f, enum fh_tier tier, const struct sabotage *sabotage)
{
    struct world w;
    const struct fh_schema *versions[VERSIONS];
    struct fh_error error = FH_ERROR_INIT;
    world_open(&w, f, tier);
    migrate_all(&w, versions);
    world_put_fence(&w, &f->a);
    assert_code(world_apply(&w, &f->a, versions[1], &error), FH_OK);
    assert_code(world_apply(&w, &f->a, versions[VERSIONS - 1], &error), FH_OK);
    world_check_is_clean(&w, versions[VERSIONS - 1]);
    assert_code(fh_sqlite_views_clear(&w.conn, &error), FH_OK);
    world_execute(&w, &f->a, sabotage->sql);
    struct fh_home home = world_home(&w, &f->a);
    struct fh_request request = fixture_request(f, FH_OP_CHECK, NULL);
    request.scope.schema = versions[VERSIONS - 1];
    assert_code(world_check(&w, tier == FH_TIER_SCHEMA ? NULL : &home, &request), FH_OK);
    if (!is_found(&request.as.check, sabotage->subject)) {
        fail_msg("not found: %s", sabotage->sql);
    }
    world_close(&w);
}

static void test_sabotages_are_found(void **state)
{
    for (size_t t = 0; t < TIERS; t++) {
        for (size_t i = 0; i < sizeof(sabotages) / sizeof(sabotages[0]); i++) {
            run_sabotage(*state, tiers[t], &sabotages[i]);
        }
    }
}

/* A dedicated home whose tables let another tenant's rows in. */
static void test_another_tenants_check_is_found(void **state)
{
    struct fixture *f = *state;
    struct world w;
    struct fh_error error = FH_ERROR_INIT;
    world_open(&w, f, FH_TIER_SCHEMA);
    assert_code(fh_sqlite_views_clear(&w.conn, &error), FH_OK);
    world_execute(&w, &f->a,
                  "DROP TABLE @fh_move; CREATE TABLE @fh_move(tenant_id BLOB PRIMARY KEY "
                  "CHECK(tenant_id=x'0b000000000000000000000000000002'),"
                  "state BLOB NOT NULL) STRICT,WITHOUT ROWID");
    struct fh_request request = fixture_request(f, FH_OP_CHECK, NULL);
    request.scope.schema = NULL;
    assert_code(world_check(&w, NULL, &request), FH_OK);
    assert_true(is_found(&request.as.check, "table fh_move"));
    world_close(&w);
}

/* What stands in a bridge file and belongs to no home. */
static void test_strangers_in_a_bridge_file(void **state)
{
    struct fixture *f = *state;
    struct world w;
    struct fh_error error = FH_ERROR_INIT;
    world_open(&w, f, FH_TIER_SCHEMA);
    assert_code(fh_sqlite_views_clear(&w.conn, &error), FH_OK);
    world_execute(&w, &f->a, "CREATE TABLE stranger(x)");
    struct fh_request request = fixture_request(f, FH_OP_CHECK, NULL);
    assert_code(world_check(&w, NULL, &request), FH_OK);
    assert_true(is_found(&request.as.check, "tables"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_path_is_right, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_sabotages_are_found, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_another_tenants_check_is_found, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(test_strangers_in_a_bridge_file, world_setup,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
