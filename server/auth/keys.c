/* Happy path: the directory is locked; for each realm the key is there, and the key set too.
 *
 * First start: the key set is written before the key. Killed between the two, the next start finds
 * no key, makes a new one and writes its set over the orphan; so a key that exists always has had
 * its set written. A set that is there beside its key is left alone: its owner may have taken the
 * development key out of it. */
#include "server/auth/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/auth/devkey.h"
#include "server/auth/file.h"

#define KEY_TEXT_MAX 4096
#define NAME_BYTES_MAX 64

static bool exists(int dir_fd, const char *name)
{
    struct stat status;
    return fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static enum fh_code write_jwks(int dir_fd, const char *name, const struct fh_devkey *devkey,
                               struct fh_error *error)
{
    struct fh_buf text;
    fh_buf_init(&text, KEY_TEXT_MAX);
    enum fh_code code = fh_devkey_to_jwks(devkey, &text);
    if (code == FH_OK) {
        code = fh_file_write(dir_fd, name, 0644, FH_FILE_REPLACE, fh_buf_str(&text), error);
    } else {
        (void)fh_error_set(error, code, "out of memory");
    }
    fh_buf_close(&text);
    return code;
}

static enum fh_code write_key(int dir_fd, const char *name, const struct fh_devkey *devkey,
                              struct fh_error *error)
{
    struct fh_buf text;
    fh_buf_init(&text, KEY_TEXT_MAX);
    enum fh_code code = fh_devkey_to_pem(devkey, &text);
    if (code == FH_OK) {
        code = fh_file_write(dir_fd, name, 0600, FH_FILE_KEEP_EXISTING, fh_buf_str(&text), error);
    } else {
        (void)fh_error_set(error, code, "out of memory");
    }
    if (text.data != NULL) {
        OPENSSL_cleanse(text.data, text.capacity);
    }
    fh_buf_close(&text);
    return code;
}

static enum fh_code ensure_realm(int dir_fd, const char *dir, enum fh_realm realm,
                                 struct fh_error *error)
{
    char key_name[NAME_BYTES_MAX];
    char jwks_name[NAME_BYTES_MAX];
    struct fh_devkey devkey;
    (void)snprintf(key_name, sizeof(key_name), "%s.key.pem", fh_devkey_realm_name(realm));
    (void)snprintf(jwks_name, sizeof(jwks_name), "%s.jwks.json", fh_devkey_realm_name(realm));
    const bool fresh = !exists(dir_fd, key_name);
    if (!fresh && exists(dir_fd, jwks_name)) {
        return FH_OK;
    }
    enum fh_code code =
        fresh ? fh_devkey_generate(&devkey, error) : fh_devkey_load(dir, realm, &devkey, error);
    if (code != FH_OK) {
        return code;
    }
    code = write_jwks(dir_fd, jwks_name, &devkey, error);
    if (code == FH_OK && fresh) {
        code = write_key(dir_fd, key_name, &devkey, error);
    }
    fh_devkey_close(&devkey);
    return code;
}

enum fh_code fh_keys_ensure(const char *dir, struct fh_error *error)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return fh_error_set(error, FH_UNAVAILABLE, "cannot make directory %s: %s", dir,
                            strerror(errno));
    }
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return fh_error_set(error, FH_UNAVAILABLE, "cannot open directory %s: %s", dir,
                            strerror(errno));
    }
    enum fh_code code = FH_OK;
    /* Two servers starting in one directory; the lock ends with its holder. */
    if (flock(dir_fd, LOCK_EX) != 0) {
        code = fh_error_set(error, FH_UNAVAILABLE, "cannot lock directory %s: %s", dir,
                            strerror(errno));
    }
    if (code == FH_OK) {
        code = ensure_realm(dir_fd, dir, FH_REALM_TENANT, error);
    }
    if (code == FH_OK) {
        code = ensure_realm(dir_fd, dir, FH_REALM_OPERATOR, error);
    }
    close(dir_fd);
    return code;
}
