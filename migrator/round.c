/* Happy path: a view of the source; the commit records since the cursor and what they name as it is
 * in that view; one transaction at the target that removes every key and inserts what is there, and
 * says that the target holds all that is in the view; the view is closed. Rounds follow each other
 * until one is short; then the target is compared (verify.c), and then the switch is near.
 *
 * A round of several pages is read twice: first every key that changed is removed, then page by
 * page what is there is inserted, and only the last page moves the cursor. In between the target
 * lacks rows, and a crash there costs this round: the next one, from the same cursor, covers it.
 *
 * Failures: whatever fails ends the round and its view; the next one starts from the cursor that
 * was reached. A record of a newer schema than ours begins the move anew.
 */
#include "base/fault_point.h"
#include "migrator/internal.h"
#include "migrator/run.h"

#define LIMIT_FIRST 500 /* records a page */
#define SHORT_RECORDS 500
#define LAG_GROWS_MAX 5
#define SHORT_ROUNDS_MAX 20
#define IDLE_US_MAX (200 * (int64_t)1000)

static bool is_final(const struct fh_run *run)
{
    return run->round.purpose == FH_ROUND_FINAL;
}

enum fh_step fh_run_begin_round(struct fh_run *run, enum fh_round_purpose purpose)
{
    run->round = (struct fh_round){
        .purpose = purpose, .limit = LIMIT_FIRST, .us = run->round.us, .began_us = fh_run_now(run)};
    return purpose == FH_ROUND_FINAL ? FH_STEP_FINAL_VIEW : FH_STEP_ROUND_VIEW;
}

enum fh_step fh_run_follow(struct fh_run *run)
{
    return fh_run_begin_round(run, FH_ROUND_FOLLOW);
}

/* Behind a failure everything of the round is begun anew. */
static enum fh_step trouble(struct fh_run *run, enum fh_code code)
{
    if (is_final(run)) {
        return fh_run_call_off(run, fh_error_text(&run->error));
    }
    return fh_run_trouble(run, code, fh_run_begin_round(run, FH_ROUND_FOLLOW));
}

static uint32_t source_modes(const struct fh_run *run)
{
    if (!is_final(run)) {
        return FH_FENCE_BIT(FH_FENCE_OPEN);
    }
    return fh_fault_seeded("skip_fence") ? FH_FENCE_BIT(FH_FENCE_OPEN)
                                         : FH_FENCE_BIT(FH_FENCE_FROZEN);
}

enum fh_code fh_run_enter_round_view(struct fh_run *run)
{
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_SOURCE, FH_OP_SNAPSHOT_OPEN, &run->arena);
    request->as.snapshot.guard = fh_run_guard(run, source_modes(run));
    return fh_run_submit(run, 0, FH_SIDE_SOURCE);
}

enum fh_code fh_run_view_code(enum fh_code code)
{
    return code == FH_TOO_LARGE ? FH_UNAVAILABLE : code;
}

enum fh_step fh_run_after_round_view(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return trouble(run, fh_run_view_code(code));
    }
    if (!fh_cursor_set(&run->view_cursor, run->calls[0].request.as.snapshot.cursor)) {
        return fh_run_fail(run, "the source's cursor is longer than allowed");
    }
    return is_final(run) ? FH_STEP_FINAL_CHANGES : FH_STEP_ROUND_CHANGES;
}

#ifdef FREEHOLD_FAULTS
/* Seeded bug: what has a lower number than the highest seen is taken for known. */
static void use_sequence(struct fh_run *run, struct fh_op_changes *changes)
{
    if (!fh_fault_seeded("sequence_cursor")) {
        return;
    }
    if (run->cursor_first.len == 0) {
        run->cursor_first = run->cursor;
    }
    changes->since = fh_cursor_str(&run->cursor_first);
    if (changes->after_seq < run->seq_seen) {
        changes->after_seq = run->seq_seen;
    }
}

static void see_sequence(struct fh_run *run, const struct fh_op_changes *changes)
{
    for (size_t i = 0; i < changes->journal_count; i++) {
        if (changes->journal[i].seq > run->round_seq) {
            run->round_seq = changes->journal[i].seq;
        }
    }
}
#else
static void use_sequence(struct fh_run *run, struct fh_op_changes *changes)
{
    (void)run;
    (void)changes;
}

static void see_sequence(struct fh_run *run, const struct fh_op_changes *changes)
{
    (void)run;
    (void)changes;
}
#endif

enum fh_code fh_run_enter_round_changes(struct fh_run *run)
{
    struct fh_page *page = &run->pages[0];
    fh_arena_reset(&page->arena);
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_SOURCE, FH_OP_CHANGES, &page->arena);
    request->as.changes = (struct fh_op_changes){.guard = fh_run_guard(run, source_modes(run)),
                                                 .snapshot = run->view,
                                                 .since = fh_cursor_str(&run->cursor),
                                                 .after_seq = run->round.after_seq,
                                                 .limit = run->round.limit,
                                                 .bytes_max = FH_SCAN_BYTES_MAX};
    use_sequence(run, &request->as.changes);
    return fh_run_submit(run, 0, FH_SIDE_SOURCE);
}

