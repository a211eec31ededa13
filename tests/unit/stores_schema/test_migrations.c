/* Random files over random schemas. Whatever is taken: ids are never given out twice, versions
 * before are as they were, the printed schema is read back as the same one, and the list of changes
 * carries a home from the one to the other, each step possible when its turn comes. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stores/expr.h"
#include "stores/schema/print.h"
#include "stores/schema_change.h"

#define SEEDS 50
#define FILES 60
#define THINGS_MAX 512

#define FIRST                                                                        \
    "create table t0 (id int primary key, c0 int, c1 int default 3, c3 text);"       \
    "create table t1 (c0 int, id int primary key, c1 bigint, c2 int references t0);" \
    "create table t2 (id int primary key, c3 text, c4 int, c1 int references t2)"

static struct fh_arena arena;
static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % bound;
}

/* --- files ------------------------------------------------------------------------------------ */

static const char *const types[] = {"int",  "bigint",     "numeric(9,2)",
                                    "text", "varchar(9)", "boolean"};

static void add_column_def(struct fh_buf *out, const char *name, bool stored)
{
    uint32_t type = below(6);
    fh_buf_printf(out, "%s %s", name, types[type]);
    switch (below(stored ? 5 : 7)) {
    case 0:
        fh_buf_printf(out, " default %s", type < 3 ? "5" : type < 5 ? "'x'" : "true");
        break;
    case 1:
        fh_buf_printf(out, " not null default %s", type < 3 ? "5" : type < 5 ? "'x'" : "true");
        break;
    case 2:
        fh_buf_printf(out, " check (%s is not null)", name);
        break;
    case 3:
        fh_buf_add_text(out, " unique");
        break;
    case 4:
        break;
    default:
        fh_buf_add_text(out, " not null");
        break;
    }
}

static void add_create(struct fh_buf *out)
{
    fh_buf_printf(out, "create table t%u (id int, ", below(5));
    bool wide = below(3) == 0;
    add_column_def(out, "c0", false);
    fh_buf_add_text(out, ", ");
    add_column_def(out, "c1", false);
    fh_buf_add_text(out, wide ? ", c2 int not null, primary key (c2, id)" : ", primary key (id)");
    if (below(2) == 0) {
        fh_buf_printf(out, ", r int references t%u%s", below(5),
                      below(2) == 0 ? " on delete cascade" : " on delete set null");
    }
    fh_buf_add_text(out,
                    below(3) == 0 ? ", g bigint generated always as (id + 1) stored);\n" : ");\n");
}

static void add_alter(struct fh_buf *out)
{
    unsigned c = below(5);
    fh_buf_printf(out, "alter table t%u ", below(5));
    switch (below(12)) {
    case 0:
    case 1:
        fh_buf_add_text(out, "add ");
        char name[8];
        (void)snprintf(name, sizeof(name), "c%u", c);
        add_column_def(out, name, true);
        break;
    case 2:
        fh_buf_printf(out, "drop c%u", c);
        break;
    case 3:
        fh_buf_printf(out, "rename c%u to c%u", c, below(6));
        break;
    case 4:
        fh_buf_printf(out, "alter c%u drop not null, alter c%u drop default", c, c);
        break;
    case 5:
        fh_buf_printf(out, "alter c%u set not null", c);
        break;
    case 6:
        fh_buf_printf(out, "alter c%u set default %s", c, below(2) == 0 ? "7" : "'y'");
        break;
    case 7:
        fh_buf_printf(out, "add constraint k%u check (c%u is null or id > %u)", below(4), c,
                      below(9));
        break;
    case 8:
        fh_buf_printf(out, "drop constraint k%u", below(4));
        break;
    case 9:
        fh_buf_printf(out, "add constraint f%u foreign key (c%u) references t%u%s", below(3), c,
                      below(5), below(2) == 0 ? " on delete cascade" : "");
        break;
    case 10:
        fh_buf_printf(out, "drop constraint f%u", below(3));
        break;
    default:
        fh_buf_printf(out, "add n%u numeric(9,4) generated always as (c%u * 1.5) stored", below(3),
                      c);
        break;
    }
    fh_buf_add_text(out, ";\n");
}

