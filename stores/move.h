/* The mover's operations: what a move reads at the source and writes at the target.
 *
 * They are store requests like all others (stores/store.h): one tenant in the scope, the same
 * completion contract, every returned row compared with the scope's tenant. scope.epoch and the
 * guard together are the fence they require: each looks at the fence inside its own transaction
 * (APPLY locks the row) and completes with FH_MOVED (epoch_seen, mode_seen) when epoch, generation
 * or mode is another. So a mover that slept through a takeover cannot act: whoever takes over
 * raises the generation in both fences first. A read of the source needs no lock on the fence, for
 * whatever is made of it takes effect through an APPLY at the target or a compare-and-swap only.
 *
 * Rows come and go whole: deleted ones too, with their system columns, exactly as they stand.
 *
 * Long views. SNAPSHOT_OPEN pins one consistent view of the home (PostgreSQL: a REPEATABLE READ
 * transaction on a connection of its own; SQLite: a read transaction on a reader of its own), so
 * that a round, or a whole comparison, sees one instant. At most FH_SNAPSHOTS_MAX a store
 * (FH_FULL). Whoever opened one closes it, also when a request in it failed; a view whose
 * connection died fails what is asked of it with FH_UNAVAILABLE. One request at a time in a view. A
 * view that is asked nothing for FH_SNAPSHOT_IDLE_MAX_US may be ended by the store; what comes
 * later then is FH_UNAVAILABLE. Views end with their store.
 *
 * Cursors. A cursor is opaque bytes, meaningful to the store and epoch that issued it: what was
 * committed when its view was opened. PostgreSQL: the whole pg_snapshot as text, because sequence
 * order is not commit order there; SQLite: the newest txid, which is exact.
 *
 * Limits: FH_CURSOR_MAX, FH_SCAN_ROWS_MAX, FH_APPLY_ROWS_MAX, FH_MOVE_STATE_MAX, and bytes_max,
 * which ends a page early but never before its first row.
 */
#ifndef FH_STORES_MOVE_H
#define FH_STORES_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/code.h"
#include "base/str.h"
#include "base/uuid.h"
#include "stores/fence.h"
#include "stores/home.h"
#include "stores/row.h"

#define FH_CURSOR_MAX 4096
#define FH_SCAN_ROWS_MAX 2000
#define FH_SCAN_BYTES_MAX (4u * 1024 * 1024)
#define FH_APPLY_ROWS_MAX 20000 /* keys, rows and journal rows together */
#define FH_MOVE_STATE_MAX (16 * 1024)
#define FH_SNAPSHOTS_MAX 4
#define FH_SNAPSHOT_IDLE_MAX_US (60LL * 1000000)

struct fh_snapshot; /* the store's; opaque */

/* A commit record as it stands in fh_commit, for copying verbatim. Its txid stays behind: it means
 * something only in the store and epoch that issued it. */
struct fh_journal_row {
    struct fh_uuid tenant;
    uint64_t epoch;
    uint64_t seq;
    struct fh_str request_id; /* empty: none */
    uint8_t request_hash[32];
    uint32_t schema_version;
    struct fh_str actor;
    struct fh_str address;
    int64_t at_us;
    struct fh_str changes; /* JSON text, as stored */
    struct fh_str images;  /* data NULL: redacted */
};

/* FH_OP_SNAPSHOT_OPEN (guard in; snapshot and cursor out) and FH_OP_SNAPSHOT_CLOSE (snapshot in;
 * takes it, whatever the code; the guard is not looked at). FH_PRECONDITION: what keeps the home's
 * rows apart is not as it was made, so that the view would not show them all, or others'. */
struct fh_op_snapshot {
    struct fh_fence_guard guard;
    struct fh_snapshot *snapshot;
    struct fh_str cursor; /* result of open, in the request's arena */
};

/* FH_OP_SCAN: rows of one table in key order, deleted ones too. */
struct fh_op_scan {
    struct fh_fence_guard guard;
    struct fh_snapshot *snapshot; /* NULL: a view of its own */
    const struct fh_table *table;
    const struct fh_key *after; /* exclusive; NULL: from the start */
    const struct fh_key *until; /* inclusive; NULL: to the end */
    size_t limit;               /* 1..FH_SCAN_ROWS_MAX */
    size_t bytes_max;           /* 1..FH_SCAN_BYTES_MAX, by the engine's own estimate */
    struct fh_row **rows;       /* result */
    size_t count;
    bool more; /* rows are left before `until` */
};

/* FH_OP_SCAN_JOURNAL: commit records of all epochs, oldest first, by (epoch, seq). */
struct fh_op_scan_journal {
    struct fh_fence_guard guard;
    struct fh_snapshot *snapshot;
    uint64_t after_epoch; /* exclusive; 0,0: from the start */
    uint64_t after_seq;
    uint64_t until_epoch; /* inclusive; 0,0: to the end */
    uint64_t until_seq;
    size_t limit;
    size_t bytes_max;
    struct fh_journal_row *rows; /* result */
    size_t count;
    bool more;
};

/* FH_OP_CHANGES: the commit records of scope.epoch that are not in `since` and are in the view, by
 * seq, and what the records they name are *now*, in the same view. */
