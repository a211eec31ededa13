/* Parameters of one statement, in PostgreSQL's binary format.
 *
 * Values are gathered in one buffer and pointers to them made at the end, so the buffer may move
 * while it grows. libpq copies them when the statement is sent. Errors stick (see base/buf.h):
 * append freely, check once with the finish.
 */
#ifndef FH_STORES_PG_PARAMS_H
#define FH_STORES_PG_PARAMS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/uuid.h"
#include "stores/row.h"

#define FH_PG_PARAMS_MAX 256
#define FH_PG_PARAMS_BYTES_MAX (64u * 1024 * 1024)

struct fh_pg_params {
    int count;
    enum fh_code code;
    struct fh_buf bytes;
    size_t offsets[FH_PG_PARAMS_MAX];
    int lengths[FH_PG_PARAMS_MAX]; /* -1: null */
    int formats[FH_PG_PARAMS_MAX];
    const char *values[FH_PG_PARAMS_MAX]; /* after finish */
};

void fh_pg_params_init(struct fh_pg_params *params);
void fh_pg_params_close(struct fh_pg_params *params);
void fh_pg_params_clear(struct fh_pg_params *params);

void fh_pg_add_null(struct fh_pg_params *params);
void fh_pg_add_int16(struct fh_pg_params *params, int16_t value);
void fh_pg_add_int32(struct fh_pg_params *params, int32_t value);
void fh_pg_add_int64(struct fh_pg_params *params, int64_t value);
void fh_pg_add_bytes(struct fh_pg_params *params, struct fh_str bytes); /* text and bytea alike */
void fh_pg_add_uuid(struct fh_pg_params *params, const struct fh_uuid *uuid);
void fh_pg_add_uuid_text(struct fh_pg_params *params, const struct fh_uuid *uuid);
void fh_pg_add_time(struct fh_pg_params *params, int64_t at_us);
void fh_pg_add_value(struct fh_pg_params *params, const struct fh_value *value,
                     const struct fh_column *column);
void fh_pg_add_key(struct fh_pg_params *params, const struct fh_key *key);
/* All model columns in order, then created_at, updated_at, deleted_at, version. */
void fh_pg_add_row(struct fh_pg_params *params, const struct fh_row *row);

/* One array parameter, element by element: begin, then `count` (at least 1) adds, then end. */
void fh_pg_array_begin(struct fh_pg_params *params, enum fh_type type, size_t count);
void fh_pg_array_add(struct fh_pg_params *params, const struct fh_value *value,
                     const struct fh_column *column);
void fh_pg_array_end(struct fh_pg_params *params);

FH_MUST_CHECK enum fh_code fh_pg_params_finish(struct fh_pg_params *params);

#endif
