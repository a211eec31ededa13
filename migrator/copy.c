/* Happy path: pages of each table in schema order, then of the journal; each is applied in one
 * transaction with the position behind it, while the next is read. The last one's state says that
 * only rounds are left.
 *
 * A row is left out when its key or unique value is taken at the target (keep_existing). That loses
 * nothing: the value it met there was read before it and had it then, so it was changed since; both
 * changes are younger than the cursor, which was recorded before the first page was read; so both
 * rows are in the first round, which removes both before it inserts what is there then. For the
 * same reason nothing needs one view for all pages. And no page is applied behind a round that was
 * read before it: the first round begins when the last page is in.
 *
 * Within one store that offers it, tables are copied from home to home by the store itself, a page
 * a request, under the same rules; what it refuses for good is copied as above.
 *
 * Failures: a page of unknown outcome is not repeated, but found out about through a new claim.
 */
#include "base/fault_point.h"
#include "migrator/internal.h"
#include "migrator/run.h"

#define PAGE_BYTES_MAX ((size_t)1024 * 1024)

static uint32_t journal_index(const struct fh_run *run)
{
    return run->schema->table_count;
}

static bool at_end(const struct fh_run *run, const struct fh_position *position)
{
    return position->table > journal_index(run);
}

/* Whether the store itself can bring the table from one home to the other. */
static bool goes_within(const struct fh_run *run)
{
    const struct fh_move *move = &run->move;
    const struct fh_store *store =
        fh_router_store(run->migrator->router, fh_str_of(move->target_store));
    return !run->within_refused && run->position.table < journal_index(run) &&
           strcmp(move->source.store, move->target_store) == 0 && store != NULL &&
           (store->ops->capabilities & FH_CAPABILITY_COPY_WITHIN) != 0 &&
           move->source.home.tier != FH_TIER_DATABASE && move->target_home.tier != FH_TIER_DATABASE;
}

static enum fh_step next_page(const struct fh_run *run)
{
    return goes_within(run) ? FH_STEP_COPY_WITHIN : FH_STEP_COPY_READ;
}

enum fh_step fh_run_copy(struct fh_run *run)
{
    run->page = 0;
    run->copy_mark_us = fh_run_now(run);
    return next_page(run);
}

static enum fh_code read_page(struct fh_run *run, unsigned which, struct fh_page *page,
                              const struct fh_position *position)
{
    fh_arena_reset(&page->arena);
    bool journal = position->table == journal_index(run);
    struct fh_request *request = fh_run_request(
        run, which, FH_SIDE_SOURCE, journal ? FH_OP_SCAN_JOURNAL : FH_OP_SCAN, &page->arena);
    const struct fh_fence_guard guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_OPEN));
    page->is_journal = journal;
    page->next = *position;
    page->count = 0;
    if (journal) {
        request->as.scan_journal = (struct fh_op_scan_journal){.guard = guard,
                                                               .after_epoch = position->epoch,
                                                               .after_seq = position->seq,
                                                               .limit = run->throttle.rows,
                                                               .bytes_max = PAGE_BYTES_MAX};
    } else {
        request->as.scan = (struct fh_op_scan){.guard = guard,
                                               .table = run->schema->tables[position->table],
                                               .after = position->has_key ? &position->key : NULL,
                                               .limit = run->throttle.rows,
                                               .bytes_max = PAGE_BYTES_MAX};
    }
    return fh_run_submit(run, which, FH_SIDE_SOURCE);
}

/* What the request brought; false: a commit record is of a schema we do not know. */
static bool take_page(const struct fh_run *run, unsigned which, struct fh_page *page)
{
    const struct fh_request *request = &run->calls[which].request;
    bool more = false;
    if (page->is_journal) {
        page->journal = request->as.scan_journal.rows;
        page->count = request->as.scan_journal.count;
        more = request->as.scan_journal.more;
    } else {
        page->rows = request->as.scan.rows;
        page->count = request->as.scan.count;
        more = request->as.scan.more;
    }
    if (!more) {
        page->next = (struct fh_position){.table = page->next.table + 1};
    } else if (page->is_journal) {
        page->next.epoch = page->journal[page->count - 1].epoch;
        page->next.seq = page->journal[page->count - 1].seq;
    } else {
        page->next.has_key = true;
        fh_key_of_row(page->rows[page->count - 1], &page->next.key);
    }
    for (size_t i = 0; page->is_journal && i < page->count; i++) {
        if (page->journal[i].schema_version > run->schema->version) {
            return false;
        }
    }
    return true;
}

