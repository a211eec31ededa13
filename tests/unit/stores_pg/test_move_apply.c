/* What a move writes: one transaction, all of it or nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/stores_pg/moves.h"

#define RUN_MS 20000
#define KEYS 5

static const struct fh_fence incoming = {.epoch = 2, .generation = 1, .mode = FH_FENCE_INCOMING};
static const struct fh_fence opened = {.epoch = 2, .generation = 1, .mode = FH_FENCE_OPEN};

static enum fh_code apply(struct call *call)
{
    return call_run(call, RUN_MS);
}

/* The arena of `call` is emptied by each run, so what is applied lives in another's. */
struct source {
    struct call call;
    struct fh_row *rows[KEYS];
};

static void source_init(struct source *source, struct fixture *f)
{
    call_init(&source->call, f);
    for (int i = 0; i < KEYS; i++) {
        source->rows[i] = author_row(&source->call, i + 1);
    }
}

static long other_authors(struct fixture *f)
{
    return server_number(f, "select count(*) from " OTHER_HOME ".authors");
}

/* The tables go over whole, with every type and null, deleted rows and all records; then the tenant
 * is served there. */
static void copy_table(struct fixture *f, const struct fh_table *table)
{
    struct call from;
    struct call to;
    struct call again;
    call_init(&from, f);
    call_init(&to, f);
    call_init(&again, f);
    ask_scan(&from, NULL, table);
    assert_int_equal(call_run(&from, RUN_MS), FH_OK);
    assert_true(from.request.as.scan.count > 0);
    ask_apply(&to, from.request.as.scan.rows, from.request.as.scan.count);
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(to.request.as.apply.rows_written, from.request.as.scan.count);
    moves_to_other(&again);
    ask_scan(&again, NULL, table);
    again.request.as.scan.guard = guard_incoming;
    assert_int_equal(call_run(&again, RUN_MS), FH_OK);
    assert_int_equal(again.request.as.scan.count, from.request.as.scan.count);
    for (size_t i = 0; i < from.request.as.scan.count; i++) {
        assert_true(fh_row_equal(again.request.as.scan.rows[i], from.request.as.scan.rows[i]));
    }
    call_close(&from);
    call_close(&to);
    call_close(&again);
}

static void copy_journal(struct fixture *f)
{
    struct call from;
    struct call to;
    call_init(&from, f);
    call_init(&to, f);
    ask_journal(&from, NULL);
    assert_int_equal(call_run(&from, RUN_MS), FH_OK);
    ask_apply(&to, NULL, 0);
    to.request.as.apply.journal = from.request.as.scan_journal.rows;
    to.request.as.apply.journal_count = from.request.as.scan_journal.count;
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(apply(&to), FH_OK); /* what is there is left as it is */
    call_close(&from);
    call_close(&to);
}

static void add_kinds(struct fixture *f)
{
    static const struct fh_value values[KIND_COUNT] = {
        [KIND_BOOL] = {.type = FH_TYPE_BOOL, .as.boolean = true},
        [KIND_INT16] = {.type = FH_TYPE_INT16, .as.integer = -32768},
        [KIND_INT32] = {.type = FH_TYPE_INT32, .as.integer = 2147483647},
        [KIND_INT64] = {.type = FH_TYPE_INT64, .as.integer = INT64_MIN},
        [KIND_FLOAT32] = {.type = FH_TYPE_FLOAT32, .as.real = 0.5},
        [KIND_FLOAT64] = {.type = FH_TYPE_FLOAT64, .as.real = 0.1},
        [KIND_NUMERIC] = {.type = FH_TYPE_NUMERIC, .as.integer = -1234567890123456},
        [KIND_NUMERIC0] = {.type = FH_TYPE_NUMERIC, .as.integer = 12345},
        [KIND_TEXT] = {.type = FH_TYPE_TEXT, .as.bytes = {.data = "{\"a\\,", .len = 5}},
        [KIND_VARCHAR] = {.type = FH_TYPE_TEXT, .as.bytes = {.data = "", .len = 0}},
        [KIND_BYTES] = {.type = FH_TYPE_BYTES, .as.bytes = {.data = "\0\xff'", .len = 3}},
        [KIND_TIMESTAMP] = {.type = FH_TYPE_TIMESTAMP, .as.integer = 1700000000000001},
        [KIND_DATE] = {.type = FH_TYPE_DATE, .as.integer = -1},
        [KIND_UUID] = {.type = FH_TYPE_UUID, .as.uuid = {{1, 2, 3}}},
        [KIND_JSON] = {.type = FH_TYPE_JSON, .as.bytes = {.data = "{\"k\":[1,null]}", .len = 14}},
    };
    for (int id = 1; id <= 2; id++) {
        struct call call;
        call_init(&call, f);
        call_insert(&call, id, "");
        call.write.key = key_kind(id);
        call.write.assignment_count = 0;
        for (uint16_t c = 1; id == 1 && c < KIND_COUNT; c++) {
            call.assignments[call.write.assignment_count++] =
                (struct fh_assignment){.column = c, .value = values[c]};
        }
        assert_int_equal(call_run(&call, RUN_MS), FH_OK);
        call_close(&call);
    }
}