static bool is_too_large(const struct fh_op_changes *changes)
{
    return 2 * changes->key_count + changes->journal_count > FH_APPLY_ROWS_MAX;
}

enum fh_step fh_run_after_round_changes(struct fh_run *run, enum fh_code code)
{
    struct fh_round *round = &run->round;
    const struct fh_op_changes *changes = &run->calls[0].request.as.changes;
    enum fh_step again = is_final(run) ? FH_STEP_FINAL_CHANGES : FH_STEP_ROUND_CHANGES;
    if (code != FH_OK) {
        return trouble(run, code);
    }
    for (size_t i = 0; i < changes->journal_count; i++) {
        if (changes->journal[i].schema_version > run->schema->version) {
            return is_final(run) ? fh_run_call_off(run, "the schema has changed")
                                 : fh_run_close_view(run, fh_run_prepare(run));
        }
    }
    if (is_too_large(changes) && round->limit > 1) {
        round->limit /= 2; /* one record's keys always fit: FH_COMMIT_WRITES_MAX */
        return again;
    }
    if (round->pass == FH_PASS_ONLY && changes->more) {
        round->pass = FH_PASS_DELETE;
    }
    run->changes = *changes; /* calls[0] is the apply's next; the results are in the page */
    return is_final(run) ? FH_STEP_FINAL_APPLY : FH_STEP_ROUND_APPLY;
}

/* Rows that are there, packed. */
static enum fh_code present_rows(struct fh_run *run, struct fh_op_apply *apply)
{
    const struct fh_op_changes *changes = &run->changes;
    struct fh_row **rows = FH_ARENA_ARRAY(&run->arena, struct fh_row *, changes->key_count);
    if (rows == NULL) {
        return FH_NOMEM;
    }
    size_t count = 0;
    for (size_t i = 0; i < changes->key_count; i++) {
        if (changes->rows[i] != NULL) {
            rows[count++] = changes->rows[i];
        }
    }
    apply->rows = rows;
    apply->row_count = count;
    return FH_OK;
}

static enum fh_code add_state(struct fh_run *run, struct fh_op_apply *apply)
{
    const struct fh_run_state state = {.move = run->move.uuid,
                                       .epoch = run->move.source.epoch,
                                       .schema_version = run->schema->version,
                                       .following = true,
                                       .position = {.table = run->schema->table_count + 1},
                                       .cursor = fh_cursor_str(&run->view_cursor),
                                       .rows_copied = run->move.progress.rows_copied,
                                       .records_copied =
                                           run->move.progress.records_copied + run->round.records};
    return fh_run_state_encode(&state, &run->arena, &apply->state);
}

#ifdef FREEHOLD_FAULTS
static enum fh_code apply_stale(struct fh_run *run)
{
    if (!run->stale_kept || run->stale.count == 0) {
        return FH_OK;
    }
    struct fh_request *request =
        fh_run_request(run, 1, FH_SIDE_TARGET, FH_OP_APPLY, &run->stale.arena);
    request->as.apply.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_INCOMING));
    request->as.apply.keep_existing = true;
    request->as.apply.rows = run->stale.rows;
    request->as.apply.row_count = run->stale.count;
    run->stale.count = 0;
    return fh_run_submit(run, 1, FH_SIDE_TARGET);
}
#else
static enum fh_code apply_stale(struct fh_run *run)
{
    (void)run;
    return FH_OK;
}
#endif

/* Nothing has changed: then nothing need be written, not even the cursor. */
static bool is_empty(const struct fh_run *run)
{
    return run->round.pass == FH_PASS_ONLY && run->changes.journal_count == 0;
}

enum fh_code fh_run_apply_changes(struct fh_run *run)
{
    const struct fh_round *round = &run->round;
    const struct fh_op_changes *changes = &run->changes;
    if (is_empty(run)) {
        return apply_stale(run);
    }
    struct fh_request *request = fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_APPLY, &run->arena);
    struct fh_op_apply *apply = &request->as.apply;
    enum fh_code code = FH_OK;
    apply->guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_INCOMING));
    /* In the insert pass too: a key may be on several pages. */
    apply->deletes = changes->keys;
    apply->delete_count = changes->key_count;
    if (round->pass != FH_PASS_DELETE) {
        code = present_rows(run, apply);
        if (!fh_fault_seeded("journal_left_behind")) {
            apply->journal = changes->journal;
            apply->journal_count = changes->journal_count;
        }
        if (code == FH_OK && !changes->more) {
            code = add_state(run, apply);
        }
    }
    if (code == FH_OK) {
        code = fh_run_submit(run, 0, FH_SIDE_TARGET);
    }
    return code == FH_OK ? apply_stale(run) : code;
}