enum fh_code fh_run_enter_copy_read(struct fh_run *run)
{
    return read_page(run, 0, &run->pages[run->page], &run->position);
}

/* A page is in: apply it, or go on at once where there was nothing. */
static enum fh_step page_read(struct fh_run *run)
{
    const struct fh_page *page = &run->pages[run->page];
    if (page->count == 0 && !at_end(run, &page->next)) {
        run->position = page->next;
        return next_page(run);
    }
    return FH_STEP_COPY_APPLY;
}

enum fh_step fh_run_after_copy_read(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return fh_run_trouble(run, code, FH_STEP_COPY_READ);
    }
    if (!take_page(run, 0, &run->pages[run->page])) {
        return fh_run_prepare(run); /* from the beginning, with the newer schema */
    }
    return page_read(run);
}

#ifdef FREEHOLD_FAULTS
/* Seeded bug: the first page is put aside, and applied behind the first round. */
static bool puts_aside(const struct fh_run *run, const struct fh_page *page)
{
    return fh_fault_seeded("chunk_after_delete") && !run->stale_kept && !page->is_journal &&
           page->count > 0;
}

static void put_aside(struct fh_run *run, struct fh_page *page)
{
    fh_arena_close(&run->stale.arena);
    run->stale = *page;
    run->stale_kept = true;
    fh_arena_init(&page->arena, RUN_ARENA_BYTES_MAX);
}
#else
static bool puts_aside(const struct fh_run *run, const struct fh_page *page)
{
    (void)run;
    (void)page;
    return false;
}

static void put_aside(struct fh_run *run, struct fh_page *page)
{
    (void)run;
    (void)page;
}
#endif

/* What the target is to remember: everything up to `position` is there. */
static enum fh_code encode_state(const struct fh_run *run, const struct fh_position *position,
                                 uint64_t rows, uint64_t records, struct fh_arena *arena,
                                 struct fh_str *out)
{
    const struct fh_move_progress *progress = &run->move.progress;
    const struct fh_run_state state = {.move = run->move.uuid,
                                       .epoch = run->move.source.epoch,
                                       .schema_version = run->schema->version,
                                       .following = at_end(run, position),
                                       .position = *position,
                                       .cursor = fh_cursor_str(&run->state_cursor),
                                       .rows_copied = progress->rows_copied + rows,
                                       .records_copied = progress->records_copied + records};
    return fh_run_state_encode(&state, arena, out);
}

static enum fh_code apply_page(struct fh_run *run, const struct fh_page *page)
{
    struct fh_request *request = fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_APPLY, &run->arena);
    enum fh_code code =
        encode_state(run, &page->next, page->is_journal ? 0 : page->count,
                     page->is_journal ? page->count : 0, &run->arena, &request->as.apply.state);
    if (code != FH_OK) {
        return code;
    }
    request->as.apply.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_INCOMING));
    request->as.apply.keep_existing = true;
    if (page->is_journal) {
        request->as.apply.journal = page->journal;
        request->as.apply.journal_count = page->count;
    } else if (!puts_aside(run, page)) {
        request->as.apply.rows = page->rows;
        request->as.apply.row_count = page->count;
    }
    return fh_run_submit(run, 0, FH_SIDE_TARGET);
}

enum fh_code fh_run_enter_copy_apply(struct fh_run *run)
{
    const struct fh_page *page = &run->pages[run->page];
    run->reading_ahead = false;
    enum fh_code code = apply_page(run, page);
    if (code == FH_OK && !at_end(run, &page->next)) {
        run->reading_ahead = true;
        code = read_page(run, 1, &run->pages[1 - run->page], &page->next);
    }
    return code;
}

