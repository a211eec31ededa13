/* PRIMARY KEY, UNIQUE, FOREIGN KEY.
 *
 * Happy path: the columns are found, their types allowed, the constraint enters the draft under its
 * own or a made-up name. Columns in lists have no place in the syntax tree: it is found again in
 * the tokens.
 */
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
static enum fh_code column_list(const struct fh_ddl_build *build, const struct fh_ddl_table *table,
                                PgQuery__Node *const *names, size_t name_count, int64_t offset,
                                int column, uint16_t *list, uint16_t *count, uint16_t max)
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
static int64_t column_place(const struct fh_ddl_build *build, const PgQuery__Constraint *constraint,
                            int column, uint16_t i)
{
    return column >= 0 ? constraint->location
                       : fh_ddl_list_item(&build->source, constraint->location, i);
}

/* What PRIMARY KEY and UNIQUE may carry, and we refuse. */
static enum fh_code check_clauses(const struct fh_ddl_build *build,
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

static enum fh_code check_constraint_name(const struct fh_ddl_build *build,
                                          const PgQuery__Constraint *constraint)
{
    if (constraint->conname[0] == '\0') {
        return FH_OK;
    }
    return fh_ddl_name_check(build, constraint->conname, FH_DDL_NAME_OTHER,
                             name_place(build, constraint));
}

static enum fh_code name_constraint(struct fh_ddl_build *build, const struct fh_ddl_table *table,
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
    enum fh_code code = check_clauses(build, constraint);
    if (code == FH_OK) {
        code = check_constraint_name(build, constraint);
    }
    uint16_t count = 0;
    if (code == FH_OK) {
        code = column_list(build, table, constraint->keys, constraint->n_keys, constraint->location,
                           column, table->key, &count, FH_KEY_COLUMNS_MAX);
    }
    for (uint16_t i = 0; code == FH_OK && i < count; i++) {
        struct fh_column *key = &table->columns[table->key[i]];
        code = check_key_type(build, key, column_place(build, constraint, column, i));
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
    enum fh_code code = check_clauses(build, constraint);
    if (code == FH_OK) {
        code = check_constraint_name(build, constraint);
    }
    if (code == FH_OK) {
        code = column_list(build, table, constraint->keys, constraint->n_keys, constraint->location,
                           column, index.columns, &index.column_count, FH_INDEX_COLUMNS_MAX);
    }
    for (uint16_t i = 0; code == FH_OK && i < index.column_count; i++) {
        code = fh_ddl_index_type_check(build, &table->columns[index.columns[i]],
                                       column_place(build, constraint, column, i));
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
    code = name_constraint(build, table, constraint, index.columns, index.column_count, "key",
                           &index.name);
    return code == FH_OK ? fh_ddl_build_add_index(build, table, constraint->location, &index)
                         : code;
}

static enum fh_code check_action(const struct fh_ddl_build *build,
                                 const PgQuery__Constraint *constraint, const char *action,
                                 const char *event)
{
    static const struct {
        char action;
        const char *name;
    } refused[] = {{'c', "CASCADE"}, {'n', "SET NULL"}, {'d', "SET DEFAULT"}};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (action[0] != refused[i].action) {
            continue;
        }
        const struct fh_ddl_source *source = &build->source;
        const char *const on[] = {"on", NULL};
        /* the ON of the other event may stand first */
        int64_t at = fh_ddl_find_word(source, constraint->location, on);
        if (!fh_ddl_token_is(source, fh_ddl_token_at(source, at) + 1, event)) {
            int64_t second = fh_ddl_find_word(source, at + 1, on);
            at = second > at + 1 ? second : at;
        }
        return fh_ddl_fail(source, FH_INVALID, at,
                           "ON %s %s is not supported: use NO ACTION, and delete what "
                           "references the record first",
                           event, refused[i].name);
    }
    return FH_OK;
}

static enum fh_code check_foreign_clauses(const struct fh_ddl_build *build,
                                          const PgQuery__Constraint *constraint)
{
    const struct fh_ddl_source *source = &build->source;
    int64_t at = constraint->location;
    if (constraint->fk_matchtype[0] != 's' && constraint->fk_matchtype[0] != '\0') {
        const char *const words[] = {"match", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "MATCH FULL is not supported: leave it out, or make the columns "
                           "NOT NULL");
    }
    if (constraint->skip_validation) {
        const char *const words[] = {"not", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "NOT VALID is not supported: leave it out");
    }
    enum fh_code code = check_clauses(build, constraint);
    if (code == FH_OK) {
        code = check_action(build, constraint, constraint->fk_del_action, "DELETE");
    }
    if (code == FH_OK) {
        code = check_action(build, constraint, constraint->fk_upd_action, "UPDATE");
    }
    return code == FH_OK ? check_constraint_name(build, constraint) : code;
}

static bool same_type(const struct fh_column *a, const struct fh_column *b)
{
    return a->type == b->type && a->precision == b->precision && a->scale == b->scale;
}

/* Pairs local columns (in the order written) with the target's key: `named` holds the target's
 * columns in the same order. Fills key->columns in the order of the target's key. */
static enum fh_code pair_columns(const struct fh_ddl_build *build, const struct fh_ddl_table *table,
                                 const struct fh_ddl_table *target,
                                 const PgQuery__Constraint *constraint, int column,
                                 const uint16_t *local, const uint16_t *named,
                                 struct fh_foreign_key *key)
{
    for (uint16_t k = 0; k < target->key_count; k++) {
        uint16_t i = 0;
        while (i < target->key_count && named[i] != target->key[k]) {
            i++;
        }
        if (i == target->key_count) {
            return fh_ddl_fail(&build->source, FH_INVALID, constraint->pktable->location,
                               "a foreign key must reference the whole primary key of %.*s: "
                               "leave the columns out",
                               FH_STR_ARG(target->name));
        }
        const struct fh_column *from = &table->columns[local[i]];
        const struct fh_column *to = &target->columns[target->key[k]];
        if (!same_type(from, to)) {
            return fh_ddl_fail(
                &build->source, FH_INVALID, column_place(build, constraint, column, i),
                "column %.*s is %s, but %.*s.%.*s is %s: the types must be the same%s",
                FH_STR_ARG(from->name), fh_type_name(from->type), FH_STR_ARG(target->name),
                FH_STR_ARG(to->name), fh_type_name(to->type),
                from->type == to->type ? ", to precision and scale" : "");
        }
        key->columns[k] = local[i];
    }
    key->column_count = target->key_count;
    return FH_OK;
}

static enum fh_code add_foreign_key(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                    const struct fh_ddl_foreign_key *key, int64_t offset)
{
    if (table->foreign_key_count == FH_TABLE_FOREIGN_KEYS_MAX) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "table %.*s has more than %d foreign keys", FH_STR_ARG(table->name),
                           FH_TABLE_FOREIGN_KEYS_MAX);
    }
    if (table->foreign_keys == NULL) {
        table->foreign_keys =
            FH_ARENA_ARRAY(build->scratch, struct fh_ddl_foreign_key, FH_TABLE_FOREIGN_KEYS_MAX);
        if (table->foreign_keys == NULL) {
            return fh_ddl_nomem(&build->source);
        }
    }
    table->foreign_keys[table->foreign_key_count++] = *key;
    return FH_OK;
}

