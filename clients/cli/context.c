/* Happy path: four layers, each fills what the ones before left open. Failure: a file that was
 * named and is not there, one that is broken or open to others, a token file that cannot be read.
 */
#include "clients/cli/context.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "clients/cli/file.h"

#define FILE_BYTES_MAX 65536
#define TOKEN_BYTES_MAX 8192

const struct fh_setting_info fh_setting_infos[FH_SETTING_COUNT] = {
    [FH_SETTING_ADDRESS] = {"address", "address", "FREEHOLD_ADDRESS", false},
    [FH_SETTING_OPERATOR_ADDRESS] = {"operatorAddress", "operator-address",
                                     "FREEHOLD_OPERATOR_ADDRESS", false},
    [FH_SETTING_TOKEN] = {"token", "token-file", "FREEHOLD_TOKEN", true},
    [FH_SETTING_OPERATOR_TOKEN] = {"operatorToken", "operator-token-file",
                                   "FREEHOLD_OPERATOR_TOKEN", true},
    [FH_SETTING_CA] = {"ca", "ca", "FREEHOLD_CA", false},
    [FH_SETTING_DATA_DIR] = {"dataDir", "data-dir", "FREEHOLD_DATA_DIR", false},
    [FH_SETTING_TENANT] = {"tenant", "tenant", "FREEHOLD_TENANT", false},
};

static const char source_option[] = "option";
static const char source_environment[] = "environment";
static const char source_file[] = "context file";
static const char source_server[] = "development server";

static void wipe(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        fh_free(text);
    }
}

enum fh_code fh_context_set(struct fh_context *context, enum fh_setting setting, const char *value,
                            const char *source)
{
    char *copy = fh_strdup(value);
    if (copy == NULL) {
        return FH_NOMEM;
    }
    wipe(context->settings[setting].value);
    context->settings[setting] = (struct fh_setting_value){.value = copy, .source = source};
    return FH_OK;
}

const char *fh_context_get(const struct fh_context *context, enum fh_setting setting)
{
    return context->settings[setting].value;
}

void fh_context_close(struct fh_context *context)
{
    for (int i = 0; i < FH_SETTING_COUNT; i++) {
        wipe(context->settings[i].value);
        context->settings[i].value = NULL;
    }
}

/* Sets what no stronger layer has set. */
static enum fh_code offer(struct fh_context *context, enum fh_setting setting, const char *value,
                          const char *source, struct fh_error *error)
{
    if (value == NULL || value[0] == '\0' || context->settings[setting].value != NULL) {
        return FH_OK;
    }
    return fh_context_set(context, setting, value, source) == FH_OK
               ? FH_OK
               : fh_error_set(error, FH_NOMEM, "out of memory");
}

static enum fh_code take_option(struct fh_context *context, enum fh_setting setting,
                                const char *value, struct fh_error *error)
{
    struct fh_buf token;
    if (!fh_setting_infos[setting].secret || value == NULL) {
        return offer(context, setting, value, source_option, error);
    }
    fh_buf_init(&token, TOKEN_BYTES_MAX);
    enum fh_code code = fh_file_read_line(value, &token, error);
    if (code == FH_OK) {
        code = offer(context, setting, token.data, source_option, error);
    }
    if (token.data != NULL) {
        explicit_bzero(token.data, token.capacity);
    }
    fh_buf_close(&token);
    return code;
}

/* -- The context file -------------------------------------------------------------------------- */

static enum fh_code take_key(struct fh_context *context, const char *key, const json_t *value,
                             struct fh_error *error)
{
    for (int i = 0; i < FH_SETTING_COUNT; i++) {
        if (strcmp(fh_setting_infos[i].key, key) != 0) {
            continue;
        }
        if (!json_is_string(value)) {
            return fh_error_set(error, FH_INVALID, "%s: %s is not a string", context->file, key);
        }
        return offer(context, (enum fh_setting)i, json_string_value(value), source_file, error);
    }
    return fh_error_set(error, FH_INVALID, "%s: unknown key '%.64s'", context->file, key);
}

static enum fh_code take_json(struct fh_context *context, struct fh_str text,
                              const struct fh_file_facts *facts, struct fh_error *error)
{
    json_error_t where;
    const char *key;
    json_t *value;
    json_t *root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        return fh_error_set(error, FH_INVALID, "%s:%d: not a JSON object of settings",
                            context->file, root == NULL ? where.line : 1);
    }
    enum fh_code code = FH_OK;
    for (int i = 0; i < FH_SETTING_COUNT && facts->readable_by_others; i++) {
        if (fh_setting_infos[i].secret && json_object_get(root, fh_setting_infos[i].key) != NULL) {
            code = fh_error_set(error, FH_PERMISSION,
                                "%s holds a token and can be read by others; run: chmod 600 %s",
                                context->file, context->file);
        }
    }
    json_object_foreach(root, key, value)
    {
        if (code == FH_OK) {
            code = take_key(context, key, value, error);
        }
    }
    json_decref(root);
    return code;
}

static enum fh_code take_file(struct fh_context *context, bool needed, struct fh_error *error)
{
    struct fh_buf text;
    struct fh_file_facts facts;
    if (context->file[0] == '\0') {
        return FH_OK;
    }
    fh_buf_init(&text, FILE_BYTES_MAX);
    enum fh_code code = fh_file_read_all(context->file, &text, &facts, error);
    if (code == FH_OK) {
        context->file_read = true;
        code = take_json(context, fh_buf_str(&text), &facts, error);
    } else if (code == FH_NOT_FOUND && !needed) {
        code = FH_OK;
    }
    if (text.data != NULL) {
        explicit_bzero(text.data, text.capacity);
    }
    fh_buf_close(&text);
    return code;
}

