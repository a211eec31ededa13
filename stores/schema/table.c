/* CREATE TABLE.
 *
 * Happy path: the clauses around the list are checked, then columns are read in order, then the
 * primary key, then unique constraints, foreign keys and checks, each kind in the order written; so
 * names made up do not depend on where a constraint stands.
 */
#include "stores/schema/build.h"

enum fh_code fh_ddl_refuse_clause(const struct fh_ddl_build *build, int64_t from, const char *word,
                                  const char *other, const char *what, const char *advice)
{
    const char *const words[] = {word, other, NULL};
    return fh_ddl_fail(&build->source, FH_INVALID, fh_ddl_find_word(&build->source, from, words),
                       "%s is not supported: %s", what, advice);
}

enum fh_code fh_ddl_relation_check(const struct fh_ddl_build *build,
                                   const PgQuery__RangeVar *relation)
{
    if (relation->schemaname[0] != '\0' || relation->catalogname[0] != '\0') {
        return fh_ddl_fail(&build->source, FH_INVALID, relation->location,
                           "a schema in front of %.64s is not supported: every tenant's home has "
                           "the same tables, name it alone",
                           relation->relname);
    }
    if (relation->relpersistence[0] == 't') {
        return fh_ddl_refuse_clause(build, build->statement, "temp", "temporary", "TEMPORARY",
                                    "tables outlive sessions here");
    }
    if (relation->relpersistence[0] == 'u') {
        return fh_ddl_refuse_clause(build, build->statement, "unlogged", NULL, "UNLOGGED",
                                    "every table is durable");
    }
    return FH_OK;
}

static enum fh_code check_clauses(const struct fh_ddl_build *build,
                                  const PgQuery__CreateStmt *statement)
{
    const PgQuery__RangeVar *relation = statement->relation;
    int64_t at = relation->location;
    if (statement->if_not_exists) {
        return fh_ddl_refuse_clause(build, build->statement, "if", NULL, "IF NOT EXISTS",
                                    "a migration is applied exactly once");
    }
    enum fh_code code = fh_ddl_relation_check(build, relation);
    if (code != FH_OK) {
        return code;
    }
    if (statement->partbound != NULL || statement->partspec != NULL) {
        return fh_ddl_refuse_clause(build, at + 1, "partition", NULL, "PARTITION",
                                    "storage is the server's matter");
    }
    if (statement->n_inh_relations > 0) {
        return fh_ddl_refuse_clause(build, at + 1, "inherits", NULL, "INHERITS",
                                    "repeat the columns");
    }
    if (statement->of_typename != NULL) {
        return fh_ddl_refuse_clause(build, at + 1, "of", NULL, "OF type", "list the columns");
    }
    if (statement->n_options > 0) {
        return fh_ddl_refuse_clause(build, at + 1, "with", NULL, "WITH (...)",
                                    "storage is the server's matter");
    }
    if (statement->oncommit > PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_NOOP) {
        return fh_ddl_refuse_clause(build, at + 1, "on", NULL, "ON COMMIT",
                                    "tables outlive sessions");
    }
    if (statement->tablespacename[0] != '\0') {
        return fh_ddl_refuse_clause(build, at + 1, "tablespace", NULL, "TABLESPACE",
                                    "storage is the server's matter");
    }
    if (statement->access_method[0] != '\0') {
        return fh_ddl_refuse_clause(build, at + 1, "using", NULL, "USING method",
                                    "storage is the server's matter");
    }
    return FH_OK;
}