enum fh_code fh_run_enter_round_apply(struct fh_run *run)
{
    return fh_run_apply_changes(run);
}

static void round_over(struct fh_run *run)
{
    struct fh_round *round = &run->round;
    struct fh_move_progress *progress = &run->move.progress;
    if (round->records > 0) {
        run->state_cursor = run->view_cursor;
    }
    run->cursor = run->view_cursor;
    run->verify.count += round->records;
    run->verify.sum += round->seq_sum;
    round->us = fh_run_now(run) - round->began_us;
    progress->rounds++;
    progress->lag_records = round->records;
    progress->records_copied += round->records;
    progress->rows_applied += round->rows;
#ifdef FREEHOLD_FAULTS
    run->seq_seen = run->round_seq > run->seq_seen ? run->round_seq : run->seq_seen;
#endif
    fh_run_progressed(run);
}

/* The page is in the target: FH_STEP_WAIT when the round is over, else the next page's step. */
enum fh_step fh_run_page_applied(struct fh_run *run)
{
    struct fh_round *round = &run->round;
    const struct fh_op_changes *changes = &run->changes;
    if (round->pass != FH_PASS_DELETE) {
        round->records += changes->journal_count;
        round->rows += changes->key_count;
        for (size_t i = 0; i < changes->journal_count; i++) {
            round->seq_sum += changes->journal[i].seq;
        }
        see_sequence(run, changes);
    }
    if (changes->more) {
        round->after_seq = changes->journal[changes->journal_count - 1].seq;
    } else if (round->pass == FH_PASS_DELETE) {
        round->pass = FH_PASS_INSERT;
        round->after_seq = 0;
    } else {
        round_over(run);
        return FH_STEP_WAIT;
    }
    return is_final(run) ? FH_STEP_FINAL_CHANGES : FH_STEP_ROUND_CHANGES;
}

/* Writes that come faster than rounds go: all that can be done is to say so. */
static void watch_lag(struct fh_run *run)
{
    uint64_t lag = run->round.records;
    run->lag_grows = lag > SHORT_RECORDS && lag >= run->lag_before ? run->lag_grows + 1 : 0;
    run->lag_before = lag;
    if (run->lag_grows >= LAG_GROWS_MAX) {
        run->complained = true;
        fh_run_say(run, "writes come as fast as they can be applied: %llu records behind",
                   (unsigned long long)lag);
    }
}

static int64_t predict(const struct fh_run *run)
{
    /* Freeze and close at the source, the round, the switch, the target's opening. */
    return 2 * run->fence_us + run->round.us + run->catalog_us + run->marks_us[FH_STEP_ROUND_APPLY];
}

/* A round of ROUND_FOLLOW is over and its view closed. */
static enum fh_step followed(struct fh_run *run)
{
    const struct fh_round *round = &run->round;
    int64_t now = fh_run_now(run);
    if (round->pass != FH_PASS_ONLY || round->records > SHORT_RECORDS) {
        watch_lag(run);
        return fh_run_follow(run);
    }
    run->lag_grows = 0;
    run->move.progress.pause_predicted_us = predict(run);
    if (!run->verify.done) {
        return fh_run_advance(run, FH_MOVE_READY, fh_run_begin_round(run, FH_ROUND_VERIFY));
    }
    if (now < run->switch_not_before_us) {
        int64_t us = run->switch_not_before_us - now;
        return fh_run_wait(run, us < IDLE_US_MAX ? us : IDLE_US_MAX, fh_run_follow(run));
    }
    if (run->move.phase == FH_MOVE_CATCHING_UP) {
        return fh_run_advance(run, FH_MOVE_READY, fh_run_follow(run));
    }
    /* A prediction is no proof: after a while it is tried all the same, within the same bound. */
    if (run->move.progress.pause_predicted_us > run->move.settings.max_pause_us &&
        ++run->short_rounds < SHORT_ROUNDS_MAX) {
        run->complained = true;
        fh_run_say(run, "a pause of %lld ms is predicted, more than max_pause",
                   (long long)(run->move.progress.pause_predicted_us / 1000));
        return fh_run_wait(run, IDLE_US_MAX, fh_run_follow(run));
    }
    run->short_rounds = 0;
    return fh_run_advance(run, FH_MOVE_SWITCHING, FH_STEP_FREEZE);
}

enum fh_step fh_run_after_round_apply(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        (void)fh_run_begin_round(run, FH_ROUND_FOLLOW);
        return fh_run_doubt(run, code, FH_STEP_ROUND_VIEW);
    }
    enum fh_step next = fh_run_page_applied(run);
    if (next != FH_STEP_WAIT) {
        return next;
    }
    if (run->round.purpose == FH_ROUND_VERIFY) {
        return FH_STEP_VERIFY_TALLY;
    }
    return fh_run_close_view(run, followed(run));
}
