/* The list of settings becomes a table; file, environment and command line all go through
 * set_option(). Later sources overwrite earlier ones, so they are read in the order file,
 * environment, command line. */
#include "server/config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (64 * 1024)
#define NAME_MAX_LEN 64

enum kind { KIND_TEXT, KIND_NUMBER, KIND_FLAG };

struct option {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *text;
    int64_t number;
    int64_t min;
    int64_t max;
    const char *help;
};

static const struct option options[] = {
#define OPTION_TEXT(option_name, value, help_text)      \
    {.name = #option_name,                              \
     .kind = KIND_TEXT,                                 \
     .offset = offsetof(struct fh_config, option_name), \
     .text = (value),                                   \
     .help = (help_text)},
#define OPTION_NUMBER(option_name, value, lowest, highest, help_text) \
    {.name = #option_name,                                            \
     .kind = KIND_NUMBER,                                             \
     .offset = offsetof(struct fh_config, option_name),               \
     .number = (value),                                               \
     .min = (lowest),                                                 \
     .max = (highest),                                                \
     .help = (help_text)},
#define OPTION_FLAG(option_name, help_text)             \
    {.name = #option_name,                              \
     .kind = KIND_FLAG,                                 \
     .offset = offsetof(struct fh_config, option_name), \
     .help = (help_text)},
    FH_CONFIG(OPTION_TEXT, OPTION_NUMBER, OPTION_FLAG)};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static const struct option *find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        size_t k = 0;
        while (k < len && options[i].name[k] != '\0' &&
               (options[i].name[k] == name[k] || (options[i].name[k] == '_' && name[k] == '-'))) {
            k++;
        }
        if (k == len && options[i].name[k] == '\0') {
            return &options[i];
        }
    }
    return NULL;
}

static void *field_of(struct fh_config *config, const struct option *option)
{
    return (char *)config + option->offset;
}

static enum fh_code set_flag(bool *flag, const char *where, const char *name, const char *value,
                             struct fh_error *error)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0) {
        *flag = true;
        return FH_OK;
    }
    if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0) {
        *flag = false;
        return FH_OK;
    }
    return fh_error_set(error, FH_INVALID, "%s: %s is true or false, not '%.64s'", where, name,
                        value);
}

static enum fh_code set_option(struct fh_config *config, const struct option *option,
                               const char *where, const char *value, struct fh_error *error)
{
    void *field = field_of(config, option);
    long long number = 0;
    switch (option->kind) {
    case KIND_TEXT:
        memcpy(field, &value, sizeof(value));
        return FH_OK;
    case KIND_FLAG:
        return set_flag(field, where, option->name, value, error);
    case KIND_NUMBER:
        if (!fh_str_to_int64(fh_str_of(value), &number) || number < option->min ||
            number > option->max) {
            return fh_error_set(error, FH_INVALID, "%s: %s is a number from %lld to %lld", where,
                                option->name, (long long)option->min, (long long)option->max);
        }
        *(int64_t *)field = number;
        return FH_OK;
    }
    return FH_INTERNAL;
}

static void set_defaults(struct fh_config *config)
{
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        void *field = field_of(config, &options[i]);
        if (options[i].kind == KIND_TEXT) {
            memcpy(field, &options[i].text, sizeof(options[i].text));
        } else if (options[i].kind == KIND_NUMBER) {
            *(int64_t *)field = options[i].number;
        }
    }
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1])) {
        text[--len] = '\0';
    }
    return text;
}

static enum fh_code read_line(struct fh_config *config, const char *path, int number, char *line,
                              struct fh_error *error)
{
    char where[FH_ERROR_FIELD_MAX];
    char *name = trim(line);
    (void)snprintf(where, sizeof(where), "%.80s:%d", path, number);
    if (*name == '\0' || *name == '#') {
        return FH_OK;
    }
    char *equals = strchr(name, '=');
    if (equals == NULL) {
        return fh_error_set(error, FH_INVALID, "%s: expected 'name = value'", where);
    }
    *equals = '\0';
    name = trim(name);
    const struct option *option = find_option(name, strlen(name));
    if (option == NULL) {
        return fh_error_set(error, FH_INVALID, "%s: no setting '%.64s'; see freeholdd --help",
                            where, name);
    }
    return set_option(config, option, where, trim(equals + 1), error);
}

