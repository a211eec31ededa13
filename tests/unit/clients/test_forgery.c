/* Forged tokens are what they should be, and records are told by their etags wherever they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/codec.h"
#include "clients/attack/forgery.h"
#include "clients/attack/marks.h"
#include "freehold/v1/audit.pb-c.h"
#include "freehold/v1/data.pb-c.h"

/* {"alg":"EdDSA"} . {"sub":"x","tenant":"aaaa"} . "signature" */
#define HEADER "eyJhbGciOiJFZERTQSJ9"
#define CLAIMS "eyJzdWIiOiJ4IiwidGVuYW50IjoiYWFhYSJ9"
#define SIGNATURE "c2lnbmF0dXJl"
#define TOKEN HEADER "." CLAIMS "." SIGNATURE

static struct fh_buf out;

static int setup(void **state)
{
    (void)state;
    fh_buf_init(&out, FH_TOKEN_TEXT_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fh_buf_close(&out);
    return 0;
}

static void unsigned_keeps_the_claims(void **state)
{
    (void)state;
    uint8_t header[64];
    size_t len = 0;
    assert_int_equal(fh_forgery_unsigned(FH_STR(TOKEN), &out), FH_OK);
    const char *dot = strchr(out.data, '.');
    assert_string_equal(dot, "." CLAIMS ".");
    assert_true(fh_base64url_decode(
        (struct fh_str){.data = out.data, .len = (size_t)(dot - out.data)}, header, &len));
    header[len] = '\0';
    assert_non_null(strstr((const char *)header, "\"alg\":\"none\""));
}

static void claims_name_the_other(void **state)
{
    (void)state;
    uint8_t claims[64];
    size_t len = 0;
    assert_int_equal(fh_forgery_claims(FH_STR(TOKEN), FH_STR("aaaa"), FH_STR("bbbb"), &out), FH_OK);
    assert_true(fh_str_starts_with(fh_buf_str(&out), FH_STR(HEADER ".")));
    assert_string_equal(strrchr(out.data, '.'), "." SIGNATURE);
    const char *from = strchr(out.data, '.') + 1;
    assert_true(fh_base64url_decode(
        (struct fh_str){.data = from, .len = (size_t)(strrchr(out.data, '.') - from)}, claims,
        &len));
    claims[len] = '\0';
    assert_string_equal((const char *)claims, "{\"sub\":\"x\",\"tenant\":\"bbbb\"}");
}

static void what_is_no_token_is_refused(void **state)
{
    (void)state;
    const struct fh_str none[] = {FH_STR(""), FH_STR("opaque"), FH_STR("one.dot")};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_int_equal(fh_forgery_unsigned(none[i], &out), FH_INVALID);
        assert_int_equal(fh_forgery_claims(none[i], FH_STR("a"), FH_STR("b"), &out), FH_INVALID);
        assert_int_equal(fh_forgery_signature(none[i], &out), FH_INVALID);
    }
    assert_int_equal(fh_forgery_claims(FH_STR(TOKEN), FH_STR("cccc"), FH_STR("bbbb"), &out),
                     FH_INVALID);
    assert_int_equal(fh_forgery_claims(FH_STR(TOKEN), FH_STR("aaaa"), FH_STR("bb"), &out),
                     FH_INVALID);
    assert_int_equal(
        fh_forgery_claims(FH_STR(HEADER ".?." SIGNATURE), FH_STR("aaaa"), FH_STR("bbbb"), &out),
        FH_INVALID);
    assert_int_equal(fh_forgery_sealed(FH_STR("short"), &out), FH_INVALID);
}

static unsigned differences(const char *a, const char *b)
{
    unsigned count = 0;
    assert_int_equal(strlen(a), strlen(b));
    for (size_t i = 0; a[i] != '\0'; i++) {
        count += a[i] != b[i];
    }
    return count;
}

static void one_character_differs(void **state)
{
    (void)state;
    assert_int_equal(fh_forgery_signature(FH_STR(TOKEN), &out), FH_OK);
    assert_int_equal(differences(out.data, TOKEN), 1);
    assert_int_equal(memcmp(out.data, TOKEN, sizeof(HEADER "." CLAIMS)), 0);
    assert_int_equal(fh_forgery_sealed(FH_STR("AAAAAAAAAA"), &out), FH_OK);
    assert_int_equal(differences(out.data, "AAAAAAAAAA"), 1);
}

static void records_are_found_wherever_they_are(void **state)
{
    (void)state;
    static struct fh_marks marks;
    static struct fh_marks others;
    char etag[] = "1-aa";
    char other[] = "1-bb";
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    Freehold__V1__Change change = FREEHOLD__V1__CHANGE__INIT;
    Freehold__V1__Change *changes[] = {&change};
    Freehold__V1__Event event = FREEHOLD__V1__EVENT__INIT;
    Freehold__V1__Event *events[] = {&event};
    Freehold__V1__ListEventsResponse list = FREEHOLD__V1__LIST_EVENTS_RESPONSE__INIT;
    Freehold__V1__Write write = FREEHOLD__V1__WRITE__INIT;
    record.etag = etag;
    change.after = &record;
    event.n_changes = 1;
    event.changes = changes;
    list.n_events = 1;
    list.events = events;
    fh_marks_take(&marks, &list.base);
    fh_marks_take(&marks, &list.base);
    assert_int_equal(marks.count, 1);
    assert_true(fh_marks_are_in(&marks, &record.base));
    write.update = &record; /* of a oneof: counts where it is the one that is set */
    assert_false(fh_marks_are_in(&marks, &write.base));
    write.operation_case = FREEHOLD__V1__WRITE__OPERATION_UPDATE;
    assert_true(fh_marks_are_in(&marks, &write.base));
    record.etag = other;
    assert_false(fh_marks_are_in(&marks, &list.base));
    fh_marks_take(&others, &record.base);
    assert_false(fh_marks_meet(&marks, &others));
    fh_marks_take(&marks, &record.base);
    assert_true(fh_marks_meet(&marks, &others));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_keeps_the_claims),
        cmocka_unit_test(claims_name_the_other),
        cmocka_unit_test(what_is_no_token_is_refused),
        cmocka_unit_test(one_character_differs),
        cmocka_unit_test(records_are_found_wherever_they_are),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
