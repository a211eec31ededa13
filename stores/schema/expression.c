/* Expressions of CHECK and GENERATED: syntax tree to fh_expr.
 *
 * Happy path: a constant stays text until what stands beside it gives it a type, so every operation
 * reads its operands first and types its constants last. Chains of AND, OR and || become one node;
 * BETWEEN becomes two comparisons of the same operand; NOT IN becomes NOT of IN. An operation on
 * constants only is refused: so a printed expression reads back as the same tree.
 *
 * Failures: whatever is not in the allowlist (stores/expr.h), with its place and what to do
 * instead. Recursion follows the syntax tree, whose depth FH_DDL_CHAIN_MAX bounds.
 */
#include "stores/schema/expression.h"

#include <stdio.h>

#define WHERE "an expression"
static enum fh_code read_operand(const struct fh_ddl_reader *reader, const PgQuery__Node *node,
                                 int64_t offset, struct fh_ddl_operand *out);

static enum fh_code read_list(const struct fh_ddl_reader *reader, PgQuery__Node *const *nodes,
                              size_t count, int64_t offset, struct fh_ddl_operand *out)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        code = read_operand(reader, nodes[i], offset, &out[i]);
    }
    return code;
}

static enum fh_code read_bool(const struct fh_ddl_reader *reader, const PgQuery__BoolExpr *node,
                              int64_t offset, struct fh_ddl_operand *out)
{
    offset = fh_ddl_place(node->location, offset);
    struct fh_ddl_operands operands;
    enum fh_code code = fh_ddl_operands_room(reader, node->n_args, &operands);
    if (code == FH_OK) {
        code = read_list(reader, node->args, node->n_args, offset, operands.list);
    }
    bool constants = true;
    for (size_t i = 0; code == FH_OK && i < operands.count; i++) {
        constants = constants && operands.list[i].expr == NULL;
        code = fh_ddl_operand_need(reader, &operands.list[i], FH_TYPE_BOOL, "AND, OR or NOT");
    }
    if (code != FH_OK) {
        return code;
    }
    if (constants) {
        return fh_ddl_operation_constants_only(reader, offset);
    }
    if (node->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR) {
        struct fh_expr draft = {.kind = FH_EXPR_NOT, .type = FH_TYPE_BOOL};
        return fh_ddl_operation_make(reader, &draft, operands.list, 1, offset, out);
    }
    bool all = node->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
    return fh_ddl_operation_chain(reader, all ? FH_EXPR_AND : FH_EXPR_OR, FH_TYPE_BOOL, &operands,
                                  offset, out);
}

static const struct {
    const char *name;
    enum fh_expr_kind kind;
} operators[] = {
    {"=", FH_EXPR_EQ},  {"<>", FH_EXPR_NE},     {"<", FH_EXPR_LT},  {"<=", FH_EXPR_LE},
    {">", FH_EXPR_GT},  {">=", FH_EXPR_GE},     {"+", FH_EXPR_ADD}, {"-", FH_EXPR_SUB},
    {"*", FH_EXPR_MUL}, {"||", FH_EXPR_CONCAT},
};

static enum fh_code refuse_operator(const struct fh_ddl_reader *reader, const PgQuery__AExpr *node,
                                    int64_t offset)
{
    char what[64];
    (void)snprintf(what, sizeof(what), "operator %.32s",
                   node->n_name > 0 ? fh_ddl_string(node->name[node->n_name - 1]) : "");
    return fh_ddl_operation_refuse(
        reader, offset, what,
        "use = <> < <= > >= + - * ||, or compute the value in the application");
}

static enum fh_code binary(const struct fh_ddl_reader *reader, const PgQuery__AExpr *node,
                           int64_t offset, struct fh_ddl_operand *out)
{
    const char *name = node->n_name == 1 ? fh_ddl_string(node->name[0]) : "";
    size_t i = 0;
    while (i < sizeof(operators) / sizeof(operators[0]) && strcmp(operators[i].name, name) != 0) {
        i++;
    }
    if (i == sizeof(operators) / sizeof(operators[0]) || node->rexpr == NULL) {
        return refuse_operator(reader, node, offset);
    }
    enum fh_expr_kind kind = operators[i].kind;
    struct fh_ddl_operands operands;
    enum fh_code code = fh_ddl_operands_room(reader, 2, &operands);
    if (code == FH_OK) {
        code = read_operand(reader, node->lexpr, offset, &operands.list[0]);
    }
    if (code == FH_OK) {
        code = read_operand(reader, node->rexpr, offset, &operands.list[1]);
    }
    if (code != FH_OK) {
        return code;
    }
    if (kind == FH_EXPR_CONCAT) {
        return fh_ddl_operation_concatenate(reader, &operands, offset, out);
    }
    return kind == FH_EXPR_ADD || kind == FH_EXPR_SUB || kind == FH_EXPR_MUL
               ? fh_ddl_operation_arithmetic(reader, kind, &operands, offset, out)
               : fh_ddl_operation_compare(reader, kind, &operands, offset, out);
}

