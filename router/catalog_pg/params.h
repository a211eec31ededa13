/* Parameters to a statement and columns of its rows, all in binary form.
 *
 * Columns and parameters are uuid, text, bigint, bytea or boolean, and nothing else. Parameters
 * borrow until the statement is added. Reading checks type lengths and NULL: what does not fit is
 * FH_CORRUPT.
 */
#ifndef FH_ROUTER_CATALOG_PG_PARAMS_H
#define FH_ROUTER_CATALOG_PG_PARAMS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/str.h"
#include "base/uuid.h"

#define FH_CATALOG_PG_PARAMS_MAX 24

struct fh_catalog_pg_params {
    int count;
    const char *values[FH_CATALOG_PG_PARAMS_MAX];
    int lengths[FH_CATALOG_PG_PARAMS_MAX];
    int formats[FH_CATALOG_PG_PARAMS_MAX];
    uint8_t numbers[FH_CATALOG_PG_PARAMS_MAX][8]; /* what values of integers point to */
};

void fh_catalog_pg_param_text(struct fh_catalog_pg_params *params, struct fh_str text);
/* An empty text is NULL. */
void fh_catalog_pg_param_text_or_null(struct fh_catalog_pg_params *params, struct fh_str text);
void fh_catalog_pg_param_uuid(struct fh_catalog_pg_params *params, const struct fh_uuid *uuid);
void fh_catalog_pg_param_bytes(struct fh_catalog_pg_params *params, const void *data, size_t len);
void fh_catalog_pg_param_int(struct fh_catalog_pg_params *params, int64_t value);
void fh_catalog_pg_param_bool(struct fh_catalog_pg_params *params, bool value);

bool fh_catalog_pg_is_null(const PGresult *result, int row, int column);
FH_MUST_CHECK enum fh_code fh_catalog_pg_text(const PGresult *result, int row, int column,
                                              struct fh_arena *arena, struct fh_str *out);
/* Into `out` with a NUL behind it; FH_CORRUPT when empty or longer than fits. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_name(const PGresult *result, int row, int column,
                                              char *out, size_t size);
FH_MUST_CHECK enum fh_code fh_catalog_pg_uuid(const PGresult *result, int row, int column,
                                              struct fh_uuid *out);
FH_MUST_CHECK enum fh_code fh_catalog_pg_bytes(const PGresult *result, int row, int column,
                                               void *out, size_t len);
/* FH_CORRUPT outside of the range. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_int(const PGresult *result, int row, int column,
                                             int64_t min, int64_t max, int64_t *out);
FH_MUST_CHECK enum fh_code fh_catalog_pg_bool(const PGresult *result, int row, int column,
                                              bool *out);
/* Of a text[], NULL being an empty one; no element may be NULL. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_texts(const PGresult *result, int row, int column,
                                               size_t count_max, struct fh_arena *arena,
                                               struct fh_str **out, size_t *count);

#endif
