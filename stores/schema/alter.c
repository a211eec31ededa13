/* ALTER TABLE, one command after the other in the order written.
 *
 * Happy path: the draft is made writable, the command changes it. What the change means for stored
 * rows is decided here where the file alone decides it (a required column needs a default); where
 * the rows decide (SET NOT NULL, a new check), the engine looks at them.
 *
 * Failures: what would change the records' identity or convert their values is refused.
 */
#include "stores/expr.h"

#include "base/assert.h"
#include "stores/schema/build.h"

#include <ctype.h>

#define NAME_WORDS_MAX 3
#define NAME_BYTES_MAX 48

struct command {
    const PgQuery__AlterTableCmd *node;
    int64_t offset; /* of its first word */
};

/* Where command `n` begins, behind the table's name. */
static int64_t command_place(const struct fh_ddl_source *source, int64_t relation, size_t n)
{
    size_t depth = 0;
    size_t i = fh_ddl_token_at(source, relation) + 1;
    for (; n > 0 && i < source->token_count; i++) {
        int kind = source->tokens[i].kind;
        depth += kind == '(' || kind == '[';
        depth -= (kind == ')' || kind == ']') && depth > 0;
        n -= kind == ',' && depth == 0;
    }
    return i < source->token_count ? source->tokens[i].start : relation;
}

/* The name in ALTER [COLUMN] name, DROP [COLUMN] name, DROP CONSTRAINT name. */
static int64_t name_place(const struct fh_ddl_source *source, const struct command *command)
{
    size_t i = fh_ddl_token_at(source, command->offset) + 1;
    i += fh_ddl_token_is(source, i, "column") || fh_ddl_token_is(source, i, "constraint");
    return i < source->token_count ? source->tokens[i].start : command->offset;
}

/* Adds the token in capitals if it is a word. */
static void add_word(const struct fh_ddl_source *source, size_t index, char *out, size_t *len)
{
    struct fh_str word = fh_ddl_token_text(source, index);
    if (word.len == 0 || *len + word.len + 2 > NAME_BYTES_MAX ||
        isalpha((unsigned char)word.data[0]) == 0) {
        return;
    }
    if (*len > 0) {
        out[(*len)++] = ' ';
    }
    for (size_t i = 0; i < word.len; i++) {
        out[(*len)++] = (char)toupper((unsigned char)word.data[i]);
    }
    out[*len] = '\0';
}

static enum fh_code refuse_command(const struct fh_ddl_build *build, const struct command *command)
{
    const struct fh_ddl_source *source = &build->source;
    switch (command->node->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
        return fh_ddl_fail(source, FH_INVALID, command->offset,
                           "ALTER COLUMN TYPE is not supported: add a column of the new type, copy "
                           "the values in the application, then drop the old one");
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropExpression:
        return fh_ddl_fail(source, FH_INVALID, command->offset,
                           "DROP EXPRESSION is not supported: add an ordinary column, copy the "
                           "values, then drop the generated one");
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterConstraint:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint:
        return fh_ddl_fail(source, FH_INVALID, command->offset,
                           "altering a constraint is not supported: drop it and add it anew");
    default:
        break;
    }
    char name[NAME_BYTES_MAX] = "";
    size_t len = 0;
    size_t first = fh_ddl_token_at(source, command->offset);
    for (size_t i = 0; i < NAME_WORDS_MAX; i++) {
        add_word(source, first + i, name, &len);
    }
    return fh_ddl_fail(source, FH_INVALID, command->offset,
                       "ALTER TABLE %s is not supported: storage, owners and triggers are the "
                       "server's matter",
                       name);
}

static enum fh_code no_such_column(const struct fh_ddl_build *build,
                                   const struct fh_ddl_table *table, const char *name,
                                   int64_t offset)
{
    return fh_ddl_fail(&build->source, FH_INVALID, offset, "table %.*s has no column %.64s",
                       FH_STR_ARG(table->name), name);
}

static bool is_stored(const struct fh_ddl_table *table, const struct fh_column *column)
{
    return table->old != NULL && fh_table_column_by_id(table->old, column->id) != NULL;
}

/* The column that the command names; refused when this file adds it to an older table: a column
 * that comes, comes as it is at the end of the file, and stored rows need what it is first. */
