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
#include "stores/expr.h"
#include "stores/schema/build.h"

#include <stdio.h>

#define WHERE "an expression"
#define SCALE_MAX 18

struct reader {
    struct fh_ddl_build *build;
    const struct fh_ddl_table *table;
    bool generated; /* no other generated column may be read */
};

/* Either a tree, or a constant that has no type yet. */
struct operand {
    const struct fh_expr *expr; /* NULL: a constant */
    struct fh_ddl_constant constant;
    const PgQuery__TypeName *cast; /* of the constant; NULL: none */
    int64_t offset;
    size_t nodes;
    size_t depth;
};

struct operands {
    struct operand *list; /* in scratch */
    size_t count;
};

static enum fh_code read_operand(const struct reader *reader, const PgQuery__Node *node,
                                 int64_t offset, struct operand *out);

static enum fh_code refuse(const struct reader *reader, int64_t offset, const char *what,
                           const char *advice)
{
    return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                       "%s is not supported in an expression: %s", what, advice);
}

static enum fh_type widened(enum fh_type type)
{
    switch (type) {
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
        return FH_TYPE_INT64;
    case FH_TYPE_FLOAT32:
        return FH_TYPE_FLOAT64;
    default:
        return type;
    }
}

static bool is_exact(enum fh_type type)
{
    return type == FH_TYPE_INT64 || type == FH_TYPE_NUMERIC;
}

static bool is_number(enum fh_type type)
{
    return is_exact(type) || type == FH_TYPE_FLOAT64;
}

static bool fits_together(enum fh_type a, enum fh_type b)
{
    return a == b || (is_exact(a) && is_exact(b));
}

static uint8_t scale_of(const struct fh_expr *expr)
{
    return expr->type == FH_TYPE_NUMERIC ? expr->scale : 0;
}

/* The operation over its arguments, whose constants have types by now. */
static enum fh_code make(const struct reader *reader, const struct fh_expr *draft,
                         const struct operand *args, size_t count, int64_t offset,
                         struct operand *out)
{
    const struct fh_ddl_source *source = &reader->build->source;
    struct fh_expr *expr = FH_ARENA_NEW(reader->build->arena, struct fh_expr);
    const struct fh_expr **list =
        FH_ARENA_ARRAY(reader->build->arena, const struct fh_expr *, count);
    if (expr == NULL || list == NULL) {
        return fh_ddl_nomem(source);
    }
    *out = (struct operand){.expr = expr, .offset = offset, .nodes = 1, .depth = 1};
    for (size_t i = 0; i < count; i++) {
        list[i] = args[i].expr;
        out->nodes += args[i].nodes;
        out->depth = args[i].depth + 1 > out->depth ? args[i].depth + 1 : out->depth;
    }
    if (count > FH_EXPR_ARGS_MAX) {
        return fh_ddl_fail(source, FH_INVALID, offset, "more than %d operands of one operation",
                           FH_EXPR_ARGS_MAX);
    }
    if (out->nodes > FH_EXPR_NODES_MAX) {
        return fh_ddl_fail(source, FH_INVALID, offset,
                           "more than %d operations, columns and constants in one expression",
                           FH_EXPR_NODES_MAX);
    }
    if (out->depth > FH_EXPR_DEPTH_MAX) {
        return fh_ddl_fail(source, FH_INVALID, offset, "operations more than %d deep",
                           FH_EXPR_DEPTH_MAX);
    }
    *expr = *draft;
    expr->arg_count = (uint16_t)count;
    expr->args = count > 0 ? list : NULL;
    return FH_OK;
}

/* A cast says again what the place says: anything else would convert. */
static enum fh_code check_cast(const struct reader *reader, const struct operand *operand,
                               enum fh_type type)
{
    const PgQuery__TypeName *name = operand->cast;
    if (name == NULL) {
        return FH_OK;
    }
    int64_t at = fh_ddl_place(name->location, operand->offset);
    if (name->n_typmods > 0) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, at,
                           "a cast with a length or precision is not supported in an expression: "
                           "leave the parentheses out");
    }
    const char *last = name->n_names > 0 ? fh_ddl_string(name->names[name->n_names - 1]) : "";
    struct fh_column cast = {.type = FH_TYPE_NUMERIC};
    if (strcmp(last, "numeric") != 0 || name->n_array_bounds > 0) {
        enum fh_code code = fh_ddl_type(reader->build, name, at, &cast);
        if (code != FH_OK) {
            return code;
        }
    }
    if (fits_together(widened(cast.type), type)) {
        return FH_OK;
    }
    return fh_ddl_fail(&reader->build->source, FH_INVALID, at,
                       "a cast in an expression must be to the type of what the constant stands "
                       "beside, %s",
                       fh_type_name(type));
}

