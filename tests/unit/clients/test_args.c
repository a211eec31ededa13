/* The command line: groups, commands, options, suggestions, help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/args.h"
#include "clients/cli/commands.h"

#define COMMANDS_MAX 64

static struct fh_command commands[COMMANDS_MAX];

static enum fh_code parse(const char *const *words, struct fh_args *out, struct fh_error *error)
{
    char *argv[64] = {(char *)(uintptr_t) "freehold"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    return fh_args_parse(argc, argv, commands, fh_common_options, out, error);
}

#define PARSE(args, error, ...) parse((const char *const[]){__VA_ARGS__, NULL}, args, error)

static void takes_words_and_options_in_any_order(void **state)
{
    struct fh_args args;
    struct fh_error error = FH_ERROR_INIT;
    (void)state;
    assert_int_equal(PARSE(&args, &error, "-o", "json", "tenant", "create", "--label", "a=b",
                           "acme", "--label=c=d", "--plan", "x", "--plan", "y"),
                     FH_OK);
    assert_string_equal(args.command->name, "create");
    assert_int_equal(args.argument_count, 1);
    assert_string_equal(args.arguments[0], "acme");
    assert_string_equal(fh_args_value(&args, "output"), "json");
    assert_string_equal(fh_args_value(&args, "plan"), "y");
    size_t cursor = 0;
    assert_string_equal(fh_args_next(&args, "label", &cursor), "a=b");
    assert_string_equal(fh_args_next(&args, "label", &cursor), "c=d");
    assert_null(fh_args_next(&args, "label", &cursor));
    assert_false(fh_args_has(&args, "store"));
}

static void ends_options_at_two_dashes(void **state)
{
    struct fh_args args;
    struct fh_error error = FH_ERROR_INIT;
    (void)state;
    assert_int_equal(PARSE(&args, &error, "data", "get", "t", "--", "-5", "--all"), FH_OK);
    assert_int_equal(args.argument_count, 3);
    assert_string_equal(args.arguments[1], "-5");
    assert_string_equal(args.arguments[2], "--all");
    /* A lone dash is an argument: standard input. */
    assert_int_equal(PARSE(&args, &error, "data", "import", "t", "-"), FH_OK);
    assert_string_equal(args.arguments[1], "-");
}

static void suggests_what_was_meant(void **state)
{
    struct fh_args args;
    struct fh_error error = FH_ERROR_INIT;
    (void)state;
    assert_int_equal(PARSE(&args, &error, "tenat", "list"), FH_INVALID);
    assert_non_null(strstr(error.message, "did you mean 'tenant'?"));
    assert_int_equal(PARSE(&args, &error, "tenant", "creat", "x"), FH_INVALID);
    assert_non_null(strstr(error.message, "did you mean 'create'?"));
    assert_int_equal(PARSE(&args, &error, "tenant", "list", "--page-sise", "1"), FH_INVALID);
    assert_non_null(strstr(error.message, "did you mean 'page-size'?"));
    assert_int_equal(PARSE(&args, &error, "tenant", "zzzzzzzz"), FH_INVALID);
    assert_null(strstr(error.message, "did you mean"));
}

static void refuses_what_does_not_fit(void **state)
{
    struct fh_args args;
    struct fh_error error = FH_ERROR_INIT;
    const char *none[] = {NULL};
    (void)state;
    assert_int_equal(parse(none, &args, &error), FH_INVALID);
    assert_int_equal(PARSE(&args, &error, "tenant"), FH_INVALID);
    assert_int_equal(PARSE(&args, &error, "tenant", "create"), FH_INVALID);
    assert_non_null(strstr(error.message, "too few arguments"));
    assert_int_equal(PARSE(&args, &error, "tenant", "create", "a", "b"), FH_INVALID);
    assert_non_null(strstr(error.message, "freehold tenant create SLUG"));
    assert_int_equal(PARSE(&args, &error, "tenant", "create", "a", "--plan"), FH_INVALID);
    assert_int_equal(PARSE(&args, &error, "tenant", "delete", "a", "--yes=1"), FH_INVALID);
    assert_int_equal(PARSE(&args, &error, "tenant", "list", "-z"), FH_INVALID);
    assert_int_equal(PARSE(&args, &error, "tenant", "list", "-afoo"), FH_INVALID);
}