static enum fh_code negate(const struct fh_ddl_reader *reader, const PgQuery__AExpr *node,
                           int64_t offset, struct fh_ddl_operand *out)
{
    struct fh_ddl_operand inner;
    enum fh_code code = read_operand(reader, node->rexpr, offset, &inner);
    if (code != FH_OK) {
        return code;
    }
    if (inner.expr == NULL) {
        if (inner.constant.kind != FH_DDL_CONSTANT_NUMBER || inner.cast != NULL) {
            return fh_ddl_operation_refuse(reader, offset, "operator - here",
                                           "write the number with its sign");
        }
        *out = inner;
        out->offset = offset;
        return fh_ddl_constant_negate(reader->build, &out->constant);
    }
    if (!fh_ddl_type_is_number(inner.expr->type)) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                           "operator - needs a number, not %s", fh_type_name(inner.expr->type));
    }
    struct fh_expr draft = {
        .kind = FH_EXPR_NEG, .type = inner.expr->type, .scale = inner.expr->scale};
    return fh_ddl_operation_make(reader, &draft, &inner, 1, offset, out);
}

static enum fh_code make_not(const struct fh_ddl_reader *reader, const struct fh_ddl_operand *inner,
                             int64_t offset, struct fh_ddl_operand *out)
{
    struct fh_expr draft = {.kind = FH_EXPR_NOT, .type = FH_TYPE_BOOL};
    return fh_ddl_operation_make(reader, &draft, inner, 1, offset, out);
}

static enum fh_code in_list(const struct fh_ddl_reader *reader, const PgQuery__AExpr *node,
                            int64_t offset, struct fh_ddl_operand *out)
{
    if (node->rexpr == NULL || node->rexpr->node_case != PG_QUERY__NODE__NODE_LIST) {
        return fh_ddl_operation_refuse(reader, offset, "IN with anything but a list",
                                       "list the values");
    }
    const PgQuery__List *list = node->rexpr->list;
    bool negative = node->n_name > 0 && strcmp(fh_ddl_string(node->name[0]), "<>") == 0;
    struct fh_ddl_operands operands;
    enum fh_code code = fh_ddl_operands_room(reader, list->n_items + 1, &operands);
    if (code == FH_OK) {
        code = read_operand(reader, node->lexpr, offset, &operands.list[0]);
    }
    if (code == FH_OK) {
        code = read_list(reader, list->items, list->n_items, offset, operands.list + 1);
    }
    struct fh_ddl_operand in;
    if (code == FH_OK) {
        code = fh_ddl_operation_compare(reader, FH_EXPR_IN, &operands, offset, &in);
    }
    if (code != FH_OK || !negative) {
        *out = code == FH_OK ? in : *out;
        return code;
    }
    return make_not(reader, &in, offset, out);
}

