/* Sums, differences, products and COALESCEs of them are printed as they stand, and looked at where
 * they are used: SQLite turns an integer that overflows into a float, which it stays through
 * further arithmetic, so one look at the type of the whole is enough. abs() of the least integer is
 * SQLite's way to fail.
 *
 * Comparisons scale their sides without that look: beyond 64 bits a side becomes a float, and
 * SQLite compares integers with floats by value.
 */
#include "stores/sqlite/expression.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

#define OVERFLOW_ERROR "abs(-9223372036854775808)"
#define REAL_MAX "1.7976931348623157e308"

struct printer {
    fh_sqlite_column_cb *column_cb;
    void *arg;
    struct fh_buf *out;
};

static void print(const struct printer *to, const struct fh_expr *expr);
static void print_part(const struct printer *to, const struct fh_expr *expr);

static void print_quoted(struct fh_str text, struct fh_buf *out)
{
    fh_buf_add_char(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\'') {
            fh_buf_add_char(out, '\'');
        }
        fh_buf_add_char(out, text.data[i]);
    }
    fh_buf_add_char(out, '\'');
}

static void print_bytes(const uint8_t *bytes, size_t len, struct fh_buf *out)
{
    fh_buf_add_text(out, "x'");
    for (size_t i = 0; i < len; i++) {
        fh_buf_printf(out, "%02x", bytes[i]);
    }
    fh_buf_add_char(out, '\'');
}

/* The shortest text that means the same: SQLite reads long ones less exactly. */
static void print_real(double value, struct fh_buf *out)
{
    char text[40];
    for (int digits = 14; digits <= 16; digits++) {
        (void)snprintf(text, sizeof(text), "%.*e", digits, value); /* the exponent: a float */
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    fh_buf_add_text(out, text);
}

void fh_sqlite_literal(const struct fh_value *value, struct fh_buf *out)
{
    if (value->is_null) {
        fh_buf_add_text(out, "NULL");
        return;
    }
    switch (value->type) {
    case FH_TYPE_BOOL:
        fh_buf_add_char(out, value->as.boolean ? '1' : '0');
        return;
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_NUMERIC:
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
        fh_buf_printf(out, "%" PRId64, value->as.integer);
        return;
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        print_real(value->as.real, out);
        return;
    case FH_TYPE_TEXT:
    case FH_TYPE_JSON:
        print_quoted(value->as.bytes, out);
        return;
    case FH_TYPE_BYTES:
        print_bytes((const uint8_t *)value->as.bytes.data, value->as.bytes.len, out);
        return;
    case FH_TYPE_UUID:
        print_bytes(value->as.uuid.bytes, sizeof(value->as.uuid.bytes), out);
        return;
    }
    FH_UNREACHABLE();
}

static bool is_exact(const struct fh_expr *expr)
{
    return expr->type == FH_TYPE_INT64 || expr->type == FH_TYPE_NUMERIC;
}

/* An integer is a numeric of scale 0. */
static unsigned scale_of(const struct fh_expr *expr)
{
    return expr->type == FH_TYPE_NUMERIC ? expr->scale : 0;
}

static unsigned greatest_scale(const struct fh_expr *expr)
{
    unsigned scale = 0;
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        unsigned of_arg = scale_of(expr->args[i]);
        scale = of_arg > scale ? of_arg : scale;
    }
    return scale;
}

/* May be a float where an integer is meant, or infinite. */
static bool may_overflow(const struct fh_expr *expr)
{
    switch (expr->kind) {
    case FH_EXPR_ADD:
    case FH_EXPR_SUB:
    case FH_EXPR_MUL:
    case FH_EXPR_NEG:
        return true;
    case FH_EXPR_COALESCE:
        return is_exact(expr) || expr->type == FH_TYPE_FLOAT64;
    default:
        return false;
    }
}

static void print_scaled(const struct printer *to, const struct fh_expr *expr, unsigned scale,
                         bool looked_at)
{
    unsigned factor = is_exact(expr) && scale > scale_of(expr) ? scale - scale_of(expr) : 0;
    if (factor > 0) {
        fh_buf_add_char(to->out, '(');
    }
    if (looked_at) {
        print(to, expr);
    } else {
        print_part(to, expr);
    }
    if (factor > 0) {
        fh_buf_add_text(to->out, "*1");
        while (factor-- > 0) {
            fh_buf_add_char(to->out, '0');
        }
        fh_buf_add_char(to->out, ')');
    }
}

