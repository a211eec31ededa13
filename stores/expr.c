/* One recursive walk; its depth is bounded by FH_EXPR_DEPTH_MAX, which the parser holds.
 *
 * Happy path: arguments left to right, AND, OR, IN and COALESCE stop at what decides them. Null is
 * a value with is_null and the node's type.
 *
 * Failures: FH_RANGE (an integer or numeric beyond 64 bits, a float that overflows or underflows,
 * a text beyond FH_VALUE_BYTES_MAX), FH_NOMEM. Messages never hold a value.
 */
#include "stores/expr.h"

#include "base/assert.h"

struct evaluation {
    const struct fh_row *row;
    struct fh_arena *arena;
    struct fh_error *error;
};

static enum fh_code evaluate(const struct evaluation *ev, const struct fh_expr *expr,
                             struct fh_value *out);

static enum fh_code out_of_range(const struct evaluation *ev)
{
    return fh_error_set(ev->error, FH_RANGE, "the result is out of range");
}

static void set_null(const struct fh_expr *expr, struct fh_value *out)
{
    *out = (struct fh_value){.type = expr->type, .is_null = true};
}

static void set_bool(bool value, struct fh_value *out)
{
    *out = (struct fh_value){.type = FH_TYPE_BOOL, .as.boolean = value};
}

static void set_integer(const struct fh_expr *expr, int64_t value, struct fh_value *out)
{
    *out = (struct fh_value){.type = expr->type, .as.integer = value};
}

/* An integer is a numeric of scale 0. */
static unsigned scale_of(const struct fh_expr *expr)
{
    return expr->type == FH_TYPE_NUMERIC ? expr->scale : 0;
}

/* False, and the value as it was, when it does not fit. */
static bool rescale(int64_t *value, unsigned from, unsigned to)
{
    FH_ASSERT(from <= to);
    int64_t scaled = *value;
    for (; from < to; from++) {
        if (__builtin_mul_overflow(scaled, 10, &scaled)) {
            return false;
        }
    }
    *value = scaled;
    return true;
}

static int sign_of(int64_t value)
{
    return (value > 0) - (value < 0);
}

/* Exact, whatever the scales: what does not fit after scaling up is beyond anything that does. */
static int compare_scaled(int64_t a, unsigned scale_a, int64_t b, unsigned scale_b)
{
    if (scale_a < scale_b && !rescale(&a, scale_a, scale_b)) {
        return sign_of(a);
    }
    if (scale_b < scale_a && !rescale(&b, scale_b, scale_a)) {
        return -sign_of(b);
    }
    return (a > b) - (a < b);
}

static bool is_exact(enum fh_type type)
{
    return type == FH_TYPE_INT64 || type == FH_TYPE_NUMERIC;
}

static int compare(const struct fh_expr *expr_a, const struct fh_value *a,
                   const struct fh_expr *expr_b, const struct fh_value *b)
{
    if (is_exact(expr_a->type) && is_exact(expr_b->type)) {
        return compare_scaled(a->as.integer, scale_of(expr_a), b->as.integer, scale_of(expr_b));
    }
    return fh_value_compare(a, b);
}

static void read_column(const struct evaluation *ev, const struct fh_expr *expr,
                        struct fh_value *out)
{
    FH_ASSERT(expr->column < ev->row->table->column_count);
    *out = ev->row->values[expr->column];
    out->type = expr->type; /* widened: the representation is the same */
}

/* `decisive` is what ends it: false for AND, true for OR. */
static enum fh_code connect(const struct evaluation *ev, const struct fh_expr *expr, bool decisive,
                            struct fh_value *out)
{
    bool unknown = false;
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        struct fh_value value = {0};
        enum fh_code code = evaluate(ev, expr->args[i], &value);
        if (code != FH_OK) {
            return code;
        }
        if (!value.is_null && value.as.boolean == decisive) {
            set_bool(decisive, out);
            return FH_OK;
        }
        unknown = unknown || value.is_null;
    }
    set_bool(!decisive, out);
    out->is_null = unknown;
    return FH_OK;
}

static bool holds(enum fh_expr_kind kind, int order)
{
    switch (kind) {
    case FH_EXPR_EQ:
        return order == 0;
    case FH_EXPR_NE:
        return order != 0;
    case FH_EXPR_LT:
        return order < 0;
    case FH_EXPR_LE:
        return order <= 0;
    case FH_EXPR_GT:
        return order > 0;
    case FH_EXPR_GE:
        return order >= 0;
    default:
        FH_UNREACHABLE();
    }
}

