/* Migration files: any bytes give a schema that keeps its invariants, prints and is read back as
 * the same, and is reached by a list of changes; or an error with a place inside the file. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "stores/expr.h"
#include "stores/schema/parse.h"
#include "stores/schema/print.h"
#include "stores/schema_change.h"

#define ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bounds, and that it can be evaluated: a row of nulls overflows nowhere. */
static size_t check_expr(const struct fh_expr *expr, const struct fh_table *table, size_t depth)
{
    size_t nodes = 1;
    FH_ASSERT(depth <= FH_EXPR_DEPTH_MAX && expr->arg_count <= FH_EXPR_ARGS_MAX);
    FH_ASSERT(expr->kind != FH_EXPR_COLUMN || expr->column < table->column_count);
    FH_ASSERT(expr->kind != FH_EXPR_CONSTANT ||
              (expr->constant.type == expr->type && !expr->constant.is_null));
    FH_ASSERT(expr->scale <= 18);
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        nodes += check_expr(expr->args[i], table, depth + 1);
    }
    FH_ASSERT(nodes <= FH_EXPR_NODES_MAX);
    return nodes;
}

static void check_expressions(const struct fh_table *table, struct fh_arena *arena)
{
    struct fh_row *row = fh_row_create(table, arena);
    struct fh_value value;
    bool passes = false;
    FH_ASSERT(row != NULL);
    FH_ASSERT(table->check_count <= FH_TABLE_CHECKS_MAX);
    for (uint16_t i = 0; i < table->check_count; i++) {
        const struct fh_expr *expr = table->checks[i].expr;
        FH_ASSERT(expr->type == FH_TYPE_BOOL && check_expr(expr, table, 1) > 0);
        enum fh_code code = fh_check_evaluate(&table->checks[i], row, arena, &passes, NULL);
        FH_ASSERT(code == FH_OK || code == FH_RANGE);
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_column *column = &table->columns[i];
        if (column->generated == NULL) {
            continue;
        }
        FH_ASSERT(column->default_kind == FH_DEFAULT_NONE);
        FH_ASSERT(check_expr(column->generated, table, 1) > 0);
        enum fh_code code = fh_column_generate(column, row, arena, &value, NULL);
        FH_ASSERT(code == FH_RANGE || (code == FH_OK && value.type == column->type));
        for (uint16_t k = 0; k < table->column_count; k++) {
            FH_ASSERT(table->columns[k].generated == NULL || !fh_expr_uses(column->generated, k));
        }
    }
}

static void check_column(const struct fh_column *column, uint16_t position)
{
    FH_ASSERT(column->position == position);
    FH_ASSERT(column->name.len >= 1 && column->name.len <= FH_IDENTIFIER_MAX);
    FH_ASSERT(column->type >= FH_TYPE_BOOL && column->type <= FH_TYPE_JSON);
    FH_ASSERT((column->type == FH_TYPE_NUMERIC) == (column->precision != 0));
    FH_ASSERT(column->scale <= column->precision && column->precision <= 18);
    if (column->default_kind == FH_DEFAULT_CONSTANT) {
        FH_ASSERT(column->default_value.type == column->type && !column->default_value.is_null);
    }
}

static void check_table(const struct fh_schema *schema, uint32_t position)
{
    const struct fh_table *table = schema->tables[position];
    FH_ASSERT(table->position == position);
    FH_ASSERT(table->column_count >= 1 && table->column_count <= FH_COLUMNS_MAX);
    FH_ASSERT(table->key_count >= 1 && table->key_count <= FH_KEY_COLUMNS_MAX);
    for (uint16_t i = 0; i < table->column_count; i++) {
        check_column(&table->columns[i], i);
    }
    for (uint16_t i = 0; i < table->key_count; i++) {
        FH_ASSERT(table->key[i] < table->column_count && table->columns[table->key[i]].not_null);
    }
    FH_ASSERT(table->index_count <= FH_TABLE_INDEXES_MAX);
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct fh_index *index = &table->indexes[i];
        FH_ASSERT(index->column_count >= 1 && index->column_count <= FH_INDEX_COLUMNS_MAX);
        FH_ASSERT(index->name.len >= 1 && index->name.len <= FH_IDENTIFIER_MAX);
        for (uint16_t c = 0; c < index->column_count; c++) {
            FH_ASSERT(index->columns[c] < table->column_count);
        }
    }
    FH_ASSERT(table->foreign_key_count <= FH_TABLE_FOREIGN_KEYS_MAX);
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        const struct fh_foreign_key *key = &table->foreign_keys[i];
        FH_ASSERT(key->target == schema->tables[key->target->position]);
        FH_ASSERT(key->column_count == key->target->key_count);
        for (uint16_t c = 0; c < key->column_count; c++) {
            FH_ASSERT(table->columns[key->columns[c]].type ==
                      key->target->columns[key->target->key[c]].type);
        }
    }
}

