/* Happy path: words that name group and command are taken first, then options are looked up in the
 * command's table and the common one. Failure: the first thing that does not fit, said with what
 * was probably meant. */
#include "clients/cli/args.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define WORD_MAX 48
/* A longer way off is another word, not a slip of the finger. */
#define DISTANCE_MAX 2

size_t fh_args_distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1];
    const size_t a_len = strnlen(a, WORD_MAX);
    const size_t b_len = strnlen(b, WORD_MAX);
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            const size_t above = row[j];
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[b_len];
}

struct guess {
    const char *word; /* as it was typed */
    const char *best; /* NULL: nothing is near */
    size_t distance;
};

static void guess_consider(struct guess *guess, const char *candidate)
{
    const size_t len = strlen(guess->word);
    size_t distance = fh_args_distance(guess->word, candidate);
    if (len >= 2 && strncmp(candidate, guess->word, len) == 0) {
        distance = 1; /* the beginning of a word is a good guess, too */
    }
    if (distance <= DISTANCE_MAX && distance < strlen(candidate) &&
        (guess->best == NULL || distance < guess->distance)) {
        guess->best = candidate;
        guess->distance = distance;
    }
}

static enum fh_code unknown(struct fh_error *error, const char *what, const struct guess *guess,
                            const char *help)
{
    char hint[2 * WORD_MAX + 32] = "";
    if (guess->best != NULL) {
        (void)snprintf(hint, sizeof(hint), "; did you mean '%s'?", guess->best);
    }
    return fh_error_set(error, FH_INVALID, "unknown %s '%.64s'%s (see freehold %s%s--help)", what,
                        guess->word, hint, help, help[0] != '\0' ? " " : "");
}

static const struct fh_option *find_in(const struct fh_option *options, const char *name,
                                       size_t len, struct guess *guess)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (strlen(options->name) == len && memcmp(options->name, name, len) == 0) {
            return options;
        }
        guess_consider(guess, options->name);
    }
    return NULL;
}

static const struct fh_option *find_letter(const struct fh_option *options, char letter)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (options->letter == letter) {
            return options;
        }
    }
    return NULL;
}

struct parser {
    int argc;
    char **argv;
    int at;
    const struct fh_command *commands;
    const struct fh_option *common;
    struct fh_args *out;
    struct fh_error *error;
};

static enum fh_code give(struct parser *parser, const struct fh_option *option, const char *value)
{
    struct fh_args *out = parser->out;
    if (option->value == NULL && value != NULL) {
        return fh_error_set(parser->error, FH_INVALID, "option '--%s' takes no value",
                            option->name);
    }
    if (option->value != NULL && value == NULL) {
        if (parser->at + 1 >= parser->argc) {
            return fh_error_set(parser->error, FH_INVALID, "option '--%s' needs a value (%s)",
                                option->name, option->value);
        }
        value = parser->argv[++parser->at];
    }
    if (out->given_count == FH_ARGS_MAX) {
        return fh_error_set(parser->error, FH_INVALID, "more than %d options", FH_ARGS_MAX);
    }
    out->given[out->given_count++] = (struct fh_given){.option = option, .value = value};
    return FH_OK;
}