static enum fh_code between(const struct fh_ddl_reader *reader, const PgQuery__AExpr *node,
                            int64_t offset, bool negative, struct fh_ddl_operand *out)
{
    struct fh_ddl_operands operands;
    struct fh_ddl_operand low;
    struct fh_ddl_operand high;
    if (node->rexpr == NULL || node->rexpr->node_case != PG_QUERY__NODE__NODE_LIST ||
        node->rexpr->list->n_items != 2) {
        return fh_ddl_operation_refuse(reader, offset, "this BETWEEN", "write two comparisons");
    }
    enum fh_code code = fh_ddl_operands_room(reader, 3, &operands);
    if (code == FH_OK) {
        code = read_operand(reader, node->lexpr, offset, &operands.list[0]);
    }
    if (code == FH_OK) {
        code = read_list(reader, node->rexpr->list->items, 2, offset, operands.list + 1);
    }
    struct fh_ddl_operands sides;
    if (code == FH_OK) {
        code = fh_ddl_operands_room(reader, 2, &sides);
    }
    if (code != FH_OK) {
        return code;
    }
    sides.list[0] = operands.list[0];
    sides.list[1] = operands.list[1];
    code =
        fh_ddl_operation_compare(reader, negative ? FH_EXPR_LT : FH_EXPR_GE, &sides, offset, &low);
    if (code == FH_OK) {
        sides.list[0] = operands.list[0];
        sides.list[1] = operands.list[2];
        code = fh_ddl_operation_compare(reader, negative ? FH_EXPR_GT : FH_EXPR_LE, &sides, offset,
                                        &high);
    }
    if (code != FH_OK) {
        return code;
    }
    sides.list[0] = low;
    sides.list[1] = high;
    return fh_ddl_operation_chain(reader, negative ? FH_EXPR_OR : FH_EXPR_AND, FH_TYPE_BOOL, &sides,
                                  offset, out);
}

static enum fh_code refuse_kind(const struct fh_ddl_reader *reader, const PgQuery__AExpr *node,
                                int64_t offset)
{
    switch (node->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
        return fh_ddl_operation_refuse(reader, offset, "LIKE",
                                       "patterns are the application's: validate there");
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return fh_ddl_operation_refuse(reader, offset, "IS DISTINCT FROM",
                                       "combine = with IS NULL");
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
        return fh_ddl_operation_refuse(reader, offset, "ANY or ALL", "use IN (...)");
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
        return fh_ddl_operation_refuse(reader, offset, "NULLIF",
                                       "compute the value in the application");
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
        return fh_ddl_operation_refuse(reader, offset, "BETWEEN SYMMETRIC",
                                       "write two comparisons");
    default:
        return refuse_operator(reader, node, offset);
    }
}

static enum fh_code read_a_expr(const struct fh_ddl_reader *reader, const PgQuery__AExpr *node,
                                int64_t offset, struct fh_ddl_operand *out)
{
    offset = fh_ddl_place(node->location, offset);
    switch (node->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
        if (node->lexpr != NULL) {
            return binary(reader, node, offset, out);
        }
        return fh_ddl_is_minus(node) ? negate(reader, node, offset, out)
                                     : refuse_operator(reader, node, offset);
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        return in_list(reader, node, offset, out);
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
        return between(reader, node, offset, false, out);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
        return between(reader, node, offset, true, out);
    default:
        return refuse_kind(reader, node, offset);
    }
}

static enum fh_code read_column(const struct fh_ddl_reader *reader, const PgQuery__ColumnRef *node,
                                int64_t offset, struct fh_ddl_operand *out)
{
    const struct fh_ddl_source *source = &reader->build->source;
    offset = fh_ddl_place(node->location, offset);
    const char *name = node->n_fields > 0 ? fh_ddl_string(node->fields[node->n_fields - 1]) : "";
    bool ours = node->n_fields == 1 ||
                (node->n_fields == 2 &&
                 fh_str_eq(fh_str_of(fh_ddl_string(node->fields[0])), reader->table->name));
    if (!ours || name[0] == '\0') {
        return fh_ddl_operation_refuse(reader, offset, "a column of another table",
                                       "name a column of this table");
    }
    int position = fh_ddl_table_column(reader->table, name);
    if (position < 0) {
        return fh_ddl_fail(source, FH_INVALID, offset, "table %.*s has no column %.64s",
                           FH_STR_ARG(reader->table->name), name);
    }
    const struct fh_column *column = &reader->table->columns[position];
    if (reader->generated && column->generated != NULL) {
        return fh_ddl_fail(source, FH_INVALID, offset,
                           "column %s is generated itself: repeat its expression", name);
    }
    struct fh_expr draft = {.kind = FH_EXPR_COLUMN,
                            .type = fh_ddl_type_widened(column->type),
                            .scale = column->scale,
                            .column = (uint16_t)position};
    return fh_ddl_operation_make(reader, &draft, NULL, 0, offset, out);
}