/* (a <between> b <between> ...), from `first` on */
static void print_list(const struct printer *to, const struct fh_expr *expr, uint16_t first,
                       const char *between, unsigned scale, bool looked_at)
{
    fh_buf_add_char(to->out, '(');
    for (uint16_t i = first; i < expr->arg_count; i++) {
        fh_buf_add_text(to->out, i > first ? between : "");
        print_scaled(to, expr->args[i], scale, looked_at);
    }
    fh_buf_add_char(to->out, ')');
}

static void print_call(const struct printer *to, const struct fh_expr *expr, const char *before,
                       const char *after)
{
    fh_buf_add_text(to->out, before);
    print(to, expr->args[0]);
    fh_buf_add_text(to->out, after);
}

static const char *comparison(enum fh_expr_kind kind)
{
    switch (kind) {
    case FH_EXPR_EQ:
        return "=";
    case FH_EXPR_NE:
        return "<>";
    case FH_EXPR_LT:
        return "<";
    case FH_EXPR_LE:
        return "<=";
    case FH_EXPR_GT:
        return ">";
    case FH_EXPR_GE:
        return ">=";
    default:
        return NULL;
    }
}

static void print_part(const struct printer *to, const struct fh_expr *expr)
{
    switch (expr->kind) {
    case FH_EXPR_COLUMN:
        to->column_cb(to->arg, expr->column, to->out);
        return;
    case FH_EXPR_CONSTANT:
        fh_buf_add_char(to->out, '(');
        fh_sqlite_literal(&expr->constant, to->out);
        fh_buf_add_char(to->out, ')');
        return;
    case FH_EXPR_AND:
    case FH_EXPR_OR:
        print_list(to, expr, 0, expr->kind == FH_EXPR_AND ? " AND " : " OR ", 0, true);
        return;
    case FH_EXPR_NOT:
        print_call(to, expr, "(NOT ", ")");
        return;
    case FH_EXPR_IS_NULL:
        print_call(to, expr, "(", " IS NULL)");
        return;
    case FH_EXPR_IS_NOT_NULL:
        print_call(to, expr, "(", " IS NOT NULL)");
        return;
    case FH_EXPR_IN:
        fh_buf_add_char(to->out, '(');
        print_scaled(to, expr->args[0], greatest_scale(expr), true);
        fh_buf_add_text(to->out, " IN ");
        print_list(to, expr, 1, ",", greatest_scale(expr), true);
        fh_buf_add_char(to->out, ')');
        return;
    case FH_EXPR_ADD:
        print_list(to, expr, 0, "+", scale_of(expr), false);
        return;
    case FH_EXPR_SUB:
        print_list(to, expr, 0, "-", scale_of(expr), false);
        return;
    case FH_EXPR_MUL:
        print_list(to, expr, 0, "*", 0, false);
        return;
    case FH_EXPR_NEG:
        fh_buf_add_text(to->out, "(-");
        print_part(to, expr->args[0]);
        fh_buf_add_char(to->out, ')');
        return;
    case FH_EXPR_CONCAT:
        print_list(to, expr, 0, "||", 0, true);
        return;
    case FH_EXPR_LENGTH:
        print_call(to, expr, "length(", ")");
        return;
    case FH_EXPR_OCTET_LENGTH:
        print_call(to, expr, "length(CAST(", " AS BLOB))");
        return;
    case FH_EXPR_COALESCE:
        fh_buf_add_text(to->out, "coalesce");
        print_list(to, expr, 0, ",", scale_of(expr), false);
        return;
    default:
        FH_ASSERT(comparison(expr->kind) != NULL);
        print_list(to, expr, 0, comparison(expr->kind), greatest_scale(expr), true);
        return;
    }
}

static void print(const struct printer *to, const struct fh_expr *expr)
{
    if (!may_overflow(expr)) {
        print_part(to, expr);
        return;
    }
    bool real = expr->type == FH_TYPE_FLOAT64;
    fh_buf_add_text(to->out, real ? "(CASE WHEN abs(" : "(CASE WHEN typeof(");
    print_part(to, expr);
    fh_buf_add_text(to->out, real ? ")>" REAL_MAX " THEN " OVERFLOW_ERROR " ELSE "
                                  : ")='real' THEN " OVERFLOW_ERROR " ELSE ");
    print_part(to, expr);
    fh_buf_add_text(to->out, " END)");
}

void fh_sqlite_expression(const struct fh_expr *expr, fh_sqlite_column_cb *column_cb, void *arg,
                          struct fh_buf *out)
{
    const struct printer to = {.column_cb = column_cb, .arg = arg, .out = out};
    print(&to, expr);
}
