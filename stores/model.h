/* The application's schema as an abstract model: what its migration files declare, engine-free.
 *
 * Immutable once built and never freed while the process lives (one arena a version; versions are
 * few), so pointers to tables and columns may be kept. The physical DDL of every engine is
 * generated from this, never pasted from the files.
 *
 * Every pointer leads within one version: a table's references point at tables of its own schema.
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
#define FH_TABLE_CHECKS_MAX 32
#define FH_COMMENT_MAX 1000
#define FH_IDENTIFIER_MAX 48 /* bytes; [a-z_][a-z0-9_]*, not starting with fh_ */

struct fh_expr; /* stores/expr.h */

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
    const struct fh_expr *generated; /* computed by fh_write_evaluate(), never assigned, from
                                        columns that are not generated; NULL: an ordinary column */
    struct fh_str comment;           /* at most FH_COMMENT_MAX bytes; empty: none */
    uint16_t position;               /* in its table, in this version */
    uint16_t id; /* in its table, over all versions: renaming keeps it, nothing else ever has it */
};

struct fh_index {
    struct fh_str name;
    uint16_t id; /* of the table's things, as fh_column's */
    bool unique; /* among live rows only */
    uint16_t column_count;
    uint16_t columns[FH_INDEX_COLUMNS_MAX]; /* positions */
};

/* What becomes of live rows that reference a row which is deleted or purged: done by Freehold and
 * recorded in the same commit (stores/cascade.h); the physical constraint is always NO ACTION. */
enum fh_reference_action {
    FH_REFERENCE_RESTRICT, /* RESTRICT and NO ACTION: the delete is refused */
    FH_REFERENCE_CASCADE,  /* they are deleted, or purged, too */
    FH_REFERENCE_SET_NULL, /* the referencing columns become null; refused if one may not be */
};

/* References the whole primary key of `target`. */
struct fh_foreign_key {
    struct fh_str name;
    uint16_t id;
    enum fh_reference_action on_delete;
    const struct fh_table *target; /* of the same schema version */
    uint16_t column_count;
    uint16_t columns[FH_KEY_COLUMNS_MAX]; /* positions here, in the order of the target's key */
};

/* Holds for a row unless it is false (null passes), as in SQL. */
struct fh_check {
    struct fh_str name;
    uint16_t id;
    const struct fh_expr *expr;
};

struct fh_table {
    struct fh_str name;
    struct fh_str comment;
    uint16_t position; /* in schema->tables, in this version */
    uint16_t id;       /* over all versions; a dropped table's is never given out again */
    uint16_t next_id;  /* of its columns, indexes, references and checks */
    bool has_rowid;    /* SQLite's physical form, chosen when the table was created */
    uint16_t check_count;
    uint16_t column_count;
    uint16_t key_count;
    uint16_t index_count;
    uint16_t foreign_key_count;
    const struct fh_column *columns;
    uint16_t key[FH_KEY_COLUMNS_MAX]; /* positions of the primary key's columns */
    const struct fh_index *indexes;   /* unique constraints and indexes, each with a name */
    const struct fh_foreign_key *foreign_keys;
    const struct fh_check *checks;
};

struct fh_schema {
    uint32_t version; /* number of migration files applied; 0: no tables */
    uint16_t next_id; /* of its tables */
    uint32_t table_count;
    const struct fh_table *const *tables;
    const struct fh_schema *previous; /* version - 1, or NULL: decodes old commit records */
};

const struct fh_table *fh_schema_table(const struct fh_schema *schema, struct fh_str name);
/* The same table in another version, whatever its place there; NULL when it has none of the id. */
const struct fh_table *fh_schema_table_by_id(const struct fh_schema *schema, uint16_t id);
/* The schema at `version`, walking back from `schema`; NULL when it is newer or unknown. */
const struct fh_schema *fh_schema_at(const struct fh_schema *schema, uint32_t version);
const struct fh_column *fh_table_column(const struct fh_table *table, struct fh_str name);
const struct fh_column *fh_table_column_by_id(const struct fh_table *table, uint16_t id);

#endif
