/* PRIMARY KEY, UNIQUE, CHECK.
 *
 * Happy path: the columns are found, their types allowed, the constraint enters the draft under its
 * own or a made-up name. Columns in lists have no place in the syntax tree: it is found again in
 * the tokens.
 */
#include "stores/expr.h"
#include "stores/schema/build.h"

const char *fh_ddl_string(const PgQuery__Node *node)
{
    if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_STRING) {
        return "";
    }
    return node->string->sval;
}

int fh_ddl_table_column(const struct fh_ddl_table *table, const char *name)
{
    struct fh_str wanted = fh_str_of(name);
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (fh_str_eq(table->columns[i].name, wanted)) {
            return i;
        }
    }
    return -1;
}

enum fh_code fh_ddl_list_add(const struct fh_ddl_build *build, const struct fh_ddl_table *table,
                             const char *name, int64_t offset, uint16_t *list, uint16_t *count,
                             uint16_t max)
{
    int position = fh_ddl_table_column(table, name);
    if (position < 0) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset, "table %.*s has no column %.64s",
                           FH_STR_ARG(table->name), name);
    }
    for (uint16_t i = 0; i < *count; i++) {
        if (list[i] == (uint16_t)position) {
            return fh_ddl_fail(&build->source, FH_INVALID, offset, "column %s is named twice",
                               name);
        }
    }
    if (*count == max) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset, "more than %d columns", (int)max);
    }
    list[(*count)++] = (uint16_t)position;
    return FH_OK;
}

/* The columns of a constraint: its list, or the one column it is written at. */
enum fh_code fh_ddl_constraint_columns(const struct fh_ddl_build *build,
                                       const struct fh_ddl_table *table,
                                       PgQuery__Node *const *names, size_t name_count,
                                       int64_t offset, int column, uint16_t *list, uint16_t *count,
                                       uint16_t max)
{
    *count = 0;
    if (column >= 0) {
        list[(*count)++] = (uint16_t)column;
        return FH_OK;
    }
    for (size_t i = 0; i < name_count; i++) {
        enum fh_code code =
            fh_ddl_list_add(build, table, fh_ddl_string(names[i]),
                            fh_ddl_list_item(&build->source, offset, i), list, count, max);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

/* Where to point for column `i` of the constraint. */
int64_t fh_ddl_constraint_column_place(const struct fh_ddl_build *build,
                                       const PgQuery__Constraint *constraint, int column,
                                       uint16_t i)
{
    return column >= 0 ? constraint->location
                       : fh_ddl_list_item(&build->source, constraint->location, i);
}

/* What constraints may carry, and we refuse. */
enum fh_code fh_ddl_constraint_clauses(const struct fh_ddl_build *build,
                                       const PgQuery__Constraint *constraint)
{
    const struct fh_ddl_source *source = &build->source;
    int64_t at = constraint->location;
    if (constraint->deferrable || constraint->initdeferred) {
        const char *const words[] = {"deferrable", "initially", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "DEFERRABLE is not supported: constraints hold at every write");
    }
    if (constraint->nulls_not_distinct) {
        const char *const words[] = {"nulls", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "NULLS NOT DISTINCT is not supported: make the column NOT NULL");
    }
    if (constraint->n_including > 0) {
        const char *const words[] = {"include", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "INCLUDE is not supported: leave it out");
    }
    if (constraint->n_options > 0) {
        const char *const words[] = {"with", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "WITH (...) is not supported: storage is the server's matter");
    }
    if (constraint->indexname[0] != '\0' || constraint->indexspace[0] != '\0') {
        const char *const words[] = {"using", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "USING INDEX is not supported: list the columns");
    }
    return FH_OK;
}

/* CONSTRAINT is the first word, the name the second. */
static int64_t name_place(const struct fh_ddl_build *build, const PgQuery__Constraint *constraint)
{
    size_t index = fh_ddl_token_at(&build->source, constraint->location) + 1;
    if (index >= build->source.token_count) {
        return constraint->location;
    }
    return build->source.tokens[index].start;
}

enum fh_code fh_ddl_constraint_name_check(const struct fh_ddl_build *build,
                                          const PgQuery__Constraint *constraint)
{
    if (constraint->conname[0] == '\0') {
        return FH_OK;
    }
    return fh_ddl_name_check(build, constraint->conname, FH_DDL_NAME_OTHER,
                             name_place(build, constraint));
}

enum fh_code fh_ddl_constraint_name(struct fh_ddl_build *build, const struct fh_ddl_table *table,
                                    const PgQuery__Constraint *constraint, const uint16_t *columns,
                                    size_t count, const char *label, struct fh_str *out)
{
    if (constraint->conname[0] == '\0') {
        return fh_ddl_name_make(build, table, columns, count, label, out);
    }
    return fh_ddl_name_take(build, constraint->conname, name_place(build, constraint), out);
}

static enum fh_code check_key_type(const struct fh_ddl_build *build, const struct fh_column *column,
                                   int64_t offset)
{
    const char *why = NULL;
    switch (column->type) {
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        why = "equality of floating point is not reliable: use numeric(p,s) or bigint";
        break;
    case FH_TYPE_BYTES:
        why = "a key must be readable in a resource name: use text or uuid";
        break;
    case FH_TYPE_JSON:
        why = "a document is not an identity: use text or uuid";
        break;
    default:
        return FH_OK;
    }
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "column %.*s: %s cannot be in a primary key: %s", FH_STR_ARG(column->name),
                       fh_type_name(column->type), why);
}

static enum fh_code check_key(const struct fh_ddl_build *build, const struct fh_column *column,
                              int64_t offset)
{
    if (column->generated != NULL) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "column %.*s: a generated column cannot be in a primary key: a key is "
                           "what the caller names",
                           FH_STR_ARG(column->name));
    }
    return check_key_type(build, column, offset);
}

