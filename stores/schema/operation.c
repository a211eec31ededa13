/* Nodes of expressions: what may stand beside what, and of what type the result is.
 *
 * A constant takes the type of what it stands beside; whole numbers among exact ones stay integers,
 * those with a point are numerics of as many places.
 */
#include "stores/schema/expression.h"

#include "base/assert.h"

enum fh_code fh_ddl_operation_refuse(const struct fh_ddl_reader *reader, int64_t offset,
                                     const char *what, const char *advice)
{
    return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                       "%s is not supported in an expression: %s", what, advice);
}

enum fh_code fh_ddl_operation_constants_only(const struct fh_ddl_reader *reader, int64_t offset)
{
    return fh_ddl_operation_refuse(reader, offset, "an operation on constants only",
                                   "write its result");
}

enum fh_type fh_ddl_type_widened(enum fh_type type)
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

bool fh_ddl_type_is_exact(enum fh_type type)
{
    return type == FH_TYPE_INT64 || type == FH_TYPE_NUMERIC;
}

bool fh_ddl_type_is_number(enum fh_type type)
{
    return fh_ddl_type_is_exact(type) || type == FH_TYPE_FLOAT64;
}

static bool fits_together(enum fh_type a, enum fh_type b)
{
    return a == b || (fh_ddl_type_is_exact(a) && fh_ddl_type_is_exact(b));
}

uint8_t fh_ddl_expr_scale(const struct fh_expr *expr)
{
    return expr->type == FH_TYPE_NUMERIC ? expr->scale : 0;
}

