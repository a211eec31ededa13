/* What a move asks of the fixture's store: each helper fills the guard (generation 1, any mode) and
 * the widest bounds, runs, and answers the code. */
#ifndef FH_TESTS_STORES_SQLITE_MOVES_H
#define FH_TESTS_STORES_SQLITE_MOVES_H

#include "tests/unit/stores_sqlite/fixture.h"

#define MOVES_ANY                                                                                  \
    (FH_FENCE_BIT(FH_FENCE_OPEN) | FH_FENCE_BIT(FH_FENCE_FROZEN) | FH_FENCE_BIT(FH_FENCE_CLOSED) | \
     FH_FENCE_BIT(FH_FENCE_INCOMING))

/* One case an operation, ready to be submitted for the tenant; APPLY is an empty batch. */
struct fh_request moves_request(struct fixture *f, enum fh_op op, const struct fh_uuid *tenant);

struct fh_snapshot *moves_open(struct fixture *f, const struct fh_uuid *tenant,
                               struct fh_str *cursor);
enum fh_code moves_close(struct fixture *f, const struct fh_uuid *tenant,
                         struct fh_snapshot *snapshot);

/* A row as it would come from another home. */
struct fh_row *moves_item(struct fixture *f, const struct fh_uuid *tenant, int64_t id,
                          const char *name, const char *code);
struct fh_row *moves_part(struct fixture *f, const struct fh_uuid *tenant, int64_t item, int64_t n);
struct fh_journal_row moves_record(const struct fh_uuid *tenant, uint64_t epoch, uint64_t seq,
                                   const char *request_id, const char *changes);
/* Every row of the table, deleted ones too; `snapshot` may be NULL. */
size_t moves_rows(struct fixture *f, const struct fh_uuid *tenant, struct fh_snapshot *snapshot,
                  const struct fh_table *table, struct fh_row ***rows);
/* An item with this key, among them. */
struct fh_row *moves_find(struct fixture *f, const struct fh_uuid *tenant, int64_t id);
/* The fence from (epoch 1, generation 1, open) to this. */
void moves_fence(struct fixture *f, const struct fh_uuid *tenant, struct fh_fence desired);

#endif
