/* Settings: who wins, what is refused, what is written back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/commands.h"
#include "clients/cli/context.h"
#include "tests/unit/clients/kit.h"

#define VARIABLES_MAX 8

struct world {
    struct kit kit;
    struct fh_command commands[64];
    struct fh_args args;
    struct fh_context context;
    struct fh_error error;
    const char *names[VARIABLES_MAX];
    const char *values[VARIABLES_MAX];
    int variables;
};

static const char *getenv_cb(const char *name, void *arg)
{
    const struct world *world = arg;
    for (int i = 0; i < world->variables; i++) {
        if (strcmp(world->names[i], name) == 0) {
            return world->values[i];
        }
    }
    return NULL;
}

static void set(struct world *world, const char *name, const char *value)
{
    world->names[world->variables] = name;
    world->values[world->variables++] = value;
}

static int setup(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    kit_open(&world.kit);
    set(&world, "HOME", world.kit.dir);
    (void)fh_commands_all(world.commands, 64);
    *state = &world;
    return chdir(world.kit.dir);
}

static int teardown(void **state)
{
    struct world *world = *state;
    kit_close(&world->kit);
    return chdir("/");
}

static void arguments(struct world *world, const char *const *words)
{
    char *argv[32] = {(char *)(uintptr_t) "freehold", (char *)(uintptr_t) "tenant",
                      (char *)(uintptr_t) "list"};
    int argc = 3;
    for (; words != NULL && *words != NULL; words++) {
        argv[argc++] = (char *)(uintptr_t)*words;
    }
    assert_int_equal(
        fh_args_parse(argc, argv, world->commands, fh_common_options, &world->args, &world->error),
        FH_OK);
}

static enum fh_code load(struct world *world)
{
    return fh_context_load(&world->context, &world->args, getenv_cb, world, true, &world->error);
}

static const char *get(const struct world *world, enum fh_setting setting)
{
    return fh_context_get(&world->context, setting);
}

static void is(const struct world *world, enum fh_setting setting, const char *value,
               const char *source)
{
    assert_non_null(get(world, setting));
    assert_string_equal(get(world, setting), value);
    assert_string_equal(world->context.settings[setting].source, source);
}

static const char *const dev_server =
    "{\"tenant\":\"127.0.0.1:1\",\"operator\":\"127.0.0.1:2\",\"http\":\"127.0.0.1:3\","
    "\"tls\":false,\"pid\":999999999999}";

static void takes_the_strongest_source(void **state)
{
    struct world *world = *state;
    kit_mkdir(&world->kit, "freehold-data");
    kit_write(&world->kit, "freehold-data/freeholdd.json", dev_server, 0600);
    kit_write(&world->kit, "c.json",
              "{\"address\":\"file:1\",\"operatorAddress\":\"file:2\",\"token\":\"file-token\"}",
              0600);
    kit_write(&world->kit, "token", "  option-token \nmore\n", 0600);
    set(world, "FREEHOLD_CONTEXT", kit_path(&world->kit, "c.json"));
    set(world, "FREEHOLD_ADDRESS", "environment:1");
    set(world, "FREEHOLD_TENANT", "");
    arguments(world, (const char *[]){"--token-file", "token", NULL});
    assert_int_equal(load(world), FH_OK);
    is(world, FH_SETTING_ADDRESS, "environment:1", "environment");
    is(world, FH_SETTING_OPERATOR_ADDRESS, "file:2", "context file");
    is(world, FH_SETTING_TOKEN, "option-token", "option");
    assert_null(get(world, FH_SETTING_TENANT)); /* empty is unset */
    /* Another server's address: this machine's keys are not for it. */
    assert_string_equal(world->context.keys_dir, "");
    fh_context_close(&world->context);
    arguments(world, (const char *[]){"--address", "option:1", NULL});
    assert_int_equal(load(world), FH_OK);
    is(world, FH_SETTING_ADDRESS, "option:1", "option");
    is(world, FH_SETTING_TOKEN, "file-token", "context file");
    fh_context_close(&world->context);
}