static enum fh_code evaluate_two(const struct evaluation *ev, const struct fh_expr *expr,
                                 struct fh_value *a, struct fh_value *b)
{
    FH_ASSERT(expr->arg_count == 2);
    enum fh_code code = evaluate(ev, expr->args[0], a);
    return code == FH_OK ? evaluate(ev, expr->args[1], b) : code;
}

static enum fh_code comparison(const struct evaluation *ev, const struct fh_expr *expr,
                               struct fh_value *out)
{
    struct fh_value a = {0};
    struct fh_value b = {0};
    enum fh_code code = evaluate_two(ev, expr, &a, &b);
    if (code != FH_OK) {
        return code;
    }
    if (a.is_null || b.is_null) {
        set_null(expr, out);
    } else {
        set_bool(holds(expr->kind, compare(expr->args[0], &a, expr->args[1], &b)), out);
    }
    return FH_OK;
}

static enum fh_code in_list(const struct evaluation *ev, const struct fh_expr *expr,
                            struct fh_value *out)
{
    struct fh_value wanted = {0};
    enum fh_code code = evaluate(ev, expr->args[0], &wanted);
    if (code != FH_OK) {
        return code;
    }
    if (wanted.is_null) {
        set_null(expr, out);
        return FH_OK;
    }
    bool unknown = false;
    for (uint16_t i = 1; i < expr->arg_count; i++) {
        struct fh_value item = {0};
        code = evaluate(ev, expr->args[i], &item);
        if (code != FH_OK) {
            return code;
        }
        if (!item.is_null && compare(expr->args[0], &wanted, expr->args[i], &item) == 0) {
            set_bool(true, out);
            return FH_OK;
        }
        unknown = unknown || item.is_null;
    }
    set_bool(false, out);
    out->is_null = unknown;
    return FH_OK;
}

static enum fh_code exact_arithmetic(const struct evaluation *ev, const struct fh_expr *expr,
                                     int64_t a, int64_t b, struct fh_value *out)
{
    int64_t result = 0;
    bool over = false;
    if (expr->kind == FH_EXPR_MUL) {
        FH_ASSERT(scale_of(expr) == scale_of(expr->args[0]) + scale_of(expr->args[1]));
        over = __builtin_mul_overflow(a, b, &result);
    } else {
        over = !rescale(&a, scale_of(expr->args[0]), scale_of(expr)) ||
               !rescale(&b, scale_of(expr->args[1]), scale_of(expr)) ||
               (expr->kind == FH_EXPR_ADD ? __builtin_add_overflow(a, b, &result)
                                          : __builtin_sub_overflow(a, b, &result));
    }
    if (over) {
        return out_of_range(ev);
    }
    set_integer(expr, result, out);
    return FH_OK;
}

static enum fh_code real_arithmetic(const struct evaluation *ev, const struct fh_expr *expr,
                                    double a, double b, struct fh_value *out)
{
    double result = 0.0;
    if (expr->kind == FH_EXPR_MUL) {
        result = a * b;
        if (result == 0.0 && a != 0.0 && b != 0.0) {
            return out_of_range(ev); /* underflow, as PostgreSQL has it */
        }
    } else {
        result = expr->kind == FH_EXPR_ADD ? a + b : a - b;
    }
    if (!fh_real_normalize(&result, FH_TYPE_FLOAT64)) {
        return out_of_range(ev);
    }
    *out = (struct fh_value){.type = FH_TYPE_FLOAT64, .as.real = result};
    return FH_OK;
}

static enum fh_code arithmetic(const struct evaluation *ev, const struct fh_expr *expr,
                               struct fh_value *out)
{
    struct fh_value a = {0};
    struct fh_value b = {0};
    enum fh_code code = evaluate_two(ev, expr, &a, &b);
    if (code != FH_OK) {
        return code;
    }
    if (a.is_null || b.is_null) {
        set_null(expr, out);
        return FH_OK;
    }
    if (expr->type == FH_TYPE_FLOAT64) {
        return real_arithmetic(ev, expr, a.as.real, b.as.real, out);
    }
    return exact_arithmetic(ev, expr, a.as.integer, b.as.integer, out);
}

