/* What becomes of rows that reference a row which goes away in a commit: ON DELETE CASCADE and SET
 * NULL, carried out by Freehold and recorded in the same commit record.
 *
 * Engine-free: a work list. The engine gives the commit's own writes, evaluated; then, until there
 * is no question left, asks what live rows reference a key that goes (locked, as of its
 * transaction), and hands them in. What comes out are further writes, evaluated, which the engine
 * carries out and records behind the commit's own, in the order given here (as rows are locked).
 *
 * Rules:
 * - delete cascades as delete, purge as purge (of live rows; a deleted row references nothing).
 * - A row that the commit writes itself is left to the commit: if it still references what is gone
 * at the end, the commit is refused like any other (FH_REFERENCE_VIOLATION).
 * - A row that one reference deletes and another sets to null is deleted. Cycles end by themselves:
 * a key is taken once.
 * - SET NULL goes through the same evaluation as an update: generated columns, NOT NULL, checks.
 * - At most FH_CASCADE_ROWS_MAX rows a commit: FH_TOO_LARGE, and nothing happens; the message says
 * what to delete first.
 * - RESTRICT is not looked at here: what still references a gone row at the end is refused by the
 * engine's own check, as ever.
 *
 * Memory: the request's arena. Pure but for that; one thread at a time.
 */
#ifndef FH_STORES_CASCADE_H
#define FH_STORES_CASCADE_H

#include "stores/store.h"
#include "stores/write.h"

#define FH_CASCADE_ROWS_MAX 1000
#define FH_CASCADE_PAGE_MAX 500 /* rows of one answer */

struct fh_cascade;

/* `before` and `after` are the commit's, one a write. `*out` is NULL when no reference of the
 * schema has an action or nothing goes away: the common case, found without a question. FH_NOMEM.
 */
FH_MUST_CHECK enum fh_code fh_cascade_begin(const struct fh_schema *schema,
                                            const struct fh_uuid *tenant, int64_t now_us,
                                            const struct fh_write *writes,
                                            struct fh_row *const *before,
                                            struct fh_row *const *after, size_t count,
                                            struct fh_arena *arena, struct fh_cascade **out);

struct fh_cascade_question {
    const struct fh_table *child;
    const struct fh_foreign_key *reference; /* of child */
    const struct fh_key *parent;            /* which its live rows may reference */
    const struct fh_key *after; /* exclusive, in the child's key order: rows behind it; NULL: all */
    size_t limit;
};

/* Borrows the cascade's memory until the answer. False: no question is left. */
bool fh_cascade_next(struct fh_cascade *cascade, struct fh_cascade_question *question);
/* The rows, in key order; `limit` of them: there may be more, and the next question asks on. Takes
 * the rows (they live in the arena). FH_TOO_LARGE; FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_cascade_answer(struct fh_cascade *cascade, struct fh_row *const *rows,
                                             size_t count, struct fh_error *error);

struct fh_cascade_write {
    struct fh_write write; /* DELETE, PURGE or UPDATE, without preconditions */
    struct fh_row *before;
    struct fh_row *after; /* NULL: purged */
    size_t origin;        /* which of the commit's writes it follows from */
};

/* When no question is left: what is to be done besides the commit's own writes, in the arena.
 * FH_CHECK_VIOLATION (a column that may not be null, a check), with the origin in *failed_write;
 * FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_cascade_finish(struct fh_cascade *cascade,
                                             const struct fh_cascade_write **writes, size_t *count,
                                             size_t *failed_write, struct fh_error *error);

/* The rows that a question asks for, in the arena, into `rows`, which has room for `limit`. */
typedef enum fh_code fh_cascade_find_cb(const struct fh_cascade_question *question,
                                        struct fh_row **rows, size_t *count, void *arg);

/* From begin to finish, for an engine that finds rows at once. `before` and `after` are the
 * commit's of `request`, whose error and failed_write tell what went wrong. *count is 0 when
 * nothing follows. */
FH_MUST_CHECK enum fh_code fh_cascade_run(struct fh_request *request, int64_t now_us,
                                          struct fh_row *const *before, struct fh_row *const *after,
                                          fh_cascade_find_cb *find_cb, void *arg,
                                          const struct fh_cascade_write **writes, size_t *count);

/* The commit's own writes, and behind them those that follow; NULL: out of memory. */
FH_MUST_CHECK const struct fh_write *fh_cascade_behind(const struct fh_write *own, size_t own_count,
                                                       const struct fh_cascade_write *writes,
                                                       size_t count, struct fh_arena *arena);

#endif