static const char *print(const struct fh_schema *schema, struct fh_arena *arena)
{
    struct fh_buf text;
    fh_buf_init(&text, ARENA_BYTES_MAX / 8);
    fh_buf_add_char(&text, '\n');
    fh_schema_print(schema, &text);
    FH_ASSERT(fh_buf_code(&text) == FH_OK);
    char *copy = fh_arena_copy(arena, text.data, text.len);
    FH_ASSERT(copy != NULL);
    fh_buf_close(&text);
    return copy;
}

/* A made-up name of a primary key can stand in the way of one that was taken before it. */
static void check_print(const struct fh_schema *schema, struct fh_arena *arena)
{
    const char *text = print(schema, arena);
    struct fh_migration migration = {.name = FH_STR("p.sql"), .sql = fh_str_of(text)};
    const struct fh_schema *again = NULL;
    struct fh_parse_error error;
    if (migration.sql.len > FH_MIGRATION_BYTES_MAX) {
        return;
    }
    enum fh_code code = fh_schema_apply_migration(NULL, &migration, arena, &again, &error);
    FH_ASSERT(code == FH_OK || strstr(error.error.message, "already names") != NULL);
    FH_ASSERT(code != FH_OK || strcmp(print(again, arena), text) == 0);
}

static void check_changes(const struct fh_schema *from, const struct fh_schema *to,
                          struct fh_arena *arena)
{
    struct fh_schema_change *changes = NULL;
    size_t count = 0;
    struct fh_buf text;
    fh_buf_init(&text, ARENA_BYTES_MAX / 8);
    FH_ASSERT(fh_schema_changes(from, to, arena, &changes, &count) == FH_OK);
    for (size_t i = 0; i < count; i++) {
        fh_schema_change_describe(&changes[i], &text);
    }
    FH_ASSERT(fh_buf_code(&text) == FH_OK && (count == 0 || text.len > 0));
    fh_buf_close(&text);
}

static void check_error(const struct fh_parse_error *error, const uint8_t *data, size_t size)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n';
    }
    FH_ASSERT(error->line >= 1 && error->line <= lines);
    FH_ASSERT(error->column >= 1 && error->column <= size + 1);
    char place[64];
    int len = snprintf(place, sizeof(place), "f.sql:%u:%u: ", error->line, error->column);
    FH_ASSERT(strncmp(error->error.message, place, (size_t)len) == 0);
    FH_ASSERT(error->error.message[len] != '\0');
}

/* Twice: the second file, the same text behind a NUL-free base, sees a schema that is not empty. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char base_sql[] =
        "create table base (id int primary key, a text unique, up int references base,"
        " m numeric(9,2) check (m > 0), g bigint generated always as (id * 2) stored, z int);"
        "create table pair (x uuid, y date, base int references base on delete set null,"
        " primary key (y, x)); create index base_a on base (a, id);";
    struct fh_arena arena;
    fh_arena_init(&arena, ARENA_BYTES_MAX);
    struct fh_parse_error error;
    const struct fh_schema *base = NULL;
    struct fh_migration first = {.name = FH_STR("base.sql"), .sql = fh_str_of(base_sql)};
    FH_ASSERT(fh_schema_apply_migration(NULL, &first, &arena, &base, &error) == FH_OK);
    struct fh_migration migration = {.name = FH_STR("f.sql"),
                                     .sql = {.data = (const char *)data, .len = size}};
    const struct fh_schema *schema = NULL;
    enum fh_code code = fh_schema_apply_migration(base, &migration, &arena, &schema, &error);
    if (code == FH_OK) {
        FH_ASSERT(schema->version == 2 && schema->previous == base);
        for (uint32_t i = 0; i < schema->table_count; i++) {
            check_table(schema, i);
            check_expressions(schema->tables[i], &arena);
        }
        check_changes(base, schema, &arena);
        check_print(schema, &arena);
    } else {
        FH_ASSERT(code == FH_INVALID || code == FH_TOO_LARGE);
        FH_ASSERT(schema == NULL && error.error.code == code);
        check_error(&error, data, size);
    }
    fh_arena_close(&arena);
    return 0;
}