static const char *random_file(void)
{
    struct fh_buf buf;
    fh_buf_init(&buf, 65536);
    uint32_t statements = 1 + below(3);
    for (uint32_t i = 0; i < statements; i++) {
        switch (below(10)) {
        case 0:
        case 1:
            add_create(&buf);
            break;
        case 2:
            fh_buf_printf(&buf, "drop table t%u;\n", below(5));
            break;
        case 3:
            fh_buf_printf(&buf, "create%s index i%u on t%u (c%u);\n",
                          below(2) == 0 ? " unique" : "", below(4), below(5), below(5));
            break;
        case 4:
            fh_buf_printf(&buf, "drop index i%u;\n", below(4));
            break;
        case 5:
            fh_buf_printf(&buf, "comment on table t%u is 'n%u';\n", below(5), below(3));
            break;
        default:
            add_alter(&buf);
            break;
        }
    }
    assert_int_equal(fh_buf_code(&buf), FH_OK);
    char *copy = fh_arena_copy(&arena, buf.data, buf.len);
    assert_non_null(copy);
    fh_buf_close(&buf);
    return copy;
}

/* --- a home, told only the changes -------------------------------------------------------------
 */

enum what { COLUMN, INDEX, REFERENCE, CHECK, TABLE };

/* "c:t0.c1 integer", with what it stands on. */
struct thing {
    enum what what;
    uint16_t table; /* id */
    uint16_t id;
    uint16_t target; /* of a reference: id of the table */
    struct fh_str name;
    const struct fh_expr *expr; /* check, generated column */
    const struct fh_table *of;  /* the expression's and the lists' table */
    const uint16_t *columns;
    uint16_t column_count;
};

struct home {
    struct thing things[THINGS_MAX];
    size_t count;
};

static struct thing *find(struct home *home, enum what what, uint16_t table, uint16_t id)
{
    for (size_t i = 0; i < home->count; i++) {
        struct thing *thing = &home->things[i];
        if (thing->what == what && thing->table == table && (what == TABLE || thing->id == id)) {
            return thing;
        }
    }
    return NULL;
}

static bool stands_on(const struct thing *thing, uint16_t table, uint16_t column)
{
    if (thing->table != table || thing->what == TABLE) {
        return false;
    }
    for (uint16_t i = 0; i < thing->column_count; i++) {
        if (thing->of->columns[thing->columns[i]].id == column) {
            return true;
        }
    }
    for (uint16_t i = 0; thing->expr != NULL && i < thing->of->column_count; i++) {
        if (thing->of->columns[i].id == column && fh_expr_uses(thing->expr, i)) {
            return true;
        }
    }
    return false;
}

static bool same_space(enum what a, enum what b)
{
    return (a == COLUMN) == (b == COLUMN);
}

static void put(struct home *home, struct thing thing)
{
    assert_true(home->count < THINGS_MAX);
    for (size_t i = 0; i < home->count; i++) {
        const struct thing *other = &home->things[i];
        bool clash = same_space(other->what, thing.what) &&
                     (thing.what != COLUMN || other->table == thing.table) &&
                     fh_str_eq(other->name, thing.name);
        assert_false(clash);
    }
    assert_null(find(home, thing.what, thing.table, thing.id));
    assert_true(thing.what == TABLE || find(home, TABLE, thing.table, 0) != NULL);
    assert_true(thing.what != REFERENCE || find(home, TABLE, thing.target, 0) != NULL);
    for (uint16_t i = 0; i < thing.column_count; i++) {
        assert_non_null(find(home, COLUMN, thing.table, thing.of->columns[thing.columns[i]].id));
    }
    home->things[home->count++] = thing;
}

static void drop_one(struct home *home, struct thing *thing)
{
    assert_non_null(thing);
    for (size_t i = 0; thing->what == COLUMN && i < home->count; i++) {
        assert_true(&home->things[i] == thing ||
                    !stands_on(&home->things[i], thing->table, thing->id));
    }
    *thing = home->things[--home->count];
}