static enum fh_code take_long(struct parser *parser, const char *word)
{
    char typed[WORD_MAX + 1];
    struct fh_args *out = parser->out;
    const char *equals = strchr(word, '=');
    const size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
    if (strcmp(word, "help") == 0) {
        out->help = true;
        return FH_OK;
    }
    if (strcmp(word, "version") == 0) {
        out->version = true;
        return FH_OK;
    }
    (void)snprintf(typed, sizeof(typed), "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX), word);
    struct guess guess = {.word = typed};
    const struct fh_option *option =
        find_in(out->command != NULL ? out->command->options : NULL, word, len, &guess);
    if (option == NULL) {
        option = find_in(parser->common, word, len, &guess);
    }
    if (option != NULL) {
        return give(parser, option, equals != NULL ? equals + 1 : NULL);
    }
    return unknown(parser->error, "option", &guess, out->group != NULL ? out->group : "");
}

static enum fh_code take_letter(struct parser *parser, const char *word)
{
    struct fh_args *out = parser->out;
    if (strcmp(word, "h") == 0) {
        out->help = true;
        return FH_OK;
    }
    const struct fh_option *option =
        find_letter(out->command != NULL ? out->command->options : NULL, word[0]);
    if (option == NULL) {
        option = find_letter(parser->common, word[0]);
    }
    if (option == NULL || (option->value == NULL && word[1] != '\0')) {
        return fh_error_set(parser->error, FH_INVALID,
                            "unknown option '-%.16s' (see freehold --help; a value that starts "
                            "with a dash comes after --)",
                            word);
    }
    return give(parser, option, word[1] != '\0' ? word + 1 : NULL);
}

static enum fh_code take_group(struct parser *parser, const char *word)
{
    struct guess guess = {.word = word};
    for (const struct fh_command *c = parser->commands; c->group != NULL; c++) {
        if (strcmp(c->group, word) == 0) {
            parser->out->group = c->group;
            if (c->name == NULL) {
                parser->out->command = c;
            }
            return FH_OK;
        }
        guess_consider(&guess, c->group);
    }
    return unknown(parser->error, "command", &guess, "");
}

static enum fh_code take_command(struct parser *parser, const char *word)
{
    struct guess guess = {.word = word};
    for (const struct fh_command *c = parser->commands; c->group != NULL; c++) {
        if (strcmp(c->group, parser->out->group) != 0) {
            continue;
        }
        if (strcmp(c->name, word) == 0) {
            parser->out->command = c;
            return FH_OK;
        }
        guess_consider(&guess, c->name);
    }
    return unknown(parser->error, "command", &guess, parser->out->group);
}

static enum fh_code take_word(struct parser *parser, const char *word)
{
    struct fh_args *out = parser->out;
    if (out->group == NULL) {
        return take_group(parser, word);
    }
    if (out->command == NULL) {
        return take_command(parser, word);
    }
    if (out->argument_count == FH_ARGS_MAX) {
        return fh_error_set(parser->error, FH_INVALID, "more than %d arguments", FH_ARGS_MAX);
    }
    out->arguments[out->argument_count++] = word;
    return FH_OK;
}

static void usage_line(const struct fh_command *command, struct fh_buf *out)
{
    fh_buf_printf(out, "freehold %s%s%s%s%s [OPTION]...", command->group,
                  command->name != NULL ? " " : "", command->name != NULL ? command->name : "",
                  command->arguments[0] != '\0' ? " " : "", command->arguments);
}

static enum fh_code check(const struct fh_args *args, struct fh_error *error)
{
    if (args->help || args->version) {
        return FH_OK;
    }
    if (args->command == NULL) {
        return args->group == NULL
                   ? fh_error_set(error, FH_INVALID, "no command given (see freehold --help)")
                   : fh_error_set(error, FH_INVALID, "no command given (see freehold %s --help)",
                                  args->group);
    }
    const bool few = args->argument_count < args->command->arguments_min;
    if (few || args->argument_count > args->command->arguments_max) {
        struct fh_buf usage;
        fh_buf_init(&usage, 256);
        usage_line(args->command, &usage);
        (void)fh_error_set(error, FH_INVALID, "too %s arguments; usage: %s", few ? "few" : "many",
                           fh_buf_code(&usage) == FH_OK ? usage.data : "see --help");
        fh_buf_close(&usage);
        return FH_INVALID;
    }
    return FH_OK;
}

enum fh_code fh_args_parse(int argc, char **argv, const struct fh_command *commands,
                           const struct fh_option *common, struct fh_args *out,
                           struct fh_error *error)
{
    struct parser parser = {.argc = argc,
                            .argv = argv,
                            .commands = commands,
                            .common = common,
                            .out = out,
                            .error = error};
    bool options_over = false;
    memset(out, 0, sizeof(*out));
    for (parser.at = 1; parser.at < argc; parser.at++) {
        const char *word = argv[parser.at];
        enum fh_code code;
        if (!options_over && strcmp(word, "--") == 0) {
            options_over = true;
            continue;
        }
        if (!options_over && word[0] == '-' && word[1] == '-') {
            code = take_long(&parser, word + 2);
        } else if (!options_over && word[0] == '-' && word[1] != '\0') {
            code = take_letter(&parser, word + 1);
        } else {
            code = take_word(&parser, word);
        }
        if (code != FH_OK) {
            return code;
        }
    }
    return check(out, error);
}

bool fh_args_has(const struct fh_args *args, const char *name)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].option->name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *fh_args_next(const struct fh_args *args, const char *name, size_t *cursor)
{
    while (*cursor < args->given_count) {
        const struct fh_given *given = &args->given[(*cursor)++];
        if (strcmp(given->option->name, name) == 0) {
            return given->value;
        }
    }
    return NULL;
}

