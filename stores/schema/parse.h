/* Migration files to model: ordinary PostgreSQL DDL, read with PostgreSQL's own parser.
 *
 * The subset is in docs/schema.md. Everything else is refused with file, line, column, the
 * construct's name and what to do instead. Nothing of the text survives but identifiers and
 * constants, both checked.
 *
 * Tables, indexes and constraints share one space of names over all files. Unnamed ones are called
 * as PostgreSQL calls them (table_column_key, _idx, _fkey), cut to FH_IDENTIFIER_MAX. The name of a
 * primary key's constraint is not kept.
 */
#ifndef FH_STORES_SCHEMA_PARSE_H
#define FH_STORES_SCHEMA_PARSE_H

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "stores/model.h"

#define FH_MIGRATION_BYTES_MAX (256 * 1024)
#define FH_MIGRATIONS_MAX 1000
#define FH_TABLE_INDEXES_MAX 32 /* unique constraints and indexes of one table */
#define FH_TABLE_FOREIGN_KEYS_MAX 32

struct fh_migration {
    struct fh_str name; /* "0001_packages.sql": for messages and order */
    struct fh_str sql;
};

struct fh_parse_error {
    struct fh_error error; /* message is "0001_x.sql:3:14: CREATE TRIGGER is not supported: ..." */
    uint32_t line;         /* 1-based, in characters */
    uint32_t column;
};

/* The schema after one more file: version base->version + 1. `base` may be NULL (nothing yet). The
 * result lives in the arena and shares lists that did not change with `base`, whose arena must
 * outlive it; its tables are its own and reference each other only. Takes effect whole or not at
 * all; what a refused file left in the arena is not used. Thread-safe for distinct arenas; wants 1
 * MiB of stack, and at most about 100 MiB of memory while it runs on the longest file.
 *
 * FH_INVALID (refused, with the place), FH_TOO_LARGE (the file), FH_NOMEM (the arena's bound, too).
 * `error` may be NULL. */
FH_MUST_CHECK enum fh_code fh_schema_apply_migration(const struct fh_schema *base,
                                                     const struct fh_migration *migration,
                                                     struct fh_arena *arena,
                                                     const struct fh_schema **out,
                                                     struct fh_parse_error *error);

#endif
