/* The text of every statement on tenants' data, generated from the schema model: identifiers
 * quoted, values always bound.
 *
 * The order of parameters is said beside each generator in sql.c, dml.c and fast_sql.c; whoever
 * sends a statement follows it. Pure functions; errors stick in the buffer.
 */
#ifndef FH_STORES_PG_SQL_H
#define FH_STORES_PG_SQL_H

#include "base/buf.h"
#include "stores/pg/statements.h"

void fh_pg_sql(const struct fh_pg_statement_key *key, struct fh_buf *out);

/* Parts shared by the generators. */
void fh_pg_sql_name(struct fh_buf *out, struct fh_str name);                  /* "name" */
void fh_pg_sql_table(struct fh_buf *out, const char *home, const char *name); /* "home"."name" */
void fh_pg_sql_model_table(struct fh_buf *out, const char *home, const struct fh_table *table);
/* The fence as statements of the key's schema version see it: "home".fh_fence_v<version>. */
void fh_pg_sql_fence(struct fh_buf *out, const struct fh_pg_statement_key *key);
/* a.tenant_id, a.<columns>, a.created_at, ...: the form fh_pg_row_read() takes. `alias` may be "".
 */
void fh_pg_sql_row_columns(struct fh_buf *out, const char *alias, const struct fh_table *table);
/* a.k1 = $first and a.k2 = $first+1 ... */
void fh_pg_sql_key_match(struct fh_buf *out, const char *alias, const struct fh_table *table,
                         unsigned first);
/* a.tenant_id = $1 and, or nothing when tests took layer one away. */
void fh_pg_sql_predicate(struct fh_buf *out, const struct fh_pg_statement_key *key,
                         const char *alias);

/* int8, text, ...: as a cast names it. */
const char *fh_pg_sql_type(enum fh_type type);

/* '5'::int8: a value as it may stand in a definition. `scale` is a numeric's. */
void fh_pg_sql_constant(struct fh_buf *out, const struct fh_value *value, uint8_t scale);
/* A whole expression of `table`; its columns by the names they have in `names`, which is the same
 * table in that version or another (sql_expr.c). */
void fh_pg_sql_expr(struct fh_buf *out, const struct fh_expr *expr, const struct fh_table *table,
                    const struct fh_table *names);

void fh_pg_sql_row(const struct fh_pg_statement_key *key, struct fh_buf *out);  /* dml.c */
void fh_pg_sql_fast(const struct fh_pg_statement_key *key, struct fh_buf *out); /* fast_sql.c */
void fh_pg_sql_move(const struct fh_pg_statement_key *key, struct fh_buf *out); /* move_sql.c */

#endif
