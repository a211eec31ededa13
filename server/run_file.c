/* Written beside and renamed, so that a reader sees all of it or none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/app.h"

#define PATH_BYTES_MAX 4096

static const char *run_file_path(const struct fh_app *app, const char *suffix, char *out)
{
    int len = snprintf(out, PATH_BYTES_MAX, "%s/freeholdd.json%s", app->config.data_dir, suffix);
    return len > 0 && len < PATH_BYTES_MAX ? out : NULL;
}

/* The configured host with the port that was really bound. */
static void add_address(struct fh_buf *out, const char *key, const char *address, int port)
{
    const char *colon = strrchr(address, ':');
    size_t host_len = colon != NULL ? (size_t)(colon - address) : strlen(address);
    fh_buf_printf(out, "  \"%s\": \"", key);
    fh_buf_add_json(out, (struct fh_str){.data = address, .len = host_len});
    fh_buf_printf(out, ":%d\",\n", port);
}

enum fh_code fh_run_file_write(const struct fh_app *app, struct fh_error *error)
{
    char path[PATH_BYTES_MAX];
    char temporary[PATH_BYTES_MAX];
    struct fh_buf text;
    if (run_file_path(app, "", path) == NULL || run_file_path(app, ".new", temporary) == NULL) {
        return fh_error_set(error, FH_INVALID, "data_dir is too long");
    }
    fh_buf_init(&text, PATH_BYTES_MAX);
    fh_buf_add_text(&text, "{\n");
    add_address(&text, "tenant", app->config.listen, fh_rpc_server_port(app->rpc, "tenant"));
    add_address(&text, "operator", app->config.operator_listen,
                fh_rpc_server_port(app->rpc, "operator"));
    add_address(&text, "http", app->config.http_listen, fh_http_port(app->http));
    fh_buf_printf(&text, "  \"tls\": %s,\n  \"pid\": %d\n}\n",
                  app->config.tls_certificate[0] != '\0' ? "true" : "false", (int)getpid());
    bool ok = false;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        ok = fh_buf_code(&text) == FH_OK && write(fd, text.data, text.len) == (ssize_t)text.len;
        ok = close(fd) == 0 && ok;
        ok = ok && rename(temporary, path) == 0;
        if (!ok) {
            int reason = errno;
            (void)unlink(temporary);
            errno = reason;
        }
    }
    fh_buf_close(&text);
    return ok ? FH_OK
              : fh_error_set(error, FH_UNAVAILABLE, "cannot write %s: %s", path, strerror(errno));
}

void fh_run_file_remove(const struct fh_app *app)
{
    char path[PATH_BYTES_MAX];
    if (run_file_path(app, "", path) != NULL) {
        (void)unlink(path);
    }
}