static void drop_table(struct home *home, uint16_t table)
{
    assert_non_null(find(home, TABLE, table, 0));
    for (size_t i = 0; i < home->count;) {
        const struct thing *thing = &home->things[i];
        assert_true(thing->what != REFERENCE || (thing->target != table && thing->table != table));
        if (thing->table == table) {
            home->things[i] = home->things[--home->count];
        } else {
            i++;
        }
    }
}

static struct thing column_thing(const struct fh_table *table, uint16_t i)
{
    return (struct thing){.what = COLUMN,
                          .table = table->id,
                          .id = table->columns[i].id,
                          .name = table->columns[i].name,
                          .expr = table->columns[i].generated,
                          .of = table};
}

static struct thing check_thing(const struct fh_table *table, uint16_t i)
{
    return (struct thing){.what = CHECK,
                          .table = table->id,
                          .id = table->checks[i].id,
                          .name = table->checks[i].name,
                          .expr = table->checks[i].expr,
                          .of = table};
}

static struct thing index_thing(const struct fh_table *table, uint16_t i)
{
    return (struct thing){.what = INDEX,
                          .table = table->id,
                          .id = table->indexes[i].id,
                          .name = table->indexes[i].name,
                          .of = table,
                          .columns = table->indexes[i].columns,
                          .column_count = table->indexes[i].column_count};
}

static struct thing reference_thing(const struct fh_table *table, uint16_t i)
{
    const struct fh_foreign_key *key = &table->foreign_keys[i];
    return (struct thing){.what = REFERENCE,
                          .table = table->id,
                          .id = key->id,
                          .target = key->target->id,
                          .name = key->name,
                          .of = table,
                          .columns = key->columns,
                          .column_count = key->column_count};
}

static void create(struct home *home, const struct fh_table *table)
{
    put(home, (struct thing){.what = TABLE, .table = table->id, .name = table->name});
    for (uint16_t i = 0; i < table->column_count; i++) {
        put(home, column_thing(table, i));
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        put(home, check_thing(table, i));
    }
}

static void rename_one(struct home *home, const struct fh_schema_change *change)
{
    const struct fh_column *column = &change->after->columns[change->to];
    struct thing *thing = find(home, COLUMN, change->after->id, column->id);
    assert_non_null(thing);
    struct thing renamed = *thing;
    assert_true(fh_str_eq(thing->name, change->before->columns[change->from].name));
    *thing = home->things[--home->count];
    renamed.name = column->name;
    put(home, renamed);
}

static void carry_out(struct home *home, const struct fh_schema_change *change)
{
    const struct fh_table *before = change->before;
    const struct fh_table *after = change->after;
    switch (change->kind) {
    case FH_CHANGE_REFERENCE_DROP:
        drop_one(home, find(home, REFERENCE, before->id, before->foreign_keys[change->from].id));
        break;
    case FH_CHANGE_CHECK_DROP:
        drop_one(home, find(home, CHECK, before->id, before->checks[change->from].id));
        break;
    case FH_CHANGE_INDEX_DROP:
        drop_one(home, find(home, INDEX, before->id, before->indexes[change->from].id));
        break;
    case FH_CHANGE_COLUMN_DROP:
        drop_one(home, find(home, COLUMN, before->id, before->columns[change->from].id));
        break;
    case FH_CHANGE_TABLE_DROP:
        drop_table(home, before->id);
        break;
    case FH_CHANGE_COLUMN_RENAME:
        rename_one(home, change);
        break;
    case FH_CHANGE_TABLE_CREATE:
        create(home, after);
        break;
    case FH_CHANGE_COLUMN_ADD:
        put(home, column_thing(after, change->to));
        break;
    case FH_CHANGE_CHECK_ADD:
        put(home, check_thing(after, change->to));
        break;
    case FH_CHANGE_INDEX_ADD:
        put(home, index_thing(after, change->to));
        break;
    case FH_CHANGE_REFERENCE_ADD:
        put(home, reference_thing(after, change->to));
        break;
    default:
        assert_non_null(before);
        assert_non_null(after);
        break;
    }
}