static void bounds_the_number_of_words(void **state)
{
    struct fh_args args;
    struct fh_error error = FH_ERROR_INIT;
    char *argv[FH_ARGS_MAX + 8];
    (void)state;
    argv[0] = (char *)(uintptr_t) "freehold";
    argv[1] = (char *)(uintptr_t) "data";
    argv[2] = (char *)(uintptr_t) "get";
    for (int i = 3; i < FH_ARGS_MAX + 8; i++) {
        argv[i] = (char *)(uintptr_t) "x";
    }
    assert_int_equal(
        fh_args_parse(FH_ARGS_MAX + 8, argv, commands, fh_common_options, &args, &error),
        FH_INVALID);
    for (int i = 3; i < FH_ARGS_MAX + 8; i++) {
        argv[i] = (char *)(uintptr_t) "--deleted";
    }
    assert_int_equal(
        fh_args_parse(FH_ARGS_MAX + 8, argv, commands, fh_common_options, &args, &error),
        FH_INVALID);
}

static void reads_numbers_within_bounds(void **state)
{
    struct fh_args args;
    struct fh_error error = FH_ERROR_INIT;
    long long number = 7;
    (void)state;
    assert_int_equal(PARSE(&args, &error, "tenant", "list", "--page-size", "50"), FH_OK);
    assert_int_equal(fh_args_number(&args, "limit", 1, 10, &number, &error), FH_OK);
    assert_int_equal(number, 7);
    assert_int_equal(fh_args_number(&args, "page-size", 1, 50, &number, &error), FH_OK);
    assert_int_equal(number, 50);
    assert_int_equal(fh_args_number(&args, "page-size", 1, 49, &number, &error), FH_INVALID);
    assert_int_equal(PARSE(&args, &error, "tenant", "list", "--page-size", "5x"), FH_OK);
    assert_int_equal(fh_args_number(&args, "page-size", 1, 50, &number, &error), FH_INVALID);
}

static void has_help_at_every_level(void **state)
{
    struct fh_args args;
    struct fh_error error = FH_ERROR_INIT;
    (void)state;
    for (const struct fh_command *c = commands; c->group != NULL; c++) {
        struct fh_buf help;
        fh_buf_init(&help, 65536);
        const char *words[] = {c->group, c->name != NULL ? c->name : "--help", "--help", NULL};
        assert_int_equal(parse(words, &args, &error), FH_OK);
        assert_true(args.help);
        fh_args_help(&args, commands, fh_common_options, &help);
        assert_int_equal(fh_buf_code(&help), FH_OK);
        assert_non_null(strstr(help.data, c->summary));
        assert_non_null(strstr(help.data, "--output FORMAT"));
        fh_buf_close(&help);
    }
}

static void measures_the_distance_of_words(void **state)
{
    (void)state;
    assert_int_equal(fh_args_distance("", ""), 0);
    assert_int_equal(fh_args_distance("list", "list"), 0);
    assert_int_equal(fh_args_distance("lisst", "list"), 1);
    assert_int_equal(fh_args_distance("kitten", "sitting"), 3);
    assert_int_equal(fh_args_distance("", "abc"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_words_and_options_in_any_order),
        cmocka_unit_test(ends_options_at_two_dashes),
        cmocka_unit_test(suggests_what_was_meant),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(bounds_the_number_of_words),
        cmocka_unit_test(reads_numbers_within_bounds),
        cmocka_unit_test(has_help_at_every_level),
        cmocka_unit_test(measures_the_distance_of_words),
    };
    (void)fh_commands_all(commands, COMMANDS_MAX);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