static enum fh_code find_column(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                const struct command *command, struct fh_column **out)
{
    int64_t at = name_place(&build->source, command);
    int position = fh_ddl_table_column(table, command->node->name);
    if (position < 0) {
        return no_such_column(build, table, command->node->name, at);
    }
    FH_ASSERT(table->columns != NULL);
    struct fh_column *column = &table->columns[position];
    if (table->old != NULL && !is_stored(table, column)) {
        return fh_ddl_fail(&build->source, FH_INVALID, at,
                           "column %s is added by this file: write it so in ADD COLUMN, or alter "
                           "it in a later file",
                           command->node->name);
    }
    *out = column;
    return FH_OK;
}

static enum fh_code check_new_column(const struct fh_ddl_build *build,
                                     const struct fh_ddl_table *table,
                                     const struct fh_column *column, int64_t offset)
{
    if (table->old == NULL) {
        return FH_OK; /* the table is made by this file: no rows yet */
    }
    if (column->not_null && column->default_kind == FH_DEFAULT_NONE && column->generated == NULL) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "column %.*s is NOT NULL without a DEFAULT: stored records would have "
                           "no value: give it a default",
                           FH_STR_ARG(column->name));
    }
    if (column->default_kind == FH_DEFAULT_UUID) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "ADD COLUMN with DEFAULT gen_random_uuid() is not supported: every "
                           "stored record would need a value of its own: add the column without, "
                           "then set the default in a later file");
    }
    return FH_OK;
}

typedef enum fh_code constraint_cb(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                   const PgQuery__Constraint *constraint, int column);

static constraint_cb *reader_of(const PgQuery__Constraint *constraint)
{
    switch (constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
        return fh_ddl_unique;
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        return fh_ddl_foreign_key;
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
        return fh_ddl_check;
    default:
        return NULL;
    }
}

static enum fh_code refuse_primary(const struct fh_ddl_build *build, int64_t offset)
{
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "ADD PRIMARY KEY is not supported: it is the records' identity; create a "
                       "new table");
}

static enum fh_code add_column(struct fh_ddl_build *build, struct fh_ddl_table *table,
                               const struct command *command)
{
    const struct fh_ddl_source *source = &build->source;
    const PgQuery__ColumnDef *def = command->node->def->column_def;
    for (size_t i = 0; i < def->n_constraints; i++) {
        const PgQuery__Constraint *constraint = def->constraints[i]->constraint;
        if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY) {
            return refuse_primary(build, constraint->location);
        }
    }
    if (table->column_count == FH_COLUMNS_MAX) {
        return fh_ddl_fail(source, FH_INVALID, def->location, "more than %d columns in a table",
                           FH_COLUMNS_MAX);
    }
    struct fh_column *column = &table->columns[table->column_count];
    *column = (struct fh_column){0};
    enum fh_code code = fh_ddl_column(build, def, column);
    if (code == FH_OK && fh_ddl_table_column(table, def->colname) >= 0) {
        code = fh_ddl_fail(source, FH_INVALID, def->location, "two columns named %s", def->colname);
    }
    if (code == FH_OK) {
        code = fh_ddl_build_id(build, table, def->location, &column->id);
    }
    if (code != FH_OK) {
        return code;
    }
    column->position = table->column_count++;
    code = fh_ddl_column_generated(build, table, def);
    if (code == FH_OK) {
        code = check_new_column(build, table, column, def->location);
    }
    for (size_t i = 0; code == FH_OK && i < def->n_constraints; i++) {
        const PgQuery__Constraint *constraint = def->constraints[i]->constraint;
        constraint_cb *read_cb = reader_of(constraint);
        if (read_cb != NULL) {
            code = read_cb(build, table, constraint, column->position);
        }
    }
    return code;
}

static enum fh_code add_constraint(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                   const PgQuery__Constraint *constraint)
{
    if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY) {
        return refuse_primary(build, constraint->location);
    }
    constraint_cb *read_cb = reader_of(constraint);
    if (read_cb == NULL) {
        bool exclude = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION;
        return fh_ddl_fail(&build->source, FH_INVALID, constraint->location,
                           exclude ? "EXCLUDE is not supported: use UNIQUE"
                                   : "this constraint is not supported: leave it out");
    }
    return read_cb(build, table, constraint, -1);
}