static int64_t account(struct fh_run *run, bool is_journal, size_t count)
{
    struct fh_move_progress *progress = &run->move.progress;
    int64_t now = fh_run_now(run);
    int64_t busy_us = now - run->step_began_us;
    progress->copy_us += now - run->copy_mark_us;
    run->copy_mark_us = now;
    if (is_journal) {
        progress->records_copied += count;
    } else {
        progress->rows_copied += count;
        run->migrator->stats.rows_copied += count;
    }
    return fh_throttle_rest(&run->throttle, count, busy_us, busy_us,
                            run->move.settings.duty_percent,
                            run->move.settings.rows_per_second_max);
}

enum fh_step fh_run_after_copy_apply(struct fh_run *run, enum fh_code code)
{
    struct fh_page *page = &run->pages[run->page];
    /* What came of the apply counts, also when the page behind it could not be read. */
    enum fh_code applied = run->calls[0].request.code;
    if (applied != FH_OK || (code != FH_OK && !run->reading_ahead)) {
        return fh_run_doubt(run, applied != FH_OK ? applied : code, FH_STEP_COPY_APPLY);
    }
    fh_run_progressed(run);
    int64_t rest_us = account(run, page->is_journal, page->count);
    run->position = page->next;
    if (puts_aside(run, page)) {
        put_aside(run, page);
    }
    if (at_end(run, &run->position)) {
        return fh_run_advance(run, FH_MOVE_CATCHING_UP, fh_run_follow(run));
    }
    run->page = 1 - run->page;
    if (code != FH_OK) {
        return fh_run_trouble(run, code, FH_STEP_COPY_READ);
    }
    if (!take_page(run, 1, &run->pages[run->page])) {
        return fh_run_prepare(run);
    }
    enum fh_step next = page_read(run);
    return rest_us > 0 ? fh_run_wait(run, rest_us, next) : next;
}

/* One page of a table, from home to home in the store. The position that is recorded with it is
 * where it began, so a crash costs the page: copied again, it finds its rows there. */
enum fh_code fh_run_enter_copy_within(struct fh_run *run)
{
    struct fh_page *page = &run->pages[run->page];
    fh_arena_reset(&page->arena);
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_COPY_WITHIN, &page->arena);
    struct fh_op_copy_within *copy = &request->as.copy_within;
    *copy = (struct fh_op_copy_within){
        .guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_INCOMING)),
        .source = run->move.source.home,
        .source_epoch = run->move.source.epoch,
        .source_guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_OPEN)),
        .table = run->schema->tables[run->position.table],
        .after = run->position.has_key ? &run->position.key : NULL,
        .limit = run->throttle.rows,
    };
    enum fh_code code = encode_state(run, &run->position, 0, 0, &page->arena, &copy->state);
    return code == FH_OK ? fh_run_submit(run, 0, FH_SIDE_TARGET) : code;
}

enum fh_step fh_run_after_copy_within(struct fh_run *run, enum fh_code code)
{
    const struct fh_op_copy_within *copy = &run->calls[0].request.as.copy_within;
    if (fh_run_is_permanent(code)) { /* and did nothing: then by way of us */
        run->within_refused = true;
        return FH_STEP_COPY_READ;
    }
    if (code != FH_OK) {
        return fh_run_doubt(run, code, FH_STEP_COPY_WITHIN);
    }
    fh_run_progressed(run);
    int64_t rest_us = account(run, false, (size_t)copy->rows);
    if (copy->more && copy->last.table != NULL) {
        run->position.has_key = true;
        run->position.key = copy->last; /* in this page's arena; the next one uses the other */
        run->page = 1 - run->page;
    } else {
        run->position = (struct fh_position){.table = run->position.table + 1};
    }
    enum fh_step next = next_page(run);
    return rest_us > 0 ? fh_run_wait(run, rest_us, next) : next;
}
