/* The canaries' records: which table holds them, their keys and their values.
 *
 * Each of a pair has FH_CANARY_RECORDS records in one table: one whose key the other has as well,
 * and one whose key only it has. Everything is computed from the canaries' UUIDs and the model, so
 * nothing needs to be remembered from one run to the next. Pure functions.
 */
#ifndef FH_PROBER_CANARY_H
#define FH_PROBER_CANARY_H

#include "base/arena.h"
#include "base/uuid.h"
#include "stores/write.h"

#define FH_CANARY_RECORDS 2

enum fh_canary_record { FH_CANARY_COMMON, FH_CANARY_OWN };

/* The two of a pair: [0] is a, [1] is b. */
struct fh_canary_pair {
    struct fh_uuid uuids[2];
};

/* Fills `out` with the inserts of one of the pair; bytes are in the arena or the model. FH_INVALID:
 * this table is none that canaries can fill. */
FH_MUST_CHECK enum fh_code fh_canary_writes(const struct fh_table *table,
                                            const struct fh_canary_pair *pair, unsigned which,
                                            struct fh_arena *arena,
                                            struct fh_write out[FH_CANARY_RECORDS]);
/* The key of such a record alone. */
FH_MUST_CHECK enum fh_code fh_canary_key(const struct fh_table *table,
                                         const struct fh_canary_pair *pair, unsigned which,
                                         enum fh_canary_record record, struct fh_arena *arena,
                                         struct fh_key *out);

#endif
