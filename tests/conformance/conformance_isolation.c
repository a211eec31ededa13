/* Two tenants with the same keys never see one another: as things are, and with each layer of the
 * isolation taken away in turn.
 *
 * With all layers away the probe must see the other tenant's data: that is what shows that it can
 * see a leak at all.
 */
#include <stdio.h>

#include "tests/conformance/suite.h"

#define SECRET_A "of-a"
#define SECRET_B "of-b"

static void put_secrets(struct suite *s, const struct fh_uuid *tenant, const char *secret)
{
    for (int64_t i = 1; i <= 3; i++) {
        char email[32];
        (void)snprintf(email, sizeof(email), "%d@%s", (int)i, secret);
        struct fh_write *write = suite_author(s, FH_WRITE_INSERT, i, secret);
        suite_must_write(s, tenant, suite_put_text(write, AUTHOR_EMAIL, email));
        suite_must_write(
            s, tenant,
            suite_put_text(suite_book(s, FH_WRITE_INSERT, i, "same"), BOOK_TITLE, secret));
    }
}

static bool text_is(const struct fh_value *value, const char *text)
{
    return !value->is_null && fh_str_eq(value->as.bytes, fh_str_of(text));
}

/* Whether the row is, or pretends to be, b's. */
static bool is_bs(const struct suite *s, const struct fh_row *row)
{
    if (row == NULL) {
        return false;
    }
    uint16_t column = row->table->position == model_authors.position ? AUTHOR_NAME : BOOK_TITLE;
    return fh_uuid_eq(&row->tenant, &s->b) || text_is(&row->values[column], SECRET_B);
}

static size_t probe_reads(struct suite *s)
{
    size_t leaks = 0;
    struct fh_key keys[] = {key_author(1), key_book(2, "same"), key_author(3)};
    struct fh_request request = suite_request(s, FH_OP_GET, &s->a);
    request.as.get.keys = keys;
    request.as.get.count = 1;
    if (suite_run(s, &request) == FH_OK) {
        leaks += is_bs(s, request.as.get.rows[0]);
    }
    request = suite_request(s, FH_OP_GET, &s->a);
    request.as.get.keys = keys;
    request.as.get.count = 3;
    if (suite_run(s, &request) == FH_OK) {
        for (size_t i = 0; i < 3; i++) {
            leaks += is_bs(s, request.as.get.rows[i]);
        }
    }
    struct fh_op_list list = {.table = &model_authors, .limit = 10, .show_deleted = true};
    if (suite_list(s, &s->a, &list) == FH_OK) {
        for (size_t i = 0; i < list.count; i++) {
            leaks += is_bs(s, list.rows[i]);
        }
    }
    struct fh_op_events events = {.limit = 10};
    if (suite_events(s, &s->a, &events) == FH_OK) {
        for (size_t i = 0; i < events.count; i++) {
            leaks += fh_uuid_eq(&events.records[i].tenant, &s->b);
            for (size_t k = 0; k < events.records[i].change_count; k++) {
                leaks += is_bs(s, events.records[i].changes[k].before);
                leaks += is_bs(s, events.records[i].changes[k].after);
            }
        }
    }
    return leaks;
}

static size_t probe_writes(struct suite *s, int64_t round)
{
    size_t leaks = 0;
    struct fh_write *update = suite_new(s, FH_WRITE_UPDATE, key_author(1));
    struct fh_write *writes[] = {
        suite_put_int(update, AUTHOR_SCORE, 1000 + round),
        suite_put_text(suite_book(s, FH_WRITE_UPSERT, 2, "same"), BOOK_TITLE, SECRET_A),
        suite_author(s, FH_WRITE_INSERT, 100 + round, SECRET_A),
        suite_author(s, FH_WRITE_DELETE, 100 + round, NULL),
        suite_author(s, FH_WRITE_PURGE, 100 + round, NULL),
        suite_author(s, FH_WRITE_PURGE, 3, NULL), /* referenced: refused wherever it lands */
    };
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "probe-%d-%zu", (int)round, i);
        struct fh_op_commit commit = {.writes = writes[i], .count = 1, .request_id = fh_str_of(id)};
        if (suite_commit(s, &s->a, &commit) == FH_OK) {
            leaks += is_bs(s, commit.rows[0]);
        }
    }
    return leaks;
}

struct snapshot {
    struct fh_op_list authors;
    struct fh_op_list books;
    struct fh_op_events events;
};

static struct snapshot snapshot_of(struct suite *s, const struct fh_uuid *tenant)
{
    struct snapshot shot = {
        .authors = {.table = &model_authors, .limit = 1000, .show_deleted = true},
        .books = {.table = &model_books, .limit = 1000, .show_deleted = true},
        .events = {.limit = 1000}};
    assert_code(suite_list(s, tenant, &shot.authors), FH_OK);
    assert_code(suite_list(s, tenant, &shot.books), FH_OK);
    assert_code(suite_events(s, tenant, &shot.events), FH_OK);
    return shot;
}

static void assert_same_rows(const struct fh_op_list *x, const struct fh_op_list *y)
{
    assert_int_equal(x->count, y->count);
    for (size_t i = 0; i < x->count; i++) {
        assert_true(fh_row_equal(x->rows[i], y->rows[i]));
    }
}