static enum fh_code read_file(struct fh_config *config, const char *path, struct fh_arena *arena,
                              struct fh_error *error)
{
    char *text = fh_arena_alloc(arena, FILE_BYTES_MAX + 1);
    FILE *file = fopen(path, "re");
    if (text == NULL || file == NULL) {
        if (file != NULL) {
            (void)fclose(file);
        }
        return fh_error_set(error, FH_INVALID, "cannot read the configuration %s: %s", path,
                            strerror(errno));
    }
    size_t len = fread(text, 1, FILE_BYTES_MAX + 1, file);
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (failed || len > FILE_BYTES_MAX) {
        return fh_error_set(error, FH_INVALID,
                            "cannot read the configuration %s: unreadable or larger than %d bytes",
                            path, FILE_BYTES_MAX);
    }
    text[len] = '\0';
    if (strlen(text) != len) { /* what stands behind it would be passed over in silence */
        return fh_error_set(error, FH_INVALID, "%s has a NUL byte in it", path);
    }
    int number = 1;
    for (char *line = text; line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        enum fh_code code = read_line(config, path, number, line, error);
        if (code != FH_OK) {
            return code;
        }
        line = end;
    }
    return FH_OK;
}

static enum fh_code read_environment(struct fh_config *config, struct fh_error *error)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char variable[NAME_MAX_LEN] = "FREEHOLDD_";
        size_t at = strlen(variable);
        for (const char *c = options[i].name; *c != '\0' && at < sizeof(variable) - 1; c++) {
            variable[at++] = (char)toupper((unsigned char)*c);
        }
        variable[at] = '\0';
        const char *value = getenv(variable);
        if (value != NULL) {
            enum fh_code code = set_option(config, &options[i], variable, value, error);
            if (code != FH_OK) {
                return code;
            }
        }
    }
    return FH_OK;
}

/* One argument at argv[*at]; a value may be in the next one. */
static enum fh_code read_argument(struct fh_config *config, int argc, char *const *argv, int *at,
                                  struct fh_error *error)
{
    const char *argument = argv[*at];
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        config->help = true;
        return FH_OK;
    }
    if (strcmp(argument, "--version") == 0) {
        config->version = true;
        return FH_OK;
    }
    const char *name = argument + 2;
    const char *equals = strchr(argument, '=');
    size_t len = strncmp(argument, "--", 2) != 0 ? 0
                 : equals != NULL                ? (size_t)(equals - name)
                                                 : strlen(name);
    const struct option *option = len > 0 ? find_option(name, len) : NULL;
    bool is_config = len == strlen("config") && strncmp(name, "config", len) == 0;
    if (option == NULL && !is_config) {
        return fh_error_set(error, FH_INVALID, "unknown argument '%.64s'; see freeholdd --help",
                            argument);
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (value == NULL && option != NULL && option->kind == KIND_FLAG) {
        value = "true";
    }
    if (value == NULL && *at + 1 < argc) {
        value = argv[++*at];
    }
    if (value == NULL) {
        return fh_error_set(error, FH_INVALID, "%.64s needs a value", argument);
    }
    return is_config ? FH_OK : set_option(config, option, argument, value, error);
}

/* --config is wanted before everything else is read. */
static const char *config_path(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            return argv[i + 1];
        }
        if (strncmp(argv[i], "--config=", strlen("--config=")) == 0) {
            return argv[i] + strlen("--config=");
        }
    }
    return getenv("FREEHOLDD_CONFIG");
}

enum fh_code fh_config_load(int argc, char *const *argv, struct fh_arena *arena,
                            struct fh_config *out, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    const char *path = config_path(argc, argv);
    set_defaults(out);
    if (path != NULL) {
        code = read_file(out, path, arena, error);
    }
    if (code == FH_OK) {
        code = read_environment(out, error);
    }
    for (int i = 1; code == FH_OK && i < argc; i++) {
        code = read_argument(out, argc, argv, &i, error);
    }
    return code;
}

void fh_config_print_help(void)
{
    (void)printf("freeholdd: the Freehold server\n\n"
                 "usage: freeholdd [--config FILE] [--SETTING VALUE]...\n\n"
                 "Every setting may also stand in the file (name = value) or in the environment "
                 "(FREEHOLDD_NAME).\nWithout any it serves on loopback from ./freehold-data, with "
                 "keys of its own.\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[NAME_MAX_LEN];
        (void)snprintf(name, sizeof(name), "%s", options[i].name);
        for (char *c = name; *c != '\0'; c++) {
            *c = *c == '_' ? '-' : *c;
        }
        (void)printf("  --%-22s %s", name, options[i].help);
        if (options[i].kind == KIND_NUMBER) {
            (void)printf(" (%lld)", (long long)options[i].number);
        } else if (options[i].kind == KIND_TEXT && options[i].text[0] != '\0') {
            (void)printf(" (%s)", options[i].text);
        }
        (void)printf("\n");
    }
}