static void finds_a_development_server(void **state)
{
    struct world *world = *state;
    arguments(world, NULL);
    assert_int_equal(load(world), FH_OK);
    assert_null(get(world, FH_SETTING_ADDRESS));
    assert_false(world->context.server_found);
    fh_context_close(&world->context);
    kit_mkdir(&world->kit, ".local");
    kit_mkdir(&world->kit, ".local/share");
    kit_mkdir(&world->kit, ".local/share/freehold");
    kit_write(&world->kit, ".local/share/freehold/freeholdd.json", dev_server, 0600);
    assert_int_equal(load(world), FH_OK);
    is(world, FH_SETTING_ADDRESS, "127.0.0.1:1", "development server");
    is(world, FH_SETTING_OPERATOR_ADDRESS, "127.0.0.1:2", "development server");
    assert_false(world->context.server.running); /* no such process can be */
    fh_context_close(&world->context);
    /* The folder one stands in comes first. */
    kit_mkdir(&world->kit, "freehold-data");
    kit_write(&world->kit, "freehold-data/freeholdd.json", "{\"tenant\":\"here:1\"}", 0600);
    assert_int_equal(load(world), FH_OK);
    is(world, FH_SETTING_ADDRESS, "here:1", "development server");
    assert_null(get(world, FH_SETTING_OPERATOR_ADDRESS));
    assert_string_equal(world->context.keys_dir, "./freehold-data");
    fh_context_close(&world->context);
    /* A folder that was named counts alone, server or not. */
    arguments(world, (const char *[]){"--data-dir", "elsewhere", NULL});
    assert_int_equal(load(world), FH_OK);
    assert_null(get(world, FH_SETTING_ADDRESS));
    assert_string_equal(world->context.keys_dir, "elsewhere");
    fh_context_close(&world->context);
}

static void refuses_a_token_others_can_read(void **state)
{
    struct world *world = *state;
    arguments(world, (const char *[]){"--context", "c.json", NULL});
    kit_write(&world->kit, "c.json", "{\"token\":\"secret-token\"}", 0644);
    assert_int_equal(load(world), FH_PERMISSION);
    assert_non_null(strstr(world->error.message, "chmod 600"));
    assert_null(strstr(world->error.message, "secret-token"));
    kit_write(&world->kit, "c.json", "{\"operatorToken\":\"secret-token\"}", 0620);
    assert_int_equal(load(world), FH_PERMISSION);
    kit_write(&world->kit, "c.json", "{\"token\":\"secret-token\"}", 0600);
    assert_int_equal(load(world), FH_OK);
    fh_context_close(&world->context);
    /* Without a token there is nothing to hide. */
    kit_write(&world->kit, "c.json", "{\"address\":\"a:1\"}", 0644);
    assert_int_equal(load(world), FH_OK);
    fh_context_close(&world->context);
}

static void refuses_a_broken_file(void **state)
{
    struct world *world = *state;
    static const char *const broken[] = {
        "",
        "{",
        "[]",
        "\"x\"",
        "{\"adress\":\"a:1\"}",
        "{\"address\":7}",
        "{\"address\":\"a\",\"address\":\"b\"}",
    };
    arguments(world, (const char *[]){"--context", "c.json", NULL});
    assert_int_equal(load(world), FH_NOT_FOUND);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        kit_write(&world->kit, "c.json", broken[i], 0600);
        assert_int_equal(load(world), FH_INVALID);
    }
    arguments(world, (const char *[]){"--token-file", "nowhere", NULL});
    assert_int_equal(load(world), FH_NOT_FOUND);
    kit_write(&world->kit, "empty", "\n", 0600);
    arguments(world, (const char *[]){"--token-file", "empty", NULL});
    assert_int_equal(load(world), FH_INVALID);
}

static void writes_a_private_file(void **state)
{
    struct world *world = *state;
    struct stat stat_of;
    kit_write(&world->kit, "c.json", "{\"address\":\"old:1\",\"tenant\":\"acme\"}", 0644);
    kit_write(&world->kit, "token", "the-token\n", 0600);
    arguments(world, (const char *[]){"--context", "c.json", "--address", "new:1", "--token-file",
                                      "token", NULL});
    assert_int_equal(load(world), FH_OK);
    assert_int_equal(fh_context_save(&world->context, &world->error), FH_OK);
    fh_context_close(&world->context);
    assert_int_equal(stat(kit_path(&world->kit, "c.json"), &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    arguments(world, (const char *[]){"--context", "c.json", NULL});
    assert_int_equal(load(world), FH_OK);
    is(world, FH_SETTING_ADDRESS, "new:1", "context file");
    is(world, FH_SETTING_TENANT, "acme", "context file");
    is(world, FH_SETTING_TOKEN, "the-token", "context file");
    fh_context_close(&world->context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_the_strongest_source, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_a_development_server, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_token_others_can_read, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_broken_file, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_a_private_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