/* LIKE, and table constraints we do not read. */
static enum fh_code check_element(const struct fh_ddl_build *build, const PgQuery__Node *node,
                                  int64_t relation)
{
    const struct fh_ddl_source *source = &build->source;
    if (node->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF) {
        return FH_OK;
    }
    if (node->node_case == PG_QUERY__NODE__NODE_TABLE_LIKE_CLAUSE) {
        /* LIKE stands right before the table's name */
        size_t index = fh_ddl_token_at(source, node->table_like_clause->relation->location);
        int64_t at = index > 0 ? source->tokens[index - 1].start : relation;
        return fh_ddl_fail(source, FH_INVALID, at, "LIKE is not supported: repeat the columns");
    }
    if (node->node_case != PG_QUERY__NODE__NODE_CONSTRAINT) {
        return fh_ddl_fail(source, FH_INVALID, relation,
                           "only columns and constraints are supported in a table");
    }
    switch (node->constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
        return FH_OK;
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION:
        return fh_ddl_fail(source, FH_INVALID, node->constraint->location,
                           "EXCLUDE is not supported: use UNIQUE");
    default:
        return fh_ddl_fail(source, FH_INVALID, node->constraint->location,
                           "this constraint is not supported: leave it out");
    }
}

static enum fh_code read_columns(struct fh_ddl_build *build, const PgQuery__CreateStmt *statement,
                                 struct fh_ddl_table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < statement->n_table_elts; i++) {
        const PgQuery__Node *node = statement->table_elts[i];
        enum fh_code code = check_element(build, node, statement->relation->location);
        if (code != FH_OK) {
            return code;
        }
        bool column = node->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF;
        if (column && ++count > FH_COLUMNS_MAX) {
            return fh_ddl_fail(&build->source, FH_INVALID, node->column_def->location,
                               "more than %d columns in a table", FH_COLUMNS_MAX);
        }
    }
    enum fh_code code = fh_ddl_build_own(build, table);
    if (code != FH_OK) {
        return code;
    }
    for (size_t i = 0; i < statement->n_table_elts; i++) {
        const PgQuery__Node *node = statement->table_elts[i];
        if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_DEF) {
            continue;
        }
        const PgQuery__ColumnDef *def = node->column_def;
        struct fh_column *column = &table->columns[table->column_count];
        code = fh_ddl_column(build, def, column);
        if (code != FH_OK) {
            return code;
        }
        if (fh_ddl_table_column(table, def->colname) >= 0) {
            return fh_ddl_fail(&build->source, FH_INVALID, def->location, "two columns named %s",
                               def->colname);
        }
        column->id = table->next_id++;
        column->position = table->column_count++;
        /* SQLite's rows without a rowid live in the key's tree: not where values may be large. */
        table->has_rowid =
            table->has_rowid || column->type == FH_TYPE_BYTES || column->type == FH_TYPE_JSON;
    }
    return FH_OK;
}

typedef enum fh_code constraint_cb(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                   const PgQuery__Constraint *constraint, int column);

/* Calls back for every constraint of the type, at columns and in the table. */
static enum fh_code each_constraint(struct fh_ddl_build *build,
                                    const PgQuery__CreateStmt *statement,
                                    struct fh_ddl_table *table, PgQuery__ConstrType type,
                                    constraint_cb *read_cb)
{
    enum fh_code code = FH_OK;
    int column = 0;
    for (size_t i = 0; code == FH_OK && i < statement->n_table_elts; i++) {
        const PgQuery__Node *node = statement->table_elts[i];
        if (node->node_case == PG_QUERY__NODE__NODE_CONSTRAINT) {
            if (node->constraint->contype == type) {
                code = read_cb(build, table, node->constraint, -1);
            }
            continue;
        }
        const PgQuery__ColumnDef *def = node->column_def;
        for (size_t c = 0; code == FH_OK && c < def->n_constraints; c++) {
            if (def->constraints[c]->constraint->contype == type) {
                code = read_cb(build, table, def->constraints[c]->constraint, column);
            }
        }
        column++;
    }
    return code;
}

