/* Schema changes on tables with rows: each kind, in the shared home with two tenants, in a bridge
 * file with two homes, and in a file of one home. After each the check must find nothing off, and
 * a change that rows break must leave everything as it was. */
#include "tests/unit/stores_sqlite/world.h"

static const enum fh_tier tiers[] = {FH_TIER_SHARED, FH_TIER_SCHEMA, FH_TIER_DATABASE};
#define TIERS (sizeof(tiers) / sizeof(tiers[0]))

struct change {
    const char *from;
    const char *rows; /* each tenant's, before */
    const char *to;
    const char *query; /* of the tenant's rows, after */
    const char *expected;
    enum fh_code code;   /* FH_OK, or why not; then the query is asked all the same */
    const char *message; /* part of the error's */
};

#define TABLES                                                               \
    "CREATE TABLE p(id bigint PRIMARY KEY, name text NOT NULL);"             \
    "CREATE TABLE t(id bigint PRIMARY KEY, a text, b integer, p_id bigint);" \
    "CREATE INDEX t_b ON t(b);"
#define ROWS                                                                          \
    "INSERT INTO @p(tenant_id,created_at,updated_at,deleted_at,version,id,name) "     \
    "VALUES($,1,'p1'),($,2,'p2');"                                                    \
    "INSERT INTO @t(tenant_id,created_at,updated_at,deleted_at,version,id,a,b,p_id) " \
    "VALUES($,1,'x',10,1),($,2,'y',20,2),($,3,NULL,30,NULL);"
#define MINE " WHERE tenant_id=fh_tenant() ORDER BY id"

#define LITERALS                                                      \
    "ALTER TABLE t ADD COLUMN f double precision DEFAULT 1;"          \
    "ALTER TABLE t ADD COLUMN r real DEFAULT -0.1;"                   \
    "ALTER TABLE t ADD COLUMN i bigint DEFAULT -9223372036854775808;" \
    "ALTER TABLE t ADD COLUMN s text DEFAULT 'a''\"b@$';"             \
    "ALTER TABLE t ADD COLUMN o boolean DEFAULT true;"                \
    "ALTER TABLE t ADD COLUMN u uuid DEFAULT '00000000-0000-7000-8000-0000000000ff';"
#define LITERALS_QUERY                                                                  \
    "SELECT id,f,typeof(f),r=-0.1 OR r=CAST(-0.10000000149011612 AS REAL),typeof(r),i," \
    "typeof(i),length(s),o,hex(u) FROM @t" MINE
#define LITERALS_OF(id) \
    id ",1.0,real,1,real,-9223372036854775808,integer,6,1,000000000000700080000000000000FF;"
#define LITERALS_ROWS LITERALS_OF("1") LITERALS_OF("2") LITERALS_OF("3")

