/* Everything is compared, in one view of the source, while nothing is applied to the target.
 *
 * Happy path: the view's round has been applied, so the target should hold exactly what the view
 * shows. Range by range the source is read in the view and the target by a scan of its own; each is
 * digested from its values, and digests and counts are compared. The last range of a table has no
 * end at the target, so that rows too many are found. The journal follows, then the references. A
 * tally of the view's young records is the base for the one under the freeze: what the mover has
 * read cannot show what it has missed, what another query counts can.
 *
 * Failures: a mismatch ends the move. A view that was lost, or a store that is away, costs the
 * comparison: it begins anew with the next short round.
 */
#include "base/fault_point.h"
#include "migrator/internal.h"
#include "migrator/run.h"

#define RANGE_ROWS 1000
#define RANGE_BYTES_MAX ((size_t)1024 * 1024)
#define REST_US_MAX (FH_SNAPSHOT_IDLE_MAX_US / 4) /* a view that lies idle for long is ended */

static enum fh_step trouble(struct fh_run *run, enum fh_code code)
{
    return fh_run_trouble(run, code, fh_run_follow(run));
}

enum fh_code fh_run_enter_verify_tally(struct fh_run *run)
{
    struct fh_request *request = fh_run_request(run, 0, FH_SIDE_SOURCE, FH_OP_TALLY, &run->arena);
    request->as.tally.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_OPEN));
    request->as.tally.snapshot = run->view;
    request->as.tally.since = fh_cursor_str(&run->view_cursor);
    return fh_run_submit(run, 0, FH_SIDE_SOURCE);
}

enum fh_step fh_run_after_verify_tally(struct fh_run *run, enum fh_code code)
{
    struct fh_verify *verify = &run->verify;
    if (code != FH_OK) {
        return trouble(run, code);
    }
    verify->since = run->view_cursor;
    verify->base_count = run->calls[0].request.as.tally.count;
    verify->base_sum = run->calls[0].request.as.tally.seq_sum;
    verify->count = 0;
    verify->sum = 0;
    verify->rows = 0;
    verify->range = 0;
    verify->position = (struct fh_position){.table = 0};
    fh_arena_reset(&verify->keys);
    return FH_STEP_VERIFY_SOURCE;
}

static bool in_journal(const struct fh_run *run)
{
    return run->verify.position.table == run->schema->table_count;
}

static enum fh_code scan(struct fh_run *run, enum fh_side side, struct fh_snapshot *view,
                         const struct fh_position *from, const struct fh_position *until,
                         struct fh_arena *arena)
{
    bool journal = in_journal(run);
    struct fh_request *request =
        fh_run_request(run, 0, side, journal ? FH_OP_SCAN_JOURNAL : FH_OP_SCAN, arena);
    const struct fh_fence_guard guard =
        fh_run_guard(run, FH_FENCE_BIT(side == FH_SIDE_SOURCE ? FH_FENCE_OPEN : FH_FENCE_INCOMING));
    if (journal) {
        request->as.scan_journal = (struct fh_op_scan_journal){.guard = guard,
                                                               .snapshot = view,
                                                               .after_epoch = from->epoch,
                                                               .after_seq = from->seq,
                                                               .until_epoch = until->epoch,
                                                               .until_seq = until->seq,
                                                               .limit = RANGE_ROWS,
                                                               .bytes_max = RANGE_BYTES_MAX};
    } else {
        request->as.scan = (struct fh_op_scan){.guard = guard,
                                               .snapshot = view,
                                               .table = run->schema->tables[from->table],
                                               .after = from->has_key ? &from->key : NULL,
                                               .until = until->has_key ? &until->key : NULL,
                                               .limit = RANGE_ROWS,
                                               .bytes_max = RANGE_BYTES_MAX};
    }
    return fh_run_submit(run, 0, side);
}

/* Adds the page to the digest. `behind`: where its last row is, its key still the page's; `more`
 * of the range is left. */
static enum fh_code take(struct fh_run *run, struct fh_digest *digest, struct fh_position *behind,
                         bool *more)
{
    const struct fh_request *request = &run->calls[0].request;
    if (in_journal(run)) {
        const struct fh_op_scan_journal *page = &request->as.scan_journal;
        *more = page->more;
        if (page->count > 0) {
            behind->epoch = page->rows[page->count - 1].epoch;
            behind->seq = page->rows[page->count - 1].seq;
        }
        return fh_digest_journal(digest, page->rows, page->count);
    }
    const struct fh_op_scan *page = &request->as.scan;
    *more = page->more;
    if (page->count > 0) {
        behind->has_key = true;
        fh_key_of_row(page->rows[page->count - 1], &behind->key);
    }
    return fh_digest_rows(digest, page->rows, page->count);
}