/* Answers whether the file was named by someone, so that its absence is an error. */
static bool find_file(struct fh_context *context, const struct fh_args *args,
                      fh_context_getenv_cb *getenv_cb, void *getenv_arg)
{
    const char *named = fh_args_value(args, "context");
    if (named == NULL) {
        named = getenv_cb("FREEHOLD_CONTEXT", getenv_arg);
    }
    if (named != NULL && named[0] != '\0') {
        (void)snprintf(context->file, sizeof(context->file), "%s", named);
        return true;
    }
    const char *config = getenv_cb("XDG_CONFIG_HOME", getenv_arg);
    const char *home = getenv_cb("HOME", getenv_arg);
    if (config != NULL && config[0] == '/') {
        (void)snprintf(context->file, sizeof(context->file), "%s/freehold/context.json", config);
    } else if (home != NULL && home[0] == '/') {
        (void)snprintf(context->file, sizeof(context->file), "%s/.config/freehold/context.json",
                       home);
    }
    return false;
}

/* -- A development server ---------------------------------------------------------------------- */

/* True: `dir` is a server's data directory and now the context's. */
static bool try_dir(struct fh_context *context, const char *dir)
{
    struct fh_error ignored = FH_ERROR_INIT;
    if (fh_devserver_read(dir, &context->server, &ignored) != FH_OK) {
        return false;
    }
    (void)snprintf(context->keys_dir, sizeof(context->keys_dir), "%s", dir);
    context->server_found = true;
    return true;
}

static void find_server(struct fh_context *context, fh_context_getenv_cb *getenv_cb,
                        void *getenv_arg)
{
    char dir[FH_CONTEXT_PATH_MAX];
    const char *named = context->settings[FH_SETTING_DATA_DIR].value;
    const char *home = getenv_cb("HOME", getenv_arg);
    if (named != NULL) {
        /* Its keys mint even when the server did not say where it listens. */
        if (!try_dir(context, named)) {
            (void)snprintf(context->keys_dir, sizeof(context->keys_dir), "%s", named);
        }
        return;
    }
    /* An address from elsewhere is another server: no keys of this machine are meant for it. */
    if (context->settings[FH_SETTING_ADDRESS].value != NULL ||
        context->settings[FH_SETTING_OPERATOR_ADDRESS].value != NULL ||
        try_dir(context, "./freehold-data") || home == NULL || home[0] != '/') {
        return;
    }
    (void)snprintf(dir, sizeof(dir), "%s/.local/share/freehold", home);
    (void)try_dir(context, dir);
}

enum fh_code fh_context_load(struct fh_context *context, const struct fh_args *args,
                             fh_context_getenv_cb *getenv_cb, void *getenv_arg, bool file_needed,
                             struct fh_error *error)
{
    enum fh_code code = FH_OK;
    memset(context, 0, sizeof(*context));
    for (int i = 0; i < FH_SETTING_COUNT && code == FH_OK; i++) {
        code = take_option(context, (enum fh_setting)i,
                           fh_args_value(args, fh_setting_infos[i].option), error);
    }
    for (int i = 0; i < FH_SETTING_COUNT && code == FH_OK; i++) {
        code =
            offer(context, (enum fh_setting)i, getenv_cb(fh_setting_infos[i].variable, getenv_arg),
                  source_environment, error);
    }
    if (code == FH_OK) {
        const bool named = find_file(context, args, getenv_cb, getenv_arg);
        code = take_file(context, named && file_needed, error);
    }
    if (code == FH_OK) {
        find_server(context, getenv_cb, getenv_arg);
    }
    if (code == FH_OK && context->server_found) {
        code = offer(context, FH_SETTING_ADDRESS, context->server.tenant, source_server, error);
    }
    if (code == FH_OK && context->server_found) {
        code = offer(context, FH_SETTING_OPERATOR_ADDRESS, context->server.operators, source_server,
                     error);
    }
    if (code != FH_OK) {
        fh_context_close(context);
    }
    return code;
}

enum fh_code fh_context_save(const struct fh_context *context, struct fh_error *error)
{
    struct fh_buf text;
    const char *separator = "";
    if (context->file[0] == '\0') {
        return fh_error_set(error, FH_INVALID, "no place for a context file: give --context FILE");
    }
    fh_buf_init(&text, FILE_BYTES_MAX);
    fh_buf_add_text(&text, "{");
    for (int i = 0; i < FH_SETTING_COUNT; i++) {
        const struct fh_setting_value *setting = &context->settings[i];
        if (setting->value == NULL ||
            (setting->source != source_option && setting->source != source_file)) {
            continue;
        }
        fh_buf_printf(&text, "%s\n  \"%s\": \"", separator, fh_setting_infos[i].key);
        fh_buf_add_json(&text, fh_str_of(setting->value));
        fh_buf_add_char(&text, '"');
        separator = ",";
    }
    fh_buf_add_text(&text, "\n}\n");
    enum fh_code code = fh_buf_code(&text);
    if (code == FH_OK) {
        code = fh_file_write_private(context->file, fh_buf_str(&text), error);
    } else {
        (void)fh_error_set(error, code, "the context does not fit");
    }
    if (text.data != NULL) {
        explicit_bzero(text.data, text.capacity);
    }
    fh_buf_close(&text);
    return code;
}
