/* Statements that change what earlier files declared: what comes out, and the ids. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stores/expr.h"

static struct fh_arena arena;
static const struct fh_schema *one;

#define FIRST                                                                                    \
    "create table customers (id uuid primary key default gen_random_uuid(), name text not null," \
    " email text unique, rank int default 3, constraint ranked check (rank between 1 and 5));"   \
    "create table orders (id bigint primary key, customer uuid references customers,"            \
    " state text not null default 'new' check (state in ('new', 'paid')), amount numeric(10,2)," \
    " note varchar(20), doubled numeric(12,2) generated always as (amount * 2) stored);"         \
    "create index orders_state on orders (state, amount)"

static int setup(void **state)
{
    (void)state;
    fh_arena_init(&arena, KIT_ARENA_BYTES_MAX);
    one = kit_apply(NULL, FIRST, &arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    return 0;
}

static const struct fh_table *table_of(const struct fh_schema *schema, const char *name)
{
    const struct fh_table *table = fh_schema_table(schema, fh_str_of(name));
    assert_non_null(table);
    return table;
}

static const struct fh_column *column_of(const struct fh_schema *schema, const char *table,
                                         const char *name)
{
    const struct fh_column *column = fh_table_column(table_of(schema, table), fh_str_of(name));
    assert_non_null(column);
    assert_ptr_equal(column, &table_of(schema, table)->columns[column->position]);
    return column;
}

static void test_ids_of_a_new_table(void **state)
{
    (void)state;
    const struct fh_table *orders = table_of(one, "orders");
    assert_int_equal(orders->id, 1);
    assert_int_equal(one->next_id, 2);
    for (uint16_t i = 0; i < orders->column_count; i++) {
        assert_int_equal(orders->columns[i].id, i);
    }
    assert_int_equal(orders->foreign_keys[0].id, 6);
    assert_int_equal(orders->checks[0].id, 7);
    assert_int_equal(orders->indexes[0].id, 8);
    assert_int_equal(orders->next_id, 9);
    assert_false(orders->has_rowid);
    assert_true(
        table_of(kit_apply(one, "create table d (id int primary key, j jsonb)", &arena), "d")
            ->has_rowid);
}

static void test_drop_and_add_column(void **state)
{
    (void)state;
    const struct fh_schema *two = kit_apply(
        one,
        "alter table orders drop column note, add note text, add b bytea not null default '\\x00'",
        &arena);
    const struct fh_table *orders = table_of(two, "orders");
    assert_int_equal(orders->column_count, 7);
    /* another column of the same name; those behind moved up, whatever points at them did, too */
    assert_int_equal(column_of(two, "orders", "note")->id, 9);
    assert_int_equal(column_of(two, "orders", "note")->position, 5);
    assert_int_equal(column_of(two, "orders", "doubled")->id, 5);
    assert_int_equal(column_of(two, "orders", "doubled")->position, 4);
    assert_true(fh_expr_uses(column_of(two, "orders", "doubled")->generated, 3));
    assert_int_equal(column_of(one, "orders", "doubled")->position, 5);
    assert_false(orders->has_rowid); /* as it was created */
    assert_int_equal(orders->next_id, 11);
    assert_ptr_equal(orders->foreign_keys[0].target, table_of(two, "customers"));

    const struct fh_schema *three =
        kit_apply(two,
                  "drop index orders_state; alter table orders drop constraint orders_state_check;"
                  "alter table orders drop column state",
                  &arena);
    orders = table_of(three, "orders");
    assert_int_equal(orders->index_count, 0);
    assert_int_equal(orders->check_count, 0);
    assert_true(fh_expr_uses(column_of(three, "orders", "doubled")->generated, 2));
    assert_int_equal(orders->next_id, 11);
}

static void test_positions_move(void **state)
{
    (void)state;
    const struct fh_schema *two = kit_apply(
        kit_apply(NULL,
                  "create table p (x int, a text, y int, k int, j int, primary key (y, k),"
                  " check (j > y), foreign key (j, x) references p on delete cascade);"
                  "create index i on p (j, k)",
                  &arena),
        "alter table p drop a", &arena);
    const struct fh_table *p = two->tables[0];
    assert_int_equal(p->key[0], 1);
    assert_int_equal(p->key[1], 2);
    assert_int_equal(p->indexes[0].columns[0], 3);
    assert_int_equal(p->indexes[0].columns[1], 2);
    assert_int_equal(p->foreign_keys[0].columns[0], 3);
    assert_int_equal(p->foreign_keys[0].columns[1], 0);
    assert_int_equal(p->foreign_keys[0].on_delete, FH_REFERENCE_CASCADE);
    assert_true(fh_expr_uses(p->checks[0].expr, 3));
    assert_true(fh_expr_uses(p->checks[0].expr, 1));
    assert_false(fh_expr_uses(p->checks[0].expr, 2));
}