/* The column that a constant of the type would be in; false when it cannot be one. */
static bool column_for(const struct fh_ddl_constant *constant, enum fh_type type,
                       struct fh_column *out)
{
    *out = (struct fh_column){.name = FH_STR("constant"), .type = type};
    bool number = constant->kind == FH_DDL_CONSTANT_NUMBER;
    if (is_number(type) != number ||
        (type == FH_TYPE_BOOL) != (constant->kind == FH_DDL_CONSTANT_BOOLEAN)) {
        return false;
    }
    if (!is_exact(type)) {
        return true;
    }
    const char *point = memchr(constant->text.data, '.', constant->text.len);
    size_t digits =
        point != NULL ? constant->text.len - (size_t)(point - constant->text.data) - 1 : 0;
    if (memchr(constant->text.data, 'e', constant->text.len) != NULL ||
        memchr(constant->text.data, 'E', constant->text.len) != NULL || digits > SCALE_MAX) {
        return false;
    }
    out->type = point != NULL ? FH_TYPE_NUMERIC : FH_TYPE_INT64;
    out->precision = SCALE_MAX;
    out->scale = (uint8_t)digits;
    return true;
}

/* Gives a constant the type of its place. */
static enum fh_code type_constant(const struct reader *reader, enum fh_type type,
                                  struct operand *operand)
{
    if (operand->expr != NULL) {
        return FH_OK;
    }
    if (operand->constant.kind == FH_DDL_CONSTANT_NULL) {
        return refuse(reader, operand->constant.offset, "NULL", "write IS NULL or IS NOT NULL");
    }
    enum fh_code code = check_cast(reader, operand, type);
    struct fh_column column;
    if (code != FH_OK) {
        return code;
    }
    if (!column_for(&operand->constant, type, &column)) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, operand->constant.offset,
                           "this constant stands where %s is needed", fh_type_name(type));
    }
    struct fh_expr constant = {
        .kind = FH_EXPR_CONSTANT, .type = column.type, .scale = column.scale};
    code = fh_ddl_constant_value(reader->build, &operand->constant, &column, "constant",
                                 &constant.constant);
    return code == FH_OK ? make(reader, &constant, NULL, 0, operand->offset, operand) : code;
}

/* Types the constants by the first operand that has a type. */
static enum fh_code type_alike(const struct reader *reader, const struct operands *operands,
                               int64_t offset, enum fh_type *type)
{
    const struct operand *first = NULL;
    for (size_t i = 0; first == NULL && i < operands->count; i++) {
        first = operands->list[i].expr != NULL ? &operands->list[i] : NULL;
    }
    if (first == NULL) {
        return refuse(reader, offset, "an operation on constants only", "write its result");
    }
    *type = first->expr->type;
    for (size_t i = 0; i < operands->count; i++) {
        struct operand *operand = &operands->list[i];
        enum fh_code code = type_constant(reader, *type, operand);
        if (code != FH_OK) {
            return code;
        }
        if (!fits_together(operand->expr->type, *type)) {
            return fh_ddl_fail(&reader->build->source, FH_INVALID, operand->offset,
                               "%s and %s do not go together here: the types must be the same",
                               fh_type_name(*type), fh_type_name(operand->expr->type));
        }
    }
    return FH_OK;
}

static enum fh_code need_type(const struct reader *reader, struct operand *operand,
                              enum fh_type type, const char *what)
{
    enum fh_code code = type_constant(reader, type, operand);
    if (code != FH_OK || operand->expr->type == type) {
        return code;
    }
    return fh_ddl_fail(&reader->build->source, FH_INVALID, operand->offset, "%s needs %s, not %s",
                       what, fh_type_name(type), fh_type_name(operand->expr->type));
}

static enum fh_code room_for(const struct reader *reader, size_t count, struct operands *out)
{
    *out = (struct operands){.list = FH_ARENA_ARRAY(reader->build->scratch, struct operand, count),
                             .count = count};
    return out->list != NULL ? FH_OK : fh_ddl_nomem(&reader->build->source);
}