static enum fh_code negate(const struct evaluation *ev, const struct fh_expr *expr,
                           struct fh_value *out)
{
    enum fh_code code = evaluate(ev, expr->args[0], out);
    if (code != FH_OK || out->is_null) {
        return code;
    }
    if (expr->type == FH_TYPE_FLOAT64) {
        out->as.real = out->as.real == 0.0 ? 0.0 : -out->as.real;
        return FH_OK;
    }
    return __builtin_sub_overflow((int64_t)0, out->as.integer, &out->as.integer) ? out_of_range(ev)
                                                                                 : FH_OK;
}

static enum fh_code concatenate(const struct evaluation *ev, const struct fh_expr *expr,
                                struct fh_value *out)
{
    struct fh_value parts[FH_EXPR_ARGS_MAX];
    size_t len = 0;
    bool unknown = false;
    FH_ASSERT(expr->arg_count <= FH_EXPR_ARGS_MAX);
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        parts[i] = (struct fh_value){0};
        enum fh_code code = evaluate(ev, expr->args[i], &parts[i]);
        if (code != FH_OK) {
            return code;
        }
        unknown = unknown || parts[i].is_null;
        len += parts[i].is_null ? 0 : parts[i].as.bytes.len;
    }
    if (unknown) {
        set_null(expr, out);
        return FH_OK;
    }
    if (len > FH_VALUE_BYTES_MAX) {
        return out_of_range(ev);
    }
    char *text = fh_arena_alloc(ev->arena, len);
    if (text == NULL) {
        return fh_error_set(ev->error, FH_NOMEM, "out of memory");
    }
    size_t at = 0;
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        if (parts[i].as.bytes.len > 0) {
            memcpy(text + at, parts[i].as.bytes.data, parts[i].as.bytes.len);
            at += parts[i].as.bytes.len;
        }
    }
    *out = (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = {.data = text, .len = len}};
    return FH_OK;
}

static enum fh_code length_of(const struct evaluation *ev, const struct fh_expr *expr,
                              struct fh_value *out)
{
    struct fh_value value = {0};
    enum fh_code code = evaluate(ev, expr->args[0], &value);
    if (code != FH_OK) {
        return code;
    }
    if (value.is_null) {
        set_null(expr, out);
        return FH_OK;
    }
    struct fh_str bytes = value.as.bytes;
    set_integer(expr,
                expr->kind == FH_EXPR_LENGTH ? (int64_t)fh_text_characters(bytes)
                                             : (int64_t)bytes.len,
                out);
    return FH_OK;
}

static enum fh_code coalesce(const struct evaluation *ev, const struct fh_expr *expr,
                             struct fh_value *out)
{
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        enum fh_code code = evaluate(ev, expr->args[i], out);
        if (code != FH_OK) {
            return code;
        }
        if (out->is_null) {
            continue;
        }
        if (is_exact(expr->type) &&
            !rescale(&out->as.integer, scale_of(expr->args[i]), scale_of(expr))) {
            return out_of_range(ev);
        }
        out->type = expr->type;
        return FH_OK;
    }
    set_null(expr, out);
    return FH_OK;
}

static enum fh_code one_argument(const struct evaluation *ev, const struct fh_expr *expr,
                                 struct fh_value *out)
{
    struct fh_value value = {0};
    enum fh_code code = evaluate(ev, expr->args[0], &value);
    if (code != FH_OK) {
        return code;
    }
    if (expr->kind == FH_EXPR_NOT) {
        set_bool(!value.is_null && !value.as.boolean, out);
        out->is_null = value.is_null;
    } else {
        set_bool(value.is_null == (expr->kind == FH_EXPR_IS_NULL), out);
    }
    return FH_OK;
}