static void test_rename(void **state)
{
    (void)state;
    const struct fh_schema *two =
        kit_apply(one,
                  "alter table orders rename column amount to total;"
                  "alter table orders rename note to amount; alter table orders add note int",
                  &arena);
    assert_int_equal(column_of(two, "orders", "total")->id, 3);
    assert_int_equal(column_of(two, "orders", "amount")->id, 4);
    assert_int_equal(column_of(two, "orders", "note")->id, 9);
    assert_true(
        fh_expr_equal(column_of(one, "orders", "doubled")->generated, table_of(one, "orders"),
                      column_of(two, "orders", "doubled")->generated, table_of(two, "orders")));
}

static void test_defaults_and_nullability(void **state)
{
    (void)state;
    const struct fh_schema *two =
        kit_apply(one,
                  "alter table orders alter state drop default, alter column note set default 'x',"
                  " alter amount set not null, alter state drop not null;"
                  "alter table customers alter id drop default, alter rank set default -1",
                  &arena);
    assert_int_equal(column_of(two, "orders", "state")->default_kind, FH_DEFAULT_NONE);
    assert_false(column_of(two, "orders", "state")->not_null);
    assert_true(column_of(two, "orders", "amount")->not_null);
    assert_int_equal(column_of(two, "orders", "note")->default_kind, FH_DEFAULT_CONSTANT);
    assert_int_equal(column_of(two, "customers", "id")->default_kind, FH_DEFAULT_NONE);
    assert_int_equal(column_of(two, "customers", "rank")->default_value.as.integer, -1);
    assert_int_equal(column_of(one, "customers", "rank")->default_value.as.integer, 3);
    two = kit_apply(two, "alter table customers alter id set default gen_random_uuid()", &arena);
    assert_int_equal(column_of(two, "customers", "id")->default_kind, FH_DEFAULT_UUID);
}

static void test_constraints(void **state)
{
    (void)state;
    const struct fh_schema *two =
        kit_apply(one,
                  "alter table customers add constraint named check (length(name) > 0),"
                  " add unique (name, rank), add best bigint references orders on delete set null,"
                  " drop constraint ranked, drop constraint customers_email_key;"
                  "alter table orders drop constraint orders_customer_fkey,"
                  " add foreign key (customer) references customers on delete cascade",
                  &arena);
    const struct fh_table *customers = table_of(two, "customers");
    assert_int_equal(customers->check_count, 1);
    assert_true(fh_str_eq(customers->checks[0].name, FH_STR("named")));
    assert_int_equal(customers->checks[0].id, 6);
    assert_int_equal(customers->index_count, 1);
    assert_true(fh_str_eq(customers->indexes[0].name, FH_STR("customers_name_rank_key")));
    assert_int_equal(customers->foreign_key_count, 1);
    assert_ptr_equal(customers->foreign_keys[0].target, table_of(two, "orders")); /* a ring */
    assert_int_equal(customers->foreign_keys[0].on_delete, FH_REFERENCE_SET_NULL);
    assert_int_equal(table_of(two, "orders")->foreign_keys[0].on_delete, FH_REFERENCE_CASCADE);
    assert_int_equal(table_of(two, "orders")->foreign_keys[0].id, 6);
    /* the names are free again */
    (void)kit_apply(two, "create index customers_email_key on orders (note)", &arena);
}

static void test_drop_tables(void **state)
{
    (void)state;
    const struct fh_schema *two = kit_apply(
        one,
        "drop table orders; create table orders (id int primary key); create index on orders (id)",
        &arena);
    assert_int_equal(two->table_count, 2);
    assert_int_equal(table_of(two, "orders")->id, 2);
    assert_int_equal(table_of(two, "orders")->position, 1);
    assert_int_equal(two->next_id, 3);
    assert_int_equal(table_of(two, "orders")->next_id, 2);
    two = kit_apply(two, "drop table customers", &arena);
    assert_int_equal(table_of(two, "orders")->position, 0);
    assert_null(fh_schema_table_by_id(two, 0));
    assert_int_equal(kit_apply(one, "drop table customers, orders", &arena)->table_count, 0);
    (void)kit_apply(one,
                    "alter table orders drop constraint orders_customer_fkey; drop table customers",
                    &arena);
    /* made and dropped in one file */
    two = kit_apply(one, "create table x (id int primary key); drop table x", &arena);
    assert_int_equal(two->table_count, 2);
    assert_int_equal(two->next_id, 3);
}

static void test_indexes(void **state)
{
    (void)state;
    const struct fh_schema *two = kit_apply(
        one,
        "create index concurrently on orders (note); drop index concurrently orders_state;"
        "drop index customers_email_key",
        &arena);
    assert_int_equal(table_of(two, "orders")->index_count, 1);
    assert_int_equal(table_of(two, "customers")->index_count, 0);
}