static void expect_replayed(struct call *call, const char *name)
{
    moves_to_other(call);
    assert_int_equal(call_run(call, RUN_MS), FH_OK);
    assert_true(call->request.as.commit.replayed);
    struct fh_row *row = call->request.as.commit.rows[0];
    assert_non_null(row);
    assert_true(fh_str_eq(row->values[AUTHOR_NAME].as.bytes, fh_str_of(name)));
}

static void test_a_home_goes_over(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    moves_start(&f);
    call_init(&call, &f);
    call_insert(&call, 1, "first");
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    add_author(&f, 2);
    delete_author(&f, 2, FH_WRITE_DELETE);
    add_kinds(&f);
    moves_make_other(&f);
    copy_table(&f, &model_authors);
    copy_table(&f, &model_kinds);
    copy_journal(&f);
    assert_int_equal(server_number(&f, "select count(*) from " OTHER_HOME ".fh_commit"), 5);
    /* A copied record is never taken for one committed here. */
    assert_int_equal(
        server_number(&f, "select count(*) from " OTHER_HOME ".fh_commit where txid <> '0'"), 0);
    moves_to_other(&call);
    call_score(&call, 1, 5, "second");
    assert_int_equal(call_run(&call, RUN_MS), FH_MOVED); /* the mover's only */
    assert_int_equal(call.request.mode_seen, FH_FENCE_INCOMING);
    call_get(&call, key_author(1));
    assert_int_equal(call_run(&call, RUN_MS), FH_MOVED);
    moves_fence(&f, &call, incoming, opened);
    call_get(&call, key_author(1));
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    /* Its request id was used at the source: by the one-statement way, then by the general one. */
    call_insert(&call, 1, "first");
    expect_replayed(&call, "author 1");
    call_insert(&call, 1, "first");
    call.write.op = FH_WRITE_UPSERT;
    expect_replayed(&call, "author 1");
    call_score(&call, 1, 5, "second");
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_false(call.request.as.commit.replayed);
    struct fh_op_events *events = &call.request.as.events;
    call.request.op = FH_OP_EVENTS;
    *events = (struct fh_op_events){.limit = 10};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(events->count, 6);
    assert_int_equal(events->records[0].epoch, 2);
    assert_int_equal(events->records[1].epoch, 1);
    call_close(&call);
    fixture_stop(&f);
}

