/* Schema changes, on the owner's connection, one version after the other:
 *
 * - QUICK: a dedicated home whose changes look at no row, taken to be one version behind: LOCK and
 *   RUN in one round trip, nothing asked first. The name of the fence's view, which it changes,
 *   says the version; anything is otherwise than taken: on with LOCK
 * - LOCK: begin, the home's advisory lock, look whether the system tables are there
 * - CHECK: the version (kept in fh_meta under the nil tenant), and a dedicated home's fence: who is
 *   told that there is nothing to do was right about it, too
 * - SIZE, where something could go ahead: how large the tables are
 * - AHEAD, large tables only, and before LOCK comes again: rolled back; then what has to look at
 *   every row, each statement looked for (an earlier attempt may have made it), and made
 * - RUN: system tables if there are none; the version's view renamed; a dedicated home's fence
 *   locked, told, and required to be as the guard says; the changes; version; commit
 * - UNDO: stored rows do not fit what was made ahead: all of that goes again, unless the home was
 *   changed, or is being, since this session lost its lock: then it is another's
 *
 * Happy path of a small home: one round trip, or three a version, and nothing outside of one
 * transaction. A home is a transaction of its own: a batch would keep each of its tenants waiting
 * for the locks of all.
 *
 * Failures: the home is ahead of the target, or at a version the target does not descend from:
 * FH_PRECONDITION. A lock not had in lock_timeout_ms, or another change under way: FH_CONFLICT, and
 * what was made ahead is found by the next attempt. Rows that do not fit: the constraint's code,
 * which table and constraint, no values. A fence that is another: FH_MOVED. In QUICK and RUN
 * everything is rolled back; a connection lost in them is FH_OUTCOME_UNKNOWN.
 */
#include "stores/pg/schema.h"

#include <stdlib.h>
#include <string.h>

#include "stores/pg/engine.h"
#include "stores/pg/mover.h"
#include "stores/pg/rows.h"
#include "stores/pg/version.h"

#define QUICK_OPEN 1  /* QUICK's result that tells whether the home is there, */
#define QUICK_THERE 4 /* and the column */

/* A scan or an index of this much takes some tens of milliseconds: nobody need go ahead of it. */
#define SMALL_BYTES (8 * 1024 * 1024)

static int64_t small_bytes(void)
{
#ifdef FREEHOLD_FAULTS
    const char *text = getenv("FREEHOLD_PG_SMALL_BYTES");
    long long bytes = 0;
    if (text != NULL && fh_str_to_int64(fh_str_of(text), &bytes)) {
        return bytes;
    }
#endif
    return SMALL_BYTES;
}

static enum fh_code check_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_pg_schema_state *state = op->state;
    if (index > 0) {
        return index == state->fence_at
                   ? fh_pg_move_check_fence(op, result, &op->request->as.schema.guard)
                   : FH_OK;
    }
    enum fh_code code = fh_pg_version_read(result, &state->version);
    op->request->as.schema.version_seen = state->version;
    return code;
}

static enum fh_code size_result(struct fh_pg_schema_state *state, const PGresult *result)
{
    int64_t bytes = 0;
    enum fh_code code = fh_pg_field_int(result, 0, 0, &bytes);
    state->large = bytes > small_bytes();
    return code;
}

static enum fh_code look_result(struct fh_pg_schema_state *state, const PGresult *result)
{
    bool valid = false;
    state->missing = PQntuples(result) == 0;
    enum fh_code code = state->missing ? FH_OK : fh_pg_field_bool(result, 0, 0, &valid);
    state->invalid = !state->missing && !valid;
    return code;
}

/* What was made ahead is ours to take away while nobody else changes the home, or has. */
static enum fh_code undo_result(struct fh_pg_schema_state *state, unsigned index,
                                const PGresult *result)
{
    uint32_t version = 0;
    bool locked = false;
    enum fh_code code = FH_OK;
    if (index == 1) {
        code = fh_pg_field_bool(result, 0, 0, &locked);
        state->may_undo = locked;
    } else if (index == 2) {
        code = fh_pg_version_read(result, &version);
        state->may_undo = state->may_undo && version == state->version;
    }
    return code;
}

/* One result tells whether the home is where it was taken to be. */
static enum fh_code quick_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    const struct fh_pg_schema_state *state = op->state;
    bool there = false;
    enum fh_code code =
        index == QUICK_OPEN ? fh_pg_field_bool(result, 0, QUICK_THERE, &there) : FH_OK;
    if (there) {
        op->request->as.schema.version_seen = state->from->version;
    }
    return code;
}