enum fh_code fh_run_enter_verify_source(struct fh_run *run)
{
    const struct fh_position none = {.table = 0};
    struct fh_page *page = &run->pages[0];
    fh_arena_reset(&page->arena);
    enum fh_code code = fh_digest_begin(&run->verify.source);
    return code == FH_OK
               ? scan(run, FH_SIDE_SOURCE, run->view, &run->verify.position, &none, &page->arena)
               : code;
}

/* Keys that outlive the page they came with. */
static enum fh_code keep(struct fh_position *position, struct fh_arena *arena)
{
    return position->has_key ? fh_key_copy(&position->key, arena, &position->key) : FH_OK;
}

enum fh_step fh_run_after_verify_source(struct fh_run *run, enum fh_code code)
{
    struct fh_verify *verify = &run->verify;
    struct fh_position behind = verify->position;
    bool more = false;
    if (code != FH_OK) {
        return trouble(run, code);
    }
    code = take(run, &verify->source, &behind, &more);
    if (code == FH_OK) {
        code = fh_digest_finish(&verify->source);
    }
    if (code == FH_OK) {
        code = fh_digest_begin(&verify->target);
    }
    /* The range's beginning may be in the arena still: both are copied over it in turn. */
    fh_arena_reset(&verify->pages);
    if (code == FH_OK) {
        code = keep(&verify->position, &verify->pages);
    }
    fh_arena_reset(&verify->keys);
    if (code == FH_OK) {
        code = keep(&behind, &verify->keys);
    }
    if (code != FH_OK) {
        return trouble(run, code);
    }
    verify->from = verify->position;
    verify->next = more ? behind : (struct fh_position){.table = verify->position.table + 1};
    verify->last = !more;
    return FH_STEP_VERIFY_TARGET;
}

enum fh_code fh_run_enter_verify_target(struct fh_run *run)
{
    const struct fh_position none = {.table = 0};
    struct fh_verify *verify = &run->verify;
    struct fh_page *page = &run->pages[1];
    fh_arena_reset(&page->arena);
    return scan(run, FH_SIDE_TARGET, NULL, &verify->from, verify->last ? &none : &verify->next,
                &page->arena);
}

static enum fh_step mismatch(struct fh_run *run)
{
    const struct fh_verify *verify = &run->verify;
    struct fh_str table =
        in_journal(run) ? FH_STR("fh_commit") : run->schema->tables[verify->position.table]->name;
    return fh_run_fail(
        run,
        "the comparison failed: %.*s, range %llu: %llu rows at the source, %llu at the target%s",
        FH_STR_ARG(table), (unsigned long long)verify->range,
        (unsigned long long)verify->source.count, (unsigned long long)verify->target.count,
        verify->source.count == verify->target.count ? ", with other content" : "");
}

/* The range is equal. */
static enum fh_step next_range(struct fh_run *run)
{
    struct fh_verify *verify = &run->verify;
    verify->rows += verify->source.count;
    verify->range = verify->last ? 0 : verify->range + 1;
    verify->position = verify->next;
    run->move.progress.rows_verified = verify->rows;
    fh_run_progressed(run);
    if (verify->position.table > run->schema->table_count) {
        return FH_STEP_VERIFY_REFERENCES;
    }
    int64_t us = run->marks_us[FH_STEP_VERIFY_SOURCE] + run->marks_us[FH_STEP_VERIFY_TARGET];
    struct fh_throttle *throttle = &run->throttle;
    int64_t rest_us = fh_throttle_rest(throttle, 0, 0, us, run->move.settings.duty_percent, 0);
    rest_us = rest_us < REST_US_MAX ? rest_us : REST_US_MAX;
    return rest_us > 0 ? fh_run_wait(run, rest_us, FH_STEP_VERIFY_SOURCE) : FH_STEP_VERIFY_SOURCE;
}

enum fh_step fh_run_after_verify_target(struct fh_run *run, enum fh_code code)
{
    struct fh_verify *verify = &run->verify;
    struct fh_position behind = verify->from;
    bool more = false;
    if (code != FH_OK) {
        return trouble(run, code);
    }
    code = take(run, &verify->target, &behind, &more);
    if (code == FH_OK && more && verify->target.count <= verify->source.count) {
        fh_arena_reset(&verify->pages);
        code = keep(&behind, &verify->pages);
        verify->from = behind;
        return code == FH_OK ? FH_STEP_VERIFY_TARGET : trouble(run, code);
    }
    if (code == FH_OK) {
        code = fh_digest_finish(&verify->target);
    }
    if (code != FH_OK) {
        return trouble(run, code);
    }
    return fh_digest_equal(&verify->source, &verify->target) ? next_range(run) : mismatch(run);
}

enum fh_code fh_run_enter_verify_references(struct fh_run *run)
{
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_REFERENCES, &run->arena);
    request->as.references.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_INCOMING));
    return fh_run_submit(run, 0, FH_SIDE_TARGET);
}

enum fh_step fh_run_after_verify_references(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return trouble(run, code);
    }
    run->verify.done = true;
    return fh_run_close_view(run, fh_run_follow(run));
}