enum fh_code fh_ddl_foreign_key(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                const PgQuery__Constraint *constraint, int column)
{
    const PgQuery__RangeVar *reference = constraint->pktable;
    uint16_t local[FH_KEY_COLUMNS_MAX];
    uint16_t named[FH_KEY_COLUMNS_MAX];
    uint16_t local_count = 0;
    uint16_t named_count = 0;
    struct fh_ddl_foreign_key key = {0};
    enum fh_code code = check_foreign_clauses(build, constraint);
    if (code == FH_OK) {
        code = fh_ddl_relation_check(build, reference);
    }
    if (code == FH_OK) {
        code = column_list(build, table, constraint->fk_attrs, constraint->n_fk_attrs,
                           constraint->location, column, local, &local_count, FH_KEY_COLUMNS_MAX);
    }
    if (code != FH_OK) {
        return code;
    }
    const struct fh_ddl_table *target = fh_ddl_build_table(build, fh_str_of(reference->relname));
    if (target == NULL) {
        return fh_ddl_fail(&build->source, FH_INVALID, reference->location,
                           "no table %.64s: create it before the table that references it",
                           reference->relname);
    }
    code = column_list(build, target, constraint->pk_attrs, constraint->n_pk_attrs,
                       reference->location, -1, named, &named_count, FH_KEY_COLUMNS_MAX);
    if (code != FH_OK) {
        return code;
    }
    if (named_count == 0) {
        memcpy(named, target->key, sizeof(named));
        named_count = target->key_count;
    }
    if (named_count != target->key_count || local_count != named_count) {
        return fh_ddl_fail(&build->source, FH_INVALID, reference->location,
                           "a foreign key must reference the whole primary key of %.*s, %d "
                           "columns; this one has %d",
                           FH_STR_ARG(target->name), (int)target->key_count,
                           (int)(local_count != target->key_count ? local_count : named_count));
    }
    code = pair_columns(build, table, target, constraint, column, local, named, &key.key);
    if (code == FH_OK) {
        code = name_constraint(build, table, constraint, local, local_count, "fkey", &key.key.name);
    }
    key.target = (uint32_t)(target - build->tables);
    return code == FH_OK ? add_foreign_key(build, table, &key, constraint->location) : code;
}
