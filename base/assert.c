/* One line to stderr by write(2), which needs no heap and no stdio lock, then abort(). */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void fh_assert_fail(const char *condition, const char *file, int line)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "%s:%d: assertion failed: %s\n", file, line, condition);
    if (len > 0) {
        size_t size = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
        text[size - 1] = '\n';
        /* Nothing is left to do when even this fails. */
        ssize_t written = write(STDERR_FILENO, text, size);
        (void)written;
    }
    abort();
}
