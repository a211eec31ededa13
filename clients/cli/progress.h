/* How far long work is, on stderr: one line that is rewritten on a terminal, a plain line now and
 * then elsewhere. One thread. */
#ifndef FH_CLIENTS_CLI_PROGRESS_H
#define FH_CLIENTS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"

struct fh_progress {
    const struct fh_clock *clock;
    bool terminal;
    bool quiet;
    bool shown; /* a line stands on the terminal and must be wiped */
    int64_t started_us;
    int64_t next_us; /* not before */
};

struct fh_progress_facts {
    uint64_t rows; /* written */
    uint64_t errors;
    uint64_t bytes;       /* read */
    uint64_t bytes_total; /* 0: not known */
    int64_t elapsed_us;
};

void fh_progress_init(struct fh_progress *progress, const struct fh_clock *clock, bool terminal,
                      bool quiet);
/* Prints when it is time. `facts->elapsed_us` is filled in. */
void fh_progress_tell(struct fh_progress *progress, struct fh_progress_facts *facts);
/* Wipes the terminal's line, so that other output can follow. */
void fh_progress_wipe(struct fh_progress *progress);
/* "12,000 rows, 3,400 rows/s, 1.2 MB of 5.0 MB (24%), 0:12 left" */
void fh_progress_format(struct fh_buf *out, const struct fh_progress_facts *facts);
int64_t fh_progress_elapsed_us(const struct fh_progress *progress);

#endif
