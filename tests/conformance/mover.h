/* The conformance suite's mover: one helper an operation of stores/move.h, whole tables and logs
 * read page by page, and a random application that writes meanwhile and remembers what it touched.
 *
 * A helper that is not mover_try_*() expects FH_OK. Everything is in the suite's arena.
 */
#ifndef FH_TESTS_CONFORMANCE_MOVER_H
#define FH_TESTS_CONFORMANCE_MOVER_H

#include "tests/conformance/suite.h"

#define MOVER_MODES_ALL                                                                            \
    (FH_FENCE_BIT(FH_FENCE_OPEN) | FH_FENCE_BIT(FH_FENCE_FROZEN) | FH_FENCE_BIT(FH_FENCE_CLOSED) | \
     FH_FENCE_BIT(FH_FENCE_INCOMING))

/* On whose behalf, under which fence. */
struct mover {
    struct suite *s;
    struct fh_uuid tenant;
    uint64_t epoch;
    struct fh_fence_guard guard;
};

/* Epoch 1, generation 1, any mode. */
struct mover mover_of(struct suite *s, const struct fh_uuid *tenant);

struct view {
    struct fh_snapshot *snapshot;
    struct fh_str cursor;
};
enum fh_code mover_try_open(const struct mover *m, struct view *out);
struct view mover_open(const struct mover *m);
void mover_close(const struct mover *m, struct view *view); /* nothing when it is closed */

/* Each fills the guard, and page bounds that are zero with the largest. */
enum fh_code mover_try_scan(const struct mover *m, struct fh_op_scan *scan);
enum fh_code mover_try_scan_journal(const struct mover *m, struct fh_op_scan_journal *scan);
enum fh_code mover_try_changes(const struct mover *m, struct fh_op_changes *changes);
enum fh_code mover_try_tally(const struct mover *m, struct fh_op_tally *tally);
enum fh_code mover_try_apply(const struct mover *m, struct fh_op_apply *apply);
enum fh_code mover_try_state(const struct mover *m, struct fh_str *state);
enum fh_code mover_try_references(const struct mover *m, struct fh_error *error);
enum fh_code mover_try_size(const struct mover *m, struct fh_op_size *size);

struct rows {
    struct fh_row **rows;
    size_t count;
};
struct journal {
    struct fh_journal_row *rows;
    size_t count;
};
/* A whole table, or all of them, in pages of `limit`; checks that pages and `more` fit together.
 * `view` may be NULL. */
struct rows mover_table(const struct mover *m, const struct view *view,
                        const struct fh_table *table, size_t limit);
struct rows mover_rows(const struct mover *m, const struct view *view, size_t limit);
struct journal mover_journal(const struct mover *m, const struct view *view, size_t limit);

/* Keys in order, each once. */
struct keys {
    struct fh_key *keys;
    size_t count;
    size_t capacity;
};
void keys_add(struct suite *s, struct keys *keys, const struct fh_key *key);
void assert_same_keys(const struct keys *x, const struct keys *y);

/* All pages of the changes since a cursor: keys, rows (NULL: none; the same on whatever page a key
 * is), records. */
struct delta {
    struct keys keys;
    struct fh_row **rows; /* one a key */
    struct journal journal;
    uint64_t seq_sum;
};
struct delta mover_delta(const struct mover *m, const struct view *view, struct fh_str since,
                         size_t limit, size_t bytes_max);
struct fh_op_tally mover_tally(const struct mover *m, const struct view *view, struct fh_str since);
void mover_apply(const struct mover *m, struct fh_op_apply apply);

void assert_same_rows_all(const struct rows *x, const struct rows *y);
void assert_same_journal(const struct journal *x, const struct journal *y);
bool journal_row_equal(const struct fh_journal_row *x, const struct fh_journal_row *y);
/* The row of `key` among `rows`, or NULL. */
struct fh_row *find_row(const struct rows *rows, const struct fh_key *key);

/* Random commits of an application. */
struct app {
    struct suite *s;
    struct fh_uuid tenant;
    uint64_t random;
    struct keys touched; /* by commits since it was last emptied */
    uint64_t commits;    /* that were made, ever */
    uint64_t number;     /* of the next request id */
};
/* FREEHOLD_SEED, or else `otherwise`; printed. */
uint64_t seed_of_run(uint64_t otherwise);
uint64_t draw(uint64_t *random);
struct app app_of(struct suite *s, const struct fh_uuid *tenant, uint64_t seed);
/* Makes `count` random commits at the suite's epoch; tries that the rules refuse change nothing. */
void app_run(struct app *app, size_t count);

#endif
