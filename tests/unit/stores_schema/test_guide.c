/* The guide's SQL, docs/schema.md, is taken as it stands, block after block as files. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GUIDE_BYTES_MAX 65536
#define FENCE "```sql\n"

static void test_guide(void **state)
{
    (void)state;
    static char guide[GUIDE_BYTES_MAX];
    FILE *file = fopen(FREEHOLD_GUIDE, "re");
    assert_non_null(file);
    size_t len = fread(guide, 1, sizeof(guide) - 1, file);
    assert_int_equal(fclose(file), 0);
    assert_true(len > 0 && len < sizeof(guide) - 1);
    struct fh_arena arena;
    fh_arena_init(&arena, KIT_ARENA_BYTES_MAX);
    const struct fh_schema *schema = NULL;
    char *at = strstr(guide, FENCE);
    for (; at != NULL; at = strstr(at, FENCE)) {
        at += strlen(FENCE);
        char *end = strstr(at, "```");
        assert_non_null(end);
        *end = '\0';
        schema = kit_apply(schema, at, &arena);
        at = end + 1;
    }
    assert_true(schema != NULL && schema->version == 2);
    fh_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_guide)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
