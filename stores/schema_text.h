/* The schema as DDL text: identifiers, constants, expressions, columns, references.
 *
 * Canonical: one text for one meaning, lower case, and the migration parser reads it back as the
 * same thing. It is for people and for comparing; no engine is given it. Errors stick in `out`.
 * Pure functions, any thread.
 */
#ifndef FH_STORES_SCHEMA_TEXT_H
#define FH_STORES_SCHEMA_TEXT_H

#include "base/buf.h"
#include "stores/expr.h"
#include "stores/model.h"

/* Quoted only where PostgreSQL's grammar would read a keyword. */
void fh_schema_text_name(struct fh_str name, struct fh_buf *out);
/* 'it''s' */
void fh_schema_text_string(struct fh_str text, struct fh_buf *out);
/* Without a cast: what stands beside it gives the type. A numeric has `scale` digits. */
void fh_schema_text_constant(const struct fh_value *value, uint8_t scale, struct fh_buf *out);
/* Operations within others are in parentheses. */
void fh_schema_text_expr(const struct fh_expr *expr, const struct fh_table *table,
                         struct fh_buf *out);
void fh_schema_text_type(const struct fh_column *column, struct fh_buf *out); /* "numeric(9,2)" */
/* What stands behind DEFAULT; nothing when the column has none. */
void fh_schema_text_default(const struct fh_column *column, struct fh_buf *out);
/* "weight integer not null default 0" */
void fh_schema_text_column(const struct fh_column *column, const struct fh_table *table,
                           struct fh_buf *out);
/* "a, b": columns of the table by position. */
void fh_schema_text_names(const struct fh_table *table, const uint16_t *columns, size_t count,
                          struct fh_buf *out);
/* "foreign key (a, b) references t on delete cascade"; the action only when it is not the usual. */
void fh_schema_text_reference(const struct fh_foreign_key *key, const struct fh_table *table,
                              struct fh_buf *out);

#endif