/* The home has exactly what the schema has. */
static void compare_home(struct home *home, const struct fh_schema *schema)
{
    size_t count = 0;
    for (uint32_t t = 0; t < schema->table_count; t++) {
        const struct fh_table *table = schema->tables[t];
        const struct thing *thing = find(home, TABLE, table->id, 0);
        assert_true(thing != NULL && fh_str_eq(thing->name, table->name));
        count += 1 + (size_t)table->column_count + table->index_count + table->foreign_key_count +
                 table->check_count;
        for (uint16_t i = 0; i < table->column_count; i++) {
            thing = find(home, COLUMN, table->id, table->columns[i].id);
            assert_true(thing != NULL && fh_str_eq(thing->name, table->columns[i].name));
        }
        for (uint16_t i = 0; i < table->index_count; i++) {
            assert_non_null(find(home, INDEX, table->id, table->indexes[i].id));
        }
        for (uint16_t i = 0; i < table->foreign_key_count; i++) {
            thing = find(home, REFERENCE, table->id, table->foreign_keys[i].id);
            assert_non_null(thing);
            assert_int_equal(thing->target, table->foreign_keys[i].target->id);
        }
        for (uint16_t i = 0; i < table->check_count; i++) {
            thing = find(home, CHECK, table->id, table->checks[i].id);
            assert_non_null(thing);
            assert_true(fh_expr_equal(thing->expr, thing->of, table->checks[i].expr, table));
        }
    }
    assert_int_equal(count, home->count);
}

/* --- what holds of every schema ----------------------------------------------------------------
 */

static void check_ids(const struct fh_schema *schema)
{
    for (uint32_t t = 0; t < schema->table_count; t++) {
        const struct fh_table *table = schema->tables[t];
        static bool seen[UINT16_MAX + 1];
        memset(seen, 0, sizeof(seen));
        assert_int_equal(table->position, t);
        assert_true(table->id < schema->next_id);
        for (uint32_t o = 0; o < t; o++) {
            assert_true(schema->tables[o]->id != table->id);
        }
        for (uint16_t i = 0; i < table->column_count; i++) {
            assert_int_equal(table->columns[i].position, i);
            assert_true(table->columns[i].id < table->next_id && !seen[table->columns[i].id]);
            seen[table->columns[i].id] = true;
        }
        for (uint16_t i = 0; i < table->index_count; i++) {
            assert_true(table->indexes[i].id < table->next_id && !seen[table->indexes[i].id]);
            seen[table->indexes[i].id] = true;
        }
        for (uint16_t i = 0; i < table->foreign_key_count; i++) {
            const struct fh_foreign_key *key = &table->foreign_keys[i];
            assert_true(key->id < table->next_id && !seen[key->id]);
            seen[key->id] = true;
            assert_ptr_equal(key->target, schema->tables[key->target->position]);
        }
        for (uint16_t i = 0; i < table->check_count; i++) {
            assert_true(table->checks[i].id < table->next_id && !seen[table->checks[i].id]);
            seen[table->checks[i].id] = true;
        }
    }
}

static const char *printed(const struct fh_schema *schema)
{
    struct fh_buf text;
    fh_buf_init(&text, (size_t)1 << 20);
    fh_buf_add_text(&text, "--\n");
    fh_schema_print(schema, &text);
    assert_int_equal(fh_buf_code(&text), FH_OK);
    char *copy = fh_arena_copy(&arena, text.data, text.len);
    fh_buf_close(&text);
    assert_non_null(copy);
    return copy;
}

static void step(struct home *home, const struct fh_schema *from, const struct fh_schema *to)
{
    struct fh_schema_change *changes = NULL;
    size_t count = 0;
    check_ids(to);
    assert_true(from == NULL || to->next_id >= from->next_id);
    assert_int_equal(fh_schema_changes(from, to, &arena, &changes, &count), FH_OK);
    for (size_t i = 0; i < count; i++) {
        carry_out(home, &changes[i]);
    }
    compare_home(home, to);
    const char *text = printed(to);
    assert_string_equal(printed(kit_apply(NULL, text, &arena)), text);
}