/* Keys and unique values that change hands within a batch: all go before any comes. */
static void test_swaps_and_rings(void **state)
{
    (void)state;
    struct fixture f;
    struct source from;
    struct call to;
    struct fh_key keys[KEYS];
    moves_start(&f);
    moves_make_other(&f);
    source_init(&from, &f);
    call_init(&to, &f);
    from.rows[0]->values[AUTHOR_EMAIL] = text_value("a@x");
    from.rows[1]->values[AUTHOR_EMAIL] = text_value("b@x");
    ask_apply(&to, from.rows, KEYS);
    assert_int_equal(apply(&to), FH_OK);
    /* Two swap their e-mail, five pass their names round. */
    from.rows[0]->values[AUTHOR_EMAIL] = text_value("b@x");
    from.rows[1]->values[AUTHOR_EMAIL] = text_value("a@x");
    struct fh_value id = from.rows[0]->values[AUTHOR_ID];
    for (int i = 0; i < KEYS; i++) {
        from.rows[i]->values[AUTHOR_ID] = i + 1 < KEYS ? from.rows[i + 1]->values[AUTHOR_ID] : id;
        keys[i] = key_author(i + 1);
    }
    ask_apply(&to, from.rows, KEYS);
    to.request.as.apply.deletes = keys;
    to.request.as.apply.delete_count = KEYS;
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(to.request.as.apply.rows_written, KEYS);
    assert_int_equal(other_authors(&f), KEYS);
    assert_int_equal(server_number(&f, "select count(*) from " OTHER_HOME
                                       ".authors where (id, name, email) = (2, 'copied 1', 'b@x') "
                                       "or (id, name, email) = (3, 'copied 2', 'a@x') or (id, "
                                       "name) = (1, 'copied 5')"),
                     3);
    /* Keys that are not there are no matter. */
    ask_apply(&to, NULL, 0);
    keys[0] = key_author(77);
    to.request.as.apply.deletes = keys;
    to.request.as.apply.delete_count = 1;
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(other_authors(&f), KEYS);
    call_close(&to);
    call_close(&from.call);
    fixture_stop(&f);
}

static void test_keep_existing(void **state)
{
    (void)state;
    struct fixture f;
    struct source from;
    struct call to;
    moves_start(&f);
    moves_make_other(&f);
    source_init(&from, &f);
    call_init(&to, &f);
    from.rows[0]->values[AUTHOR_EMAIL] = text_value("a@x");
    ask_apply(&to, from.rows, 2);
    assert_int_equal(apply(&to), FH_OK);
    from.rows[0]->version = 9;
    ask_apply(&to, from.rows, 3);
    to.request.as.apply.state = FH_STR("never");
    assert_int_equal(apply(&to), FH_EXISTS);
    assert_int_equal(to.request.as.apply.rows_written, 0);
    from.rows[3]->values[AUTHOR_EMAIL] = text_value("a@x");
    ask_apply(&to, &from.rows[3], 1);
    assert_int_equal(apply(&to), FH_UNIQUE_VIOLATION);
    assert_int_equal(other_authors(&f), 2);
    ask_apply(&to, from.rows, KEYS);
    to.request.as.apply.keep_existing = true;
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(to.request.as.apply.rows_written, 2); /* 3 and 5; the e-mail of 4 is taken */
    assert_int_equal(other_authors(&f), 4);
    assert_int_equal(server_number(&f, "select version from " OTHER_HOME ".authors where id = 1"),
                     3);
    ask_state(&to);
    assert_int_equal(call_run(&to, RUN_MS), FH_OK);
    assert_int_equal(to.request.as.move_state.state.len, 0); /* went with what failed */
    call_close(&to);
    call_close(&from.call);
    fixture_stop(&f);
}

