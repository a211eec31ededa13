#include "tests/conformance/mover.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGES_MAX 100000 /* a scan that does not end fails */

struct mover mover_of(struct suite *s, const struct fh_uuid *tenant)
{
    return (struct mover){.s = s,
                          .tenant = *tenant,
                          .epoch = 1,
                          .guard = {.generation = 1, .modes = MOVER_MODES_ALL}};
}

static struct fh_request request_of(const struct mover *m, enum fh_op op)
{
    struct fh_request request = suite_request(m->s, op, &m->tenant);
    request.scope.epoch = m->epoch;
    return request;
}

static enum fh_code run(const struct mover *m, struct fh_request *request)
{
    enum fh_code code = suite_run(m->s, request);
    if (code == FH_INTERNAL || code == FH_CORRUPT || code == FH_UNAVAILABLE) {
        print_error("operation %d: %s\n", (int)request->op, request->error.message);
    }
    return code;
}

enum fh_code mover_try_open(const struct mover *m, struct view *out)
{
    struct fh_request request = request_of(m, FH_OP_SNAPSHOT_OPEN);
    request.as.snapshot.guard = m->guard;
    enum fh_code code = run(m, &request);
    *out = (struct view){request.as.snapshot.snapshot, request.as.snapshot.cursor};
    assert_int_equal(out->snapshot != NULL, code == FH_OK);
    assert_int_equal(out->cursor.len >= 1 && out->cursor.len <= FH_CURSOR_MAX, code == FH_OK);
    return code;
}

struct view mover_open(const struct mover *m)
{
    struct view view;
    assert_code(mover_try_open(m, &view), FH_OK);
    return view;
}

void mover_close(const struct mover *m, struct view *view)
{
    if (view->snapshot == NULL) {
        return;
    }
    struct fh_request request = request_of(m, FH_OP_SNAPSHOT_CLOSE);
    request.as.snapshot.snapshot = view->snapshot;
    view->snapshot = NULL;
    assert_code(run(m, &request), FH_OK);
}

static void page_bounds(size_t *limit, size_t *bytes_max)
{
    *limit = *limit != 0 ? *limit : FH_SCAN_ROWS_MAX;
    *bytes_max = *bytes_max != 0 ? *bytes_max : FH_SCAN_BYTES_MAX;
}

enum fh_code mover_try_scan(const struct mover *m, struct fh_op_scan *scan)
{
    struct fh_request request = request_of(m, FH_OP_SCAN);
    scan->guard = m->guard;
    page_bounds(&scan->limit, &scan->bytes_max);
    request.as.scan = *scan;
    enum fh_code code = run(m, &request);
    *scan = request.as.scan;
    return code;
}

enum fh_code mover_try_scan_journal(const struct mover *m, struct fh_op_scan_journal *scan)
{
    struct fh_request request = request_of(m, FH_OP_SCAN_JOURNAL);
    scan->guard = m->guard;
    page_bounds(&scan->limit, &scan->bytes_max);
    request.as.scan_journal = *scan;
    enum fh_code code = run(m, &request);
    *scan = request.as.scan_journal;
    return code;
}

enum fh_code mover_try_changes(const struct mover *m, struct fh_op_changes *changes)
{
    struct fh_request request = request_of(m, FH_OP_CHANGES);
    changes->guard = m->guard;
    page_bounds(&changes->limit, &changes->bytes_max);
    request.as.changes = *changes;
    enum fh_code code = run(m, &request);
    *changes = request.as.changes;
    return code;
}

enum fh_code mover_try_tally(const struct mover *m, struct fh_op_tally *tally)
{
    struct fh_request request = request_of(m, FH_OP_TALLY);
    tally->guard = m->guard;
    request.as.tally = *tally;
    enum fh_code code = run(m, &request);
    *tally = request.as.tally;
    return code;
}

enum fh_code mover_try_apply(const struct mover *m, struct fh_op_apply *apply)
{
    struct fh_request request = request_of(m, FH_OP_APPLY);
    apply->guard = m->guard;
    request.as.apply = *apply;
    enum fh_code code = run(m, &request);
    *apply = request.as.apply;
    return code;
}