static enum fh_code column_default(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                   const struct command *command)
{
    const struct fh_ddl_source *source = &build->source;
    struct fh_column *column = NULL;
    enum fh_code code = find_column(build, table, command, &column);
    if (code != FH_OK || column == NULL) {
        return code;
    }
    if (column->generated != NULL) {
        return fh_ddl_fail(source, FH_INVALID, name_place(source, command),
                           "column %.*s is generated: it has no default", FH_STR_ARG(column->name));
    }
    if (command->node->def == NULL) {
        column->default_kind = FH_DEFAULT_NONE;
        column->default_value = (struct fh_value){0};
        return FH_OK;
    }
    const char *const words[] = {"default", NULL};
    size_t index = fh_ddl_token_at(source, fh_ddl_find_word(source, command->offset, words)) + 1;
    int64_t at = index < source->token_count ? source->tokens[index].start : command->offset;
    return fh_ddl_default(build, command->node->def, at, column);
}

static enum fh_code set_not_null(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                 const struct command *command)
{
    const struct fh_ddl_source *source = &build->source;
    struct fh_column *column = NULL;
    enum fh_code code = find_column(build, table, command, &column);
    FH_ASSERT(code != FH_OK || column != NULL);
    for (uint16_t i = 0; code == FH_OK && i < table->foreign_key_count; i++) {
        const struct fh_foreign_key *key = &table->foreign_keys[i].key;
        for (uint16_t k = 0; k < key->column_count; k++) {
            if (key->on_delete == FH_REFERENCE_SET_NULL && key->columns[k] == column->position) {
                return fh_ddl_fail(source, FH_INVALID, name_place(source, command),
                                   "foreign key %.*s sets column %.*s to null: drop that first",
                                   FH_STR_ARG(key->name), FH_STR_ARG(column->name));
            }
        }
    }
    if (code == FH_OK) {
        column->not_null = true;
    }
    return code;
}

static enum fh_code drop_not_null(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                  const struct command *command)
{
    struct fh_column *column = NULL;
    enum fh_code code = find_column(build, table, command, &column);
    FH_ASSERT(code != FH_OK || column != NULL);
    for (uint16_t i = 0; code == FH_OK && i < table->key_count; i++) {
        if (table->key[i] == column->position) {
            return fh_ddl_fail(&build->source, FH_INVALID, name_place(&build->source, command),
                               "column %.*s is in the primary key", FH_STR_ARG(column->name));
        }
    }
    if (code == FH_OK) {
        column->not_null = false;
    }
    return code;
}

static enum fh_code refuse_clauses(const struct fh_ddl_build *build, const struct command *command)
{
    bool adds = command->node->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn;
    if (command->node->missing_ok) {
        return fh_ddl_refuse_clause(build, command->offset, "if", NULL,
                                    adds ? "IF NOT EXISTS" : "IF EXISTS",
                                    "a migration is applied exactly once");
    }
    if (command->node->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE) {
        return fh_ddl_refuse_clause(build, command->offset, "cascade", NULL, "CASCADE",
                                    "drop what uses it first, each by its name");
    }
    return FH_OK;
}

