/* DEFAULT: a constant, now() or gen_random_uuid().
 *
 * A constant is peeled out of casts and minus signs, then read as a value of the column, exactly:
 * what PostgreSQL would round, cut or convert on the way is refused. Nothing else is ever
 * evaluated: a function in a default would run inside other callers' transactions.
 */
#include "stores/schema/build.h"

#include <stdio.h>

#include "base/codec.h"

enum constant_kind { CONSTANT_NUMBER, CONSTANT_STRING, CONSTANT_BOOLEAN, CONSTANT_NULL };

struct constant {
    enum constant_kind kind;
    struct fh_str text;
    int64_t offset;
};

#define ADVICE "use a constant, now() or gen_random_uuid()"

static enum fh_code refuse(const struct fh_ddl_build *build, int64_t offset, const char *what)
{
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "DEFAULT with %s is not supported: " ADVICE, what);
}

static int64_t place(int64_t location, int64_t fallback)
{
    return location > 0 ? location : fallback;
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
    offset = place(call->location, offset);
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
    offset = place(function->location, offset);
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
        return fh_ddl_fail(&build->source, FH_INVALID, place(name->location, offset),
                           "a cast in DEFAULT must be to the column's own type, %s",
                           column_type_name(column));
    }
    return FH_OK;
}

static enum fh_code constant_of(struct fh_ddl_build *build, const PgQuery__AConst *node,
                                int64_t offset, struct constant *out)
{
    out->offset = place(node->location, offset);
    if (node->isnull) {
        out->kind = CONSTANT_NULL;
        return FH_OK;
    }
    char *digits = NULL;
    switch (node->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        digits = fh_arena_printf(build->scratch, "%d", (int)node->ival->ival);
        if (digits == NULL) {
            return fh_ddl_nomem(&build->source);
        }
        out->kind = CONSTANT_NUMBER;
        out->text = fh_str_of(digits);
        return FH_OK;
    case PG_QUERY__A__CONST__VAL_FVAL:
        out->kind = CONSTANT_NUMBER;
        out->text = fh_str_of(node->fval->fval);
        return FH_OK;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        out->kind = CONSTANT_BOOLEAN;
        out->text = node->boolval->boolval ? FH_STR("true") : FH_STR("false");
        return FH_OK;
    case PG_QUERY__A__CONST__VAL_SVAL:
        out->kind = CONSTANT_STRING;
        out->text = fh_str_of(node->sval->sval);
        return FH_OK;
    default:
        return refuse(build, out->offset, "a bit string");
    }
}

static bool is_minus(const PgQuery__AExpr *expression)
{
    return expression->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && expression->lexpr == NULL &&
           expression->n_name == 1 && strcmp(fh_ddl_string(expression->name[0]), "-") == 0;
}

static enum fh_code negate(struct fh_ddl_build *build, int64_t offset, struct constant *constant)
{
    if (constant->kind != CONSTANT_NUMBER) {
        return refuse(build, offset, "operator -");
    }
    if (constant->text.len > 0 && constant->text.data[0] == '-') {
        constant->text.data++;
        constant->text.len--;
        return FH_OK;
    }
    char *text = fh_arena_printf(build->scratch, "-%s", constant->text.data);
    if (text == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    constant->text = fh_str_of(text);
    return FH_OK;
}

static const char *construct_name(const PgQuery__Node *node)
{
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return "AND, OR or NOT";
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return "a column or an unquoted word";
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return "ARRAY";
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return "CASE";
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return "a subquery";
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return "COALESCE";
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return "GREATEST or LEAST";
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return "COLLATE";
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return "ROW";
    case PG_QUERY__NODE__NODE_PARAM_REF:
        return "a parameter";
    default:
        return "this expression";
    }
}

static int64_t expression_place(const PgQuery__Node *node, int64_t fallback)
{
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_EXPR:
        return place(node->a_expr->location, fallback);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return place(node->bool_expr->location, fallback);
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return place(node->column_ref->location, fallback);
    default:
        return fallback;
    }
}