struct fh_op_changes {
    struct fh_fence_guard guard;
    struct fh_snapshot *snapshot; /* required */
    struct fh_str since;          /* a cursor */
    uint64_t after_seq;           /* exclusive: the page's start; 0: the first page */
    size_t limit;                 /* records; 1..FH_SCAN_ROWS_MAX */
    size_t bytes_max;
    struct fh_journal_row *journal; /* result, by seq */
    size_t journal_count;
    struct fh_key *keys;  /* result: what changed, each key once in a page */
    struct fh_row **rows; /* as of the view, one a key; NULL: there is none any more */
    size_t key_count;
    bool more; /* go on after the last journal row's seq */
};

/* FH_OP_TALLY: how many records of scope.epoch the home holds that are younger than `since`, found
 * by another query than CHANGES uses: by the transaction ids' lower bound alone. Whatever was in
 * flight at `since` is counted too, so the figure means something as a difference: tally under the
 * freeze minus tally in the view that `since` is of = what must have been applied in between. */
struct fh_op_tally {
    struct fh_fence_guard guard;
    struct fh_snapshot *snapshot; /* NULL: a view of its own */
    struct fh_str since;
    uint64_t count;   /* result */
    uint64_t seq_sum; /* result, modulo 2^64 */
};

/* FH_OP_APPLY: one transaction at the target: first all `deletes`, then all `rows`, then `journal`,
 * then `state`. References are not enforced while it runs (FH_OP_REFERENCES looks at them later);
 * unique constraints are. A journal row that is there already is left as it is. */
struct fh_op_apply {
    struct fh_fence_guard guard;
    const struct fh_key *deletes; /* rows need not be there */
    size_t delete_count;
    struct fh_row *const *rows; /* their tenant must be the scope's */
    size_t row_count;
    bool keep_existing; /* a row whose key or unique value is taken is left out; else it fails with
                           FH_EXISTS or FH_UNIQUE_VIOLATION */
    const struct fh_journal_row *journal;
    size_t journal_count;
    struct fh_str
        state; /* data NULL: unchanged; else replaces the move's state kept in this home */
    uint64_t rows_written; /* result: of `rows` */
};

/* FH_OP_MOVE_STATE: the state that APPLY last stored here; empty when there is none. */
struct fh_op_move_state {
    struct fh_fence_guard guard;
    struct fh_str state; /* result, in the request's arena */
};

/* FH_OP_REFERENCES: looks for a live row whose reference has no row. FH_REFERENCE_VIOLATION names
 * table and constraint in error; FH_OK: there is none. */
struct fh_op_references {
    struct fh_fence_guard guard;
};

/* FH_OP_SIZE: for the plan; the guard's modes are looked at, its generation is not. */
struct fh_op_size {
    struct fh_fence_guard guard;
    uint64_t rows;    /* result: exact at the time of asking, deleted ones too */
    uint64_t records; /* result: commit records */
    uint64_t bytes;   /* result: an estimate */
};

/* FH_OP_COPY_WITHIN: one page of one table from another home of the same database, without going
 * through us: rows of `table` behind `after` in key order, deleted ones too, put into scope.home as
 * APPLY with keep_existing does, with `state` in the same transaction. Both fences are looked at:
 * scope.epoch and guard are the target's, the others the source's. Only where the engine has
 * FH_CAPABILITY_COPY_WITHIN, between its shared home and those of the schema tier. */
struct fh_op_copy_within {
    struct fh_fence_guard guard;
    struct fh_home source;
    uint64_t source_epoch;
    struct fh_fence_guard source_guard;
    const struct fh_table *table;
    const struct fh_key *after; /* exclusive; NULL: from the start */
    size_t limit;               /* 1..FH_APPLY_ROWS_MAX */
    struct fh_str state; /* data NULL: unchanged; `last` of this page is not in it: state says
                            where the page before ended */
    struct fh_key last;  /* result: the page's last key; table NULL: it had no row */
    uint64_t rows;       /* result: rows read */
    bool more;
};

/* Which tables a home has besides the application's, and what a move does with each. The
 * application's tables are JOURNALED: copied, then kept in step through commit records. A test
 * enumerates the physical tables of a home and fails on one that is not here. */
enum fh_home_table_kind {
    FH_HOME_TABLE_JOURNALED,
    FH_HOME_TABLE_APPEND_ONLY, /* copied verbatim; rows never change once they are there */
    FH_HOME_TABLE_NOT_MOVED,   /* about the home, not about the tenant's data */
};
#define FH_HOME_TABLES(TABLE)                     \
    TABLE("fh_commit", FH_HOME_TABLE_APPEND_ONLY) \
    TABLE("fh_fence", FH_HOME_TABLE_NOT_MOVED)    \
    TABLE("fh_meta", FH_HOME_TABLE_NOT_MOVED)     \
    TABLE("fh_move", FH_HOME_TABLE_NOT_MOVED)

struct fh_request;

/* What the operation requires of the fence; NULL: it is none of the above, or asks nothing. */
struct fh_fence_guard *fh_move_op_guard(struct fh_request *request);

/* For store.c: a guard's own bounds; FH_INVALID with request->error. */
FH_MUST_CHECK enum fh_code fh_move_guard_check(struct fh_request *request,
                                               const struct fh_fence_guard *guard);
/* For store.c: bounds of the operations above, what to withhold of them, and whether all that they
 * return is the scope's tenant's. */
FH_MUST_CHECK enum fh_code fh_move_op_check(struct fh_request *request);
void fh_move_op_withhold(struct fh_request *request);
bool fh_move_op_owned(const struct fh_request *request);

#endif
