/* Expressions and constants of the model as PostgreSQL's text: the net under fh_expr_evaluate(),
 * and what fills a new generated column of stored rows.
 *
 * Integers are widened to int8 and reals to float8 before anything is done to them, text compares
 * byte-wise, and a result of floats loses the sign of its zero, so that PostgreSQL's answer is
 * ours. Where ours is FH_RANGE, PostgreSQL's may be a number: such rows never get this far.
 */
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "stores/expr.h"
#include "stores/pg/sql.h"

static void quote(struct fh_buf *out, struct fh_str text)
{
    bool escapes = text.len > 0 && memchr(text.data, '\\', text.len) != NULL;
    fh_buf_add_text(out, escapes ? "E'" : "'");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\'' || text.data[i] == '\\') {
            fh_buf_add_char(out, text.data[i]);
        }
        fh_buf_add_char(out, text.data[i]);
    }
    fh_buf_add_char(out, '\'');
}

static void hex(struct fh_buf *out, struct fh_str bytes)
{
    fh_buf_add_text(out, "'\\x");
    for (size_t i = 0; i < bytes.len; i++) {
        char digits[3];
        fh_hex_encode(bytes.data + i, 1, digits);
        fh_buf_add_text(out, digits);
    }
    fh_buf_add_char(out, '\'');
}

void fh_pg_sql_constant(struct fh_buf *out, const struct fh_value *value, uint8_t scale)
{
    const struct fh_column column = {.type = value->type, .precision = 18, .scale = scale};
    struct fh_buf text;
    if (value->is_null) {
        fh_buf_add_text(out, "null");
    } else if (value->type == FH_TYPE_BYTES) {
        hex(out, value->as.bytes);
    } else {
        fh_buf_init(&text, FH_VALUE_BYTES_MAX + 64);
        fh_value_format(value, &column, &text);
        if (fh_buf_code(&text) != FH_OK) {
            out->code = fh_buf_code(&text);
        } else {
            quote(out, fh_buf_str(&text));
        }
        fh_buf_close(&text);
    }
    fh_buf_printf(out, "::%s%s", fh_pg_sql_type(value->type),
                  value->type == FH_TYPE_TEXT ? " collate \"C\"" : "");
}

struct printer {
    struct fh_buf *out;
    const struct fh_table *table; /* the expression's */
    const struct fh_table *names; /* the same, in the version whose names its columns have */
};

static void print(const struct printer *to, const struct fh_expr *expr);

static void print_column(const struct printer *to, const struct fh_expr *expr)
{
    const struct fh_column *column = &to->table->columns[expr->column];
    const struct fh_column *named = fh_table_column_by_id(to->names, column->id);
    FH_ASSERT(named != NULL);
    fh_pg_sql_name(to->out, named->name);
    if (column->type == FH_TYPE_INT16 || column->type == FH_TYPE_INT32) {
        fh_buf_add_text(to->out, "::int8");
    } else if (column->type == FH_TYPE_FLOAT32) {
        fh_buf_add_text(to->out, "::float8");
    }
}

static void print_list(const struct printer *to, const struct fh_expr *expr, uint16_t first,
                       const char *between, const char *cast)
{
    for (uint16_t i = first; i < expr->arg_count; i++) {
        fh_buf_add_text(to->out, i > first ? between : "");
        print(to, expr->args[i]);
        fh_buf_add_text(to->out, cast);
    }
}

/* Numbers of different kinds meet as what comes out. */
static const char *number_cast(const struct fh_expr *expr)
{
    return expr->type == FH_TYPE_NUMERIC ? "::numeric" : "";
}

