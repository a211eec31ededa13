/* Bytes of a file or of standard input, one at a time through a buffer. Blocking; one thread.
 * A byte order mark at the start is skipped. */
#ifndef FH_CLIENTS_CLI_INPUT_H
#define FH_CLIENTS_CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/code.h"
#include "base/error.h"

#define FH_INPUT_CHUNK 65536

struct fh_input {
    int fd;
    bool owned;
    int failed;      /* errno of a read that failed; reads as the end */
    uint64_t offset; /* of the next byte */
    uint64_t size;   /* of the file; 0: not known */
    size_t at;
    size_t len;
    unsigned char chunk[FH_INPUT_CHUNK];
};

/* `path` "-" is standard input. */
FH_MUST_CHECK enum fh_code fh_input_open(struct fh_input *input, const char *path,
                                         struct fh_error *error);
/* For a descriptor of the caller's, who closes it. */
void fh_input_open_fd(struct fh_input *input, int fd);
void fh_input_close(struct fh_input *input);
/* Reads the next chunk; false at the end. */
bool fh_input_fill(struct fh_input *input);

/* The next byte, or -1 at the end. */
static inline int fh_input_get(struct fh_input *input)
{
    if (input->at == input->len && !fh_input_fill(input)) {
        return -1;
    }
    input->offset++;
    return input->chunk[input->at++];
}

/* The same, and it stays. */
static inline int fh_input_peek(struct fh_input *input)
{
    if (input->at == input->len && !fh_input_fill(input)) {
        return -1;
    }
    return input->chunk[input->at];
}

#endif