static enum fh_code read_list(const struct reader *reader, PgQuery__Node *const *nodes,
                              size_t count, int64_t offset, struct operand *out)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        code = read_operand(reader, nodes[i], offset, &out[i]);
    }
    return code;
}

/* AND, OR, ||: arguments of the same kind are taken apart. */
static enum fh_code make_chain(const struct reader *reader, enum fh_expr_kind kind,
                               enum fh_type type, const struct operands *operands, int64_t offset,
                               struct operand *out)
{
    size_t count = 0;
    for (size_t i = 0; i < operands->count; i++) {
        const struct fh_expr *expr = operands->list[i].expr;
        count += expr->kind == kind ? expr->arg_count : 1;
    }
    struct operands flat;
    enum fh_code code = room_for(reader, count, &flat);
    if (code != FH_OK) {
        return code;
    }
    size_t at = 0;
    for (size_t i = 0; i < operands->count; i++) {
        const struct operand *operand = &operands->list[i];
        if (operand->expr->kind != kind) {
            flat.list[at++] = *operand;
            continue;
        }
        for (uint16_t k = 0; k < operand->expr->arg_count; k++) {
            /* Each stands for its share; what matters is the sum and the deepest. */
            flat.list[at++] = (struct operand){.expr = operand->expr->args[k],
                                               .nodes = k == 0 ? operand->nodes - 1 : 0,
                                               .depth = operand->depth - 1};
        }
    }
    struct fh_expr draft = {.kind = kind, .type = type};
    return make(reader, &draft, flat.list, count, offset, out);
}

static enum fh_code read_bool(const struct reader *reader, const PgQuery__BoolExpr *node,
                              int64_t offset, struct operand *out)
{
    offset = fh_ddl_place(node->location, offset);
    struct operands operands;
    enum fh_code code = room_for(reader, node->n_args, &operands);
    if (code == FH_OK) {
        code = read_list(reader, node->args, node->n_args, offset, operands.list);
    }
    bool constants = true;
    for (size_t i = 0; code == FH_OK && i < operands.count; i++) {
        constants = constants && operands.list[i].expr == NULL;
        code = need_type(reader, &operands.list[i], FH_TYPE_BOOL, "AND, OR or NOT");
    }
    if (code != FH_OK) {
        return code;
    }
    if (constants) {
        return refuse(reader, offset, "an operation on constants only", "write its result");
    }
    if (node->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR) {
        struct fh_expr draft = {.kind = FH_EXPR_NOT, .type = FH_TYPE_BOOL};
        return make(reader, &draft, operands.list, 1, offset, out);
    }
    bool all = node->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
    return make_chain(reader, all ? FH_EXPR_AND : FH_EXPR_OR, FH_TYPE_BOOL, &operands, offset, out);
}

static enum fh_code compare(const struct reader *reader, enum fh_expr_kind kind,
                            struct operands *operands, int64_t offset, struct operand *out)
{
    enum fh_type type = FH_TYPE_BOOL;
    enum fh_code code = type_alike(reader, operands, offset, &type);
    if (code == FH_OK && type == FH_TYPE_JSON) {
        code = refuse(reader, offset, "comparing jsonb",
                      "engines order it differently; compare a column of its own");
    }
    struct fh_expr draft = {.kind = kind, .type = FH_TYPE_BOOL};
    return code == FH_OK ? make(reader, &draft, operands->list, operands->count, offset, out)
                         : code;
}

static enum fh_code arithmetic(const struct reader *reader, enum fh_expr_kind kind,
                               struct operands *operands, int64_t offset, struct operand *out)
{
    struct fh_expr draft = {.kind = kind};
    enum fh_code code = type_alike(reader, operands, offset, &draft.type);
    if (code != FH_OK) {
        return code;
    }
    if (!is_number(draft.type)) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                           "arithmetic with %s is not supported in an expression: only numbers",
                           fh_type_name(draft.type));
    }
    unsigned scale = 0;
    for (size_t i = 0; i < operands->count; i++) {
        const struct fh_expr *arg = operands->list[i].expr;
        draft.type = arg->type == FH_TYPE_NUMERIC ? FH_TYPE_NUMERIC : draft.type;
        if (kind == FH_EXPR_MUL) {
            scale += scale_of(arg);
        } else {
            scale = scale_of(arg) > scale ? scale_of(arg) : scale;
        }
    }
    if (scale > SCALE_MAX) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                           "a product with %u decimal places is not supported: at most %d", scale,
                           SCALE_MAX);
    }
    draft.scale = (uint8_t)scale;
    return make(reader, &draft, operands->list, operands->count, offset, out);
}

