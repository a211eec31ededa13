/* DEFAULT: a constant, now() or gen_random_uuid().
 *
 * A constant is peeled out of casts and minus signs, then read as a value of the column, exactly:
 * what PostgreSQL would round, cut or convert on the way is refused. Nothing else is ever
 * evaluated: a function in a default would run inside other callers' transactions.
 */
#include "stores/schema/build.h"

#define ADVICE "use a constant, now() or gen_random_uuid()"

static enum fh_code refuse(const struct fh_ddl_build *build, int64_t offset, const char *what)
{
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "DEFAULT with %s is not supported: " ADVICE, what);
}

static const char *column_type_name(const struct fh_column *column)
{
    return fh_type_name(column->type);
}

static enum fh_code function_default(const struct fh_ddl_build *build, int64_t offset,
                                     enum fh_default_kind kind, struct fh_column *column)
{
    enum fh_type wanted = kind == FH_DEFAULT_NOW ? FH_TYPE_TIMESTAMP : FH_TYPE_UUID;
    if (column->type != wanted) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "this DEFAULT gives %s, but the column is %s", fh_type_name(wanted),
                           column_type_name(column));
    }
    column->default_kind = kind;
    return FH_OK;
}

static enum fh_code function_call(const struct fh_ddl_build *build, const PgQuery__FuncCall *call,
                                  int64_t offset, struct fh_column *column)
{
    offset = fh_ddl_place(call->location, offset);
    const char *name =
        call->n_funcname > 0 ? fh_ddl_string(call->funcname[call->n_funcname - 1]) : "";
    bool ours =
        call->n_funcname == 1 ||
        (call->n_funcname == 2 && strcmp(fh_ddl_string(call->funcname[0]), "pg_catalog") == 0);
    bool plain = call->n_args == 0 && !call->agg_star && !call->agg_distinct &&
                 call->n_agg_order == 0 && call->agg_filter == NULL && call->over == NULL;
    if (ours && plain && strcmp(name, "now") == 0) {
        return function_default(build, offset, FH_DEFAULT_NOW, column);
    }
    if (ours && plain && strcmp(name, "gen_random_uuid") == 0) {
        return function_default(build, offset, FH_DEFAULT_UUID, column);
    }
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "DEFAULT with function %.64s() is not supported: " ADVICE, name);
}

static enum fh_code value_function(const struct fh_ddl_build *build,
                                   const PgQuery__SQLValueFunction *function, int64_t offset,
                                   struct fh_column *column)
{
    offset = fh_ddl_place(function->location, offset);
    if (function->op == PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP) {
        return function_default(build, offset, FH_DEFAULT_NOW, column);
    }
    struct fh_str word = fh_ddl_token_text(&build->source, fh_ddl_token_at(&build->source, offset));
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "DEFAULT with %.*s is not supported: " ADVICE, FH_STR_ARG(word));
}

/* The cast must change nothing: the column's own type, with its own modifiers or none. */
static enum fh_code check_cast(const struct fh_ddl_build *build, const PgQuery__TypeName *name,
                               int64_t offset, const struct fh_column *column)
{
    struct fh_column cast = {0};
    PgQuery__TypeName bare = *name;
    bool modified = name->n_typmods > 0;
    if (!modified && column->type == FH_TYPE_NUMERIC) {
        /* 0::numeric is fine where a column of numeric is not */
        const char *last = bare.n_names > 0 ? fh_ddl_string(bare.names[bare.n_names - 1]) : "";
        if (strcmp(last, "numeric") == 0 && bare.n_array_bounds == 0) {
            return FH_OK;
        }
    }
    enum fh_code code = fh_ddl_type(build, name, offset, &cast);
    if (code != FH_OK) {
        return code;
    }
    bool same = !modified || (cast.precision == column->precision && cast.scale == column->scale &&
                              cast.length_max == column->length_max);
    if (cast.type != column->type || !same) {
        return fh_ddl_fail(&build->source, FH_INVALID, fh_ddl_place(name->location, offset),
                           "a cast in DEFAULT must be to the column's own type, %s",
                           column_type_name(column));
    }
    return FH_OK;
}

/* Peels casts and signs. `*out` untouched and *function set when a function stands at the core. */
static enum fh_code peel(struct fh_ddl_build *build, const PgQuery__Node *node, int64_t offset,
                         const struct fh_column *column, struct fh_ddl_constant *out)
{
    bool negative = false;
    int64_t sign = offset;
    /* Ends: the tree's depth is bounded by FH_DDL_CHAIN_MAX. */
    while (node != NULL) {
        enum fh_code code = FH_OK;
        if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
            code = check_cast(build, node->type_cast->type_name, offset, column);
            node = node->type_cast->arg;
        } else if (node->node_case == PG_QUERY__NODE__NODE_A_EXPR &&
                   fh_ddl_is_minus(node->a_expr)) {
            negative = !negative;
            sign = fh_ddl_place(node->a_expr->location, offset);
            node = node->a_expr->rexpr;
        } else if (node->node_case == PG_QUERY__NODE__NODE_A_CONST) {
            code = fh_ddl_constant_read(build, node->a_const, offset, "DEFAULT", out);
            if (code == FH_OK && negative && out->kind != FH_DDL_CONSTANT_NUMBER) {
                return refuse(build, sign, "operator -");
            }
            return code == FH_OK && negative ? fh_ddl_constant_negate(build, out) : code;
        } else if (node->node_case == PG_QUERY__NODE__NODE_FUNC_CALL) {
            return refuse(build, fh_ddl_place(node->func_call->location, offset),
                          "a function inside an expression");
        } else {
            break;
        }
        if (code != FH_OK) {
            return code;
        }
    }
    if (node == NULL) {
        return refuse(build, offset, "this expression");
    }
    offset = fh_ddl_expression_place(node, offset);
    if (node->node_case == PG_QUERY__NODE__NODE_A_EXPR && node->a_expr->n_name > 0) {
        const PgQuery__AExpr *expression = node->a_expr;
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "DEFAULT with operator %.32s is not supported: " ADVICE,
                           fh_ddl_string(expression->name[expression->n_name - 1]));
    }
    return refuse(build, offset, fh_ddl_construct_name(node));
}

enum fh_code fh_ddl_default(struct fh_ddl_build *build, const PgQuery__Node *node, int64_t offset,
                            struct fh_column *column)
{
    column->default_kind = FH_DEFAULT_NONE;
    column->default_value = (struct fh_value){0};
    if (node != NULL && node->node_case == PG_QUERY__NODE__NODE_FUNC_CALL) {
        return function_call(build, node->func_call, offset, column);
    }
    if (node != NULL && node->node_case == PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION) {
        return value_function(build, node->sqlvalue_function, offset, column);
    }
    struct fh_ddl_constant constant = {0};
    enum fh_code code = peel(build, node, offset, column, &constant);
    if (code != FH_OK || constant.kind == FH_DDL_CONSTANT_NULL) {
        return code; /* null is what no default means, too */
    }
    struct fh_value value;
    code = fh_ddl_constant_value(build, &constant, column, "DEFAULT", &value);
    if (code == FH_OK) {
        column->default_kind = FH_DEFAULT_CONSTANT;
        column->default_value = value;
    }
    return code;
}
