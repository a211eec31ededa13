/* Expressions of the application's schema: checks and generated columns.
 *
 * A tree from an allowlist of immutable operations, each defined once, here: fh_expr_evaluate() is
 * what decides, on every engine alike; the engines' own text of an expression is the net under it
 * and must agree (tests/conformance compares them). Integers are exact 64-bit, overflow is
 * FH_RANGE; numeric is exact, with the scale in the node; text compares byte-wise and its length is
 * in characters. Null follows SQL's three-valued logic.
 *
 * An integer is a numeric of scale 0 and may stand wherever a NUMERIC may: in comparisons, lists,
 * arithmetic and COALESCE each argument has its own scale and is aligned exactly. Floats mix with
 * floats only. A product's scale is the sum of its factors' (at most 18), a sum's and COALESCE's
 * the largest of its arguments'. A product of floats that underflows to zero is FH_RANGE, too.
 * There are no null constants.
 *
 * Immutable, in the schema's arena. Pure functions, any thread.
 */
#ifndef FH_STORES_EXPR_H
#define FH_STORES_EXPR_H

#include "stores/model.h"
#include "stores/row.h"

#define FH_EXPR_NODES_MAX 256 /* of one expression */
#define FH_EXPR_DEPTH_MAX 32
#define FH_EXPR_ARGS_MAX 100 /* of IN, COALESCE, AND, OR, CONCAT */

enum fh_expr_kind {
    FH_EXPR_COLUMN,
    FH_EXPR_CONSTANT,
    FH_EXPR_AND, /* two or more args */
    FH_EXPR_OR,
    FH_EXPR_NOT,
    FH_EXPR_IS_NULL,
    FH_EXPR_IS_NOT_NULL,
    FH_EXPR_EQ, /* both sides of one type, after the parser's own conversions; never JSON */
    FH_EXPR_NE,
    FH_EXPR_LT,
    FH_EXPR_LE,
    FH_EXPR_GT,
    FH_EXPR_GE,
    FH_EXPR_IN,  /* args[0] in args[1..] */
    FH_EXPR_ADD, /* INT64, NUMERIC; FLOAT64 */
    FH_EXPR_SUB,
    FH_EXPR_MUL,
    FH_EXPR_NEG,
    FH_EXPR_CONCAT,       /* TEXT: null if any is */
    FH_EXPR_LENGTH,       /* of TEXT, in characters */
    FH_EXPR_OCTET_LENGTH, /* of TEXT or BYTES */
    FH_EXPR_COALESCE,
};

struct fh_expr {
    enum fh_expr_kind kind;
    enum fh_type type; /* of the result; integers widen to INT64, reals to FLOAT64 */
    uint8_t scale;     /* NUMERIC */
    uint16_t column;   /* COLUMN: position in the table of this version */
    uint16_t arg_count;
    struct fh_value constant;
    const struct fh_expr *const *args;
};

/* `row` is of the table that the expression belongs to. `*out` is null or of the expression's type;
 * its bytes are in the arena, or borrowed from the row or the schema. FH_RANGE (overflow),
 * FH_NOMEM; `error` may be NULL. */
FH_MUST_CHECK enum fh_code fh_expr_evaluate(const struct fh_expr *expr, const struct fh_row *row,
                                            struct fh_arena *arena, struct fh_value *out,
                                            struct fh_error *error);
/* A generated column's value for the row, as the column holds it: FH_RANGE, too, when the result
 * does not fit the column (its type's range, its length). `error` may be NULL. */
FH_MUST_CHECK enum fh_code fh_column_generate(const struct fh_column *column,
                                              const struct fh_row *row, struct fh_arena *arena,
                                              struct fh_value *out, struct fh_error *error);
/* Whether the row passes: true or null. */
FH_MUST_CHECK enum fh_code fh_check_evaluate(const struct fh_check *check, const struct fh_row *row,
                                             struct fh_arena *arena, bool *passes,
                                             struct fh_error *error);
/* Whether the expression reads the column. */
bool fh_expr_uses(const struct fh_expr *expr, uint16_t column);
/* Same tree, columns compared by id. */
bool fh_expr_equal(const struct fh_expr *a, const struct fh_table *table_a, const struct fh_expr *b,
                   const struct fh_table *table_b);

#endif
