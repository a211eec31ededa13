/* How far a move is, as kept in the target by the transaction that brought it there.
 *
 * Text (hexadecimal), so that every engine may keep it as it likes. Pure functions.
 * Limits: FH_MOVE_STATE_MAX.
 */
#ifndef FH_MIGRATOR_STATE_H
#define FH_MIGRATOR_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/str.h"
#include "base/uuid.h"
#include "stores/move.h"
#include "stores/row.h"

/* Where copying goes on: tables in schema order, then the journal, then it is over. */
struct fh_position {
    uint32_t table;    /* index; the table count: the journal; one more: the end */
    bool has_key;      /* in a table: behind `key`; else from its start */
    struct fh_key key; /* borrows */
    uint64_t epoch;    /* in the journal: behind (epoch, seq) */
    uint64_t seq;
};

struct fh_run_state {
    struct fh_uuid move; /* whose it is */
    uint64_t epoch;      /* of the source */
    uint32_t schema_version;
    bool following; /* all is copied: only rounds are left */
    struct fh_position position;
    struct fh_str cursor; /* up to which the target holds everything, once it is all copied */
    uint64_t rows_copied;
    uint64_t records_copied;
};

FH_MUST_CHECK enum fh_code fh_run_state_encode(const struct fh_run_state *state,
                                               struct fh_arena *arena, struct fh_str *out);
/* FH_CORRUPT: not one of ours. Only `move`, `epoch` and `schema_version` are set when the version
 * is not the schema's. */
FH_MUST_CHECK enum fh_code fh_run_state_decode(struct fh_str text, const struct fh_schema *schema,
                                               struct fh_arena *arena, struct fh_run_state *out);

/* Deep: the key's bytes are in the arena. */
FH_MUST_CHECK enum fh_code fh_key_copy(const struct fh_key *key, struct fh_arena *arena,
                                       struct fh_key *out);

#endif