static enum fh_code schema_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_pg_schema_state *state = op->state;
    bool locked = false;
    switch (state->stage) {
    case STAGE_FIRST:
        return FH_INTERNAL;
    case STAGE_QUICK:
        return quick_result(op, index, result);
    case STAGE_LOCK:
        return index == 3 ? fh_pg_field_bool(result, 0, 0, &state->exists) : FH_OK;
    case STAGE_CHECK:
        return check_result(op, index, result);
    case STAGE_SIZE:
        return size_result(state, result);
    case STAGE_RUN:
        return state->fence_at > 0 && index == state->fence_at
                   ? fh_pg_move_check_fence(op, result, &op->request->as.schema.guard)
                   : FH_OK;
    case STAGE_AHEAD_OPEN:
        if (index != 2) {
            return FH_OK;
        }
        if (fh_pg_field_bool(result, 0, 0, &locked) != FH_OK || !locked) {
            return fh_error_set(&op->request->error, FH_CONFLICT,
                                "another schema change of this home is under way");
        }
        return FH_OK;
    case STAGE_AHEAD_LOOK:
        return index == 1 ? look_result(state, result) : FH_OK;
    case STAGE_UNDO_OPEN:
        return undo_result(state, index, result);
    case STAGE_AHEAD_DROP:
    case STAGE_AHEAD_MAKE:
    case STAGE_UNDO:
    case STAGE_UNDO_CLOSE:
        return FH_OK;
    }
    return FH_INTERNAL;
}

static enum fh_pg_next go(struct fh_pg_op *op, enum fh_pg_schema_stage stage)
{
    struct fh_pg_schema_state *state = op->state;
    state->stage = stage;
    op->step++;
    return FH_PG_MORE;
}

static enum fh_pg_next refuse_version(struct fh_pg_op *op, const char *why)
{
    const struct fh_pg_schema_state *state = op->state;
    op->code = fh_error_set(&op->request->error, FH_PRECONDITION,
                            "the home is at schema version %u, %s %u", state->version, why,
                            op->request->as.schema.target->version);
    return FH_PG_DONE;
}

/* The version is known: what is to be done about it? */
static enum fh_pg_next decide(struct fh_pg_op *op)
{
    struct fh_pg_schema_state *state = op->state;
    struct fh_op_schema *schema = &op->request->as.schema;
    const struct fh_schema *target = schema->target;
    schema->version_seen = state->version;
    if (!state->exists && fh_pg_schema_is_dedicated(op)) {
        op->code = FH_NO_TENANT;
        return FH_PG_DONE;
    }
    if (state->version > target->version) {
        return refuse_version(op, "ahead of");
    }
    if (state->version > 0 && fh_schema_at(target, state->version) == NULL) {
        return refuse_version(op, "which is not among those that led to");
    }
    if (state->exists && state->version == target->version) {
        return FH_PG_DONE;
    }
    state->to = state->version > 0 ? fh_schema_at(target, state->version + 1) : target;
    if (state->to == NULL) {
        return refuse_version(op, "and the next one is not known on the way to");
    }
    if (state->version > 0 && state->prepared != state->to) {
        op->code = fh_pg_schema_take_steps(op);
        if (op->code != FH_OK) {
            return FH_PG_DONE;
        }
        if (state->step_count > 0) {
            return go(op, STAGE_SIZE);
        }
    }
    return go(op, STAGE_RUN);
}

static enum fh_pg_next next_step(struct fh_pg_op *op)
{
    struct fh_pg_schema_state *state = op->state;
    state->at++;
    if (state->at < state->step_count) {
        return go(op, STAGE_AHEAD_LOOK);
    }
    state->prepared = state->to;
    return go(op, STAGE_LOCK);
}

static enum fh_pg_next looked(struct fh_pg_op *op)
{
    const struct fh_pg_schema_state *state = op->state;
    switch (state->steps[state->at].made) {
    case FH_PG_MADE_NOTHING:
        return go(op, STAGE_AHEAD_MAKE);
    case FH_PG_MADE_INDEX:
        if (state->invalid) {
            return go(op, STAGE_AHEAD_DROP);
        }
        break;
    case FH_PG_MADE_CONSTRAINT:
        break;
    case FH_PG_MADE_VALID:
        return state->invalid ? go(op, STAGE_AHEAD_MAKE) : next_step(op);
    }
    return state->missing ? go(op, STAGE_AHEAD_MAKE) : next_step(op);
}