static void test_comments(void **state)
{
    (void)state;
    const struct fh_schema *two = kit_apply(one,
                                            "comment on table orders is 'what was ''ordered'''; "
                                            "comment on column orders.note is 'free'",
                                            &arena);
    assert_true(fh_str_eq(table_of(two, "orders")->comment, FH_STR("what was 'ordered'")));
    assert_true(fh_str_eq(column_of(two, "orders", "note")->comment, FH_STR("free")));
    two = kit_apply(two,
                    "comment on table orders is null; comment on column orders.note is '';"
                    "alter table orders rename note to remark",
                    &arena);
    assert_int_equal(table_of(two, "orders")->comment.len, 0);
    assert_int_equal(column_of(two, "orders", "remark")->comment.len, 0);
}

static const struct kit_refusal refused[] = {
    {"alter table nope add a int", "1:13: no table nope"},
    {"alter table if exists orders add a int", "1:13: IF EXISTS is not supported"},
    {"alter table only orders add a int", "1:13: ONLY is not supported"},
    {"alter table public.orders add a int", "1:13: a schema in front of orders"},
    {"alter table orders enable row level security",
     "1:20: ALTER TABLE ENABLE ROW LEVEL is not supported"},
    {"alter table orders owner to x", "1:20: ALTER TABLE OWNER TO X is not supported"},
    {"alter table orders add x int, alter amount type bigint",
     "1:31: ALTER COLUMN TYPE is not supported: add a column of the new type"},
    {"alter table orders alter doubled drop expression", "1:20: DROP EXPRESSION is not supported"},
    {"alter table orders rename to x", "1:1: RENAME TABLE is not supported"},
    {"alter index orders_state rename to x", "1:1: renaming an index or a constraint"},
    {"alter table orders rename constraint a to b", "1:1: renaming an index or a constraint"},
    {"alter table orders alter constraint orders_customer_fkey deferrable",
     "1:20: altering a constraint is not supported"},
    {"alter table orders set (fillfactor = 10)",
     "1:20: ALTER TABLE SET FILLFACTOR is not supported"},
    {"alter view orders rename column a to b", "1:1: ALTER VIEW is not supported"},
    /* columns that come */
    {"alter table orders add if not exists a int", "1:24: IF NOT EXISTS is not supported"},
    {"alter table orders add note int", "1:24: two columns named note"},
    {"alter table orders add a serial", "1:26: type serial is not supported"},
    {"alter table orders add a int primary key", "1:30: ADD PRIMARY KEY is not supported"},
    {"alter table orders add primary key (note)", "1:24: ADD PRIMARY KEY is not supported"},
    {"alter table orders add a int not null",
     "1:24: column a is NOT NULL without a DEFAULT: stored records would have no value"},
    {"alter table orders add a uuid default gen_random_uuid()",
     "1:24: ADD COLUMN with DEFAULT gen_random_uuid() is not supported"},
    {"alter table orders add a int default 1, alter a drop default",
     "1:47: column a is added by this file"},
    {"alter table orders add a int, alter a set not null", "1:37: column a is added by this file"},
    {"alter table orders add a int generated always as (b) stored",
     "1:51: table orders has no column b"},
    {"alter table orders add a int generated always as (a) stored",
     "1:30: generated column a reads a, which is generated"},
    {"alter table orders add a int default 1 generated always as (id) stored",
     "1:24: column a is generated and has a default"},
    {"alter table orders add a bigint generated always as (doubled * 1) stored",
     "1:54: column doubled is generated itself"},
    /* columns that change */
    {"alter table orders alter nope set not null", "1:26: table orders has no column nope"},
    {"alter table orders alter column nope drop default", "1:33: table orders has no column nope"},
    {"alter table orders alter id drop not null", "1:26: column id is in the primary key"},
    {"alter table orders alter doubled set default 1", "1:26: column doubled is generated"},
    {"alter table orders alter note set default 7",
     "1:43: this DEFAULT is not a constant of the column's type, text"},
    {"alter table orders alter note set default lower('x')",
     "1:43: DEFAULT with function lower() is not supported"},
    {"alter table orders rename nope to x", "1:27: table orders has no column nope"},
    {"alter table orders rename note to amount", "1:35: two columns named amount"},
    {"alter table orders rename note to version", "1:35: version is a system column"},
    {"alter table orders rename note to t; alter table orders rename amount to note;"
     "alter table orders rename t to amount",
     "1:110: columns that swap names in one file are not supported"},
    /* what is used */
    {"alter table orders drop column id", "1:32: id cannot be dropped: it is in the primary key"},
    {"alter table orders drop nope", "1:25: table orders has no column nope"},
    {"alter table orders drop customer",
     "1:25: customer cannot be dropped: foreign key orders_customer_fkey uses it"},
    {"alter table orders drop state", "1:25: state cannot be dropped: index orders_state uses it"},
    {"drop index orders_state; alter table orders drop state",
     "1:50: state cannot be dropped: check orders_state_check uses it"},
    {"drop index orders_state; alter table orders drop amount",
     "1:50: amount cannot be dropped: generated column doubled uses it"},
    {"alter table customers drop email",
     "1:28: email cannot be dropped: unique index customers_email_key uses it"},
    {"alter table orders drop note cascade", "1:30: CASCADE is not supported: drop what uses it"},
    {"alter table orders drop column if exists note", "1:32: IF EXISTS is not supported"},
    {"drop table customers",
     "1:12: table customers cannot be dropped: foreign key orders_customer_fkey of table orders "
     "references it"},
    {"drop table customers cascade", "1:22: CASCADE is not supported"},
    {"drop table if exists customers", "1:12: IF EXISTS is not supported"},
    {"drop table orders, nope", "1:20: no table nope"},
    {"drop table public.orders", "1:12: a schema in front of a name"},
    {"drop table orders, orders", "1:20: no table orders"},
    {"drop index orders_state, nope", "1:26: no index nope"},
    {"drop index orders_customer_fkey", "1:12: no index orders_customer_fkey"},
    /* constraints */
    {"alter table orders drop constraint nope", "1:36: table orders has no constraint nope"},
    {"alter table orders drop constraint orders_pkey",
     "1:36: dropping a primary key is not supported"},
    {"alter table orders drop constraint orders_state",
     "1:36: orders_state is an index, not a constraint"},
    {"alter table orders drop constraint if exists x", "1:36: IF EXISTS is not supported"},
    {"alter table orders add check (nope > 1)", "1:31: table orders has no column nope"},
    {"alter table orders add constraint c check (amount > 1) not valid",
     "1:56: NOT VALID is not supported"},
    {"alter table orders add check (amount > 1) no inherit", "1:43: NO INHERIT is not supported"},
    {"alter table orders add constraint orders_state check (amount > 1)",
     "1:35: orders_state already names"},
    {"alter table orders add exclude using gist (note with =)", "1:24: EXCLUDE is not supported"},
    {"alter table orders add unique using index orders_state",
     "1:31: USING INDEX is not supported"},
    {"alter table customers add best bigint references orders on delete set null;"
     "alter table customers alter best set not null",
     "1:104: column best is added by this file"},
    /* comments */
    {"comment on table nope is 'x'", "1:18: no table nope"},
    {"comment on column orders.nope is 'x'", "1:19: table orders has no column nope"},
    {"comment on column public.orders.note is 'x'", "1:19: write COMMENT ON COLUMN table.column"},
    {"comment on index orders_state is 'x'", "1:1: COMMENT is not supported"},
};

