/* What leads from one schema version to the next, as a list of changes.
 *
 * One list serves the engines (which make their statements of it), the preview and the diff. The
 * order is one in which the changes can be carried out: what goes (references, checks, indexes,
 * columns, tables) before what comes (tables, columns, checks, indexes, references). Things are
 * told apart by id, so a rename is a rename. Renamings within a table come in an order in which
 * each name is free by then. A table that goes gives its references' drops, then its own; one that
 * comes gives its creation (with checks), then its indexes and references, so that neither order
 * nor rings of references matter. A column that comes is as it is at the end of the file.
 */
#ifndef FH_STORES_SCHEMA_CHANGE_H
#define FH_STORES_SCHEMA_CHANGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/code.h"
#include "stores/model.h"

enum fh_schema_change_kind {
    FH_CHANGE_REFERENCE_DROP,
    FH_CHANGE_CHECK_DROP,
    FH_CHANGE_INDEX_DROP,
    FH_CHANGE_COLUMN_DROP,
    FH_CHANGE_TABLE_DROP,
    FH_CHANGE_COLUMN_RENAME,
    FH_CHANGE_TABLE_CREATE, /* with its columns, key and checks; indexes and references follow */
    FH_CHANGE_COLUMN_ADD,
    FH_CHANGE_COLUMN_DEFAULT,
    FH_CHANGE_COLUMN_NULLABLE, /* drop not null */
    FH_CHANGE_COLUMN_REQUIRED, /* set not null: stored rows are looked at */
    FH_CHANGE_CHECK_ADD,       /* stored rows are looked at */
    FH_CHANGE_INDEX_ADD,
    FH_CHANGE_REFERENCE_ADD, /* stored rows are looked at */
    FH_CHANGE_REFERENCE_ACTION,
    FH_CHANGE_COMMENT, /* of a table (before, after) or a column; nothing physical */
};

struct fh_schema_change {
    enum fh_schema_change_kind kind;
    const struct fh_table *before; /* the table in the older version; NULL: it is new */
    const struct fh_table *after;  /* NULL: it is dropped */
    /* What changes: position in before's and after's columns, indexes, foreign_keys or checks, as
     * the kind says; those that do not apply (and both of a table's) are UINT16_MAX. */
    uint16_t from;
    uint16_t to;
    /* Whether requests made for the older version go on meaning what they meant: what was there is
     * there, and nothing new is demanded of a write. Why not, for people; NULL when compatible. */
    const char *breaks;
};

/* `to->previous` must be `from` (NULL: nothing). The list is in the arena. FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_schema_changes(const struct fh_schema *from,
                                             const struct fh_schema *to, struct fh_arena *arena,
                                             struct fh_schema_change **out, size_t *count);
/* "add column packages.weight integer not null default 0": for people; errors stick in `out`. */
void fh_schema_change_describe(const struct fh_schema_change *change, struct fh_buf *out);

#endif
