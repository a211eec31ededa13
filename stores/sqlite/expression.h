/* Expressions of the model as SQLite's text: the net under fh_expr_evaluate(), which decides.
 *
 * The text agrees with it: integers that overflow are an error ("integer overflow"), numerics of
 * different scales are aligned, text is compared byte-wise and measured in characters. Only where
 * evaluation meets an overflow it may be laxer: SQLite does not look at what cannot matter to the
 * result (`x AND false`, a sum whose other part is null), and a product of floats that underflows
 * is 0. Pure functions, any thread.
 */
#ifndef FH_STORES_SQLITE_EXPRESSION_H
#define FH_STORES_SQLITE_EXPRESSION_H

#include "base/buf.h"
#include "stores/expr.h"

/* Prints what stands for a column of the expression's table. */
typedef void fh_sqlite_column_cb(void *arg, uint16_t position, struct fh_buf *out);

/* Errors stick to `out`. */
void fh_sqlite_expression(const struct fh_expr *expr, fh_sqlite_column_cb *column_cb, void *arg,
                          struct fh_buf *out);
/* As it is stored; never a null's type. */
void fh_sqlite_literal(const struct fh_value *value, struct fh_buf *out);

#endif