static void test_state_goes_with_the_rows(void **state)
{
    (void)state;
    struct fixture f;
    struct source from;
    struct call to;
    moves_start(&f);
    moves_make_other(&f);
    source_init(&from, &f);
    call_init(&to, &f);
    ask_apply(&to, from.rows, 1);
    to.request.as.apply.state = FH_STR("one");
    assert_int_equal(apply(&to), FH_OK);
    ask_apply(&to, &from.rows[1], 1); /* unchanged */
    assert_int_equal(apply(&to), FH_OK);
    ask_state(&to);
    assert_int_equal(call_run(&to, RUN_MS), FH_OK);
    assert_true(fh_str_eq(to.request.as.move_state.state, FH_STR("one")));
    /* Refused by the guard: neither rows nor state, nor keys. */
    struct fh_key key = key_author(1);
    const struct fh_fence_guard wrong[] = {{.generation = 2, .modes = guard_incoming.modes},
                                           {.generation = 1, .modes = guard_open.modes}};
    for (int i = 0; i < 3; i++) {
        ask_apply(&to, &from.rows[2], 1);
        to.request.as.apply.state = FH_STR("two");
        to.request.as.apply.deletes = &key;
        to.request.as.apply.delete_count = 1;
        if (i < 2) {
            to.request.as.apply.guard = wrong[i];
        } else {
            to.request.scope.epoch = 3;
        }
        assert_int_equal(apply(&to), FH_MOVED);
        assert_int_equal(to.request.epoch_seen, 2);
        assert_int_equal(to.request.mode_seen, FH_FENCE_INCOMING);
        assert_int_equal(other_authors(&f), 2);
        assert_int_equal(server_number(&f, "select max(id) from " OTHER_HOME ".authors"), 2);
        assert_int_equal(
            server_number(&f, "select count(*) from " OTHER_HOME ".fh_move where state = 'one'"),
            1);
    }
    ask_apply(&to, NULL, 0);
    to.request.as.apply.state = FH_STR("");
    assert_int_equal(apply(&to), FH_OK);
    ask_state(&to);
    assert_int_equal(call_run(&to, RUN_MS), FH_OK);
    assert_int_equal(to.request.as.move_state.state.len, 0);
    assert_int_equal(server_number(&f, "select count(*) from " OTHER_HOME ".fh_move"), 1);
    moves_to_other(&to);
    to.request.op = FH_OP_HOME_ERASE;
    to.request.as.home.fence = incoming;
    assert_int_equal(call_run(&to, RUN_MS), FH_OK);
    assert_int_equal(server_number(&f, "select count(*) from " OTHER_HOME ".fh_move"), 0);
    call_close(&to);
    call_close(&from.call);
    fixture_stop(&f);
}

static enum fh_code references(struct call *call)
{
    moves_to_other(call);
    call->request.op = FH_OP_REFERENCES;
    call->request.as.references = (struct fh_op_references){.guard = guard_incoming};
    return call_run(call, RUN_MS);
}

/* Children may come before parents, and parents go while children are left; it is found later. */
static void test_references_are_looked_at_later(void **state)
{
    (void)state;
    struct fixture f;
    struct source from;
    struct call to;
    moves_start(&f);
    moves_make_other(&f);
    source_init(&from, &f);
    call_init(&to, &f);
    struct fh_row *book = book_row(&from.call, 1, "slug");
    ask_apply(&to, &book, 1);
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(references(&to), FH_REFERENCE_VIOLATION);
    assert_non_null(strstr(fh_error_text(&to.request.error), "books_author"));
    ask_apply(&to, from.rows, 1);
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(references(&to), FH_OK);
    book->values[BOOK_SEQUEL_AUTHOR] = int_value(FH_TYPE_INT64, 1);
    struct fh_key key = key_book(1, "slug");
    ask_apply(&to, &book, 1); /* half a reference is none */
    to.request.as.apply.deletes = &key;
    to.request.as.apply.delete_count = 1;
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(references(&to), FH_OK);
    key = key_author(1);
    ask_apply(&to, NULL, 0);
    to.request.as.apply.deletes = &key;
    to.request.as.apply.delete_count = 1;
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(references(&to), FH_REFERENCE_VIOLATION);
    key = key_book(1, "slug");
    book->deleted_at_us = 5000000; /* deleted ones may lead anywhere */
    ask_apply(&to, &book, 1);
    to.request.as.apply.deletes = &key;
    to.request.as.apply.delete_count = 1;
    assert_int_equal(apply(&to), FH_OK);
    assert_int_equal(references(&to), FH_OK);
    call_close(&to);
    call_close(&from.call);
    fixture_stop(&f);
}

static unsigned faults_found(struct call *call, const char *needle)
{
    unsigned found = 0;
    call->request.op = FH_OP_CHECK;
    call->request.scope.tenant = (struct fh_uuid){{0}};
    assert_int_equal(call_run(call, RUN_MS), FH_OK);
    const struct fh_op_check *check = &call->request.as.check;
    for (size_t i = 0; i < check->count; i++) {
        found += !check->findings[i].ok && strstr(check->findings[i].text.data, needle) != NULL;
    }
    return found;
}