static enum fh_code concatenate(const struct reader *reader, struct operands *operands,
                                int64_t offset, struct operand *out)
{
    enum fh_type type = FH_TYPE_TEXT;
    enum fh_code code = type_alike(reader, operands, offset, &type);
    for (size_t i = 0; code == FH_OK && i < operands->count; i++) {
        code = need_type(reader, &operands->list[i], FH_TYPE_TEXT, "||");
    }
    return code == FH_OK ? make_chain(reader, FH_EXPR_CONCAT, FH_TYPE_TEXT, operands, offset, out)
                         : code;
}

static const struct {
    const char *name;
    enum fh_expr_kind kind;
} operators[] = {
    {"=", FH_EXPR_EQ},  {"<>", FH_EXPR_NE},     {"<", FH_EXPR_LT},  {"<=", FH_EXPR_LE},
    {">", FH_EXPR_GT},  {">=", FH_EXPR_GE},     {"+", FH_EXPR_ADD}, {"-", FH_EXPR_SUB},
    {"*", FH_EXPR_MUL}, {"||", FH_EXPR_CONCAT},
};

static enum fh_code refuse_operator(const struct reader *reader, const PgQuery__AExpr *node,
                                    int64_t offset)
{
    char what[64];
    (void)snprintf(what, sizeof(what), "operator %.32s",
                   node->n_name > 0 ? fh_ddl_string(node->name[node->n_name - 1]) : "");
    return refuse(reader, offset, what,
                  "use = <> < <= > >= + - * ||, or compute the value in the application");
}

static enum fh_code binary(const struct reader *reader, const PgQuery__AExpr *node, int64_t offset,
                           struct operand *out)
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
    struct operands operands;
    enum fh_code code = room_for(reader, 2, &operands);
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
        return concatenate(reader, &operands, offset, out);
    }
    return kind == FH_EXPR_ADD || kind == FH_EXPR_SUB || kind == FH_EXPR_MUL
               ? arithmetic(reader, kind, &operands, offset, out)
               : compare(reader, kind, &operands, offset, out);
}

static enum fh_code negate(const struct reader *reader, const PgQuery__AExpr *node, int64_t offset,
                           struct operand *out)
{
    struct operand inner;
    enum fh_code code = read_operand(reader, node->rexpr, offset, &inner);
    if (code != FH_OK) {
        return code;
    }
    if (inner.expr == NULL) {
        if (inner.constant.kind != FH_DDL_CONSTANT_NUMBER || inner.cast != NULL) {
            return refuse(reader, offset, "operator - here", "write the number with its sign");
        }
        *out = inner;
        out->offset = offset;
        return fh_ddl_constant_negate(reader->build, &out->constant);
    }
    if (!is_number(inner.expr->type)) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                           "operator - needs a number, not %s", fh_type_name(inner.expr->type));
    }
    struct fh_expr draft = {
        .kind = FH_EXPR_NEG, .type = inner.expr->type, .scale = inner.expr->scale};
    return make(reader, &draft, &inner, 1, offset, out);
}

static enum fh_code make_not(const struct reader *reader, const struct operand *inner,
                             int64_t offset, struct operand *out)
{
    struct fh_expr draft = {.kind = FH_EXPR_NOT, .type = FH_TYPE_BOOL};
    return make(reader, &draft, inner, 1, offset, out);
}

static enum fh_code in_list(const struct reader *reader, const PgQuery__AExpr *node, int64_t offset,
                            struct operand *out)
{
    if (node->rexpr == NULL || node->rexpr->node_case != PG_QUERY__NODE__NODE_LIST) {
        return refuse(reader, offset, "IN with anything but a list", "list the values");
    }
    const PgQuery__List *list = node->rexpr->list;
    bool negative = node->n_name > 0 && strcmp(fh_ddl_string(node->name[0]), "<>") == 0;
    struct operands operands;
    enum fh_code code = room_for(reader, list->n_items + 1, &operands);
    if (code == FH_OK) {
        code = read_operand(reader, node->lexpr, offset, &operands.list[0]);
    }
    if (code == FH_OK) {
        code = read_list(reader, list->items, list->n_items, offset, operands.list + 1);
    }
    struct operand in;
    if (code == FH_OK) {
        code = compare(reader, FH_EXPR_IN, &operands, offset, &in);
    }
    if (code != FH_OK || !negative) {
        *out = code == FH_OK ? in : *out;
        return code;
    }
    return make_not(reader, &in, offset, out);
}