enum fh_code fh_ddl_index_type_check(const struct fh_ddl_build *build,
                                     const struct fh_column *column, int64_t offset)
{
    if (column->type != FH_TYPE_JSON) {
        return FH_OK;
    }
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "column %.*s: jsonb cannot be indexed: engines order it differently; "
                       "index a column of its own",
                       FH_STR_ARG(column->name));
}

enum fh_code fh_ddl_primary_key(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                const PgQuery__Constraint *constraint, int column)
{
    if (table->key_count > 0) {
        return fh_ddl_fail(&build->source, FH_INVALID, constraint->location,
                           "table %.*s has two primary keys", FH_STR_ARG(table->name));
    }
    enum fh_code code = fh_ddl_constraint_clauses(build, constraint);
    if (code == FH_OK) {
        code = fh_ddl_constraint_name_check(build, constraint);
    }
    uint16_t count = 0;
    if (code == FH_OK) {
        code = fh_ddl_constraint_columns(build, table, constraint->keys, constraint->n_keys,
                                         constraint->location, column, table->key, &count,
                                         FH_KEY_COLUMNS_MAX);
    }
    for (uint16_t i = 0; code == FH_OK && i < count; i++) {
        struct fh_column *key = &table->columns[table->key[i]];
        code = check_key(build, key, fh_ddl_constraint_column_place(build, constraint, column, i));
        key->not_null = true;
    }
    table->key_count = count;
    return code;
}

static bool same_columns(const uint16_t *a, size_t a_count, const uint16_t *b, size_t b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof(*a)) == 0;
}

enum fh_code fh_ddl_unique(struct fh_ddl_build *build, struct fh_ddl_table *table,
                           const PgQuery__Constraint *constraint, int column)
{
    struct fh_index index = {.unique = true};
    enum fh_code code = fh_ddl_constraint_clauses(build, constraint);
    if (code == FH_OK) {
        code = fh_ddl_constraint_name_check(build, constraint);
    }
    if (code == FH_OK) {
        code = fh_ddl_constraint_columns(build, table, constraint->keys, constraint->n_keys,
                                         constraint->location, column, index.columns,
                                         &index.column_count, FH_INDEX_COLUMNS_MAX);
    }
    for (uint16_t i = 0; code == FH_OK && i < index.column_count; i++) {
        code =
            fh_ddl_index_type_check(build, &table->columns[index.columns[i]],
                                    fh_ddl_constraint_column_place(build, constraint, column, i));
    }
    if (code != FH_OK) {
        return code;
    }
    bool repeated = same_columns(index.columns, index.column_count, table->key, table->key_count);
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct fh_index *other = &table->indexes[i];
        repeated = repeated || same_columns(index.columns, index.column_count, other->columns,
                                            other->column_count);
    }
    if (repeated) {
        return fh_ddl_fail(&build->source, FH_INVALID, constraint->location,
                           "these columns are unique already: leave the second constraint out");
    }
    code = fh_ddl_constraint_name(build, table, constraint, index.columns, index.column_count,
                                  "key", &index.name);
    return code == FH_OK ? fh_ddl_build_add_index(build, table, constraint->location, &index)
                         : code;
}

/* The column that the check reads when it reads one only; else -1. */
static int only_column(const struct fh_ddl_table *table, const struct fh_expr *expr)
{
    int only = -1;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (!fh_expr_uses(expr, i)) {
            continue;
        }
        if (only >= 0) {
            return -1;
        }
        only = i;
    }
    return only;
}

enum fh_code fh_ddl_check(struct fh_ddl_build *build, struct fh_ddl_table *table,
                          const PgQuery__Constraint *constraint, int column)
{
    (void)column; /* one written at a column may read others */
    const struct fh_ddl_source *source = &build->source;
    int64_t at = constraint->location;
    if (constraint->is_no_inherit) {
        return fh_ddl_refuse_clause(build, at, "no", NULL, "NO INHERIT", "leave it out");
    }
    if (constraint->skip_validation) {
        return fh_ddl_refuse_clause(build, at, "not", NULL, "NOT VALID", "leave it out");
    }
    enum fh_code code = fh_ddl_constraint_clauses(build, constraint);
    if (code == FH_OK) {
        code = fh_ddl_constraint_name_check(build, constraint);
    }
    struct fh_check check = {0};
    if (code == FH_OK) {
        code = fh_ddl_check_expr(build, table, constraint->raw_expr,
                                 fh_ddl_list_item(source, at, 0), &check.expr);
    }
    if (code != FH_OK) {
        return code;
    }
    int only = only_column(table, check.expr);
    uint16_t position = only >= 0 ? (uint16_t)only : 0;
    code = fh_ddl_constraint_name(build, table, constraint, &position, only >= 0 ? 1 : 0, "check",
                                  &check.name);
    return code == FH_OK ? fh_ddl_build_add_check(build, table, at, &check) : code;
}
