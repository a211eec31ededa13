/* What the passwords of tenants' own databases are made from (fh_store_config.secret): 32 bytes as
 * 64 hexadecimal digits in a file that nobody else may read.
 *
 * Happy path: the file that credentials_key names. With development keys and a catalog of its own a
 * server makes one beside them at its first start. Else there is none: those logins have no
 * passwords, and the database server's own rules must let them in.
 *
 * Failures: a file that is not there, is no such text, or that others may read stops the server: a
 * password made from anything else would lock it out of its tenants' databases.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/codec.h"
#include "server/app.h"
#include "server/auth/file.h"

#define LEAF "credentials.key"
#define TEXT_BYTES_MAX 256

static enum fh_code decode(const char *path, struct fh_str text, struct fh_app *app,
                           struct fh_error *error)
{
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r')) {
        text.len--;
    }
    if (text.len != 2 * sizeof(app->secret) ||
        !fh_hex_decode(text, app->secret, sizeof(app->secret))) {
        return fh_error_set(error, FH_INVALID,
                            "credentials_key: %s does not hold 64 hexadecimal digits; make one "
                            "with: openssl rand -hex 32",
                            path);
    }
    app->has_secret = true;
    return FH_OK;
}

static enum fh_code load(const char *path, struct fh_app *app, struct fh_error *error)
{
    struct fh_buf text;
    struct fh_file_stamp stamp;
    fh_buf_init(&text, TEXT_BYTES_MAX);
    enum fh_code code = fh_file_read(path, &text, &stamp, error);
    if (code == FH_OK && (stamp.mode & 077) != 0) {
        code = fh_error_set(error, FH_INVALID, "credentials_key: others may read %s; chmod 600 it",
                            path);
    }
    if (code == FH_OK) {
        code = decode(path, fh_buf_str(&text), app, error);
    }
    if (text.data != NULL) {
        explicit_bzero(text.data, text.len);
    }
    fh_buf_close(&text);
    return code;
}

static enum fh_code make(const char *dir, struct fh_error *error)
{
    uint8_t bytes[32];
    char text[2 * sizeof(bytes) + 2];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        return fh_error_set(error, FH_UNAVAILABLE, "the system gives no random numbers");
    }
    fh_hex_encode(bytes, sizeof(bytes), text);
    memcpy(text + 2 * sizeof(bytes), "\n", 2);
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return fh_error_set(error, FH_UNAVAILABLE, "cannot open %s: %s", dir, strerror(errno));
    }
    enum fh_code code =
        fh_file_write(dir_fd, LEAF, 0600, FH_FILE_KEEP_EXISTING,
                      (struct fh_str){.data = text, .len = sizeof(text) - 1}, error);
    (void)close(dir_fd);
    explicit_bzero(bytes, sizeof(bytes));
    explicit_bzero(text, sizeof(text));
    return code == FH_EXISTS ? FH_OK : code;
}

enum fh_code fh_app_open_secret(struct fh_app *app, struct fh_error *error)
{
    const struct fh_config *config = &app->config;
    bool development = config->tenant_issuer[0] == '\0' || config->operator_issuer[0] == '\0';
    if (config->credentials_key[0] != '\0') {
        return load(config->credentials_key, app, error);
    }
    /* One of its own would be of no use beside another server's. */
    if (!development || config->catalog[0] != '\0') {
        return FH_OK;
    }
    const char *path = fh_arena_printf(&app->arena, "%s/%s", config->data_dir, LEAF);
    if (path == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    enum fh_code code = make(config->data_dir, error);
    return code == FH_OK ? load(path, app, error) : code;
}
