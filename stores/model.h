/* The application's schema as an abstract model: what its migration files declare, engine-free.
 *
 * Immutable once built and never freed while the process lives (one arena a version; versions are
 * few), so pointers to tables and columns may be kept. The physical DDL of every engine is
 * generated from this, never pasted from the files.
 *
 * Physical layout, the same in every home (see docs/decisions/0002-uniform-layout.md):
 *   tenant_id uuid, <columns in model order>, created_at, updated_at, deleted_at, version
 *   primary key (tenant_id, <key columns>); unique constraints, indexes and foreign keys with
 * tenant_id first.
 */
#ifndef FH_STORES_MODEL_H
#define FH_STORES_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "stores/value.h"

#define FH_TABLES_MAX 256
#define FH_COLUMNS_MAX 200
#define FH_KEY_COLUMNS_MAX 8
#define FH_INDEX_COLUMNS_MAX 16
#define FH_IDENTIFIER_MAX 48 /* bytes; [a-z_][a-z0-9_]*, not starting with fh_ */

enum fh_default_kind {
    FH_DEFAULT_NONE,
    FH_DEFAULT_CONSTANT,
    FH_DEFAULT_NOW,  /* now(), current_timestamp */
    FH_DEFAULT_UUID, /* gen_random_uuid(): version 7 here */
};

struct fh_column {
    struct fh_str name;
    enum fh_type type;
    uint8_t precision; /* NUMERIC */
    uint8_t scale;
    uint32_t
        length_max; /* TEXT from varchar(n), in characters; 0: no limit but FH_VALUE_BYTES_MAX */
    bool not_null;
    enum fh_default_kind default_kind;
    struct fh_value default_value;
    uint16_t position; /* in its table */
};

struct fh_index {
    struct fh_str name;
    bool unique; /* among live rows only */
    uint16_t column_count;
    uint16_t columns[FH_INDEX_COLUMNS_MAX]; /* positions */
};

/* References the whole primary key of `target`, NO ACTION; deletes that would orphan live rows are
 * refused. */
struct fh_foreign_key {
    struct fh_str name;
    const struct fh_table *target;
    uint16_t column_count;
    uint16_t columns[FH_KEY_COLUMNS_MAX]; /* positions here, in the order of the target's key */
};

struct fh_table {
    struct fh_str name;
    uint16_t position; /* in its schema; stable over versions */
    uint16_t column_count;
    uint16_t key_count;
    uint16_t index_count;
    uint16_t foreign_key_count;
    const struct fh_column *columns;
    uint16_t key[FH_KEY_COLUMNS_MAX]; /* positions of the primary key's columns */
    const struct fh_index *indexes;   /* unique constraints and indexes, each with a name */
    const struct fh_foreign_key *foreign_keys;
};

struct fh_schema {
    uint32_t version; /* number of migration files applied; 0: no tables */
    uint32_t table_count;
    const struct fh_table *const *tables;
    const struct fh_schema *previous; /* version - 1, or NULL: decodes old commit records */
};

const struct fh_table *fh_schema_table(const struct fh_schema *schema, struct fh_str name);
/* The schema at `version`, walking back from `schema`; NULL when it is newer or unknown. */
const struct fh_schema *fh_schema_at(const struct fh_schema *schema, uint32_t version);
const struct fh_column *fh_table_column(const struct fh_table *table, struct fh_str name);

#endif