static enum fh_code read_null_test(const struct fh_ddl_reader *reader,
                                   const PgQuery__NullTest *node, int64_t offset,
                                   struct fh_ddl_operand *out)
{
    struct fh_ddl_operand inner;
    offset = fh_ddl_place(node->location, offset);
    enum fh_code code = read_operand(reader, node->arg, offset, &inner);
    if (code != FH_OK) {
        return code;
    }
    if (inner.expr == NULL) {
        return fh_ddl_operation_constants_only(reader, offset);
    }
    bool null = node->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    struct fh_expr draft = {.kind = null ? FH_EXPR_IS_NULL : FH_EXPR_IS_NOT_NULL,
                            .type = FH_TYPE_BOOL};
    return fh_ddl_operation_make(reader, &draft, &inner, 1, offset, out);
}

static enum fh_code read_coalesce(const struct fh_ddl_reader *reader,
                                  const PgQuery__CoalesceExpr *node, int64_t offset,
                                  struct fh_ddl_operand *out)
{
    offset = fh_ddl_place(node->location, offset);
    struct fh_ddl_operands operands;
    enum fh_code code = fh_ddl_operands_room(reader, node->n_args, &operands);
    if (code == FH_OK) {
        code = read_list(reader, node->args, node->n_args, offset, operands.list);
    }
    return code == FH_OK ? fh_ddl_operation_coalesce(reader, &operands, offset, out) : code;
}

static enum fh_code read_length(const struct fh_ddl_reader *reader, const PgQuery__FuncCall *call,
                                bool octets, int64_t offset, struct fh_ddl_operand *out)
{
    struct fh_ddl_operand inner;
    enum fh_code code = read_operand(reader, call->args[0], offset, &inner);
    if (code != FH_OK) {
        return code;
    }
    if (inner.expr == NULL) {
        return fh_ddl_operation_constants_only(reader, offset);
    }
    enum fh_type type = inner.expr->type;
    if (type != FH_TYPE_TEXT && type != FH_TYPE_BYTES) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                           "a length is of text or bytea, not of %s", fh_type_name(type));
    }
    struct fh_expr draft = {.kind = octets || type == FH_TYPE_BYTES ? FH_EXPR_OCTET_LENGTH
                                                                    : FH_EXPR_LENGTH,
                            .type = FH_TYPE_INT64};
    return fh_ddl_operation_make(reader, &draft, &inner, 1, offset, out);
}

static enum fh_code read_function(const struct fh_ddl_reader *reader, const PgQuery__FuncCall *call,
                                  int64_t offset, struct fh_ddl_operand *out)
{
    offset = fh_ddl_place(call->location, offset);
    const char *name =
        call->n_funcname > 0 ? fh_ddl_string(call->funcname[call->n_funcname - 1]) : "";
    bool plain = call->n_funcname == 1 && call->n_args == 1 && !call->agg_star &&
                 !call->agg_distinct && !call->func_variadic && call->n_agg_order == 0 &&
                 call->agg_filter == NULL && call->over == NULL;
    if (plain && strcmp(name, "octet_length") == 0) {
        return read_length(reader, call, true, offset, out);
    }
    if (plain && (strcmp(name, "length") == 0 || strcmp(name, "char_length") == 0 ||
                  strcmp(name, "character_length") == 0)) {
        return read_length(reader, call, false, offset, out);
    }
    char what[96];
    (void)snprintf(what, sizeof(what), "function %.64s()", name);
    return fh_ddl_operation_refuse(
        reader, offset, what,
        "use length, char_length, octet_length or coalesce, or compute the value in the "
        "application");
}

static enum fh_code read_cast(const struct fh_ddl_reader *reader, const PgQuery__TypeCast *node,
                              int64_t offset, struct fh_ddl_operand *out)
{
    int64_t at = fh_ddl_place(node->location, offset);
    enum fh_code code = read_operand(reader, node->arg, at, out);
    if (code == FH_OK && (out->expr != NULL || out->cast != NULL)) {
        return fh_ddl_operation_refuse(reader, at, "a cast of anything but a constant",
                                       "the types must be the same without it");
    }
    out->cast = node->type_name;
    return code;
}