static enum fh_code between(const struct reader *reader, const PgQuery__AExpr *node, int64_t offset,
                            bool negative, struct operand *out)
{
    struct operands operands;
    struct operand low;
    struct operand high;
    if (node->rexpr == NULL || node->rexpr->node_case != PG_QUERY__NODE__NODE_LIST ||
        node->rexpr->list->n_items != 2) {
        return refuse(reader, offset, "this BETWEEN", "write two comparisons");
    }
    enum fh_code code = room_for(reader, 3, &operands);
    if (code == FH_OK) {
        code = read_operand(reader, node->lexpr, offset, &operands.list[0]);
    }
    if (code == FH_OK) {
        code = read_list(reader, node->rexpr->list->items, 2, offset, operands.list + 1);
    }
    struct operands sides;
    if (code == FH_OK) {
        code = room_for(reader, 2, &sides);
    }
    if (code != FH_OK) {
        return code;
    }
    sides.list[0] = operands.list[0];
    sides.list[1] = operands.list[1];
    code = compare(reader, negative ? FH_EXPR_LT : FH_EXPR_GE, &sides, offset, &low);
    if (code == FH_OK) {
        sides.list[0] = operands.list[0];
        sides.list[1] = operands.list[2];
        code = compare(reader, negative ? FH_EXPR_GT : FH_EXPR_LE, &sides, offset, &high);
    }
    if (code != FH_OK) {
        return code;
    }
    sides.list[0] = low;
    sides.list[1] = high;
    return make_chain(reader, negative ? FH_EXPR_OR : FH_EXPR_AND, FH_TYPE_BOOL, &sides, offset,
                      out);
}

static enum fh_code refuse_kind(const struct reader *reader, const PgQuery__AExpr *node,
                                int64_t offset)
{
    switch (node->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
        return refuse(reader, offset, "LIKE", "patterns are the application's: validate there");
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return refuse(reader, offset, "IS DISTINCT FROM", "combine = with IS NULL");
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
        return refuse(reader, offset, "ANY or ALL", "use IN (...)");
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
        return refuse(reader, offset, "NULLIF", "compute the value in the application");
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
        return refuse(reader, offset, "BETWEEN SYMMETRIC", "write two comparisons");
    default:
        return refuse_operator(reader, node, offset);
    }
}

static enum fh_code read_a_expr(const struct reader *reader, const PgQuery__AExpr *node,
                                int64_t offset, struct operand *out)
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

static enum fh_code read_column(const struct reader *reader, const PgQuery__ColumnRef *node,
                                int64_t offset, struct operand *out)
{
    const struct fh_ddl_source *source = &reader->build->source;
    offset = fh_ddl_place(node->location, offset);
    const char *name = node->n_fields > 0 ? fh_ddl_string(node->fields[node->n_fields - 1]) : "";
    bool ours = node->n_fields == 1 ||
                (node->n_fields == 2 &&
                 fh_str_eq(fh_str_of(fh_ddl_string(node->fields[0])), reader->table->name));
    if (!ours || name[0] == '\0') {
        return refuse(reader, offset, "a column of another table", "name a column of this table");
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
                            .type = widened(column->type),
                            .scale = column->scale,
                            .column = (uint16_t)position};
    return make(reader, &draft, NULL, 0, offset, out);
}

static enum fh_code read_null_test(const struct reader *reader, const PgQuery__NullTest *node,
                                   int64_t offset, struct operand *out)
{
    struct operand inner;
    offset = fh_ddl_place(node->location, offset);
    enum fh_code code = read_operand(reader, node->arg, offset, &inner);
    if (code != FH_OK) {
        return code;
    }
    if (inner.expr == NULL) {
        return refuse(reader, offset, "an operation on constants only", "write its result");
    }
    bool null = node->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    struct fh_expr draft = {.kind = null ? FH_EXPR_IS_NULL : FH_EXPR_IS_NOT_NULL,
                            .type = FH_TYPE_BOOL};
    return make(reader, &draft, &inner, 1, offset, out);
}