static enum fh_pg_next schema_synced(struct fh_pg_op *op)
{
    struct fh_pg_schema_state *state = op->state;
    switch (state->stage) {
    case STAGE_FIRST:
        break;
    case STAGE_QUICK:
        op->request->as.schema.version_seen = state->to->version;
        return FH_PG_DONE;
    case STAGE_LOCK:
        state->version = 0;
        return state->exists ? go(op, STAGE_CHECK) : decide(op);
    case STAGE_CHECK:
        return decide(op);
    case STAGE_SIZE:
        if (state->large) {
            return go(op, STAGE_AHEAD_OPEN);
        }
        state->step_count = 0;
        return go(op, STAGE_RUN);
    case STAGE_RUN:
        op->request->as.schema.version_seen = state->to->version;
        state->step_count = 0;
        return state->to == op->request->as.schema.target ? FH_PG_DONE : go(op, STAGE_LOCK);
    case STAGE_AHEAD_OPEN:
        return go(op, STAGE_AHEAD_LOOK);
    case STAGE_AHEAD_LOOK:
        return looked(op);
    case STAGE_AHEAD_DROP:
        return go(op, STAGE_AHEAD_MAKE);
    case STAGE_AHEAD_MAKE:
        return next_step(op);
    case STAGE_UNDO_OPEN:
        return go(op, state->may_undo ? STAGE_UNDO : STAGE_UNDO_CLOSE);
    case STAGE_UNDO:
        return go(op, state->at-- > 0 ? STAGE_UNDO : STAGE_UNDO_CLOSE);
    case STAGE_UNDO_CLOSE:
        op->code = state->why;
        op->request->error = state->error;
        return FH_PG_DONE;
    }
    return FH_PG_DONE;
}

static void tell(struct fh_pg_op *op, const char *what)
{
    (void)fh_error_set(&op->request->error, op->failure.code, "%s (%s)", what,
                       op->failure.constraint[0] != '\0' ? op->failure.constraint
                       : op->failure.table[0] != '\0'    ? op->failure.table
                                                         : op->failure.sqlstate);
}

/* Whether stored rows are the reason, and which. */
static bool rows_do_not_fit(struct fh_pg_op *op)
{
    switch (op->failure.code) {
    case FH_UNIQUE_VIOLATION:
        tell(op, "stored records do not fit a new unique constraint");
        return true;
    case FH_REFERENCE_VIOLATION:
        tell(op, "stored records do not fit a new reference");
        return true;
    case FH_CHECK_VIOLATION:
        tell(op, strcmp(op->failure.sqlstate, "23502") == 0
                     ? "stored records have no value in a column that is to be required"
                     : "stored records do not fit a new check");
        return true;
    case FH_RANGE:
        tell(op, "a generated column of stored records is out of range");
        return true;
    default:
        return false;
    }
}

/* No namespace, no view of that version, a fence that is another, no note of the version to change
 * (these divided by zero): what is there is found out by asking. */
static bool is_otherwise(const char *sqlstate)
{
    return strcmp(sqlstate, "3F000") == 0 || strcmp(sqlstate, "42P01") == 0 ||
           strcmp(sqlstate, "22012") == 0;
}

static bool is_undoing(const struct fh_pg_schema_state *state)
{
    return state->stage == STAGE_UNDO_OPEN || state->stage == STAGE_UNDO ||
           state->stage == STAGE_UNDO_CLOSE;
}

static void schema_failed(struct fh_pg_op *op, unsigned index)
{
    struct fh_pg_schema_state *state = op->state;
    (void)index;
    if (is_undoing(state)) { /* a connection that is gone is worth another one */
        op->failure.code =
            op->failure.code == FH_UNAVAILABLE && op->attempts == 0 ? FH_UNAVAILABLE : state->why;
        op->request->error = state->error;
        return;
    }
    if (state->stage == STAGE_QUICK && is_otherwise(op->failure.sqlstate)) {
        state->slow = true;
        op->retry_elsewhere = true;
        return;
    }
    if (state->stage == STAGE_RUN && op->code != FH_OK) {
        op->failure.code = op->code; /* the fence was told, then the guard failed for it */
        return;
    }
    bool misfit = rows_do_not_fit(op);
    if (!misfit) {
        tell(op, op->failure.code == FH_CONFLICT
                     ? "the schema change did not get a lock in time; nothing was changed"
                     : "the schema change was refused by the server");
    }
    /* The older version must not be bound by what its rows do not fit. */
    if (state->step_count > 0 && misfit) {
        state->why = op->failure.code;
        state->error = op->request->error;
        state->stage = STAGE_UNDO_OPEN;
        state->at = state->step_count - 1;
        op->retry_elsewhere = true;
    }
}

/* Sent anew from the start, but for an undo, which is what a failure is followed by: on another
 * connection, perhaps, so that begins with its locks. */
static void schema_reset(struct fh_pg_op *op)
{
    struct fh_pg_schema_state *state = op->state;
    if (state != NULL && is_undoing(state)) {
        state->stage = STAGE_UNDO_OPEN;
    } else if (state != NULL && state->slow) {
        memset(state, 0, sizeof(*state));
        state->slow = true;
        state->stage = STAGE_LOCK;
    } else {
        op->state = NULL;
    }
}

const struct fh_pg_op_kind fh_pg_schema_kind = {.send = fh_pg_schema_send,
                                                .result = schema_result,
                                                .failed = schema_failed,
                                                .synced = schema_synced,
                                                .reset = schema_reset};