static enum fh_code read_operand(const struct fh_ddl_reader *reader, const PgQuery__Node *node,
                                 int64_t offset, struct fh_ddl_operand *out)
{
    *out = (struct fh_ddl_operand){.offset = offset, .nodes = 1, .depth = 1};
    if (node == NULL) {
        return fh_ddl_operation_refuse(reader, offset, "this", "leave it out");
    }
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST: {
        enum fh_code code =
            fh_ddl_constant_read(reader->build, node->a_const, offset, WHERE, &out->constant);
        out->offset = out->constant.offset;
        return code;
    }
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return read_column(reader, node->column_ref, offset, out);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return read_a_expr(reader, node->a_expr, offset, out);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return read_bool(reader, node->bool_expr, offset, out);
    case PG_QUERY__NODE__NODE_NULL_TEST:
        return read_null_test(reader, node->null_test, offset, out);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return read_coalesce(reader, node->coalesce_expr, offset, out);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return read_function(reader, node->func_call, offset, out);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return read_cast(reader, node->type_cast, offset, out);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return fh_ddl_operation_refuse(reader, fh_ddl_place(node->boolean_test->location, offset),
                                       "IS TRUE",
                                       "write coalesce(column, false), or the column alone");
    default:
        return fh_ddl_operation_refuse(reader, fh_ddl_expression_place(node, offset),
                                       fh_ddl_construct_name(node),
                                       "compute the value in the application");
    }
}

enum fh_code fh_ddl_check_expr(struct fh_ddl_build *build, const struct fh_ddl_table *table,
                               const PgQuery__Node *node, int64_t offset,
                               const struct fh_expr **out)
{
    const struct fh_ddl_reader reader = {.build = build, .table = table};
    struct fh_ddl_operand whole;
    enum fh_code code = read_operand(&reader, node, offset, &whole);
    if (code != FH_OK) {
        return code;
    }
    if (whole.expr == NULL) {
        return fh_ddl_operation_refuse(&reader, whole.offset, "a constant alone",
                                       "compare a column with it");
    }
    if (whole.expr->type != FH_TYPE_BOOL) {
        return fh_ddl_fail(&build->source, FH_INVALID, whole.offset,
                           "a CHECK must be boolean, this is %s", fh_type_name(whole.expr->type));
    }
    *out = whole.expr;
    return FH_OK;
}

static bool is_assignable(const struct fh_expr *expr, const struct fh_column *column)
{
    if (column->type == FH_TYPE_NUMERIC) {
        return fh_ddl_type_is_exact(expr->type) && fh_ddl_expr_scale(expr) <= column->scale;
    }
    return expr->type == fh_ddl_type_widened(column->type) && expr->type != FH_TYPE_JSON;
}

enum fh_code fh_ddl_generated_expr(struct fh_ddl_build *build, const struct fh_ddl_table *table,
                                   const struct fh_column *column, const PgQuery__Node *node,
                                   int64_t offset, const struct fh_expr **out)
{
    const struct fh_ddl_reader reader = {.build = build, .table = table, .generated = true};
    struct fh_ddl_operand whole;
    enum fh_code code = read_operand(&reader, node, offset, &whole);
    if (code != FH_OK) {
        return code;
    }
    if (whole.expr == NULL) {
        return fh_ddl_operation_refuse(&reader, whole.offset, "a constant alone", "use DEFAULT");
    }
    if (!is_assignable(whole.expr, column)) {
        return fh_ddl_fail(&build->source, FH_INVALID, whole.offset,
                           "column %.*s is %s, but its expression gives %s%s: nothing is rounded "
                           "or converted",
                           FH_STR_ARG(column->name), fh_type_name(column->type),
                           fh_type_name(whole.expr->type),
                           whole.expr->type == FH_TYPE_NUMERIC ? " with more decimal places" : "");
    }
    *out = whole.expr;
    return FH_OK;
}

const struct fh_expr *fh_ddl_expr_without(const struct fh_expr *expr, uint16_t dropped,
                                          struct fh_arena *arena)
{
    struct fh_expr *copy = FH_ARENA_NEW(arena, struct fh_expr);
    const struct fh_expr **args = FH_ARENA_ARRAY(arena, const struct fh_expr *, expr->arg_count);
    if (copy == NULL || args == NULL) {
        return NULL;
    }
    *copy = *expr;
    if (expr->kind == FH_EXPR_COLUMN && expr->column > dropped) {
        copy->column--;
    }
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        args[i] = fh_ddl_expr_without(expr->args[i], dropped, arena);
        if (args[i] == NULL) {
            return NULL;
        }
    }
    copy->args = expr->arg_count > 0 ? args : NULL;
    return copy;
}
