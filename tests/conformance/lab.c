#include "tests/conformance/lab.h"

#include <stdio.h>

#include "stores/schema/parse.h"

#define TEXT_BYTES_MAX 65536

const struct fh_schema *lab_parse(struct suite *s, const struct fh_schema *base, const char *sql)
{
    char *name =
        fh_arena_printf(&s->arena, "%04u_lab.sql", base != NULL ? (unsigned)base->version + 1 : 1);
    assert_non_null(name);
    const struct fh_migration migration = {fh_str_of(name), fh_str_of(sql)};
    const struct fh_schema *schema = NULL;
    struct fh_parse_error error = {.line = 0};
    enum fh_code code = fh_schema_apply_migration(base, &migration, &s->arena, &schema, &error);
    suite_assert_code(code, FH_OK, sql, error.error.message, __FILE__, __LINE__);
    return schema;
}

void lab_begin(struct suite *s, const char *sql)
{
    suite_apply_schema(s, lab_parse(s, NULL, sql));
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_code(suite_home_create(s, &s->b, 1, 1, FH_FENCE_OPEN), FH_OK);
}

void lab_change(struct suite *s, const char *sql)
{
    suite_apply_schema(s, lab_parse(s, s->schema, sql));
}

void lab_refuse(struct suite *s, const char *sql, enum fh_code code)
{
    const struct fh_schema *next = lab_parse(s, s->schema, sql);
    struct fh_request request = suite_schema_request(s, &s->a, next);
    suite_assert_code(suite_run(s, &request), code, sql, request.error.message, __FILE__, __LINE__);
    assert_int_equal(request.as.schema.version_seen, s->schema->version);
    assert_int_equal(suite_version(s, &s->a), s->schema->version);
}

/* The next piece of `*rest` up to `stop`, copied. */
static struct fh_str take(struct suite *s, const char **rest, char stop)
{
    const char *end = strchr(*rest, stop);
    size_t len = end != NULL ? (size_t)(end - *rest) : strlen(*rest);
    const char *copy = fh_arena_copy(&s->arena, *rest, len);
    assert_non_null(copy);
    *rest += len + (end != NULL);
    return (struct fh_str){copy, len};
}

static const struct fh_table *table_of(const struct suite *s, const char *name)
{
    const struct fh_table *table = fh_schema_table(s->schema, fh_str_of(name));
    if (table == NULL) {
        fail_msg("no table %s", name);
    }
    return table;
}

static struct fh_value value_of(struct suite *s, const struct fh_column *column, struct fh_str text)
{
    struct fh_value value = {.type = column->type, .is_null = true};
    struct fh_error error = FH_ERROR_INIT;
    if (!fh_str_eq(text, FH_STR("~"))) {
        suite_assert_code(fh_value_parse(text, column, &s->arena, &value, &error), FH_OK, text.data,
                          error.message, __FILE__, __LINE__);
    }
    return value;
}

struct fh_key lab_key(struct suite *s, const char *table_name, const char *text)
{
    const struct fh_table *table = table_of(s, table_name);
    struct fh_key key = {.table = table};
    for (uint16_t i = 0; i < table->key_count; i++) {
        key.values[i] = value_of(s, &table->columns[table->key[i]], take(s, &text, '/'));
    }
    assert_int_equal(*text, '\0');
    return key;
}

/* "name=value;...": the next column and value. */
static const struct fh_column *take_column(struct suite *s, const struct fh_table *table,
                                           const char **rest, struct fh_str *text)
{
    struct fh_str name = take(s, rest, '=');
    const struct fh_column *column = fh_table_column(table, name);
    if (column == NULL) {
        fail_msg("no column %s", name.data);
    }
    *text = take(s, rest, ';');
    return column;
}

struct fh_write *lab_write(struct suite *s, enum fh_write_op op, const char *table, const char *key,
                           const char *columns)
{
    struct fh_write *write = suite_new(s, op, lab_key(s, table, key));
    while (*columns != '\0') {
        struct fh_str text;
        const struct fh_column *column = take_column(s, write->key.table, &columns, &text);
        suite_put(write, column->position, FH_TRANSFORM_SET, value_of(s, column, text));
    }
    return write;
}

enum fh_code lab_try(struct suite *s, enum fh_write_op op, const char *table, const char *key,
                     const char *columns)
{
    return suite_write(s, &s->a, lab_write(s, op, table, key, columns), NULL);
}

void lab_put(struct suite *s, enum fh_write_op op, const char *table, const char *key,
             const char *columns)
{
    suite_assert_code(lab_try(s, op, table, key, columns), FH_OK, columns, key, __FILE__, __LINE__);
}

struct fh_row *lab_row(struct suite *s, const char *table, const char *key)
{
    return suite_row(s, &s->a, lab_key(s, table, key));
}

void lab_expect_at(struct suite *s, const char *table, const char *key, const char *columns,
                   const char *file, int line)
{
    const struct fh_row *row = lab_row(s, table, key);
    while (*columns != '\0') {
        struct fh_str text;
        const struct fh_column *column = take_column(s, row->table, &columns, &text);
        const struct fh_value expected = value_of(s, column, text);
        const struct fh_value *actual = &row->values[column->position];
        if (!fh_value_equal(actual, &expected)) {
            struct fh_buf is;
            fh_buf_init(&is, TEXT_BYTES_MAX);
            fh_value_format(actual, column, &is);
            print_error("%s %s: %.*s is %.*s, not %s\n", table, key, FH_STR_ARG(column->name),
                        FH_STR_ARG(actual->is_null ? FH_STR("null") : fh_buf_str(&is)), text.data);
            fh_buf_close(&is);
            _fail(file, line);
        }
    }
}

size_t lab_count(struct suite *s, const char *table)
{
    return suite_count(s, &s->a, table_of(s, table));
}