/* NULL written at a column that a PRIMARY KEY of the table takes is refused, as PostgreSQL does. */
static enum fh_code check_null_keys(const struct fh_ddl_build *build,
                                    const PgQuery__CreateStmt *statement,
                                    const struct fh_ddl_table *table)
{
    for (size_t i = 0; i < statement->n_table_elts; i++) {
        const PgQuery__Node *node = statement->table_elts[i];
        if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_DEF) {
            continue;
        }
        const PgQuery__ColumnDef *def = node->column_def;
        int position = fh_ddl_table_column(table, def->colname);
        for (size_t c = 0; c < def->n_constraints; c++) {
            const PgQuery__Constraint *constraint = def->constraints[c]->constraint;
            if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_NULL &&
                table->columns[position].not_null) {
                return fh_ddl_fail(&build->source, FH_INVALID, constraint->location,
                                   "column %s is NULL, but in the primary key", def->colname);
            }
        }
    }
    return FH_OK;
}

static enum fh_code read_constraints(struct fh_ddl_build *build,
                                     const PgQuery__CreateStmt *statement,
                                     struct fh_ddl_table *table)
{
    enum fh_code code = each_constraint(build, statement, table,
                                        PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY, fh_ddl_primary_key);
    if (code == FH_OK && table->key_count == 0) {
        code = fh_ddl_fail(&build->source, FH_INVALID, statement->relation->location,
                           "table %.*s has no primary key: every record needs an identity",
                           FH_STR_ARG(table->name));
    }
    if (code == FH_OK) {
        code = check_null_keys(build, statement, table);
    }
    if (code == FH_OK) {
        code = fh_ddl_name_make(build, table, NULL, 0, "pkey", &table->pkey_name);
    }
    if (code == FH_OK) {
        code = each_constraint(build, statement, table, PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE,
                               fh_ddl_unique);
    }
    if (code == FH_OK) {
        code = each_constraint(build, statement, table, PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN,
                               fh_ddl_foreign_key);
    }
    if (code == FH_OK) {
        code = each_constraint(build, statement, table, PG_QUERY__CONSTR_TYPE__CONSTR_CHECK,
                               fh_ddl_check);
    }
    return code;
}

static enum fh_code read_generated(struct fh_ddl_build *build, const PgQuery__CreateStmt *statement,
                                   struct fh_ddl_table *table)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; code == FH_OK && i < statement->n_table_elts; i++) {
        if (statement->table_elts[i]->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF) {
            code = fh_ddl_column_generated(build, table, statement->table_elts[i]->column_def);
        }
    }
    /* Once more: one may have been read before what it reads was known as generated. */
    for (uint16_t i = 0; code == FH_OK && i < table->column_count; i++) {
        code = fh_ddl_generated_check(build, table, i, statement->relation->location);
    }
    return code;
}

enum fh_code fh_ddl_create_table(struct fh_ddl_build *build, const PgQuery__CreateStmt *statement)
{
    const PgQuery__RangeVar *relation = statement->relation;
    enum fh_code code = check_clauses(build, statement);
    if (code == FH_OK) {
        code = fh_ddl_name_check(build, relation->relname, FH_DDL_NAME_TABLE, relation->location);
    }
    if (code != FH_OK) {
        return code;
    }
    if (fh_ddl_build_live_tables(build) == FH_TABLES_MAX) {
        return fh_ddl_fail(&build->source, FH_INVALID, relation->location,
                           "more than %d tables in a schema", FH_TABLES_MAX);
    }
    if (build->table_count == FH_DDL_DRAFTS_MAX || build->next_id > FH_DDL_ID_MAX) {
        return fh_ddl_fail(&build->source, FH_INVALID, relation->location,
                           "too many tables created and dropped: split the file, or start anew");
    }
    struct fh_ddl_table *table = &build->tables[build->table_count];
    *table = (struct fh_ddl_table){.id = build->next_id};
    code = fh_ddl_name_take(build, relation->relname, relation->location, &table->name);
    if (code != FH_OK) {
        return code;
    }
    build->table_count++; /* before the constraints: it may reference itself */
    build->next_id++;
    code = read_columns(build, statement, table);
    if (code == FH_OK) {
        code = read_generated(build, statement, table);
    }
    return code == FH_OK ? read_constraints(build, statement, table) : code;
}
