#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NAME "0007_t.sql"

static enum fh_code apply(const struct fh_schema *base, const char *sql, struct fh_arena *arena,
                          const struct fh_schema **out, struct fh_parse_error *error)
{
    struct fh_migration migration = {.name = FH_STR(NAME), .sql = fh_str_of(sql)};
    return fh_schema_apply_migration(base, &migration, arena, out, error);
}

const struct fh_schema *kit_apply(const struct fh_schema *base, const char *sql,
                                  struct fh_arena *arena)
{
    const struct fh_schema *schema = NULL;
    struct fh_parse_error error;
    if (apply(base, sql, arena, &schema, &error) != FH_OK) {
        fail_msg("%s\nrefused: %s", sql, error.error.message);
    }
    assert_non_null(schema);
    return schema;
}

const char *kit_refuse(const struct fh_schema *base, const char *sql)
{
    static char message[FH_ERROR_MESSAGE_MAX];
    struct fh_arena arena;
    fh_arena_init(&arena, KIT_ARENA_BYTES_MAX);
    const struct fh_schema *schema = NULL;
    struct fh_parse_error error;
    enum fh_code code = apply(base, sql, &arena, &schema, &error);
    if (code == FH_OK) {
        fail_msg("accepted: %.2000s", sql);
    }
    assert_int_equal(code, FH_INVALID);
    assert_int_equal(error.error.code, FH_INVALID);
    assert_null(schema);
    fh_arena_close(&arena);
    char place[64];
    int len = snprintf(place, sizeof(place), NAME ":%u:%u: ", error.line, error.column);
    if (strncmp(error.error.message, place, (size_t)len) != 0) {
        fail_msg("%s does not begin with %s", error.error.message, place);
    }
    (void)snprintf(message, sizeof(message), "%.*s", FH_ERROR_MESSAGE_MAX - 1,
                   error.error.message + strlen(NAME ":"));
    return message;
}

void kit_expect_refused(const struct kit_refusal *rows, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const char *message = kit_refuse(NULL, rows[i].sql);
        if (strncmp(message, rows[i].message, strlen(rows[i].message)) != 0) {
            print_error("%s\n  expected: %s\n  got:      %s\n", rows[i].sql, rows[i].message,
                        message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}