static void test_the_right_to_apply(void **state)
{
    (void)state;
    struct fixture f;
    struct source from;
    struct call to;
    struct call check;
    moves_start(&f);
    moves_make_other(&f);
    source_init(&from, &f);
    call_init(&to, &f);
    call_init(&check, &f);
    assert_int_equal(faults_found(&check, "session_replication_role"), 0);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "revoke set on parameter session_replication_role from "
                               "freehold_app"));
    ask_apply(&to, from.rows, 1);
    assert_int_equal(apply(&to), FH_PRECONDITION);
    assert_non_null(strstr(fh_error_text(&to.request.error),
                           "grant set on parameter session_replication_role to"));
    assert_int_equal(other_authors(&f), 0);
    assert_int_equal(faults_found(&check, "grant set on parameter session_replication_role"), 1);
    /* Not needed, and not asked for, where nothing references anything. */
    static const struct fh_table *const bare_tables[] = {&model_authors};
    static const struct fh_schema bare = {.version = 1, .table_count = 1, .tables = bare_tables};
    to.request.scope.schema = &bare;
    ask_apply(&to, from.rows, 1);
    assert_int_equal(apply(&to), FH_OK);
    call_close(&check);
    call_close(&to);
    call_close(&from.call);
    fixture_stop(&f);
}

/* The connection dies at any byte of a batch: all of it is there or nothing, and nobody is told
 * what is not so. */
static void test_cut_in_mid_apply(void **state)
{
    (void)state;
    struct fixture f;
    struct source from;
    struct call to;
    struct call told;
    moves_start(&f);
    moves_make_other(&f);
    fixture_use_proxy(&f);
    source_init(&from, &f);
    call_init(&to, &f);
    call_init(&told, &f);
    unsigned unknown = 0;
    unsigned cuts = fh_proxy_cuts(f.proxy);
    ask_state(&told);
    call_until_ok(&told); /* the lane has its connection */
    for (int i = 0; i < 60; i++) {
        struct fh_key keys[KEYS];
        char name[32];
        (void)snprintf(name, sizeof(name), "round %d", i);
        for (int k = 0; k < KEYS; k++) {
            keys[k] = key_author(k + 1);
            from.rows[k]->values[AUTHOR_NAME] = text_value(name);
        }
        ask_apply(&to, from.rows, KEYS);
        to.request.as.apply.deletes = keys;
        to.request.as.apply.delete_count = KEYS;
        to.request.as.apply.state = fh_str_of(name);
        bool answers = i % 2 == 1;
        fh_proxy_cut_after(f.proxy, answers ? FH_PROXY_TO_CLIENT : FH_PROXY_TO_SERVER,
                           (size_t)(i / 2) * (answers ? 20 : 60));
        enum fh_code code = apply(&to);
        assert_true(code == FH_OK || code == FH_OUTCOME_UNKNOWN || code == FH_UNAVAILABLE);
        unknown += code == FH_OUTCOME_UNKNOWN;
        call_until_ok(&told);
        struct fh_str now = told.request.as.move_state.state;
        bool applied = fh_str_eq(now, fh_str_of(name));
        assert_true(code == FH_OUTCOME_UNKNOWN || applied == (code == FH_OK));
        char sql[160];
        (void)snprintf(sql, sizeof(sql),
                       "select count(*) from " OTHER_HOME ".authors where name = '%s'", name);
        assert_int_equal(server_number(&f, sql), applied ? KEYS : 0);
    }
    assert_true(fh_proxy_cuts(f.proxy) > cuts);
    assert_true(unknown > 0);
    call_close(&told);
    call_close(&to);
    call_close(&from.call);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_home_goes_over),
        cmocka_unit_test(test_swaps_and_rings),
        cmocka_unit_test(test_keep_existing),
        cmocka_unit_test(test_state_goes_with_the_rows),
        cmocka_unit_test(test_references_are_looked_at_later),
        cmocka_unit_test(test_the_right_to_apply),
        cmocka_unit_test(test_cut_in_mid_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