static void run_seed(uint64_t seed, size_t *taken)
{
    static struct home home;
    const struct fh_schema *schema = NULL;
    const char *before = NULL;
    random_state = seed;
    home.count = 0;
    for (int i = 0; i < FILES; i++) {
        const char *sql = i == 0 ? FIRST : random_file();
        const struct fh_migration migration = {.name = FH_STR("m.sql"), .sql = fh_str_of(sql)};
        const struct fh_schema *next = NULL;
        struct fh_parse_error error;
        enum fh_code code = fh_schema_apply_migration(schema, &migration, &arena, &next, &error);
        assert_true(code == FH_OK || code == FH_INVALID);
        if (schema != NULL) {
            assert_string_equal(printed(schema), before);
        }
        if (code != FH_OK) {
            continue;
        }
        (*taken)++;
        step(&home, schema, next);
        schema = next;
        before = printed(schema);
    }
}

static void test_random_migrations(void **state)
{
    (void)state;
    size_t taken = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        fh_arena_init(&arena, (size_t)64 * 1024 * 1024);
        run_seed(seed, &taken);
        fh_arena_close(&arena);
    }
    assert_true(taken > (size_t)SEEDS * FILES / 8); /* else this tests nothing */
}

static void test_print(void **state)
{
    (void)state;
    fh_arena_init(&arena, KIT_ARENA_BYTES_MAX);
    const struct fh_schema *schema = kit_apply(
        NULL,
        "create table \"order\" (id uuid default gen_random_uuid(), \"user\" text not null,"
        " at timestamptz not null default now(), n numeric(9,2) default -0.50, f real default 1e10,"
        " y bytea default '\\x00ff', d date default '2026-01-02', b boolean default false,"
        " j jsonb default '{\"a\": \"it''s\"}', v varchar(7), next uuid,"
        " g bigint generated always as (length(\"user\") + 1) stored, primary key (id),"
        " check (n > -1 and (b or v in ('a', 'it''s'))), unique (v));"
        "create table item (a int, b int, \"order\" uuid references \"order\" on delete cascade,"
        " primary key (b, a), foreign key (b, a) references item);"
        "alter table \"order\" add constraint back foreign key (next) references \"order\";"
        "create index on item (\"order\", a); comment on table item is 'it''s';"
        "comment on column item.\"order\" is 'of'",
        &arena);
    static const char wanted[] =
        "--\n"
        "create table \"order\" (\n"
        "    id uuid not null default gen_random_uuid(),\n"
        "    \"user\" text not null,\n"
        "    at timestamptz not null default now(),\n"
        "    n numeric(9,2) default -0.50,\n"
        "    f real default 1e+10,\n"
        "    y bytea default '\\x00ff',\n"
        "    d date default '2026-01-02',\n"
        "    b boolean default false,\n"
        "    j jsonb default '{\"a\":\"it''s\"}',\n"
        "    v varchar(7),\n"
        "    next uuid,\n"
        "    g bigint generated always as (length(\"user\") + 1) stored,\n"
        "    primary key (id),\n"
        "    constraint back foreign key (next) references \"order\",\n"
        "    constraint order_check check ((n > -1) and (b or (v in ('a', 'it''s'))))\n"
        ");\n"
        "create unique index order_v_key on \"order\" (v);\n"
        "\n"
        "create table item (\n"
        "    a integer not null,\n"
        "    b integer not null,\n"
        "    \"order\" uuid,\n"
        "    primary key (b, a),\n"
        "    constraint item_order_fkey foreign key (\"order\") references \"order\" on delete "
        "cascade,\n"
        "    constraint item_b_a_fkey foreign key (b, a) references item\n"
        ");\n"
        "create index item_order_a_idx on item (\"order\", a);\n"
        "comment on table item is 'it''s';\n"
        "comment on column item.\"order\" is 'of';\n";
    assert_string_equal(printed(schema), wanted);
    assert_string_equal(printed(kit_apply(NULL, wanted, &arena)), wanted);
    /* a ring prints, too */
    schema = kit_apply(schema,
                       "alter table \"order\" add a int, add z int,"
                       " add constraint ring foreign key (z, a) references item",
                       &arena);
    const char *ring = printed(schema);
    assert_non_null(strstr(ring, "\nalter table \"order\" add constraint ring foreign key (z, a) "
                                 "references item;\n"));
    assert_string_equal(printed(kit_apply(NULL, ring, &arena)), ring);
    fh_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_migrations),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
