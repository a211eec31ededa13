#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/config.h"

static enum fh_code load(int argc, char *const *argv, struct fh_arena *arena,
                         struct fh_config *config, struct fh_error *error)
{
    fh_arena_init(arena, 1 << 20);
    *error = (struct fh_error)FH_ERROR_INIT;
    return fh_config_load(argc, argv, arena, config, error);
}

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void test_defaults(void **state)
{
    char *argv[] = {(char *)(uintptr_t) "freeholdd", NULL};
    struct fh_config config;
    struct fh_arena arena;
    struct fh_error error;
    (void)state;
    assert_int_equal(load(1, argv, &arena, &config, &error), FH_OK);
    assert_string_equal(config.listen, "127.0.0.1:7070");
    assert_int_equal(config.calls_max, 4096);
    assert_false(config.insecure);
    fh_arena_close(&arena);
}

static void test_command_line_over_environment_over_file(void **state)
{
    char path[] = "/tmp/freehold-config-XXXXXX";
    struct fh_config config;
    struct fh_arena arena;
    struct fh_error error;
    (void)state;
    write_file(path, "# a comment\n\n listen = 127.0.0.1:1 \ncalls_max=7\nlog_level = warn\n"
                     "insecure = true\n");
    char *argv[] = {(char *)(uintptr_t) "freeholdd",         (char *)(uintptr_t) "--config", path,
                    (char *)(uintptr_t) "--log-level=error", (char *)(uintptr_t) "--pump",   NULL};
    assert_int_equal(setenv("FREEHOLDD_LOG_LEVEL", "debug", 1), 0);
    assert_int_equal(setenv("FREEHOLDD_CALLS_MAX", "9", 1), 0);
    assert_int_equal(load(5, argv, &arena, &config, &error), FH_OK);
    assert_string_equal(config.listen, "127.0.0.1:1");
    assert_int_equal(config.calls_max, 9);
    assert_string_equal(config.log_level, "error");
    assert_true(config.insecure);
    assert_true(config.pump);
    assert_int_equal(unsetenv("FREEHOLDD_LOG_LEVEL"), 0);
    assert_int_equal(unsetenv("FREEHOLDD_CALLS_MAX"), 0);
    fh_arena_close(&arena);
    assert_int_equal(unlink(path), 0);
}

static void test_refused_arguments(void **state)
{
    static const char *const bad[] = {
        "--nothing=1", "listen",           "--calls-max=0",           "--calls-max=x",
        "--calls-max", "--insecure=maybe", "--config=/does/not/exist"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *argv[] = {(char *)(uintptr_t) "freeholdd", (char *)(uintptr_t)bad[i], NULL};
        struct fh_config config;
        struct fh_arena arena;
        struct fh_error error;
        assert_int_equal(load(2, argv, &arena, &config, &error), FH_INVALID);
        assert_true(error.message[0] != '\0');
        fh_arena_close(&arena);
    }
}

static void test_file_errors_name_the_line(void **state)
{
    char path[] = "/tmp/freehold-config-XXXXXX";
    struct fh_config config;
    struct fh_arena arena;
    struct fh_error error;
    (void)state;
    write_file(path, "listen = 127.0.0.1:1\nnothing = 2\n");
    char *argv[] = {(char *)(uintptr_t) "freeholdd", (char *)(uintptr_t) "--config", path, NULL};
    assert_int_equal(load(3, argv, &arena, &config, &error), FH_INVALID);
    assert_non_null(strstr(error.message, ":2:"));
    assert_non_null(strstr(error.message, "nothing"));
    fh_arena_close(&arena);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_command_line_over_environment_over_file),
        cmocka_unit_test(test_refused_arguments),
        cmocka_unit_test(test_file_errors_name_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