/* The operation over its arguments, whose constants have types by now. */
enum fh_code fh_ddl_operation_make(const struct fh_ddl_reader *reader, const struct fh_expr *draft,
                                   const struct fh_ddl_operand *args, size_t count, int64_t offset,
                                   struct fh_ddl_operand *out)
{
    const struct fh_ddl_source *source = &reader->build->source;
    struct fh_expr *expr = FH_ARENA_NEW(reader->build->arena, struct fh_expr);
    const struct fh_expr **list =
        FH_ARENA_ARRAY(reader->build->arena, const struct fh_expr *, count);
    if (expr == NULL || list == NULL) {
        return fh_ddl_nomem(source);
    }
    *out = (struct fh_ddl_operand){.expr = expr, .offset = offset, .nodes = 1, .depth = 1};
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
static enum fh_code check_cast(const struct fh_ddl_reader *reader,
                               const struct fh_ddl_operand *operand, enum fh_type type)
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
    if (fits_together(fh_ddl_type_widened(cast.type), type)) {
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
    if (fh_ddl_type_is_number(type) != number ||
        (type == FH_TYPE_BOOL) != (constant->kind == FH_DDL_CONSTANT_BOOLEAN)) {
        return false;
    }
    if (!fh_ddl_type_is_exact(type)) {
        return true;
    }
    const char *point = memchr(constant->text.data, '.', constant->text.len);
    size_t digits =
        point != NULL ? constant->text.len - (size_t)(point - constant->text.data) - 1 : 0;
    if (memchr(constant->text.data, 'e', constant->text.len) != NULL ||
        memchr(constant->text.data, 'E', constant->text.len) != NULL || digits > FH_DDL_SCALE_MAX) {
        return false;
    }
    out->type = point != NULL ? FH_TYPE_NUMERIC : FH_TYPE_INT64;
    out->precision = FH_DDL_SCALE_MAX;
    out->scale = (uint8_t)digits;
    return true;
}

/* Gives a constant the type of its place. */
static enum fh_code type_constant(const struct fh_ddl_reader *reader, enum fh_type type,
                                  struct fh_ddl_operand *operand)
{
    if (operand->expr != NULL) {
        return FH_OK;
    }
    if (operand->constant.kind == FH_DDL_CONSTANT_NULL) {
        return fh_ddl_operation_refuse(reader, operand->constant.offset, "NULL",
                                       "write IS NULL or IS NOT NULL");
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
    return code == FH_OK
               ? fh_ddl_operation_make(reader, &constant, NULL, 0, operand->offset, operand)
               : code;
}

/* Types the constants by the first operand that has a type. */
static enum fh_code type_alike(const struct fh_ddl_reader *reader,
                               const struct fh_ddl_operands *operands, int64_t offset,
                               enum fh_type *type)
{
    const struct fh_ddl_operand *first = NULL;
    for (size_t i = 0; first == NULL && i < operands->count; i++) {
        first = operands->list[i].expr != NULL ? &operands->list[i] : NULL;
    }
    if (first == NULL) {
        return fh_ddl_operation_constants_only(reader, offset);
    }
    *type = first->expr->type;
    for (size_t i = 0; i < operands->count; i++) {
        struct fh_ddl_operand *operand = &operands->list[i];
        enum fh_code code = type_constant(reader, *type, operand);
        if (code != FH_OK) {
            return code;
        }
        FH_ASSERT(operand->expr != NULL);
        if (!fits_together(operand->expr->type, *type)) {
            return fh_ddl_fail(&reader->build->source, FH_INVALID, operand->offset,
                               "%s and %s do not go together here: the types must be the same",
                               fh_type_name(*type), fh_type_name(operand->expr->type));
        }
    }
    return FH_OK;
}

enum fh_code fh_ddl_operand_need(const struct fh_ddl_reader *reader, struct fh_ddl_operand *operand,
                                 enum fh_type type, const char *what)
{
    enum fh_code code = type_constant(reader, type, operand);
    if (code != FH_OK || operand->expr->type == type) {
        return code;
    }
    return fh_ddl_fail(&reader->build->source, FH_INVALID, operand->offset, "%s needs %s, not %s",
                       what, fh_type_name(type), fh_type_name(operand->expr->type));
}

enum fh_code fh_ddl_operands_room(const struct fh_ddl_reader *reader, size_t count,
                                  struct fh_ddl_operands *out)
{
    *out = (struct fh_ddl_operands){
        .list = FH_ARENA_ARRAY(reader->build->scratch, struct fh_ddl_operand, count),
        .count = count};
    return out->list != NULL ? FH_OK : fh_ddl_nomem(&reader->build->source);
}

/* AND, OR, ||: arguments of the same kind are taken apart. */
enum fh_code fh_ddl_operation_chain(const struct fh_ddl_reader *reader, enum fh_expr_kind kind,
                                    enum fh_type type, const struct fh_ddl_operands *operands,
                                    int64_t offset, struct fh_ddl_operand *out)
{
    size_t count = 0;
    for (size_t i = 0; i < operands->count; i++) {
        const struct fh_expr *expr = operands->list[i].expr;
        count += expr->kind == kind ? expr->arg_count : 1;
    }
    struct fh_ddl_operands flat;
    enum fh_code code = fh_ddl_operands_room(reader, count, &flat);
    if (code != FH_OK) {
        return code;
    }
    size_t at = 0;
    for (size_t i = 0; i < operands->count; i++) {
        const struct fh_ddl_operand *operand = &operands->list[i];
        if (operand->expr->kind != kind) {
            flat.list[at++] = *operand;
            continue;
        }
        for (uint16_t k = 0; k < operand->expr->arg_count; k++) {
            /* Each stands for its share; what matters is the sum and the deepest. */
            flat.list[at++] = (struct fh_ddl_operand){.expr = operand->expr->args[k],
                                                      .nodes = k == 0 ? operand->nodes - 1 : 0,
                                                      .depth = operand->depth - 1};
        }
    }
    struct fh_expr draft = {.kind = kind, .type = type};
    return fh_ddl_operation_make(reader, &draft, flat.list, count, offset, out);
}

enum fh_code fh_ddl_operation_compare(const struct fh_ddl_reader *reader, enum fh_expr_kind kind,
                                      struct fh_ddl_operands *operands, int64_t offset,
                                      struct fh_ddl_operand *out)
{
    enum fh_type type = FH_TYPE_BOOL;
    enum fh_code code = type_alike(reader, operands, offset, &type);
    if (code == FH_OK && type == FH_TYPE_JSON) {
        code = fh_ddl_operation_refuse(reader, offset, "comparing jsonb",
                                       "engines order it differently; compare a column of its own");
    }
    struct fh_expr draft = {.kind = kind, .type = FH_TYPE_BOOL};
    return code == FH_OK
               ? fh_ddl_operation_make(reader, &draft, operands->list, operands->count, offset, out)
               : code;
}

enum fh_code fh_ddl_operation_arithmetic(const struct fh_ddl_reader *reader, enum fh_expr_kind kind,
                                         struct fh_ddl_operands *operands, int64_t offset,
                                         struct fh_ddl_operand *out)
{
    struct fh_expr draft = {.kind = kind};
    enum fh_code code = type_alike(reader, operands, offset, &draft.type);
    if (code != FH_OK) {
        return code;
    }
    if (!fh_ddl_type_is_number(draft.type)) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                           "arithmetic with %s is not supported in an expression: only numbers",
                           fh_type_name(draft.type));
    }
    unsigned scale = 0;
    for (size_t i = 0; i < operands->count; i++) {
        const struct fh_expr *arg = operands->list[i].expr;
        draft.type = arg->type == FH_TYPE_NUMERIC ? FH_TYPE_NUMERIC : draft.type;
        if (kind == FH_EXPR_MUL) {
            scale += fh_ddl_expr_scale(arg);
        } else {
            scale = fh_ddl_expr_scale(arg) > scale ? fh_ddl_expr_scale(arg) : scale;
        }
    }
    if (scale > FH_DDL_SCALE_MAX) {
        return fh_ddl_fail(&reader->build->source, FH_INVALID, offset,
                           "a product with %u decimal places is not supported: at most %d", scale,
                           FH_DDL_SCALE_MAX);
    }
    draft.scale = (uint8_t)scale;
    return fh_ddl_operation_make(reader, &draft, operands->list, operands->count, offset, out);
}