const char *fh_args_value(const struct fh_args *args, const char *name)
{
    const char *last = NULL;
    const char *value;
    size_t cursor = 0;
    while ((value = fh_args_next(args, name, &cursor)) != NULL) {
        last = value;
    }
    return last;
}

enum fh_code fh_args_number(const struct fh_args *args, const char *name, long long min,
                            long long max, long long *out, struct fh_error *error)
{
    long long number;
    const char *text = fh_args_value(args, name);
    if (text == NULL) {
        return FH_OK;
    }
    if (!fh_str_to_int64(fh_str_of(text), &number) || number < min || number > max) {
        return fh_error_set(error, FH_INVALID, "--%s takes a whole number from %lld to %lld", name,
                            min, max);
    }
    *out = number;
    return FH_OK;
}

static void help_options(const char *title, const struct fh_option *options, struct fh_buf *out)
{
    if (options == NULL || options->name == NULL) {
        return;
    }
    fh_buf_printf(out, "\n%s:\n", title);
    for (; options->name != NULL; options++) {
        char left[64];
        char letter[8] = "    ";
        if (options->letter != 0) {
            (void)snprintf(letter, sizeof(letter), "-%c, ", options->letter);
        }
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, options->name,
                       options->value != NULL ? " " : "",
                       options->value != NULL ? options->value : "");
        fh_buf_printf(out, "  %-32s %s\n", left, options->help);
    }
}

static void help_program(const struct fh_command *commands, const struct fh_option *common,
                         struct fh_buf *out)
{
    fh_buf_add_text(out, "usage: freehold COMMAND [ARGUMENT]... [OPTION]...\n\n"
                         "Operates Freehold and reads and writes a tenant's records.\n\n"
                         "commands:\n");
    for (const struct fh_command *c = commands; c->group != NULL; c++) {
        char words[64];
        (void)snprintf(words, sizeof(words), "%s%s%s", c->group, c->name != NULL ? " " : "",
                       c->name != NULL ? c->name : "");
        fh_buf_printf(out, "  %-19s %s\n", words, c->summary);
    }
    help_options("options of every command", common, out);
    fh_buf_add_text(
        out,
        "\nSettings come from options, else the environment (FREEHOLD_ADDRESS,\n"
        "FREEHOLD_OPERATOR_ADDRESS, FREEHOLD_TOKEN, FREEHOLD_OPERATOR_TOKEN, FREEHOLD_CA,\n"
        "FREEHOLD_DATA_DIR, FREEHOLD_TENANT, FREEHOLD_CONTEXT), else the context file, else a\n"
        "development server of this user, found by its data directory.\n\n"
        "exit codes: 0 done; 1 refused by the server; 2 wrong usage or settings; 3 the server\n"
        "cannot be reached or does not answer in time; 4 a failure on this machine (file,\n"
        "memory); 5 an import left rows out; 6 a write's outcome is not known.\n");
}

void fh_args_help(const struct fh_args *args, const struct fh_command *commands,
                  const struct fh_option *common, struct fh_buf *out)
{
    if (args->group == NULL) {
        help_program(commands, common, out);
        return;
    }
    if (args->command == NULL) {
        fh_buf_printf(out, "usage: freehold %s COMMAND [ARGUMENT]... [OPTION]...\n\ncommands:\n",
                      args->group);
        for (const struct fh_command *c = commands; c->group != NULL; c++) {
            if (strcmp(c->group, args->group) == 0) {
                fh_buf_printf(out, "  %-11s %-24s %s\n", c->name, c->arguments, c->summary);
            }
        }
        fh_buf_printf(out, "\nSee freehold %s COMMAND --help.\n", args->group);
        return;
    }
    fh_buf_add_text(out, "usage: ");
    usage_line(args->command, out);
    fh_buf_printf(out, "\n\n%s\n", args->command->summary);
    if (args->command->details != NULL) {
        fh_buf_printf(out, "\n%s\n", args->command->details);
    }
    help_options("options", args->command->options, out);
    help_options("options of every command", common, out);
}
