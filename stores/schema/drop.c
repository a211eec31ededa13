/* DROP TABLE, DROP INDEX, and what ALTER TABLE drops.
 *
 * Happy path: what goes is used by nothing that stays; it leaves the draft and its name is free. A
 * column's going moves those behind it, so positions in keys, indexes, references and expressions
 * are written anew.
 *
 * Failures: something uses it, which is named. There is no CASCADE: what goes is written out.
 */
#include "stores/expr.h"
#include "stores/schema/build.h"

#define NO_CASCADE "drop what uses it first, each by its name"

static enum fh_code in_use(const struct fh_ddl_build *build, int64_t offset, const char *name,
                           const char *what, struct fh_str user)
{
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "%.64s cannot be dropped: %s %.*s uses it: drop that first", name, what,
                       FH_STR_ARG(user));
}

void fh_ddl_drop_index_at(struct fh_ddl_build *build, struct fh_ddl_table *table, uint16_t i)
{
    fh_ddl_name_free(build, table->indexes[i].name);
    table->index_count--;
    memmove(&table->indexes[i], &table->indexes[i + 1],
            (size_t)(table->index_count - i) * sizeof(table->indexes[0]));
}

static void drop_reference_at(struct fh_ddl_build *build, struct fh_ddl_table *table, uint16_t i)
{
    fh_ddl_name_free(build, table->foreign_keys[i].key.name);
    table->foreign_key_count--;
    memmove(&table->foreign_keys[i], &table->foreign_keys[i + 1],
            (size_t)(table->foreign_key_count - i) * sizeof(table->foreign_keys[0]));
}

static void drop_check_at(struct fh_ddl_build *build, struct fh_ddl_table *table, uint16_t i)
{
    fh_ddl_name_free(build, table->checks[i].name);
    table->check_count--;
    memmove(&table->checks[i], &table->checks[i + 1],
            (size_t)(table->check_count - i) * sizeof(table->checks[0]));
}

enum fh_code fh_ddl_drop_constraint(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                    const char *name, int64_t offset)
{
    struct fh_str wanted = fh_str_of(name);
    enum fh_code code = fh_ddl_build_own(build, table);
    if (code != FH_OK) {
        return code;
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        if (fh_str_eq(table->checks[i].name, wanted)) {
            drop_check_at(build, table, i);
            return FH_OK;
        }
    }
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        if (fh_str_eq(table->foreign_keys[i].key.name, wanted)) {
            drop_reference_at(build, table, i);
            return FH_OK;
        }
    }
    for (uint16_t i = 0; i < table->index_count; i++) {
        if (!fh_str_eq(table->indexes[i].name, wanted)) {
            continue;
        }
        if (!table->indexes[i].unique) {
            return fh_ddl_fail(&build->source, FH_INVALID, offset,
                               "%.64s is an index, not a constraint: write DROP INDEX", name);
        }
        fh_ddl_drop_index_at(build, table, i);
        return FH_OK;
    }
    if (fh_str_eq(table->pkey_name, wanted)) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "dropping a primary key is not supported: it is the records' identity; "
                           "create a new table");
    }
    return fh_ddl_fail(&build->source, FH_INVALID, offset, "table %.*s has no constraint %.64s",
                       FH_STR_ARG(table->name), name);
}

static bool holds(const uint16_t *list, uint16_t count, uint16_t position)
{
    for (uint16_t i = 0; i < count; i++) {
        if (list[i] == position) {
            return true;
        }
    }
    return false;
}

static enum fh_code check_unused(const struct fh_ddl_build *build, const struct fh_ddl_table *table,
                                 uint16_t position, const char *name, int64_t offset)
{
    if (holds(table->key, table->key_count, position)) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "%.64s cannot be dropped: it is in the primary key, the records' "
                           "identity",
                           name);
    }
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct fh_index *index = &table->indexes[i];
        if (holds(index->columns, index->column_count, position)) {
            return in_use(build, offset, name, index->unique ? "unique index" : "index",
                          index->name);
        }
    }
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        const struct fh_foreign_key *key = &table->foreign_keys[i].key;
        if (holds(key->columns, key->column_count, position)) {
            return in_use(build, offset, name, "foreign key", key->name);
        }
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        if (fh_expr_uses(table->checks[i].expr, position)) {
            return in_use(build, offset, name, "check", table->checks[i].name);
        }
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_column *column = &table->columns[i];
        if (column->generated != NULL && fh_expr_uses(column->generated, position)) {
            return in_use(build, offset, name, "generated column", column->name);
        }
    }
    return FH_OK;
}

static void shift(uint16_t *list, uint16_t count, uint16_t dropped)
{
    for (uint16_t i = 0; i < count; i++) {
        list[i] = (uint16_t)(list[i] - (list[i] > dropped));
    }
}

static enum fh_code shift_all(const struct fh_ddl_build *build, struct fh_ddl_table *table,
                              uint16_t dropped)
{
    shift(table->key, table->key_count, dropped);
    for (uint16_t i = 0; i < table->index_count; i++) {
        shift(table->indexes[i].columns, table->indexes[i].column_count, dropped);
    }
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        struct fh_foreign_key *key = &table->foreign_keys[i].key;
        shift(key->columns, key->column_count, dropped);
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        table->checks[i].expr = fh_ddl_expr_without(table->checks[i].expr, dropped, build->arena);
        if (table->checks[i].expr == NULL) {
            return fh_ddl_nomem(&build->source);
        }
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        struct fh_column *column = &table->columns[i];
        column->position = i;
        if (column->generated == NULL) {
            continue;
        }
        column->generated = fh_ddl_expr_without(column->generated, dropped, build->arena);
        if (column->generated == NULL) {
            return fh_ddl_nomem(&build->source);
        }
    }
    return FH_OK;
}