static const struct change changes[] = {
    {TABLES, ROWS, "ALTER TABLE t ADD COLUMN c text", "SELECT id,a,b,c FROM @t" MINE,
     "1,x,10,-;2,y,20,-;3,-,30,-;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD COLUMN c varchar(9) NOT NULL DEFAULT 'it''s'",
     "SELECT id,c FROM @t" MINE, "1,it's;2,it's;3,it's;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD COLUMN c numeric(9,2) NOT NULL DEFAULT 1.5",
     "SELECT id,c FROM @t" MINE, "1,150;2,150;3,150;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD COLUMN c timestamptz NOT NULL DEFAULT now()",
     "SELECT count(*),count(DISTINCT c),min(c)>1000000 FROM @t", NULL, FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t DROP COLUMN a", "SELECT * FROM @t" MINE, NULL, FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t RENAME COLUMN b TO bb", "SELECT id,bb FROM @t" MINE,
     "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN b TO a",
     "SELECT id,a FROM @t" MINE, "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS,
     "ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN b TO a;"
     "ALTER TABLE t ADD COLUMN b text; ALTER TABLE t ADD CONSTRAINT t_a CHECK (a > 0)",
     "SELECT id,a,b FROM @t" MINE, "1,10,-;2,20,-;3,30,-;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ALTER COLUMN b SET NOT NULL", "SELECT id,b FROM @t" MINE,
     "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ALTER COLUMN a SET NOT NULL", "SELECT id,a FROM @t" MINE,
     "1,x;2,y;3,-;", FH_CHECK_VIOLATION, "table t"},
    {TABLES, ROWS, "ALTER TABLE p ALTER COLUMN name DROP NOT NULL", "SELECT id,name FROM @p" MINE,
     "1,p1;2,p2;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD CONSTRAINT small CHECK (b <= 30 AND length(a) = 1)",
     "SELECT id,b FROM @t" MINE, "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 30)", "SELECT id,b FROM @t" MINE,
     "1,10;2,20;3,30;", FH_CHECK_VIOLATION, "small"},
    {TABLES "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 99);", ROWS,
     "ALTER TABLE t DROP CONSTRAINT small", "SELECT id,b FROM @t" MINE, "1,10;2,20;3,30;", FH_OK,
     NULL},
    {TABLES, ROWS,
     "ALTER TABLE t ADD COLUMN c bigint GENERATED ALWAYS AS (b * 2 + length(coalesce(a, ''))) "
     "STORED",
     "SELECT id,c FROM @t" MINE, "1,21;2,41;3,60;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id)",
     "SELECT id,p_id FROM @t" MINE, "1,1;2,2;3,-;", FH_OK, NULL},
    {TABLES, ROWS "UPDATE @p SET deleted_at=5 WHERE id=2 AND tenant_id=fh_tenant();",
     "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id)",
     "SELECT id,p_id FROM @t" MINE, "1,1;2,2;3,-;", FH_REFERENCE_VIOLATION, "t_p"},
    {TABLES "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id);", ROWS,
     "ALTER TABLE t DROP CONSTRAINT t_p", "SELECT id,p_id FROM @t" MINE, "1,1;2,2;3,-;", FH_OK,
     NULL},
    {TABLES "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id);", ROWS,
     "ALTER TABLE p RENAME COLUMN id TO key; ALTER TABLE p ADD CONSTRAINT p_k CHECK (key > 0)",
     "SELECT key,name FROM @p WHERE tenant_id=fh_tenant() ORDER BY key", "1,p1;2,p2;", FH_OK, NULL},
    {TABLES "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id);", ROWS,
     "ALTER TABLE t DROP CONSTRAINT t_p; DROP TABLE p", "SELECT id,p_id FROM @t" MINE,
     "1,1;2,2;3,-;", FH_OK, NULL},
    {TABLES, ROWS, "CREATE UNIQUE INDEX t_u ON t(b)", "SELECT id FROM @t" MINE, "1;2;3;", FH_OK,
     NULL},
    {TABLES, ROWS "UPDATE @t SET b=10 WHERE tenant_id=fh_tenant();",
     "CREATE UNIQUE INDEX t_u ON t(b)", "SELECT id FROM @t" MINE, "1;2;3;", FH_UNIQUE_VIOLATION,
     "t_u"},
    {TABLES, ROWS, "DROP INDEX t_b", "SELECT id FROM @t" MINE, "1;2;3;", FH_OK, NULL},
    {TABLES, ROWS, "CREATE TABLE n(id bigint PRIMARY KEY, t_id bigint REFERENCES t(id))",
     "SELECT count(*) FROM @n", "0;", FH_OK, NULL},
    {TABLES, ROWS,
     "DROP INDEX t_b; CREATE INDEX t_b ON p(name); ALTER TABLE p ADD CONSTRAINT p_c CHECK (id > 0);"
     "ALTER TABLE t ADD CONSTRAINT t_c CHECK (id > 0)",
     "SELECT id,b FROM @t" MINE, "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS,
     "CREATE TABLE n(id bigint PRIMARY KEY, t_id bigint, CONSTRAINT x_y FOREIGN KEY (t_id) "
     "REFERENCES t(id)); CREATE TABLE n_x(id bigint PRIMARY KEY, t_id bigint, CONSTRAINT y FOREIGN "
     "KEY (t_id) REFERENCES t(id))",
     "SELECT id FROM @t" MINE, "1;2;3;", FH_OK, NULL},
    {TABLES, ROWS,
     "ALTER TABLE t RENAME COLUMN b TO bb;"
     "ALTER TABLE t ADD COLUMN b bigint GENERATED ALWAYS AS (bb + 1) STORED",
     "SELECT id,bb,b FROM @t" MINE, "1,10,11;2,20,21;3,30,31;", FH_OK, NULL},
    {TABLES "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id);", ROWS,
     "ALTER TABLE t DROP COLUMN a", "SELECT id,b,p_id FROM @t" MINE, "1,10,1;2,20,2;3,30,-;", FH_OK,
     NULL},
    {TABLES, ROWS,
     "ALTER TABLE t ADD COLUMN d bytea; ALTER TABLE p ADD COLUMN j jsonb;"
     "ALTER TABLE p ADD CONSTRAINT p_c CHECK (id > 0)",
     "SELECT id,a,b,d FROM @t" MINE, "1,x,10,-;2,y,20,-;3,-,30,-;", FH_OK, NULL},
    {TABLES "ALTER TABLE t ADD COLUMN up bigint REFERENCES t(id);",
     ROWS "UPDATE @t SET up=1 WHERE id=2 AND tenant_id=fh_tenant();",
     "ALTER TABLE t RENAME COLUMN id TO no; ALTER TABLE t ADD CONSTRAINT t_c CHECK (no > 0)",
     "SELECT no,up FROM @t WHERE tenant_id=fh_tenant() ORDER BY no", "1,-;2,1;3,-;", FH_OK, NULL},
    {TABLES, ROWS,
     "DROP TABLE t; CREATE TABLE t(id uuid PRIMARY KEY, b bigint); CREATE INDEX t_b ON t(b)",
     "SELECT count(*) FROM @t", "0;", FH_OK, NULL},
    {TABLES "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 99 AND a <> 'b');", ROWS,
     "ALTER TABLE t RENAME COLUMN b TO bb; ALTER TABLE t RENAME COLUMN a TO b",
     "SELECT id,bb,b FROM @t" MINE, "1,10,x;2,20,y;3,30,-;", FH_OK, NULL},
    {TABLES "ALTER TABLE t ADD COLUMN c text DEFAULT 'old';", ROWS,
     "ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD COLUMN c integer NOT NULL DEFAULT 3",
     "SELECT id,a,b,c FROM @t" MINE, "1,x,10,3;2,y,20,3;3,-,30,3;", FH_OK, NULL},
    {TABLES, ROWS, LITERALS, LITERALS_QUERY, LITERALS_ROWS, FH_OK, NULL},
    {TABLES, ROWS, LITERALS "ALTER TABLE t ADD CONSTRAINT t_c CHECK (id > 0)", LITERALS_QUERY,
     LITERALS_ROWS, FH_OK, NULL},
    {TABLES LITERALS, ROWS,
     "ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD CONSTRAINT t_c CHECK "
     "(id > 0)",
     "SELECT id,b FROM @t" MINE, "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ALTER COLUMN b SET DEFAULT 7; COMMENT ON TABLE t IS 'tt'",
     "SELECT id,b FROM @t" MINE, "1,10;2,20;3,30;", FH_OK, NULL},
};
#define CHANGES (sizeof(changes) / sizeof(changes[0]))

