/* Small texts: times, durations, sizes, names of records, and anything made safe for a terminal.
 * Pure functions. */
#ifndef FH_CLIENTS_CLI_TEXT_H
#define FH_CLIENTS_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* "2026-11-21T03:07:37.123456Z": as many digits of the second as are needed, in threes. */
void fh_text_add_time(struct fh_buf *out, int64_t seconds, int32_t nanos);
/* "90s", "15m", "12h", "30d", in seconds; a bare number is seconds. */
bool fh_text_to_duration_s(const char *text, int64_t *out_s);
/* "1,234,567" */
void fh_text_add_count(struct fh_buf *out, uint64_t count);
/* "512 B", "1.5 MB"; powers of 1000 */
void fh_text_add_bytes(struct fh_buf *out, uint64_t bytes);
/* "0:09", "1:02:03" */
void fh_text_add_span(struct fh_buf *out, int64_t seconds);

/* Control characters, bidirectional overrides and bytes that are not UTF-8 become escapes, so that
 * nothing a server or a file says can move the cursor. `len_max`: characters to show; 0: all. */
void fh_text_add_shown(struct fh_buf *out, struct fh_str text, size_t len_max);
/* Columns a terminal uses for shown text: code points but for the combining ones; wide ones two. */
size_t fh_text_width(struct fh_str text);

/* "[tenants/{tenant}/]tables/{table}/records/{key}"; `tenant` NULL: without. */
void fh_text_add_record_name(struct fh_buf *out, const char *tenant, const char *table,
                             const struct fh_str *parts, size_t part_count);
/* The key parts of a record's name as text, joined by ", ". */
void fh_text_add_record_key(struct fh_buf *out, const char *name);
/* The table in a record's name; empty when it is not one. Borrows. */
struct fh_str fh_text_record_table(const char *name);

/* Text as a request's field: protobuf-c has no const strings, but only reads them. NULL: empty.
 * Borrows. */
char *fh_text_field(const char *text);

#endif