/* Peels casts and signs. `*out` untouched and *function set when a function stands at the core. */
static enum fh_code peel(struct fh_ddl_build *build, const PgQuery__Node *node, int64_t offset,
                         const struct fh_column *column, struct constant *out)
{
    bool negative = false;
    int64_t sign = offset;
    /* Ends: the tree's depth is bounded by FH_DDL_CHAIN_MAX. */
    while (node != NULL) {
        enum fh_code code = FH_OK;
        if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
            code = check_cast(build, node->type_cast->type_name, offset, column);
            node = node->type_cast->arg;
        } else if (node->node_case == PG_QUERY__NODE__NODE_A_EXPR && is_minus(node->a_expr)) {
            negative = !negative;
            sign = place(node->a_expr->location, offset);
            node = node->a_expr->rexpr;
        } else if (node->node_case == PG_QUERY__NODE__NODE_A_CONST) {
            code = constant_of(build, node->a_const, offset, out);
            return code == FH_OK && negative ? negate(build, sign, out) : code;
        } else if (node->node_case == PG_QUERY__NODE__NODE_FUNC_CALL) {
            return refuse(build, place(node->func_call->location, offset),
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
    offset = expression_place(node, offset);
    if (node->node_case == PG_QUERY__NODE__NODE_A_EXPR && node->a_expr->n_name > 0) {
        const PgQuery__AExpr *expression = node->a_expr;
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "DEFAULT with operator %.32s is not supported: " ADVICE,
                           fh_ddl_string(expression->name[expression->n_name - 1]));
    }
    return refuse(build, offset, construct_name(node));
}

/* PostgreSQL's spellings of constants that fh_value_parse() has otherwise: '\x00ff', 't',
 * '2026-01-02 03:04:05+00'. */
static enum fh_code respell(struct fh_ddl_build *build, const struct fh_column *column,
                            struct constant *constant)
{
    struct fh_str text = constant->text;
    if (column->type == FH_TYPE_BOOL && fh_str_eq(text, FH_STR("t"))) {
        constant->text = FH_STR("true");
    } else if (column->type == FH_TYPE_BOOL && fh_str_eq(text, FH_STR("f"))) {
        constant->text = FH_STR("false");
    } else if (column->type == FH_TYPE_TIMESTAMP && text.len > 13 && text.data[10] == ' ') {
        char *copy = fh_arena_printf(build->scratch, "%s", text.data);
        if (copy == NULL) {
            return fh_ddl_nomem(&build->source);
        }
        copy[10] = 'T';
        if (strcmp(copy + text.len - 3, "+00") == 0) {
            copy[text.len - 3] = 'Z';
            copy[text.len - 2] = '\0';
        }
        constant->text = fh_str_of(copy);
    }
    return FH_OK;
}

static enum fh_code parse_bytea(struct fh_ddl_build *build, const struct constant *constant,
                                struct fh_value *value)
{
    struct fh_str text = constant->text;
    bool hex = fh_str_starts_with(text, FH_STR("\\x")) && text.len % 2 == 0;
    size_t len = hex ? text.len / 2 - 1 : 0;
    uint8_t *bytes = fh_arena_alloc(build->arena, len + 1);
    if (bytes == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    struct fh_str digits = {.data = text.data + 2, .len = len * 2};
    if (!hex || (len > 0 && !fh_hex_decode(digits, bytes, len))) {
        return fh_ddl_fail(&build->source, FH_INVALID, constant->offset,
                           "DEFAULT of a bytea column must be hexadecimal: '\\x00ff'");
    }
    value->type = FH_TYPE_BYTES;
    value->as.bytes = (struct fh_str){.data = (const char *)bytes, .len = len};
    return FH_OK;
}

static bool kind_fits(enum constant_kind kind, enum fh_type type)
{
    switch (type) {
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
    case FH_TYPE_NUMERIC:
        return kind == CONSTANT_NUMBER || kind == CONSTANT_STRING;
    case FH_TYPE_BOOL:
        return kind == CONSTANT_BOOLEAN || kind == CONSTANT_STRING;
    default:
        return kind == CONSTANT_STRING;
    }
}

static enum fh_code constant_default(struct fh_ddl_build *build, struct constant *constant,
                                     struct fh_column *column)
{
    if (constant->kind == CONSTANT_NULL) {
        return FH_OK; /* what no default means, too */
    }
    if (!kind_fits(constant->kind, column->type)) {
        return fh_ddl_fail(&build->source, FH_INVALID, constant->offset,
                           "this DEFAULT is not a constant of the column's type, %s",
                           column_type_name(column));
    }
    struct fh_error error = FH_ERROR_INIT;
    struct fh_value value = {0};
    enum fh_code code = respell(build, column, constant);
    if (code != FH_OK) {
        return code;
    }
    if (column->type == FH_TYPE_BYTES) {
        code = parse_bytea(build, constant, &value);
        if (code != FH_OK) {
            return code;
        }
    } else {
        code = fh_value_parse(constant->text, column, build->arena, &value, &error);
    }
    if (code == FH_OK) {
        code = fh_value_canonicalize(&value, column, build->arena, &error);
    }
    if (code == FH_INVALID) {
        return fh_ddl_fail(&build->source, FH_INVALID, constant->offset,
                           "this DEFAULT does not fit the column: %s", fh_error_text(&error));
    }
    if (code != FH_OK) {
        return fh_ddl_nomem(&build->source); /* the text is far below the bound of a value */
    }
    column->default_kind = FH_DEFAULT_CONSTANT;
    column->default_value = value;
    return FH_OK;
}

enum fh_code fh_ddl_default(struct fh_ddl_build *build, const PgQuery__Constraint *constraint,
                            struct fh_column *column)
{
    const PgQuery__Node *node = constraint->raw_expr;
    /* DEFAULT stands at the constraint's place, the expression behind it */
    size_t index = fh_ddl_token_at(&build->source, constraint->location) + 1;
    int64_t offset = constraint->location;
    if (index < build->source.token_count) {
        offset = build->source.tokens[index].start;
    }
    if (node != NULL && node->node_case == PG_QUERY__NODE__NODE_FUNC_CALL) {
        return function_call(build, node->func_call, offset, column);
    }
    if (node != NULL && node->node_case == PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION) {
        return value_function(build, node->sqlvalue_function, offset, column);
    }
    struct constant constant = {0};
    enum fh_code code = peel(build, node, offset, column, &constant);
    return code == FH_OK ? constant_default(build, &constant, column) : code;
}
