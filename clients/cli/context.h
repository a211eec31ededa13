/* Where to talk to, and as whom. Precedence of each setting on its own:
 *   option > environment > context file > a development server found by its data directory.
 *
 * The context file ($FREEHOLD_CONTEXT, else ~/.config/freehold/context.json) is a JSON object with
 * the keys of the table below. One that holds a token and can be read by others is refused. Secrets
 * are wiped on close and never printed. One thread.
 */
#ifndef FH_CLIENTS_CLI_CONTEXT_H
#define FH_CLIENTS_CLI_CONTEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "clients/cli/args.h"
#include "clients/cli/devserver.h"

enum fh_setting {
    FH_SETTING_ADDRESS,
    FH_SETTING_OPERATOR_ADDRESS,
    FH_SETTING_TOKEN,
    FH_SETTING_OPERATOR_TOKEN,
    FH_SETTING_CA,
    FH_SETTING_DATA_DIR,
    FH_SETTING_TENANT,
    FH_SETTING_COUNT
};

struct fh_setting_info {
    const char *key; /* in the context file */
    const char *option;
    const char *variable;
    bool secret; /* the option names a file that holds it */
};
extern const struct fh_setting_info fh_setting_infos[FH_SETTING_COUNT];

#define FH_CONTEXT_PATH_MAX 4096

struct fh_setting_value {
    char *value;        /* owned; NULL: not set */
    const char *source; /* static: "option", "environment", "context file", "development server" */
};

struct fh_context {
    struct fh_setting_value settings[FH_SETTING_COUNT];
    char file[FH_CONTEXT_PATH_MAX]; /* the context file that counts; "" without a home */
    bool file_read;
    /* The data directory whose keys mint tokens where none is set; "" when there is none, or when
     * the addresses come from elsewhere. */
    char keys_dir[FH_CONTEXT_PATH_MAX];
    struct fh_devserver server; /* of keys_dir, when found */
    bool server_found;
};

/* Looks a variable up; `arg` is the caller's. NULL: unset. */
typedef const char *fh_context_getenv_cb(const char *name, void *arg);

/* `file_needed` false: an explicit context file may be missing (it is about to be written). */
FH_MUST_CHECK enum fh_code fh_context_load(struct fh_context *context, const struct fh_args *args,
                                           fh_context_getenv_cb *getenv_cb, void *getenv_arg,
                                           bool file_needed, struct fh_error *error);
void fh_context_close(struct fh_context *context);
/* NULL when not set. Borrowed. */
const char *fh_context_get(const struct fh_context *context, enum fh_setting setting);
/* Replaces a setting; copies. */
FH_MUST_CHECK enum fh_code fh_context_set(struct fh_context *context, enum fh_setting setting,
                                          const char *value, const char *source);
/* Writes the settings whose source is "option" or "context file" to the context file, mode 0600. */
FH_MUST_CHECK enum fh_code fh_context_save(const struct fh_context *context,
                                           struct fh_error *error);

#endif