enum fh_code mover_try_state(const struct mover *m, struct fh_str *state)
{
    struct fh_request request = request_of(m, FH_OP_MOVE_STATE);
    request.as.move_state.guard = m->guard;
    enum fh_code code = run(m, &request);
    *state = request.as.move_state.state;
    return code;
}

enum fh_code mover_try_references(const struct mover *m, struct fh_error *error)
{
    struct fh_request request = request_of(m, FH_OP_REFERENCES);
    request.as.references.guard = m->guard;
    enum fh_code code = run(m, &request);
    *error = request.error;
    return code;
}

enum fh_code mover_try_size(const struct mover *m, struct fh_op_size *size)
{
    struct fh_request request = request_of(m, FH_OP_SIZE);
    request.as.size.guard = m->guard;
    enum fh_code code = run(m, &request);
    *size = request.as.size;
    return code;
}

/* Room for one more; doubles, in the arena. */
static void *grown(struct suite *s, void *items, size_t count, size_t size)
{
    if (count >= 16 && (count & (count - 1)) != 0) {
        return items; /* it grows at powers of two alone */
    }
    if (count != 0 && count < 16) {
        return items;
    }
    void *room = fh_arena_alloc(&s->arena, (count == 0 ? 16 : count * 2) * size);
    assert_non_null(room);
    if (count > 0) {
        memcpy(room, items, count * size);
    }
    return room;
}

static void add_row(struct suite *s, struct rows *rows, struct fh_row *row)
{
    rows->rows = grown(s, (void *)rows->rows, rows->count, sizeof(struct fh_row *));
    rows->rows[rows->count++] = row;
}

static void add_table(const struct mover *m, const struct view *view, const struct fh_table *table,
                      size_t limit, struct rows *out)
{
    struct fh_key *after = NULL;
    for (size_t page = 0;; page++) {
        assert_true(page < PAGES_MAX);
        struct fh_op_scan scan = {.snapshot = view != NULL ? view->snapshot : NULL,
                                  .table = table,
                                  .after = after,
                                  .limit = limit};
        assert_code(mover_try_scan(m, &scan), FH_OK);
        assert_true(scan.count <= limit && (!scan.more || scan.count > 0));
        for (size_t i = 0; i < scan.count; i++) {
            assert_true(fh_uuid_eq(&scan.rows[i]->tenant, &m->tenant));
            struct fh_key *key = FH_ARENA_NEW(&m->s->arena, struct fh_key);
            assert_non_null(key);
            fh_key_of_row(scan.rows[i], key);
            assert_true(after == NULL || fh_key_compare(after, key) < 0);
            after = key;
            add_row(m->s, out, scan.rows[i]);
        }
        if (!scan.more) {
            return;
        }
    }
}

struct rows mover_table(const struct mover *m, const struct view *view,
                        const struct fh_table *table, size_t limit)
{
    struct rows rows = {.count = 0};
    add_table(m, view, table, limit, &rows);
    return rows;
}

struct rows mover_rows(const struct mover *m, const struct view *view, size_t limit)
{
    struct rows rows = {.count = 0};
    for (uint32_t t = 0; t < m->s->schema->table_count; t++) {
        add_table(m, view, m->s->schema->tables[t], limit, &rows);
    }
    return rows;
}

static void add_record(struct suite *s, struct journal *journal, const struct fh_journal_row *row)
{
    journal->rows = grown(s, journal->rows, journal->count, sizeof(*row));
    journal->rows[journal->count++] = *row;
}

