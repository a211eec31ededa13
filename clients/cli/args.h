/* The command line: a table of commands and options, parsed without surprises.
 *
 *   freehold GROUP COMMAND [ARGUMENT]... [--option VALUE | --option=VALUE | -o VALUE]...
 *
 * Options stand anywhere after the program; "--" ends them. An unknown command or option is
 * refused with the nearest known one. Everything is borrowed from argv and the tables. One thread.
 * Limits: FH_ARGS_MAX arguments, FH_ARGS_MAX options given.
 */
#ifndef FH_CLIENTS_CLI_ARGS_H
#define FH_CLIENTS_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"

#define FH_ARGS_MAX 256

struct fh_session;

struct fh_option {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    const char *value; /* what the value is called; NULL: a flag */
    const char *help;
};

struct fh_command {
    const char *group;     /* "tenant"; the command itself when it has no group ("token") */
    const char *name;      /* "create"; NULL: the group is the command */
    const char *arguments; /* "SLUG", for help; "" */
    const char *summary;   /* one line */
    const char *details;   /* more for --help; NULL */
    const struct fh_option *options; /* ends with a NULL name; NULL: only the common ones */
    size_t arguments_min;
    size_t arguments_max;
    int (*run)(struct fh_session *session); /* answers the exit code */
};

struct fh_given {
    const struct fh_option *option;
    const char *value; /* NULL for a flag */
};

struct fh_args {
    const struct fh_command *command; /* NULL: none was named */
    const char *group;                /* named, maybe without a command; NULL */
    const char *arguments[FH_ARGS_MAX];
    size_t argument_count;
    struct fh_given given[FH_ARGS_MAX];
    size_t given_count;
    bool help;
    bool version;
};

/* `commands` ends with a NULL group; `common` are the options every command has. FH_INVALID: the
 * error's message is ready to be shown. */
FH_MUST_CHECK enum fh_code fh_args_parse(int argc, char **argv, const struct fh_command *commands,
                                         const struct fh_option *common, struct fh_args *out,
                                         struct fh_error *error);

bool fh_args_has(const struct fh_args *args, const char *name);
/* The last one given; NULL when it was not. */
const char *fh_args_value(const struct fh_args *args, const char *name);
/* Every one given: *cursor starts at 0; NULL at the end. */
const char *fh_args_next(const struct fh_args *args, const char *name, size_t *cursor);
/* A whole number in [min, max]; `*out` stays when the option was not given. */
FH_MUST_CHECK enum fh_code fh_args_number(const struct fh_args *args, const char *name,
                                          long long min, long long max, long long *out,
                                          struct fh_error *error);

/* Help for what was named: a command, a group, or the program. */
void fh_args_help(const struct fh_args *args, const struct fh_command *commands,
                  const struct fh_option *common, struct fh_buf *out);

/* How many insertions, deletions and replacements lie between two words; long words are cut. */
size_t fh_args_distance(const char *a, const char *b);

#endif
