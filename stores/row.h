/* Rows and keys: a record of one tenant in one table. */
#ifndef FH_STORES_ROW_H
#define FH_STORES_ROW_H

#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/uuid.h"
#include "stores/model.h"
#include "stores/value.h"

struct fh_row {
    const struct fh_table *table;
    struct fh_uuid tenant; /* as the store returned it: compared before the row leaves the store */
    struct fh_value *values; /* table->column_count, by position */
    int64_t created_at_us;
    int64_t updated_at_us;
    int64_t deleted_at_us; /* 0: live */
    int64_t version;       /* 1 at insert, +1 with every write */
};

struct fh_key {
    const struct fh_table *table;
    struct fh_value values[FH_KEY_COLUMNS_MAX]; /* table->key_count, in key order; never null */
};

FH_MUST_CHECK struct fh_row *fh_row_create(const struct fh_table *table, struct fh_arena *arena);
FH_MUST_CHECK struct fh_row *fh_row_copy(const struct fh_row *row, struct fh_arena *arena);
void fh_key_of_row(const struct fh_row *row, struct fh_key *out); /* borrows the row's bytes */
int fh_key_compare(const struct fh_key *a,
                   const struct fh_key *b); /* table position, then values */
/* Whole content, system columns included. */
bool fh_row_equal(const struct fh_row *a, const struct fh_row *b);

#endif