struct journal mover_journal(const struct mover *m, const struct view *view, size_t limit)
{
    struct journal journal = {.count = 0};
    struct fh_op_scan_journal scan = {.count = 0};
    for (size_t page = 0;; page++) {
        assert_true(page < PAGES_MAX);
        scan = (struct fh_op_scan_journal){.snapshot = view != NULL ? view->snapshot : NULL,
                                           .after_epoch = scan.after_epoch,
                                           .after_seq = scan.after_seq,
                                           .limit = limit};
        assert_code(mover_try_scan_journal(m, &scan), FH_OK);
        assert_true(scan.count <= limit && (!scan.more || scan.count > 0));
        for (size_t i = 0; i < scan.count; i++) {
            const struct fh_journal_row *row = &scan.rows[i];
            assert_true(fh_uuid_eq(&row->tenant, &m->tenant));
            assert_true(row->epoch > scan.after_epoch ||
                        (row->epoch == scan.after_epoch && row->seq > scan.after_seq));
            scan.after_epoch = row->epoch;
            scan.after_seq = row->seq;
            add_record(m->s, &journal, row);
        }
        if (!scan.more) {
            return journal;
        }
    }
}

/* Where the key is or would be. */
static size_t keys_seek(const struct keys *keys, const struct fh_key *key, bool *found)
{
    size_t low = 0;
    size_t high = keys->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fh_key_compare(&keys->keys[middle], key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < keys->count && fh_key_compare(&keys->keys[low], key) == 0;
    return low;
}

void keys_add(struct suite *s, struct keys *keys, const struct fh_key *key)
{
    bool found = false;
    size_t at = keys_seek(keys, key, &found);
    if (found) {
        return;
    }
    if (keys->count == keys->capacity) {
        size_t capacity = keys->capacity == 0 ? 16 : keys->capacity * 2;
        struct fh_key *room = FH_ARENA_ARRAY(&s->arena, struct fh_key, capacity);
        assert_non_null(room);
        if (keys->count > 0) {
            memcpy(room, keys->keys, keys->count * sizeof(*room));
        }
        keys->keys = room;
        keys->capacity = capacity;
    }
    memmove(&keys->keys[at + 1], &keys->keys[at], (keys->count - at) * sizeof(struct fh_key));
    keys->keys[at] = *key;
    keys->count++;
}

void assert_same_keys(const struct keys *x, const struct keys *y)
{
    assert_int_equal(x->count, y->count);
    for (size_t i = 0; i < x->count; i++) {
        assert_int_equal(fh_key_compare(&x->keys[i], &y->keys[i]), 0);
    }
}

/* A page's keys are each once in it; a key that is on several pages has the same row there. */
static void add_page(struct suite *s, const struct fh_op_changes *page, struct delta *delta,
                     struct rows *rows)
{
    struct keys once = {.count = 0};
    for (size_t i = 0; i < page->key_count; i++) {
        bool found = false;
        keys_add(s, &once, &page->keys[i]);
        assert_int_equal(once.count, i + 1);
        (void)keys_seek(&delta->keys, &page->keys[i], &found);
        keys_add(s, &delta->keys, &page->keys[i]);
        struct fh_row *row = page->rows[i];
        if (row != NULL) {
            struct fh_key key;
            fh_key_of_row(row, &key);
            assert_int_equal(fh_key_compare(&key, &page->keys[i]), 0);
        }
        if (found) {
            struct fh_row *earlier = find_row(rows, &page->keys[i]);
            assert_int_equal(earlier != NULL, row != NULL);
            assert_true(row == NULL || fh_row_equal(earlier, row));
        } else if (row != NULL) {
            add_row(s, rows, row);
        }
    }
}

struct delta mover_delta(const struct mover *m, const struct view *view, struct fh_str since,
                         size_t limit, size_t bytes_max)
{
    struct delta delta = {.seq_sum = 0};
    struct rows rows = {.count = 0};
    uint64_t after = 0;
    for (size_t page = 0;; page++) {
        assert_true(page < PAGES_MAX);
        struct fh_op_changes changes = {.snapshot = view->snapshot,
                                        .since = since,
                                        .after_seq = after,
                                        .limit = limit,
                                        .bytes_max = bytes_max};
        assert_code(mover_try_changes(m, &changes), FH_OK);
        assert_true(!changes.more || changes.journal_count > 0);
        assert_true(limit == 0 || changes.journal_count <= limit);
        for (size_t i = 0; i < changes.journal_count; i++) {
            const struct fh_journal_row *row = &changes.journal[i];
            assert_int_equal(row->epoch, m->epoch);
            assert_true(row->seq > after);
            after = row->seq;
            delta.seq_sum += row->seq;
            add_record(m->s, &delta.journal, row);
        }
        add_page(m->s, &changes, &delta, &rows);
        if (!changes.more) {
            break;
        }
    }
    delta.rows = FH_ARENA_ARRAY(&m->s->arena, struct fh_row *, delta.keys.count);
    assert_non_null(delta.rows);
    for (size_t i = 0; i < delta.keys.count; i++) {
        delta.rows[i] = find_row(&rows, &delta.keys.keys[i]);
    }
    return delta;
}

struct fh_op_tally mover_tally(const struct mover *m, const struct view *view, struct fh_str since)
{
    struct fh_op_tally tally = {.snapshot = view != NULL ? view->snapshot : NULL, .since = since};
    assert_code(mover_try_tally(m, &tally), FH_OK);
    return tally;
}

void mover_apply(const struct mover *m, struct fh_op_apply apply)
{
    assert_code(mover_try_apply(m, &apply), FH_OK);
    assert_true(apply.keep_existing ? apply.rows_written <= apply.row_count
                                    : apply.rows_written == apply.row_count);
}

void assert_same_rows_all(const struct rows *x, const struct rows *y)
{
    assert_int_equal(x->count, y->count);
    for (size_t i = 0; i < x->count; i++) {
        if (!fh_row_equal(x->rows[i], y->rows[i])) {
            fail_msg("row %zu of %zu, of %.*s, differs", i, x->count,
                     FH_STR_ARG(x->rows[i]->table->name));
        }
    }
}

bool journal_row_equal(const struct fh_journal_row *x, const struct fh_journal_row *y)
{
    return fh_uuid_eq(&x->tenant, &y->tenant) && x->epoch == y->epoch && x->seq == y->seq &&
           fh_str_eq(x->request_id, y->request_id) &&
           memcmp(x->request_hash, y->request_hash, sizeof(x->request_hash)) == 0 &&
           x->schema_version == y->schema_version && fh_str_eq(x->actor, y->actor) &&
           fh_str_eq(x->address, y->address) && x->at_us == y->at_us &&
           fh_str_eq(x->changes, y->changes) &&
           (x->images.data == NULL) == (y->images.data == NULL) && fh_str_eq(x->images, y->images);
}

void assert_same_journal(const struct journal *x, const struct journal *y)
{
    assert_int_equal(x->count, y->count);
    for (size_t i = 0; i < x->count; i++) {
        if (!journal_row_equal(&x->rows[i], &y->rows[i])) {
            fail_msg("record %zu of %zu differs", i, x->count);
        }
    }
}

struct fh_row *find_row(const struct rows *rows, const struct fh_key *key)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct fh_key other;
        fh_key_of_row(rows->rows[i], &other);
        if (fh_key_compare(&other, key) == 0) {
            return rows->rows[i];
        }
    }
    return NULL;
}

