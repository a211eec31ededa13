/* Short reads are normal on pipes; a failed read ends the input and is told by `failed`. */
#include "clients/cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool fh_input_fill(struct fh_input *input)
{
    ssize_t got;
    if (input->failed != 0) {
        return false;
    }
    do {
        got = read(input->fd, input->chunk, sizeof(input->chunk));
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        input->failed = errno;
    }
    input->at = 0;
    input->len = got > 0 ? (size_t)got : 0;
    return got > 0;
}

static void skip_mark(struct fh_input *input)
{
    static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
    (void)fh_input_peek(input);
    if (input->len >= sizeof(mark) && memcmp(input->chunk, mark, sizeof(mark)) == 0) {
        input->at = sizeof(mark);
        input->offset = sizeof(mark);
    }
}

void fh_input_open_fd(struct fh_input *input, int fd)
{
    input->fd = fd;
    input->owned = false;
    input->failed = 0;
    input->offset = 0;
    input->size = 0;
    input->at = 0;
    input->len = 0;
    skip_mark(input);
}

enum fh_code fh_input_open(struct fh_input *input, const char *path, struct fh_error *error)
{
    struct stat stat;
    if (strcmp(path, "-") == 0) {
        fh_input_open_fd(input, STDIN_FILENO);
        return FH_OK;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        const int number = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return fh_error_set(error, FH_NOT_FOUND, "cannot open %s: %s", path, strerror(number));
    }
    fh_input_open_fd(input, fd);
    input->owned = true;
    if (input->failed != 0) {
        (void)close(fd);
        return fh_error_set(error, FH_UNAVAILABLE, "cannot read %s: %s", path,
                            strerror(input->failed));
    }
    input->size = S_ISREG(stat.st_mode) && stat.st_size > 0 ? (uint64_t)stat.st_size : 0;
    return FH_OK;
}

void fh_input_close(struct fh_input *input)
{
    if (input->owned) {
        (void)close(input->fd);
        input->owned = false;
    }
}