static void test_refused(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const char *message = kit_refuse(one, refused[i].sql);
        if (strncmp(message, refused[i].message, strlen(refused[i].message)) != 0) {
            print_error("%s\n  expected: %s\n  got:      %s\n", refused[i].sql, refused[i].message,
                        message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_set_null_stays_nullable(void **state)
{
    (void)state;
    const struct fh_schema *two = kit_apply(
        one, "alter table customers add best bigint references orders on delete set null", &arena);
    assert_string_equal(kit_refuse(two, "alter table customers alter best set not null"),
                        "1:29: foreign key customers_best_fkey sets column best to null: drop that "
                        "first");
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *sql = "alter table orders drop note, add b int check (b > 0 and b < amount);"
                      "alter table orders rename state to s; comment on table orders is 'x';"
                      "drop index orders_state; create table n (id int primary key)";
    const struct fh_migration migration = {.name = FH_STR("m.sql"), .sql = fh_str_of(sql)};
    enum fh_code code = FH_NOMEM;
    for (size_t bytes = 0; code != FH_OK; bytes += 64) {
        assert_true(bytes < 65536);
        struct fh_arena small;
        fh_arena_init(&small, bytes);
        const struct fh_schema *out = NULL;
        struct fh_parse_error error;
        code = fh_schema_apply_migration(one, &migration, &small, &out, &error);
        assert_true(code == FH_OK || code == FH_NOMEM);
        assert_true((code == FH_OK) == (out != NULL));
        fh_arena_close(&small);
    }
    assert_int_equal(table_of(one, "orders")->column_count, 6);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_ids_of_a_new_table),
        CASE(test_drop_and_add_column),
        CASE(test_positions_move),
        CASE(test_rename),
        CASE(test_defaults_and_nullability),
        CASE(test_constraints),
        CASE(test_drop_tables),
        CASE(test_indexes),
        CASE(test_comments),
        CASE(test_refused),
        CASE(test_set_null_stays_nullable),
        CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