static enum fh_code run_command(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                const struct command *command)
{
    const PgQuery__AlterTableCmd *node = command->node;
    enum fh_code code = refuse_clauses(build, command);
    if (code != FH_OK) {
        return code;
    }
    switch (node->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn:
        return add_column(build, table, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
        return fh_ddl_drop_column(build, table, node->name, name_place(&build->source, command));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint:
        return add_constraint(build, table, node->def->constraint);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint:
        return fh_ddl_drop_constraint(build, table, node->name,
                                      name_place(&build->source, command));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
        return column_default(build, table, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
        return set_not_null(build, table, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
        return drop_not_null(build, table, command);
    default:
        return refuse_command(build, command);
    }
}

/* The table that a statement changes, writable. */
static enum fh_code open_table(struct fh_ddl_build *build, const PgQuery__RangeVar *relation,
                               bool missing_ok, struct fh_ddl_table **out)
{
    if (missing_ok) {
        return fh_ddl_refuse_clause(build, build->statement, "if", NULL, "IF EXISTS",
                                    "a migration is applied exactly once");
    }
    if (!relation->inh) {
        return fh_ddl_refuse_clause(build, build->statement, "only", NULL, "ONLY", "leave it out");
    }
    enum fh_code code = fh_ddl_relation_check(build, relation);
    if (code != FH_OK) {
        return code;
    }
    *out = fh_ddl_build_table(build, fh_str_of(relation->relname));
    if (*out == NULL) {
        return fh_ddl_fail(&build->source, FH_INVALID, relation->location, "no table %.64s",
                           relation->relname);
    }
    return fh_ddl_build_own(build, *out);
}

enum fh_code fh_ddl_alter_table(struct fh_ddl_build *build,
                                const PgQuery__AlterTableStmt *statement)
{
    if (statement->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE) {
        return fh_ddl_refuse_statement(build);
    }
    struct fh_ddl_table *table = NULL;
    enum fh_code code = open_table(build, statement->relation, statement->missing_ok, &table);
    FH_ASSERT(code != FH_OK || table != NULL);
    for (size_t i = 0; code == FH_OK && i < statement->n_cmds; i++) {
        const PgQuery__Node *node = statement->cmds[i];
        struct command command = {
            .offset = command_place(&build->source, statement->relation->location, i)};
        if (node->node_case != PG_QUERY__NODE__NODE_ALTER_TABLE_CMD) {
            return fh_ddl_refuse_statement(build);
        }
        command.node = node->alter_table_cmd;
        code = run_command(build, table, &command);
    }
    return code;
}

/* Whether columns of the old table have passed their names around in a ring. */
static bool renames_in_ring(const struct fh_ddl_table *table, const struct fh_column *start)
{
    const struct fh_column *column = start;
    for (uint16_t i = 0; table->old != NULL && i <= table->column_count; i++) {
        const struct fh_column *holder = fh_table_column(table->old, column->name);
        if (holder == NULL || holder->id == column->id) {
            return false;
        }
        column = NULL;
        for (uint16_t k = 0; k < table->column_count; k++) {
            column = table->columns[k].id == holder->id ? &table->columns[k] : column;
        }
        if (column == NULL || column == start) {
            return column != NULL;
        }
    }
    return false;
}

static enum fh_code rename_column(struct fh_ddl_build *build, const PgQuery__RenameStmt *statement)
{
    const struct fh_ddl_source *source = &build->source;
    struct fh_ddl_table *table = NULL;
    enum fh_code code = open_table(build, statement->relation, statement->missing_ok, &table);
    FH_ASSERT(code != FH_OK || table != NULL);
    if (code != FH_OK) {
        return code;
    }
    const char *const words[] = {"to", NULL};
    size_t to =
        fh_ddl_token_at(source, fh_ddl_find_word(source, statement->relation->location, words));
    int64_t old_place = to > 0 ? source->tokens[to - 1].start : build->statement;
    int64_t new_place = to + 1 < source->token_count ? source->tokens[to + 1].start : old_place;
    int position = fh_ddl_table_column(table, statement->subname);
    if (position < 0) {
        return no_such_column(build, table, statement->subname, old_place);
    }
    code = fh_ddl_name_check(build, statement->newname, FH_DDL_NAME_COLUMN, new_place);
    if (code != FH_OK) {
        return code;
    }
    if (fh_ddl_table_column(table, statement->newname) >= 0) {
        return fh_ddl_fail(source, FH_INVALID, new_place, "two columns named %s",
                           statement->newname);
    }
    FH_ASSERT(table != NULL && table->columns != NULL);
    struct fh_column *column = &table->columns[position];
    if (fh_arena_str(build->arena, fh_str_of(statement->newname), &column->name) != FH_OK) {
        return fh_ddl_nomem(source);
    }
    if (is_stored(table, column) && renames_in_ring(table, column)) {
        return fh_ddl_fail(source, FH_INVALID, new_place,
                           "columns that swap names in one file are not supported: use two files");
    }
    return FH_OK;
}

enum fh_code fh_ddl_rename(struct fh_ddl_build *build, const PgQuery__RenameStmt *statement)
{
    const struct fh_ddl_source *source = &build->source;
    switch (statement->rename_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
        return statement->relation_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE
                   ? rename_column(build, statement)
                   : fh_ddl_refuse_statement(build);
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
        return fh_ddl_fail(source, FH_INVALID, build->statement,
                           "RENAME TABLE is not supported: resource names hold the table's name; "
                           "create a new table and copy the records");
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT:
        return fh_ddl_fail(source, FH_INVALID, build->statement,
                           "renaming an index or a constraint is not supported: drop it and create "
                           "it anew");
    default:
        return fh_ddl_refuse_statement(build);
    }
}