uint64_t seed_of_run(uint64_t otherwise)
{
    const char *text = getenv("FREEHOLD_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : otherwise;
    print_message("FREEHOLD_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* splitmix64 */
uint64_t draw(uint64_t *random)
{
    *random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct app app_of(struct suite *s, const struct fh_uuid *tenant, uint64_t seed)
{
    return (struct app){.s = s, .tenant = *tenant, .random = seed};
}

static uint64_t below(struct app *app, uint64_t bound)
{
    return draw(&app->random) % bound;
}

/* Few enough keys that they meet again and again. */
static struct fh_key random_key(struct app *app)
{
    static const char *const slugs[] = {"", "a", "b", "\xc3\xa9\"q\\"};
    int64_t number = (int64_t)below(app, 12);
    const char *slug = slugs[below(app, 4)];
    switch (below(app, 8)) {
    case 0:
    case 1:
    case 2:
        return key_author(number);
    case 3:
    case 4:
        return key_book(number, slug);
    case 5:
        return key_kind(number);
    case 6:
        return key_token(uuid_of((uint8_t)number, 0xfe));
    default:
        return key_code(slug, number - 6);
    }
}

static void random_values(struct app *app, struct fh_write *write)
{
    struct suite *s = app->s;
    char *text = fh_arena_printf(&s->arena, "t%u", (unsigned)below(app, 6));
    assert_non_null(text);
    if (write->key.table == &model_authors) {
        suite_put_text(write, AUTHOR_NAME, text);
        if (below(app, 2) == 0) {
            suite_put_text(write, AUTHOR_EMAIL, text);
        }
    } else if (write->key.table == &model_books) {
        suite_put_text(write, BOOK_TITLE, text);
        if (below(app, 3) == 0) {
            suite_put_int(write, BOOK_SEQUEL_AUTHOR, (int64_t)below(app, 12));
            suite_put_text(write, BOOK_SEQUEL_SLUG, "a");
        }
    } else if (write->key.table == &model_kinds) {
        suite_put_real(write, KIND_FLOAT64, (double)(int64_t)draw(&app->random) / 1024.0);
        suite_put_int(write, KIND_NUMERIC, (int64_t)below(app, 1000000000) - 500000000);
        suite_put_text(write, KIND_BYTES, text);
        suite_put_text(write, KIND_JSON, "{\"a\":[1,null,\"\xc3\xa9\"]}");
    } else if (write->key.table == &model_codes) {
        suite_put_text(write, CODE_LABEL, text);
    }
}

static bool has_key(const struct fh_write *writes, size_t count, const struct fh_key *key)
{
    for (size_t i = 0; i < count; i++) {
        if (fh_key_compare(&writes[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static size_t random_writes(struct app *app, struct fh_write *writes, size_t count_max)
{
    static const enum fh_write_op ops[] = {FH_WRITE_UPSERT, FH_WRITE_UPSERT,   FH_WRITE_UPSERT,
                                           FH_WRITE_INSERT, FH_WRITE_UPDATE,   FH_WRITE_DELETE,
                                           FH_WRITE_DELETE, FH_WRITE_UNDELETE, FH_WRITE_PURGE};
    size_t count = 0;
    size_t wanted = 1 + below(app, 3) * below(app, count_max / 2);
    for (size_t i = 0; i < wanted; i++) {
        struct fh_key key = random_key(app);
        enum fh_write_op op = ops[below(app, sizeof(ops) / sizeof(ops[0]))];
        if (has_key(writes, count, &key)) {
            continue;
        }
        struct fh_write *write = suite_new(app->s, op, key);
        if (op == FH_WRITE_INSERT || op == FH_WRITE_UPSERT || op == FH_WRITE_UPDATE) {
            random_values(app, write);
        }
        writes[count++] = *write;
    }
    return count;
}

void app_run(struct app *app, size_t count)
{
    enum { WRITES_MAX = 6, TRIES_MAX = 200 };
    const uint64_t end = app->commits + count;
    for (size_t i = 0; app->commits < end; i++) {
        assert_true(i < TRIES_MAX * count); /* most are refused for a reason, but not all of them */
        struct fh_write writes[WRITES_MAX];
        fh_clock_virtual_advance(&app->s->clock, 1 + (int64_t)below(app, 1000));
        struct fh_op_commit commit = {.writes = writes,
                                      .count = random_writes(app, writes, WRITES_MAX),
                                      .actor = FH_STR("users/app")};
        if (below(app, 2) == 0) {
            char *id = fh_arena_printf(&app->s->arena, "r%llu", (unsigned long long)app->number++);
            assert_non_null(id);
            commit.request_id = fh_str_of(id);
            memset(commit.request_hash, (int)app->number & 0xff, sizeof(commit.request_hash));
        }
        enum fh_code code = suite_commit(app->s, &app->tenant, &commit);
        switch (code) {
        case FH_OK:
            app->commits++;
            for (size_t k = 0; k < commit.count; k++) {
                keys_add(app->s, &app->touched, &writes[k].key);
            }
            break;
        case FH_EXISTS:
        case FH_NOT_FOUND:
        case FH_UNIQUE_VIOLATION:
        case FH_REFERENCE_VIOLATION:
            break;
        default:
            assert_code(code, FH_OK);
        }
    }
}
