/* Names: what they may be, that each is used once, and how unnamed things are called.
 *
 * Stricter than PostgreSQL on purpose: every name must be usable unquoted on every engine, in a
 * protobuf field mask and in a metric label, and leave room for what the physical layer puts in
 * front of it.
 */
#include "stores/schema/build.h"

#include <stdio.h>

static const char *const system_columns[] = {"tenant_id", "created_at", "updated_at", "deleted_at",
                                             "version"};
/* PostgreSQL refuses these as columns of any table. */
static const char *const engine_columns[] = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"};
static const char *const engine_prefixes[] = {"sqlite_", "pg_"};

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_identifier(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) {
            return false;
        }
    }
    return len > 0;
}

enum fh_code fh_ddl_name_check(const struct fh_ddl_build *build, const char *name,
                               enum fh_ddl_name_kind kind, int64_t offset)
{
    const struct fh_ddl_source *source = &build->source;
    size_t len = strlen(name);
    if (!is_identifier(name, len)) {
        return fh_ddl_fail(source, FH_INVALID, offset,
                           "a name must be letters a to z, digits and underscores, "
                           "not beginning with a digit");
    }
    if (len > FH_IDENTIFIER_MAX) {
        return fh_ddl_fail(source, FH_INVALID, offset, "a name may have at most %d bytes",
                           FH_IDENTIFIER_MAX);
    }
    if (strncmp(name, "fh_", 3) == 0) {
        return fh_ddl_fail(source, FH_INVALID, offset,
                           "%s: names beginning with fh_ are reserved: choose another", name);
    }
    if (kind == FH_DDL_NAME_COLUMN) {
        if (is_one_of(name, system_columns, sizeof(system_columns) / sizeof(system_columns[0]))) {
            return fh_ddl_fail(source, FH_INVALID, offset,
                               "%s is a system column that every table has: leave it out", name);
        }
        if (is_one_of(name, engine_columns, sizeof(engine_columns) / sizeof(engine_columns[0]))) {
            return fh_ddl_fail(source, FH_INVALID, offset,
                               "%s is a system column of PostgreSQL: choose another name", name);
        }
        return FH_OK;
    }
    for (size_t i = 0; i < sizeof(engine_prefixes) / sizeof(engine_prefixes[0]); i++) {
        if (strncmp(name, engine_prefixes[i], strlen(engine_prefixes[i])) == 0) {
            return fh_ddl_fail(source, FH_INVALID, offset,
                               "%s: names beginning with %s are reserved: choose another", name,
                               engine_prefixes[i]);
        }
    }
    return FH_OK;
}

/* FH_EXISTS when the name is taken; no message. The string moves into the arena. */
static enum fh_code take(struct fh_ddl_build *build, struct fh_str name, struct fh_str *out)
{
    if (fh_map_get(&build->names, name) != NULL) {
        return FH_EXISTS;
    }
    struct fh_str *item = FH_ARENA_NEW(build->scratch, struct fh_str);
    if (item == NULL || fh_arena_str(build->arena, name, item) != FH_OK) {
        return FH_NOMEM;
    }
    *out = *item;
    return fh_map_put(&build->names, item);
}

enum fh_code fh_ddl_name_take(struct fh_ddl_build *build, const char *name, int64_t offset,
                              struct fh_str *out)
{
    enum fh_code code = take(build, fh_str_of(name), out);
    if (code == FH_EXISTS) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "%s already names a table, an index or a constraint", name);
    }
    return code == FH_OK ? FH_OK : fh_ddl_nomem(&build->source);
}

void fh_ddl_name_free(struct fh_ddl_build *build, struct fh_str name)
{
    (void)fh_map_remove(&build->names, name);
}

/* Columns joined by underscores; cut at what any name could use of it. */
static void join_columns(const struct fh_ddl_table *table, const uint16_t *columns, size_t count,
                         char out[FH_IDENTIFIER_MAX + 1])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && len < FH_IDENTIFIER_MAX; i++) {
        struct fh_str name = table->columns[columns[i]].name;
        int written = snprintf(out + len, FH_IDENTIFIER_MAX + 1 - len, "%s%.*s", i > 0 ? "_" : "",
                               FH_STR_ARG(name));
        len += written > 0 ? (size_t)written : 0;
    }
}

enum fh_code fh_ddl_name_make(struct fh_ddl_build *build, const struct fh_ddl_table *table,
                              const uint16_t *columns, size_t column_count, const char *label,
                              struct fh_str *out)
{
    char joined[FH_IDENTIFIER_MAX + 1];
    join_columns(table, columns, column_count, joined);
    enum fh_code code = FH_EXISTS;
    /* More numbers than names can be taken, so one is free. */
    for (size_t number = 0; code == FH_EXISTS && number <= build->names.count_max; number++) {
        char tail[40];
        char digits[24] = "";
        if (number > 0) {
            (void)snprintf(digits, sizeof(digits), "%zu", number);
        }
        (void)snprintf(tail, sizeof(tail), "_%s%s", label, digits);
        size_t table_len = table->name.len;
        size_t joined_len = strlen(joined);
        size_t fixed = strlen(tail) + (column_count > 0 ? 1 : 0);
        while (table_len + joined_len + fixed > FH_IDENTIFIER_MAX) {
            if (table_len > joined_len) {
                table_len--;
            } else {
                joined_len--;
            }
        }
        char name[FH_IDENTIFIER_MAX + 1];
        (void)snprintf(name, sizeof(name), "%.*s%s%.*s%s", (int)table_len, table->name.data,
                       column_count > 0 ? "_" : "", (int)joined_len, joined, tail);
        code = take(build, fh_str_of(name), out);
    }
    return code == FH_OK ? FH_OK : fh_ddl_nomem(&build->source);
}