static void assert_same(const struct snapshot *x, const struct snapshot *y)
{
    assert_same_rows(&x->authors, &y->authors);
    assert_same_rows(&x->books, &y->books);
    assert_int_equal(x->events.count, y->events.count);
    for (size_t i = 0; i < x->events.count; i++) {
        assert_int_equal(x->events.records[i].seq, y->events.records[i].seq);
    }
}

static void test_same_keys(void **state)
{
    struct suite *s = *state;
    put_secrets(s, &s->a, SECRET_A);
    put_secrets(s, &s->b, SECRET_B);
    struct snapshot before = snapshot_of(s, &s->b);
    assert_int_equal(before.authors.count, 3);
    for (size_t i = 0; i < 3; i++) {
        suite_assert_text(&before.authors.rows[i]->values[AUTHOR_NAME], SECRET_B);
        assert_true(fh_uuid_eq(&before.authors.rows[i]->tenant, &s->b));
    }
    assert_int_equal(probe_reads(s), 0);
    assert_int_equal(probe_writes(s, 1), 0);
    assert_int_equal(probe_reads(s), 0);
    struct snapshot after = snapshot_of(s, &s->b);
    assert_same(&before, &after);
}

#ifdef FREEHOLD_FAULTS

/* Opens the store with these faults, puts the two tenants' data with them switched off, then
 * switches them on. */
static void begin(struct suite *s, struct fh_isolation_faults faults)
{
    suite_close(s);
    s->with_faults = true;
    s->faults = faults; /* which login to use is decided at open */
    suite_open(s);
    s->faults = (struct fh_isolation_faults){.wrong_context_every = 0};
    suite_apply_schema(s, &model_v1);
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_code(suite_home_create(s, &s->b, 1, 1, FH_FENCE_OPEN), FH_OK);
    put_secrets(s, &s->a, SECRET_A);
    put_secrets(s, &s->b, SECRET_B);
}

/* Every nth statement in b's context; in dedicated tiers then every nth request in b's home, and
 * then both. */
static void go_wrong(const struct suite *s, struct fh_isolation_faults *faults, uint32_t every,
                     int way)
{
    bool dedicated = s->tier != FH_TIER_SHARED;
    faults->wrong_context_every = !dedicated || way % 3 != 1 ? every : 0;
    faults->wrong_home_every = dedicated && way % 3 != 0 ? every : 0;
}

static void check_layers(struct suite *s, struct fh_isolation_faults faults, bool writes)
{
    faults.wrong_tenant = s->b;
    begin(s, faults);
    struct snapshot before = snapshot_of(s, &s->b);
    static const uint32_t every[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
        for (int round = 0; round < 5; round++) {
            s->faults = faults;
            go_wrong(s, &s->faults, every[i], round);
            assert_int_equal(probe_reads(s), 0);
            if (writes) {
                assert_int_equal(probe_writes(s, (int64_t)i * 5 + round), 0);
            }
        }
    }
    s->faults = (struct fh_isolation_faults){.wrong_context_every = 0};
    struct snapshot after = snapshot_of(s, &s->b);
    assert_same(&before, &after);
    /* And a is served as before once the context is right again. */
    suite_assert_text(&suite_row(s, &s->a, key_author(1))->values[AUTHOR_NAME], SECRET_A);
}

static void test_wrong_context(void **state)
{
    check_layers(*state, (struct fh_isolation_faults){.wrong_context_every = 1}, true);
}

static void test_without_predicate(void **state)
{
    check_layers(*state, (struct fh_isolation_faults){.skip_predicate = true}, true);
}

static void test_without_enforcement(void **state)
{
    check_layers(*state, (struct fh_isolation_faults){.skip_enforcement = true}, true);
}

static void test_without_ownership_check(void **state)
{
    check_layers(*state, (struct fh_isolation_faults){.skip_ownership_check = true}, true);
}

/* Layer three alone: it judges what comes out, so reads. */
static void test_ownership_check_alone(void **state)
{
    check_layers(*state,
                 (struct fh_isolation_faults){.skip_predicate = true, .skip_enforcement = true},
                 false);
}

static void test_without_any_layer_the_probe_sees(void **state)
{
    struct suite *s = *state;
    const struct fh_isolation_faults all = {.wrong_context_every = 1,
                                            .wrong_home_every = 1, /* where it is dedicated */
                                            .wrong_tenant = s->b,
                                            .skip_predicate = true,
                                            .skip_enforcement = true,
                                            .skip_ownership_check = true};
    begin(s, all);
    assert_int_equal(probe_reads(s), 0);
    s->faults = all;
    suite_assert_leaks(s, probe_reads(s));
    s->faults = (struct fh_isolation_faults){.wrong_context_every = 0};
    assert_int_equal(probe_reads(s), 0);
}

#endif

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_same_keys),
#ifdef FREEHOLD_FAULTS
    SUITE_TEST(test_wrong_context),
    SUITE_TEST(test_without_predicate),
    SUITE_TEST(test_without_enforcement),
    SUITE_TEST(test_without_ownership_check),
    SUITE_TEST(test_ownership_check_alone),
    SUITE_TEST(test_without_any_layer_the_probe_sees),
#endif
};
SUITE_PART(suite_part_isolation, tests)
