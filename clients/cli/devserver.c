/* The file is the server's word on where it listens; it is believed only when this user or root
 * owns it, so that a folder of someone else's cannot send our tokens elsewhere. */
#include "clients/cli/devserver.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/file.h"

#define FILE_BYTES_MAX 16384
#define PATH_BYTES_MAX 4096

static void take_address(const json_t *root, const char *key, char out[FH_DEVSERVER_ADDRESS_MAX])
{
    const char *text = json_string_value(json_object_get(root, key));
    (void)snprintf(out, FH_DEVSERVER_ADDRESS_MAX, "%s", text != NULL ? text : "");
}

static enum fh_code parse(struct fh_str text, const char *path, struct fh_devserver *out,
                          struct fh_error *error)
{
    json_t *root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return fh_error_set(error, FH_INVALID, "%s is not what a server writes", path);
    }
    take_address(root, "tenant", out->tenant);
    take_address(root, "operator", out->operators);
    out->pid = json_integer_value(json_object_get(root, "pid"));
    out->tls = json_is_true(json_object_get(root, "tls"));
    /* EPERM: there is such a process, of another user. */
    out->running =
        out->pid > 1 && out->pid <= INT32_MAX && (kill((pid_t)out->pid, 0) == 0 || errno == EPERM);
    json_decref(root);
    return FH_OK;
}

enum fh_code fh_devserver_read(const char *dir, struct fh_devserver *out, struct fh_error *error)
{
    char path[PATH_BYTES_MAX];
    struct fh_buf text;
    struct fh_file_facts facts;
    memset(out, 0, sizeof(*out));
    if (snprintf(path, sizeof(path), "%s/freeholdd.json", dir) >= (int)sizeof(path)) {
        return fh_error_set(error, FH_INVALID, "the data directory's path is too long");
    }
    fh_buf_init(&text, FILE_BYTES_MAX);
    enum fh_code code = fh_file_read_all(path, &text, &facts, error);
    if (code == FH_OK && !facts.owned) {
        code = fh_error_set(error, FH_PERMISSION, "%s belongs to another user", path);
    }
    if (code == FH_OK) {
        code = parse(fh_buf_str(&text), path, out, error);
    }
    fh_buf_close(&text);
    return code;
}
