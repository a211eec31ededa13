/* Commit records in both directions: what engines store, and what replays and audit read back.
 *
 * Columns of fh_commit, the same on every engine: tenant_id, epoch, seq, request_id, request_hash,
 * schema_version, actor, address, at, txid, changes (JSON text, see fh_changes_encode), images
 * (bytes, see stores/image.h). Key (tenant_id, epoch, seq); request_id unique per tenant.
 */
#ifndef FH_STORES_COMMIT_RECORD_H
#define FH_STORES_COMMIT_RECORD_H

#include "base/arena.h"
#include "base/code.h"
#include "base/str.h"
#include "stores/store.h"

/* Rebuilds the list of changes from the two stored halves, with the schema of the record's version,
 * found from `schema` (that version or a newer one; FH_UNAVAILABLE when the record is newer than
 * `schema`). `record` has its header fields set. Images may be NULL (redacted): then before and
 * after are NULL. Rows borrow from `images`. */
FH_MUST_CHECK enum fh_code fh_commit_record_decode(struct fh_commit_record *record,
                                                   struct fh_str changes, struct fh_str images,
                                                   const struct fh_schema *schema,
                                                   struct fh_arena *arena);

/* Answers `commit` from an earlier record with its request id: FH_OK (rows, seq, at_us, replayed
 * set) or FH_REQUEST_ID_REUSED when the hashes differ. The rows are as they were then, of the
 * tables of the record's version, whatever version the request is made for. */
FH_MUST_CHECK enum fh_code fh_commit_replay(struct fh_op_commit *commit,
                                            const uint8_t stored_hash[32],
                                            const struct fh_commit_record *record,
                                            struct fh_arena *arena);

#endif
