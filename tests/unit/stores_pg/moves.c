#include "tests/unit/stores_pg/moves.h"

#include <stdio.h>
#include <stdlib.h>

#define RUN_MS 20000
#define WAITS_MAX 2000

const struct fh_fence_guard guard_open = {.generation = 1, .modes = FH_FENCE_BIT(FH_FENCE_OPEN)};
const struct fh_fence_guard guard_incoming = {.generation = 1,
                                              .modes = FH_FENCE_BIT(FH_FENCE_INCOMING)};

void moves_start(struct fixture *f)
{
    static const struct fh_pgtest_options options = {.fsync_off = true};
    fixture_start(f, &options);
}

void moves_to_other(struct call *call)
{
    call->request.scope.epoch = 2;
    (void)snprintf(call->request.scope.home.name, sizeof(call->request.scope.home.name), "%s",
                   OTHER_HOME);
}

void moves_make_other(struct fixture *f)
{
    struct call call;
    call_init(&call, f);
    moves_to_other(&call);
    call.request.op = FH_OP_SCHEMA_APPLY;
    call.request.scope.tenant = (struct fh_uuid){{0}};
    call.request.as.schema.target = &model_v1;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
    call_init(&call, f);
    moves_to_other(&call);
    call.request.op = FH_OP_HOME_CREATE;
    call.request.as.home.fence =
        (struct fh_fence){.epoch = 2, .generation = 1, .mode = FH_FENCE_INCOMING};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
}

void moves_fence(struct fixture *f, struct call *call, struct fh_fence from, struct fh_fence to)
{
    (void)f;
    call->request.op = FH_OP_FENCE_SET;
    call->request.as.fence = (struct fh_op_fence){.expected = from, .desired = to};
    assert_int_equal(call_run(call, RUN_MS), FH_OK);
}

void view_open(struct fixture *f, struct view *view)
{
    struct call call;
    call_init(&call, f);
    ask_open(&call);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    view->snapshot = call.request.as.snapshot.snapshot;
    assert_non_null(view->snapshot);
    assert_true(call.request.as.snapshot.cursor.len > 0);
    (void)snprintf(view->cursor, sizeof(view->cursor), "%.*s",
                   FH_STR_ARG(call.request.as.snapshot.cursor));
    call_close(&call);
}

void view_close(struct fixture *f, struct view *view)
{
    struct call call;
    call_init(&call, f);
    call.request.op = FH_OP_SNAPSHOT_CLOSE;
    call.request.as.snapshot.snapshot = view->snapshot;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_null(call.request.as.snapshot.snapshot);
    call_close(&call);
}

void add_author(struct fixture *f, int64_t id)
{
    struct call call;
    call_init(&call, f);
    call_insert(&call, id, "");
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
}

void set_score(struct fixture *f, int64_t id, int64_t score)
{
    struct call call;
    call_init(&call, f);
    call_score(&call, id, score, "");
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
}

void delete_author(struct fixture *f, int64_t id, enum fh_write_op op)
{
    struct call call;
    call_init(&call, f);
    call_score(&call, id, 0, "");
    call.write.op = op;
    call.write.assignment_count = 0;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
}

static struct fh_row *row_of(struct call *call, const struct fh_table *table)
{
    struct fh_row *row = fh_row_create(table, &call->arena);
    assert_non_null(row);
    row->tenant = call->fixture->tenant;
    row->created_at_us = 1000000;
    row->updated_at_us = 2000000;
    row->version = 3;
    return row;
}

static struct fh_value kept_text(struct call *call, const char *text)
{
    char *copy = fh_arena_copy(&call->arena, text, strlen(text));
    assert_non_null(copy);
    return text_value(copy);
}

struct fh_row *author_row(struct call *call, int64_t id)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "copied %lld", (long long)id);
    struct fh_row *row = row_of(call, &model_authors);
    row->values[AUTHOR_ID] = int_value(FH_TYPE_INT64, id);
    row->values[AUTHOR_NAME] = kept_text(call, name);
    return row;
}

struct fh_row *book_row(struct call *call, int64_t author, const char *slug)
{
    struct fh_row *row = row_of(call, &model_books);
    row->values[BOOK_AUTHOR] = int_value(FH_TYPE_INT64, author);
    row->values[BOOK_SLUG] = kept_text(call, slug);
    return row;
}

void ask_open(struct call *call)
{
    call->request.op = FH_OP_SNAPSHOT_OPEN;
    call->request.as.snapshot = (struct fh_op_snapshot){.guard = guard_open};
}

static struct fh_snapshot *snapshot_of(const struct view *view)
{
    return view != NULL ? view->snapshot : NULL;
}

void ask_scan(struct call *call, const struct view *view, const struct fh_table *table)
{
    call->request.op = FH_OP_SCAN;
    call->request.as.scan = (struct fh_op_scan){.guard = guard_open,
                                                .snapshot = snapshot_of(view),
                                                .table = table,
                                                .limit = 1000,
                                                .bytes_max = PAGE_BYTES};
}

void ask_journal(struct call *call, const struct view *view)
{
    call->request.op = FH_OP_SCAN_JOURNAL;
    call->request.as.scan_journal = (struct fh_op_scan_journal){
        .guard = guard_open, .snapshot = snapshot_of(view), .limit = 1000, .bytes_max = PAGE_BYTES};
}

void ask_changes(struct call *call, const struct view *view, const char *since)
{
    call->request.op = FH_OP_CHANGES;
    call->request.as.changes = (struct fh_op_changes){.guard = guard_open,
                                                      .snapshot = snapshot_of(view),
                                                      .since = fh_str_of(since),
                                                      .limit = 1000,
                                                      .bytes_max = PAGE_BYTES};
}

void ask_tally(struct call *call, const struct view *view, const char *since)
{
    call->request.op = FH_OP_TALLY;
    call->request.as.tally = (struct fh_op_tally){
        .guard = guard_open, .snapshot = snapshot_of(view), .since = fh_str_of(since)};
}

void ask_apply(struct call *call, struct fh_row *const *rows, size_t count)
{
    moves_to_other(call);
    call->request.op = FH_OP_APPLY;
    call->request.as.apply =
        (struct fh_op_apply){.guard = guard_incoming, .rows = rows, .row_count = count};
}

void ask_state(struct call *call)
{
    moves_to_other(call);
    call->request.op = FH_OP_MOVE_STATE;
    call->request.as.move_state = (struct fh_op_move_state){.guard = guard_incoming};
}

long server_number(struct fixture *f, const char *sql)
{
    char text[64] = "";
    assert_true(fh_pgtest_value(f->pg, FH_PGTEST_SUPERUSER, sql, text, sizeof(text)));
    return strtol(text, NULL, 10);
}

void server_wait(struct fixture *f, const char *sql)
{
    for (int i = 0; i < WAITS_MAX; i++) {
        if (server_number(f, sql) > 0) {
            return;
        }
        fixture_turn(f, 5);
    }
    fail_msg("never true: %s", sql);
}
