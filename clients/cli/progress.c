/* The clock decides only when to print, never what is done. */
#include "clients/cli/progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "clients/cli/text.h"

#define TERMINAL_EVERY_US 200000
#define PLAIN_EVERY_US 10000000
#define LINE_BYTES_MAX 256

void fh_progress_init(struct fh_progress *progress, const struct fh_clock *clock, bool terminal,
                      bool quiet)
{
    const int64_t now_us = fh_clock_monotonic_us(clock);
    *progress = (struct fh_progress){
        .clock = clock,
        .terminal = terminal,
        .quiet = quiet,
        .started_us = now_us,
        .next_us = now_us + (terminal ? TERMINAL_EVERY_US : PLAIN_EVERY_US),
    };
}

int64_t fh_progress_elapsed_us(const struct fh_progress *progress)
{
    return fh_clock_monotonic_us(progress->clock) - progress->started_us;
}

void fh_progress_format(struct fh_buf *out, const struct fh_progress_facts *facts)
{
    const double seconds = (double)facts->elapsed_us / 1e6;
    const double share =
        facts->bytes_total > 0 ? (double)facts->bytes / (double)facts->bytes_total : 0;
    fh_text_add_count(out, facts->rows);
    fh_buf_add_text(out, " rows");
    if (seconds > 0) {
        fh_buf_add_text(out, ", ");
        fh_text_add_count(out, (uint64_t)((double)facts->rows / seconds));
        fh_buf_add_text(out, " rows/s");
    }
    fh_buf_add_text(out, ", ");
    fh_text_add_bytes(out, facts->bytes);
    if (facts->bytes_total > 0 && facts->bytes <= facts->bytes_total) {
        fh_buf_add_text(out, " of ");
        fh_text_add_bytes(out, facts->bytes_total);
        fh_buf_printf(out, " (%d%%)", (int)(share * 100));
        if (share > 0 && share < 1 && seconds > 0) {
            fh_buf_add_text(out, ", ");
            fh_text_add_span(out, (int64_t)(seconds / share * (1 - share) + 0.5));
            fh_buf_add_text(out, " left");
        }
    }
    if (facts->errors > 0) {
        fh_buf_add_text(out, ", ");
        fh_text_add_count(out, facts->errors);
        fh_buf_add_text(out, " left out");
    }
}

void fh_progress_tell(struct fh_progress *progress, struct fh_progress_facts *facts)
{
    struct fh_buf line;
    const int64_t now_us = fh_clock_monotonic_us(progress->clock);
    if (progress->quiet || now_us < progress->next_us) {
        return;
    }
    progress->next_us = now_us + (progress->terminal ? TERMINAL_EVERY_US : PLAIN_EVERY_US);
    facts->elapsed_us = now_us - progress->started_us;
    fh_buf_init(&line, LINE_BYTES_MAX);
    fh_progress_format(&line, facts);
    if (fh_buf_code(&line) == FH_OK) {
        (void)fprintf(stderr, progress->terminal ? "\r\033[K%s" : "%s\n", line.data);
        (void)fflush(stderr);
        progress->shown = progress->terminal;
    }
    fh_buf_close(&line);
}

void fh_progress_wipe(struct fh_progress *progress)
{
    if (progress->shown) {
        (void)fputs("\r\033[K", stderr);
        progress->shown = false;
    }
}
