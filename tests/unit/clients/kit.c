/* Every step must work: a test whose kit fails has failed. */
#include "tests/unit/clients/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void kit_open(struct kit *kit)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(kit->dir, sizeof(kit->dir), "%s/freehold-cli-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(kit->dir));
}

static int remove_cb(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void)stat;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void kit_close(struct kit *kit)
{
    assert_int_equal(nftw(kit->dir, remove_cb, 8, FTW_DEPTH | FTW_PHYS), 0);
}

const char *kit_path(const struct kit *kit, const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *out = paths[turn++ % 4];
    (void)snprintf(out, sizeof(paths[0]), "%s/%s", kit->dir, name);
    return out;
}

void kit_mkdir(const struct kit *kit, const char *name)
{
    assert_int_equal(mkdir(kit_path(kit, name), 0700), 0);
}

void kit_write(const struct kit *kit, const char *name, const char *text, unsigned mode)
{
    const int fd = open(kit_path(kit, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

int kit_fd(const void *data, size_t len)
{
    const int fd = memfd_create("kit", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}
