/* Writes, and what they mean: one place for the semantics that every engine shares.
 *
 * An engine reads and locks the row a write names, asks fh_write_evaluate() what the row becomes,
 * stores that, and records both images. What each operation means:
 *
 *   insert    the key must be free; a soft-deleted record still holds its key (FH_EXISTS)
 *   upsert    replaces the whole record (columns not given take their default), or inserts; revives
 *             a deleted one
 *   update    changes the columns given of a live record (FH_NOT_FOUND); with insert_if_missing,
 *             where there is no live one, does what an upsert does
 *   delete    soft: sets deleted_at of a live record (FH_NOT_FOUND); frees its unique values, not
 *             its key
 *   undelete  of a deleted record (live: FH_EXISTS; none: FH_NOT_FOUND); its unique values may be
 *             taken by now
 *   purge     removes the record, live or deleted (FH_NOT_FOUND)
 *
 * Generated columns are computed from the others at every write and never assigned (FH_INVALID).
 * Then NOT NULL and the table's checks are looked at (FH_CHECK_VIOLATION). Deleted records hold to
 * them as well, so undeleting cannot break them; a schema change looks at deleted records, too.
 *
 * References: a live record may reference live records only (FH_REFERENCE_VIOLATION); a deleted one
 * references nothing. When a record is deleted or purged, what becomes of live records that
 * reference it is the reference's matter (stores/cascade.h): refused, deleted or purged with it, or
 * their columns set to null and the rest computed and looked at as after an update. Undelete brings
 * back one record as it was, not what went with it and not what was set to null, and what it
 * references must be live by the end of the commit: parents first, or together. An upsert of a
 * deleted record makes it anew: nothing of the old one is left but its creation time and version.
 *
 * Unique constraints hold among live records. Both hold at the end of a commit, not within it.
 */
#ifndef FH_STORES_WRITE_H
#define FH_STORES_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "stores/row.h"

#define FH_COMMIT_WRITES_MAX 500
#define FH_REQUEST_ID_MAX 64
#define FH_ACTOR_MAX 256
#define FH_ADDRESS_MAX 128

enum fh_write_op {
    FH_WRITE_INSERT,
    FH_WRITE_UPSERT,
    FH_WRITE_UPDATE,
    FH_WRITE_DELETE,
    FH_WRITE_UNDELETE,
    FH_WRITE_PURGE,
};

enum fh_transform {
    FH_TRANSFORM_SET,       /* to `value` */
    FH_TRANSFORM_INCREMENT, /* INT*, NUMERIC, FLOAT*: null counts as 0; overflow: FH_RANGE */
    FH_TRANSFORM_MIN,       /* null takes the operand */
    FH_TRANSFORM_MAX,
    FH_TRANSFORM_SERVER_TIME, /* TIMESTAMP: the commit's time; `value` unused */
};

struct fh_assignment {
    uint16_t column; /* position; never a key or generated column */
    enum fh_transform transform;
    struct fh_value value; /* canonical */
};

enum fh_expect { FH_EXPECT_ANY, FH_EXPECT_EXISTS, FH_EXPECT_ABSENT }; /* of a live record */

struct fh_write {
    enum fh_write_op op;
    struct fh_key key;
    const struct fh_assignment *assignments; /* insert, upsert: SET or SERVER_TIME only */
    uint16_t assignment_count;
    bool insert_if_missing; /* update only: with no live record it is an upsert of these columns */
    enum fh_expect expect;  /* else FH_PRECONDITION */
    int64_t expect_version; /* 0: any; else FH_ETAG_MISMATCH unless the record's version and */
    int64_t
        expect_created_at_us; /* creation time are these (a purged and re-made record differs) */
};

/* What `before` (NULL: no such row) becomes: *after, or NULL when the row goes away. The row is
 * made in the arena, its tenant is `tenant`; its bytes are in the arena, or borrowed from
 * `before` and the model's defaults. `now_us` is the commit's wall time. Every write, even one that
 * changes nothing, adds 1 to the version; created_at stays until the record is purged. A default of
 * now() on a date is the date in UTC. Codes in the order in which they are told: FH_PRECONDITION
 * (expect), FH_EXISTS or FH_NOT_FOUND, FH_ETAG_MISMATCH, FH_INVALID or FH_RANGE (an assignment; MIN
 * and MAX are for numbers and times; a generated column is FH_INVALID), FH_RANGE (a generated
 * column that does not fit), FH_CHECK_VIOLATION (null in a NOT NULL column; then a check, named in
 * the message, with the field when it reads one column only; FH_RANGE when it overflows). `error`
 * may be NULL.
 */
FH_MUST_CHECK enum fh_code fh_write_evaluate(const struct fh_write *write,
                                             const struct fh_row *before,
                                             const struct fh_uuid *tenant, int64_t now_us,
                                             struct fh_arena *arena, struct fh_row **after,
                                             struct fh_error *error);

/* What a column that is not given holds; null without a default. Bytes are borrowed from the
 * column. */
void fh_write_default(const struct fh_column *column, int64_t now_us, struct fh_value *out);

/* One of i s u d n p, as fh_changes_encode() writes it. */
char fh_write_op_letter(enum fh_write_op op);

/* The queryable half of a commit record: a JSON array with one [op, table, key...] a write, op one
 * of i s u d n p, key parts as strings in fh_value_format's form. Deterministic. */
void fh_changes_encode(const struct fh_write *writes, size_t count, struct fh_buf *out);

/* The order in which rows are locked: by table position, then key. Sorts indexes 0..count-1 into
 * `order`. */
void fh_writes_lock_order(const struct fh_write *writes, size_t count, uint16_t *order);

#endif