enum fh_code fh_ddl_drop_column(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                const char *name, int64_t offset)
{
    int found = fh_ddl_table_column(table, name);
    if (found < 0) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset, "table %.*s has no column %.64s",
                           FH_STR_ARG(table->name), name);
    }
    uint16_t position = (uint16_t)found;
    enum fh_code code = fh_ddl_build_own(build, table);
    if (code == FH_OK) {
        code = check_unused(build, table, position, name, offset);
    }
    if (code != FH_OK) {
        return code;
    }
    table->column_count--;
    memmove(&table->columns[position], &table->columns[position + 1],
            (size_t)(table->column_count - position) * sizeof(table->columns[0]));
    return shift_all(build, table, position);
}

static void drop_table(struct fh_ddl_build *build, struct fh_ddl_table *table)
{
    table->dropped = true;
    fh_ddl_name_free(build, table->name);
    fh_ddl_name_free(build, table->pkey_name);
    for (uint16_t i = 0; i < table->index_count; i++) {
        fh_ddl_name_free(build, table->indexes[i].name);
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        fh_ddl_name_free(build, table->checks[i].name);
    }
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        fh_ddl_name_free(build, table->owned ? table->foreign_keys[i].key.name
                                             : table->old->foreign_keys[i].name);
    }
}

/* References among the tables of one DROP go with them. */
static enum fh_code check_unreferenced(const struct fh_ddl_build *build,
                                       const struct fh_ddl_table *dropped, int64_t offset)
{
    uint32_t place = (uint32_t)(dropped - build->tables);
    for (uint32_t t = 0; t < build->table_count; t++) {
        const struct fh_ddl_table *table = &build->tables[t];
        for (uint16_t i = 0; !table->dropped && i < table->foreign_key_count; i++) {
            if (fh_ddl_build_target(table, i) == place) {
                struct fh_str key = table->owned ? table->foreign_keys[i].key.name
                                                 : table->old->foreign_keys[i].name;
                return fh_ddl_fail(&build->source, FH_INVALID, offset,
                                   "table %.*s cannot be dropped: foreign key %.*s of table %.*s "
                                   "references it: drop that first",
                                   FH_STR_ARG(dropped->name), FH_STR_ARG(key),
                                   FH_STR_ARG(table->name));
            }
        }
    }
    return FH_OK;
}

/* Where name `n` of the list stands. */
static int64_t name_place(const struct fh_ddl_build *build, size_t n)
{
    const struct fh_ddl_source *source = &build->source;
    size_t i = fh_ddl_token_at(source, build->statement) + 2; /* DROP TABLE */
    i += fh_ddl_token_is(source, i, "concurrently");
    for (; n > 0 && i < source->token_count; i++) {
        n -= source->tokens[i].kind == ',';
    }
    return i < source->token_count ? source->tokens[i].start : build->statement;
}

static enum fh_code drop_index(struct fh_ddl_build *build, const char *name, int64_t offset)
{
    for (uint32_t t = 0; t < build->table_count; t++) {
        struct fh_ddl_table *table = &build->tables[t];
        for (uint16_t i = 0; !table->dropped && i < table->index_count; i++) {
            if (!fh_str_eq(table->indexes[i].name, fh_str_of(name))) {
                continue;
            }
            enum fh_code code = fh_ddl_build_own(build, table);
            if (code == FH_OK) {
                fh_ddl_drop_index_at(build, table, i);
            }
            return code;
        }
    }
    return fh_ddl_fail(&build->source, FH_INVALID, offset, "no index %.64s", name);
}

/* The name of object `n`, or NULL when it is refused. */
static enum fh_code object_name(const struct fh_ddl_build *build,
                                const PgQuery__DropStmt *statement, size_t n, int64_t offset,
                                const char **out)
{
    const PgQuery__Node *object = statement->objects[n];
    *out = "";
    if (object->node_case == PG_QUERY__NODE__NODE_LIST && object->list->n_items == 1) {
        *out = fh_ddl_string(object->list->items[0]);
        return FH_OK;
    }
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "a schema in front of a name is not supported: name it alone");
}

enum fh_code fh_ddl_drop(struct fh_ddl_build *build, const PgQuery__DropStmt *statement)
{
    bool tables = statement->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    if (!tables && statement->remove_type != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) {
        return fh_ddl_refuse_statement(build);
    }
    if (statement->missing_ok) {
        return fh_ddl_refuse_clause(build, build->statement, "if", NULL, "IF EXISTS",
                                    "a migration is applied exactly once");
    }
    if (statement->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE) {
        return fh_ddl_refuse_clause(build, build->statement, "cascade", NULL, "CASCADE",
                                    NO_CASCADE);
    }
    struct fh_ddl_table **dropped =
        FH_ARENA_ARRAY(build->scratch, struct fh_ddl_table *, statement->n_objects);
    if (dropped == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    enum fh_code code = FH_OK;
    for (size_t i = 0; code == FH_OK && i < statement->n_objects; i++) {
        int64_t at = name_place(build, i);
        const char *name = NULL;
        code = object_name(build, statement, i, at, &name);
        if (code == FH_OK && !tables) {
            code = drop_index(build, name, at);
        } else if (code == FH_OK) {
            dropped[i] = fh_ddl_build_table(build, fh_str_of(name));
            if (dropped[i] == NULL) {
                return fh_ddl_fail(&build->source, FH_INVALID, at, "no table %.64s", name);
            }
            drop_table(build, dropped[i]);
        }
    }
    for (size_t i = 0; code == FH_OK && tables && i < statement->n_objects; i++) {
        code = check_unreferenced(build, dropped[i], name_place(build, i));
    }
    return code;
}