static void run_change(struct world *w, const struct change *change)
{
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_schema *v1 = world_migrate(w, NULL, change->from);
    const struct fh_schema *v2 = world_migrate(w, v1, change->to);
    const struct fh_uuid *tenants[] = {&w->f->a, &w->f->b};
    int count = w->tier == FH_TIER_DATABASE ? 1 : 2;
    for (int i = 0; i < count; i++) {
        world_put_fence(w, tenants[i]);
        assert_code(world_apply(w, tenants[i], v1, &error),
                    FH_OK); /* shared: the second is idempotent */
        world_execute(w, tenants[i], change->rows);
    }
    world_check_is_clean(w, v1);
    for (int i = 0; i < count; i++) {
        enum fh_code code = world_apply(w, tenants[i], v2, &error);
        if (code != change->code) {
            fail_msg("%s: %s: %s", change->to, fh_code_name(code), error.message);
        }
        if (change->message != NULL) {
            assert_non_null(strstr(error.message, change->message));
        }
        if (w->tier == FH_TIER_SCHEMA && i == 0) {
            world_check_is_clean(w, v2); /* two homes at different versions in one file */
        }
    }
    for (int i = 0; i < count && change->expected != NULL; i++) {
        world_expect(w, tenants[i], change->query, change->expected);
    }
    world_expect(w, tenants[0], "PRAGMA foreign_key_check", "");
    world_check_is_clean(w, change->code == FH_OK ? v2 : v1);
}

static void test_changes(void **state)
{
    struct fixture *f = *state;
    for (size_t t = 0; t < TIERS; t++) {
        for (size_t i = 0; i < CHANGES; i++) {
            struct world w;
            world_open(&w, f, tiers[t]);
            run_change(&w, &changes[i]);
            world_close(&w);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
