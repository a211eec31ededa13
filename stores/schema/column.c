/* One column: name, type, NULL or NOT NULL, DEFAULT. Its keys, references, checks and expression
 * are read once the whole table is known. */
#include "stores/schema/build.h"

#include "base/assert.h"
#include "stores/expr.h"

#define AT_ONCE "constraints hold at every write: leave it out"

static enum fh_code refuse(const struct fh_ddl_build *build, int64_t offset, const char *what,
                           const char *advice)
{
    return fh_ddl_fail(&build->source, FH_INVALID, offset, "%s is not supported: %s", what, advice);
}

static enum fh_code nullability(const struct fh_ddl_build *build,
                                const PgQuery__Constraint *constraint, bool not_null,
                                bool *declared, struct fh_column *column)
{
    if (*declared && column->not_null != not_null) {
        return fh_ddl_fail(&build->source, FH_INVALID, constraint->location,
                           "column %.*s is both NULL and NOT NULL", FH_STR_ARG(column->name));
    }
    *declared = true;
    column->not_null = not_null;
    return FH_OK;
}

struct seen {
    bool nullability;
    bool is_default;
    bool generated;
};

/* DEFAULT stands at the constraint's place, the expression behind it */
static int64_t word_behind(const struct fh_ddl_build *build, int64_t at)
{
    size_t index = fh_ddl_token_at(&build->source, at) + 1;
    return index < build->source.token_count ? build->source.tokens[index].start : at;
}

static enum fh_code constraint_of(struct fh_ddl_build *build, const PgQuery__Constraint *constraint,
                                  struct seen *seen, struct fh_column *column)
{
    int64_t at = constraint->location;
    switch (constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
        return nullability(build, constraint, false, &seen->nullability, column);
    case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
        return nullability(build, constraint, true, &seen->nullability, column);
    case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
        if (seen->is_default) {
            return fh_ddl_fail(&build->source, FH_INVALID, at, "column %.*s has two defaults",
                               FH_STR_ARG(column->name));
        }
        seen->is_default = true;
        return fh_ddl_default(build, constraint->raw_expr, word_behind(build, at), column);
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
        if (seen->nullability && !column->not_null) {
            return fh_ddl_fail(&build->source, FH_INVALID, at,
                               "column %.*s is NULL, but in the primary key",
                               FH_STR_ARG(column->name));
        }
        return nullability(build, constraint, true, &seen->nullability, column);
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
        return FH_OK; /* once all columns are known */
    case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY:
        return refuse(build, at, "GENERATED AS IDENTITY",
                      "use uuid with DEFAULT gen_random_uuid(), or bigint with values you supply");
    case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED:
        if (seen->generated) {
            return fh_ddl_fail(&build->source, FH_INVALID, at, "column %.*s is generated twice",
                               FH_STR_ARG(column->name));
        }
        seen->generated = true;
        return FH_OK; /* once all columns are known */
    case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE:
        return refuse(build, at, "DEFERRABLE", AT_ONCE);
    case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_NOT_DEFERRABLE:
        return refuse(build, at, "NOT DEFERRABLE", AT_ONCE);
    case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRED:
        return refuse(build, at, "INITIALLY DEFERRED", AT_ONCE);
    case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_IMMEDIATE:
        return refuse(build, at, "INITIALLY IMMEDIATE", AT_ONCE);
    default:
        return refuse(build, at, "this constraint", "leave it out");
    }
}

enum fh_code fh_ddl_column(struct fh_ddl_build *build, const PgQuery__ColumnDef *def,
                           struct fh_column *column)
{
    int64_t at = def->location;
    enum fh_code code = fh_ddl_name_check(build, def->colname, FH_DDL_NAME_COLUMN, at);
    if (code != FH_OK) {
        return code;
    }
    if (fh_arena_str(build->arena, fh_str_of(def->colname), &column->name) != FH_OK) {
        return fh_ddl_nomem(&build->source);
    }
    if (def->type_name == NULL) {
        return refuse(build, at, "a column without a type", "name the type");
    }
    code = fh_ddl_type(build, def->type_name, at, column);
    if (code != FH_OK) {
        return code;
    }
    if (def->coll_clause != NULL) {
        return refuse(build, def->coll_clause->location, "COLLATE",
                      "text is ordered by its bytes on every engine");
    }
    if (def->compression[0] != '\0') {
        const char *const words[] = {"compression", NULL};
        return refuse(build, fh_ddl_find_word(&build->source, at, words), "COMPRESSION",
                      "storage is the server's matter");
    }
    if (def->n_fdwoptions > 0) {
        const char *const words[] = {"options", NULL};
        return refuse(build, fh_ddl_find_word(&build->source, at, words), "OPTIONS",
                      "leave it out");
    }
    struct seen seen = {0};
    for (size_t i = 0; i < def->n_constraints; i++) {
        const PgQuery__Node *node = def->constraints[i];
        FH_ASSERT(node->node_case == PG_QUERY__NODE__NODE_CONSTRAINT);
        code = constraint_of(build, node->constraint, &seen, column);
        if (code != FH_OK) {
            return code;
        }
    }
    if (seen.generated && seen.is_default) {
        return fh_ddl_fail(&build->source, FH_INVALID, at,
                           "column %.*s is generated and has a default: leave the default out",
                           FH_STR_ARG(column->name));
    }
    return FH_OK;
}

enum fh_code fh_ddl_column_generated(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                     const PgQuery__ColumnDef *def)
{
    int position = fh_ddl_table_column(table, def->colname);
    FH_ASSERT(position >= 0);
    for (size_t i = 0; i < def->n_constraints; i++) {
        const PgQuery__Constraint *constraint = def->constraints[i]->constraint;
        if (constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED) {
            continue;
        }
        struct fh_column *column = &table->columns[position];
        enum fh_code code = fh_ddl_generated_expr(
            build, table, column, constraint->raw_expr,
            fh_ddl_list_item(&build->source, constraint->location, 0), &column->generated);
        return code == FH_OK
                   ? fh_ddl_generated_check(build, table, (uint16_t)position, constraint->location)
                   : code;
    }
    return FH_OK;
}

enum fh_code fh_ddl_generated_check(const struct fh_ddl_build *build,
                                    const struct fh_ddl_table *table, uint16_t position,
                                    int64_t offset)
{
    const struct fh_column *column = &table->columns[position];
    for (uint16_t i = 0; column->generated != NULL && i < table->column_count; i++) {
        if (table->columns[i].generated != NULL && fh_expr_uses(column->generated, i)) {
            return fh_ddl_fail(&build->source, FH_INVALID, offset,
                               "generated column %.*s reads %.*s, which is generated: repeat its "
                               "expression",
                               FH_STR_ARG(column->name), FH_STR_ARG(table->columns[i].name));
        }
    }
    return FH_OK;
}
