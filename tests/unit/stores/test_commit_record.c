#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/commit_record.h"
#include "stores/image.h"
#include "tests/conformance/model.h"

struct fixture {
    struct fh_arena arena;
    struct fh_buf changes;
    struct fh_buf images;
    struct fh_row *row;
    struct fh_commit_record record;
};

static int setup(void **state)
{
    static struct fixture f;
    fh_arena_init(&f.arena, (size_t)4 << 20);
    fh_buf_init(&f.changes, 4096);
    fh_buf_init(&f.images, 65536);
    f.row = fh_row_create(&model_books, &f.arena);
    f.row->values[BOOK_AUTHOR] = int_value(FH_TYPE_INT64, 7);
    f.row->values[BOOK_SLUG] = text_value("a\"\\\n");
    f.row->tenant = uuid_of(1, 1);
    f.row->version = 1;
    struct fh_write writes[] = {{.op = FH_WRITE_INSERT, .key = key_book(7, "a\"\\\n")},
                                {.op = FH_WRITE_PURGE, .key = key_book(8, "")}};
    fh_changes_encode(writes, 2, &f.changes);
    fh_images_begin(&f.images);
    fh_images_add(&f.images, NULL, f.row);
    fh_images_add(&f.images, f.row, NULL);
    f.record = (struct fh_commit_record){
        .tenant = f.row->tenant, .epoch = 2, .seq = 9, .at_us = 5, .schema_version = 1};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fh_buf_close(&f->images);
    fh_buf_close(&f->changes);
    fh_arena_close(&f->arena);
    return 0;
}

static enum fh_code decode(struct fixture *f, struct fh_str changes, struct fh_str images)
{
    return fh_commit_record_decode(&f->record, changes, images, &model_v2, &f->arena);
}

static void test_decode(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(decode(f, fh_buf_str(&f->changes), fh_buf_str(&f->images)), FH_OK);
    assert_int_equal(f->record.change_count, 2);
    assert_int_equal(f->record.changes[0].op, FH_WRITE_INSERT);
    assert_ptr_equal(f->record.changes[0].table, &model_books);
    assert_null(f->record.changes[0].before);
    assert_true(fh_row_equal(f->record.changes[0].after, f->row));
    assert_true(fh_row_equal(f->record.changes[1].before, f->row));
    assert_int_equal(f->record.changes[1].key.values[0].as.integer, 8);
    /* Redacted: the keys are still there. */
    assert_int_equal(decode(f, fh_buf_str(&f->changes), (struct fh_str){NULL, 0}), FH_OK);
    assert_int_equal(f->record.change_count, 2);
    assert_null(f->record.changes[0].after);
    assert_true(fh_str_eq(f->record.changes[0].key.values[1].as.bytes, FH_STR("a\"\\\n")));
}

static void test_versions(void **state)
{
    struct fixture *f = *state;
    f->record.schema_version = 3; /* newer than this process knows */
    assert_int_equal(decode(f, fh_buf_str(&f->changes), fh_buf_str(&f->images)), FH_UNAVAILABLE);
    assert_int_equal(f->record.change_count, 0);
    f->record.schema_version = 0; /* there are no tables in version 0 */
    assert_int_equal(decode(f, fh_buf_str(&f->changes), fh_buf_str(&f->images)), FH_CORRUPT);
}

static void test_corrupt(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "[1]",
                                      "[[]]",
                                      "[[\"i\"]]",
                                      "[[\"x\",\"books\",\"7\",\"a\"]]",
                                      "[[\"ii\",\"books\",\"7\",\"a\"]]",
                                      "[[\"i\",\"nothing\",\"7\"]]",
                                      "[[\"i\",\"books\",\"7\"]]",
                                      "[[\"i\",\"books\",\"7\",\"a\",\"b\"]]",
                                      "[[\"i\",\"books\",\"seven\",\"a\"]]",
                                      "[[\"i\",\"books\",7,\"a\"]]",
                                      "[[\"i\",\"books\",\"7\",\"a\"]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (decode(f, fh_str_of(bad[i]), fh_buf_str(&f->images)) != FH_CORRUPT) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_int_equal(f->record.change_count, 0);
    }
    /* More changes than images, and fewer. */
    assert_int_equal(decode(f, FH_STR("[[\"i\",\"books\",\"7\",\"a\"]]"), fh_buf_str(&f->images)),
                     FH_CORRUPT);
    assert_int_equal(decode(f,
                            FH_STR("[[\"i\",\"books\",\"7\",\"a\"],[\"i\",\"books\",\"7\",\"b\"],"
                                   "[\"i\",\"books\",\"7\",\"c\"]]"),
                            fh_buf_str(&f->images)),
                     FH_CORRUPT);
    for (size_t len = 0; len < f->images.len; len++) {
        assert_int_equal(decode(f, fh_buf_str(&f->changes), (struct fh_str){f->images.data, len}),
                         FH_CORRUPT);
    }
}

static void test_replay(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[32] = {1, 2, 3};
    assert_int_equal(decode(f, fh_buf_str(&f->changes), fh_buf_str(&f->images)), FH_OK);
    struct fh_op_commit commit = {.count = 2, .request_hash = {1, 2, 3}};
    assert_int_equal(fh_commit_replay(&commit, hash, &f->record, &f->arena), FH_OK);
    assert_true(commit.replayed);
    assert_int_equal(commit.seq, 9);
    assert_int_equal(commit.at_us, 5);
    assert_true(fh_row_equal(commit.rows[0], f->row));
    assert_null(commit.rows[1]);
    /* One bit of the hash, the last too. */
    commit = (struct fh_op_commit){.count = 2, .request_hash = {1, 2, 3}};
    commit.request_hash[31] ^= 1;
    assert_int_equal(fh_commit_replay(&commit, hash, &f->record, &f->arena), FH_REQUEST_ID_REUSED);
    assert_null(commit.rows);
    assert_false(commit.replayed);
    commit = (struct fh_op_commit){.count = 3, .request_hash = {1, 2, 3}};
    assert_int_equal(fh_commit_replay(&commit, hash, &f->record, &f->arena), FH_CORRUPT);
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[32] = {0};
    enum fh_code code = FH_NOMEM;
    long failures = 0;
    for (long n = 0; code != FH_OK; n++) {
        struct fh_arena arena;
        long live = fh_alloc_live();
        struct fh_op_commit commit = {.count = 2};
        fh_arena_init(&arena, (size_t)1 << 20);
        fh_alloc_fault_on(n, 1);
        code = fh_commit_record_decode(&f->record, fh_buf_str(&f->changes), fh_buf_str(&f->images),
                                       &model_v1, &arena);
        if (code == FH_OK) {
            code = fh_commit_replay(&commit, hash, &f->record, &arena);
        }
        int delivered = fh_alloc_fault_off();
        assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
        failures += delivered;
        fh_arena_close(&arena);
        assert_int_equal(fh_alloc_live(), live);
    }
    assert_true(failures > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_decode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