static enum fh_code read_coalesce(const struct reader *reader, const PgQuery__CoalesceExpr *node,
                                  int64_t offset, struct operand *out)
{
    offset = fh_ddl_place(node->location, offset);
    struct operands operands;
    struct fh_expr draft = {.kind = FH_EXPR_COALESCE};
    enum fh_code code = room_for(reader, node->n_args, &operands);
    if (code == FH_OK) {
        code = read_list(reader, node->args, node->n_args, offset, operands.list);
    }
    if (code == FH_OK) {
        code = type_alike(reader, &operands, offset, &draft.type);
    }
    if (code != FH_OK) {
        return code;
    }
    for (size_t i = 0; i < operands.count; i++) {
        const struct fh_expr *arg = operands.list[i].expr;
        draft.type = arg->type == FH_TYPE_NUMERIC ? FH_TYPE_NUMERIC : draft.type;
        draft.scale = scale_of(arg) > draft.scale ? scale_of(arg) : draft.scale;
    }
    return make(reader, &draft, operands.list, operands.count, offset, out);
}

static enum fh_code read_length(const struct reader *reader, const PgQuery__FuncCall *call,
                                bool octets, int64_t offset, struct operand *out)
{
    struct operand inner;
    enum fh_code code = read_operand(reader, call->args[0], offset, &inner);
    if (code != FH_OK) {
        return code;
    }
    if (inner.expr == NULL) {
        return refuse(reader, offset, "an operation on constants only", "write its result");
    }
    enum fh_type type = inner.expr->type;
    if (type != FH_TYPE_TEXT && type != FH_TYPE_BYTES) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                           "a length is of text or bytea, not of %s", fh_type_name(type));
    }
    struct fh_expr draft = {.kind = octets || type == FH_TYPE_BYTES ? FH_EXPR_OCTET_LENGTH
                                                                    : FH_EXPR_LENGTH,
                            .type = FH_TYPE_INT64};
    return make(reader, &draft, &inner, 1, offset, out);
}

static enum fh_code read_function(const struct reader *reader, const PgQuery__FuncCall *call,
                                  int64_t offset, struct operand *out)
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
    return refuse(reader, offset, what,
                  "use length, char_length, octet_length or coalesce, or compute the value in the "
                  "application");
}

static enum fh_code read_cast(const struct reader *reader, const PgQuery__TypeCast *node,
                              int64_t offset, struct operand *out)
{
    int64_t at = fh_ddl_place(node->location, offset);
    enum fh_code code = read_operand(reader, node->arg, at, out);
    if (code == FH_OK && (out->expr != NULL || out->cast != NULL)) {
        return refuse(reader, at, "a cast of anything but a constant",
                      "the types must be the same without it");
    }
    out->cast = node->type_name;
    return code;
}

static enum fh_code read_operand(const struct reader *reader, const PgQuery__Node *node,
                                 int64_t offset, struct operand *out)
{
    *out = (struct operand){.offset = offset, .nodes = 1, .depth = 1};
    if (node == NULL) {
        return refuse(reader, offset, "this", "leave it out");
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
        return refuse(reader, fh_ddl_place(node->boolean_test->location, offset), "IS TRUE",
                      "write coalesce(column, false), or the column alone");
    default:
        return refuse(reader, fh_ddl_expression_place(node, offset), fh_ddl_construct_name(node),
                      "compute the value in the application");
    }
}

enum fh_code fh_ddl_check_expr(struct fh_ddl_build *build, const struct fh_ddl_table *table,
                               const PgQuery__Node *node, int64_t offset,
                               const struct fh_expr **out)
{
    const struct reader reader = {.build = build, .table = table};
    struct operand whole;
    enum fh_code code = read_operand(&reader, node, offset, &whole);
    if (code != FH_OK) {
        return code;
    }
    if (whole.expr == NULL) {
        return refuse(&reader, whole.offset, "a constant alone", "compare a column with it");
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
        return is_exact(expr->type) && scale_of(expr) <= column->scale;
    }
    return expr->type == widened(column->type) && expr->type != FH_TYPE_JSON;
}

enum fh_code fh_ddl_generated_expr(struct fh_ddl_build *build, const struct fh_ddl_table *table,
                                   const struct fh_column *column, const PgQuery__Node *node,
                                   int64_t offset, const struct fh_expr **out)
{
    const struct reader reader = {.build = build, .table = table, .generated = true};
    struct operand whole;
    enum fh_code code = read_operand(&reader, node, offset, &whole);
    if (code != FH_OK) {
        return code;
    }
    if (whole.expr == NULL) {
        return refuse(&reader, whole.offset, "a constant alone", "use DEFAULT");
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