enum fh_code fh_ddl_operation_concatenate(const struct fh_ddl_reader *reader,
                                          struct fh_ddl_operands *operands, int64_t offset,
                                          struct fh_ddl_operand *out)
{
    enum fh_type type = FH_TYPE_TEXT;
    enum fh_code code = type_alike(reader, operands, offset, &type);
    for (size_t i = 0; code == FH_OK && i < operands->count; i++) {
        code = fh_ddl_operand_need(reader, &operands->list[i], FH_TYPE_TEXT, "||");
    }
    return code == FH_OK
               ? fh_ddl_operation_chain(reader, FH_EXPR_CONCAT, FH_TYPE_TEXT, operands, offset, out)
               : code;
}

enum fh_code fh_ddl_operation_coalesce(const struct fh_ddl_reader *reader,
                                       struct fh_ddl_operands *operands, int64_t offset,
                                       struct fh_ddl_operand *out)
{
    struct fh_expr draft = {.kind = FH_EXPR_COALESCE};
    enum fh_code code = type_alike(reader, operands, offset, &draft.type);
    for (size_t i = 0; code == FH_OK && i < operands->count; i++) {
        const struct fh_expr *arg = operands->list[i].expr;
        draft.type = arg->type == FH_TYPE_NUMERIC ? FH_TYPE_NUMERIC : draft.type;
        draft.scale = fh_ddl_expr_scale(arg) > draft.scale ? fh_ddl_expr_scale(arg) : draft.scale;
    }
    return code == FH_OK
               ? fh_ddl_operation_make(reader, &draft, operands->list, operands->count, offset, out)
               : code;
}