static void print_arithmetic(const struct printer *to, const struct fh_expr *expr)
{
    static const char *const operators[] = {
        [FH_EXPR_ADD] = " + ", [FH_EXPR_SUB] = " - ", [FH_EXPR_MUL] = " * "};
    const char *zero = expr->type == FH_TYPE_FLOAT64   ? "'0'::float8"
                       : expr->type == FH_TYPE_NUMERIC ? "'0'::numeric"
                                                       : "'0'::int8";
    if (expr->kind == FH_EXPR_NEG) { /* a float's zero would become -0 */
        fh_buf_printf(to->out, "%s - ", zero);
        print_list(to, expr, 0, "", number_cast(expr));
        return;
    }
    print_list(to, expr, 0, operators[expr->kind], number_cast(expr));
    if (expr->kind == FH_EXPR_MUL && expr->type == FH_TYPE_FLOAT64) {
        fh_buf_printf(to->out, " + %s", zero);
    }
}

static void print_call(const struct printer *to, const struct fh_expr *expr, const char *name,
                       const char *cast)
{
    fh_buf_printf(to->out, "%s(", name);
    print_list(to, expr, 0, ", ", expr->kind == FH_EXPR_COALESCE ? number_cast(expr) : "");
    fh_buf_printf(to->out, ")%s", cast);
}

static const char *infix(enum fh_expr_kind kind)
{
    switch (kind) {
    case FH_EXPR_AND:
        return " and ";
    case FH_EXPR_OR:
        return " or ";
    case FH_EXPR_EQ:
        return " = ";
    case FH_EXPR_NE:
        return " <> ";
    case FH_EXPR_LT:
        return " < ";
    case FH_EXPR_LE:
        return " <= ";
    case FH_EXPR_GT:
        return " > ";
    case FH_EXPR_GE:
        return " >= ";
    case FH_EXPR_CONCAT:
        return " || ";
    default:
        return NULL;
    }
}

static void print_operation(const struct printer *to, const struct fh_expr *expr)
{
    switch (expr->kind) {
    case FH_EXPR_NOT:
        fh_buf_add_text(to->out, "not ");
        print(to, expr->args[0]);
        return;
    case FH_EXPR_IS_NULL:
    case FH_EXPR_IS_NOT_NULL:
        print(to, expr->args[0]);
        fh_buf_add_text(to->out, expr->kind == FH_EXPR_IS_NULL ? " is null" : " is not null");
        return;
    case FH_EXPR_IN:
        print(to, expr->args[0]);
        fh_buf_add_text(to->out, " in (");
        print_list(to, expr, 1, ", ", "");
        fh_buf_add_char(to->out, ')');
        return;
    case FH_EXPR_ADD:
    case FH_EXPR_SUB:
    case FH_EXPR_MUL:
    case FH_EXPR_NEG:
        print_arithmetic(to, expr);
        return;
    case FH_EXPR_LENGTH:
        print_call(to, expr, "char_length", "::int8");
        return;
    case FH_EXPR_OCTET_LENGTH:
        print_call(to, expr, "octet_length", "::int8");
        return;
    case FH_EXPR_COALESCE:
        print_call(to, expr, "coalesce", "");
        return;
    default:
        print_list(to, expr, 0, infix(expr->kind), "");
        return;
    }
}

/* Bounded by FH_EXPR_DEPTH_MAX, which the parser keeps. */
static void print(const struct printer *to, const struct fh_expr *expr)
{
    switch (expr->kind) {
    case FH_EXPR_COLUMN:
        print_column(to, expr);
        return;
    case FH_EXPR_CONSTANT:
        fh_buf_add_char(to->out, '(');
        fh_pg_sql_constant(to->out, &expr->constant, expr->scale);
        fh_buf_add_char(to->out, ')');
        return;
    default:
        fh_buf_add_char(to->out, '(');
        print_operation(to, expr);
        fh_buf_add_char(to->out, ')');
        return;
    }
}

void fh_pg_sql_expr(struct fh_buf *out, const struct fh_expr *expr, const struct fh_table *table,
                    const struct fh_table *names)
{
    const struct printer printer = {.out = out, .table = table, .names = names};
    print(&printer, expr);
}