static enum fh_code evaluate(const struct evaluation *ev, const struct fh_expr *expr,
                             struct fh_value *out)
{
    switch (expr->kind) {
    case FH_EXPR_COLUMN:
        read_column(ev, expr, out);
        return FH_OK;
    case FH_EXPR_CONSTANT:
        *out = expr->constant;
        return FH_OK;
    case FH_EXPR_AND:
        return connect(ev, expr, false, out);
    case FH_EXPR_OR:
        return connect(ev, expr, true, out);
    case FH_EXPR_NOT:
    case FH_EXPR_IS_NULL:
    case FH_EXPR_IS_NOT_NULL:
        return one_argument(ev, expr, out);
    case FH_EXPR_EQ:
    case FH_EXPR_NE:
    case FH_EXPR_LT:
    case FH_EXPR_LE:
    case FH_EXPR_GT:
    case FH_EXPR_GE:
        return comparison(ev, expr, out);
    case FH_EXPR_IN:
        return in_list(ev, expr, out);
    case FH_EXPR_ADD:
    case FH_EXPR_SUB:
    case FH_EXPR_MUL:
        return arithmetic(ev, expr, out);
    case FH_EXPR_NEG:
        return negate(ev, expr, out);
    case FH_EXPR_CONCAT:
        return concatenate(ev, expr, out);
    case FH_EXPR_LENGTH:
    case FH_EXPR_OCTET_LENGTH:
        return length_of(ev, expr, out);
    case FH_EXPR_COALESCE:
        return coalesce(ev, expr, out);
    }
    FH_UNREACHABLE();
}

enum fh_code fh_expr_evaluate(const struct fh_expr *expr, const struct fh_row *row,
                              struct fh_arena *arena, struct fh_value *out, struct fh_error *error)
{
    const struct evaluation ev = {.row = row, .arena = arena, .error = error};
    return evaluate(&ev, expr, out);
}

/* From the expression's type to the column's: exact, or not at all. */
static bool fit(const struct fh_expr *expr, const struct fh_column *column, struct fh_value *value)
{
    value->type = column->type;
    switch (column->type) {
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
        return fh_integer_in_range(value->as.integer, column);
    case FH_TYPE_NUMERIC:
        return rescale(&value->as.integer, scale_of(expr), column->scale) &&
               fh_integer_in_range(value->as.integer, column);
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        return fh_real_normalize(&value->as.real, column->type);
    case FH_TYPE_TEXT:
        return column->length_max == 0 || fh_text_characters(value->as.bytes) <= column->length_max;
    case FH_TYPE_BOOL:
    case FH_TYPE_BYTES:
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
    case FH_TYPE_UUID:
    case FH_TYPE_JSON:
        return true;
    }
    FH_UNREACHABLE();
}

enum fh_code fh_column_generate(const struct fh_column *column, const struct fh_row *row,
                                struct fh_arena *arena, struct fh_value *out,
                                struct fh_error *error)
{
    FH_ASSERT(column->generated != NULL);
    enum fh_code code = fh_expr_evaluate(column->generated, row, arena, out, error);
    if (code != FH_OK) {
        return code;
    }
    if (out->is_null) {
        out->type = column->type;
        return FH_OK;
    }
    return fit(column->generated, column, out)
               ? FH_OK
               : fh_error_set(error, FH_RANGE, "the result does not fit the column");
}

enum fh_code fh_check_evaluate(const struct fh_check *check, const struct fh_row *row,
                               struct fh_arena *arena, bool *passes, struct fh_error *error)
{
    struct fh_value value = {0};
    enum fh_code code = fh_expr_evaluate(check->expr, row, arena, &value, error);
    *passes = code == FH_OK && (value.is_null || value.as.boolean);
    return code;
}

bool fh_expr_uses(const struct fh_expr *expr, uint16_t column)
{
    if (expr->kind == FH_EXPR_COLUMN) {
        return expr->column == column;
    }
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        if (fh_expr_uses(expr->args[i], column)) {
            return true;
        }
    }
    return false;
}

static bool same_node(const struct fh_expr *a, const struct fh_table *table_a,
                      const struct fh_expr *b, const struct fh_table *table_b)
{
    if (a->kind != b->kind || a->type != b->type || scale_of(a) != scale_of(b) ||
        a->arg_count != b->arg_count) {
        return false;
    }
    if (a->kind == FH_EXPR_COLUMN) {
        return table_a->columns[a->column].id == table_b->columns[b->column].id;
    }
    return a->kind != FH_EXPR_CONSTANT || fh_value_equal(&a->constant, &b->constant);
}

bool fh_expr_equal(const struct fh_expr *a, const struct fh_table *table_a, const struct fh_expr *b,
                   const struct fh_table *table_b)
{
    if (!same_node(a, table_a, b, table_b)) {
        return false;
    }
    for (uint16_t i = 0; i < a->arg_count; i++) {
        if (!fh_expr_equal(a->args[i], table_a, b->args[i], table_b)) {
            return false;
        }
    }
    return true;
}
