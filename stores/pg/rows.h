/* Results to values: rows, integers and bytes out of a PGresult in binary format.
 *
 * Everything that stays is copied into the arena. What is not in form is FH_CORRUPT. Pure
 * functions.
 */
#ifndef FH_STORES_PG_ROWS_H
#define FH_STORES_PG_ROWS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "stores/pg/op.h"
#include "stores/row.h"

struct fh_str fh_pg_field(const PGresult *result, int row, int column); /* {NULL, 0}: null */
FH_MUST_CHECK enum fh_code fh_pg_field_copy(const PGresult *result, int row, int column,
                                            struct fh_arena *arena, struct fh_str *out);
/* int2, int4, int8, xid8; null or another length: FH_CORRUPT. */
FH_MUST_CHECK enum fh_code fh_pg_field_int(const PGresult *result, int row, int column,
                                           int64_t *out);
FH_MUST_CHECK enum fh_code fh_pg_field_bool(const PGresult *result, int row, int column, bool *out);
FH_MUST_CHECK enum fh_code fh_pg_field_uuid(const PGresult *result, int row, int column,
                                            struct fh_uuid *out);
FH_MUST_CHECK enum fh_code fh_pg_field_time(const PGresult *result, int row, int column,
                                            int64_t *out_us);

/* The columns of fh_pg_sql_row_columns() from `first` on. *out is NULL when tenant_id is null (an
 * outer join found nothing). */
FH_MUST_CHECK enum fh_code fh_pg_row_read(const PGresult *result, int row, int first,
                                          const struct fh_table *table, struct fh_arena *arena,
                                          struct fh_row **out);

/* The fence of a read: epoch and mode in the first two columns of the first row. FH_NO_TENANT
 * without a row, FH_MOVED with epoch_seen and mode_seen when it is not the scope's or forbids. */
FH_MUST_CHECK enum fh_code fh_pg_fence_check(struct fh_pg_op *op, const PGresult *result,
                                             int epoch_column, int mode_column, bool writes);

#endif
