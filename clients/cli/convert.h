/* Text and JSON into a field's value, by the column's kind, and back into text.
 *
 * Pure; messages made here live in the caller's arena. Errors say what was wrong without repeating
 * more than the beginning of the text.
 */
#ifndef FH_CLIENTS_CLI_CONVERT_H
#define FH_CLIENTS_CLI_CONVERT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "freehold/v1/data.pb-c.h"

enum fh_kind {
    FH_KIND_SYNTAX, /* unknown: judged by what it looks like */
    FH_KIND_BOOL,
    FH_KIND_INTEGER,
    FH_KIND_REAL,
    FH_KIND_NUMERIC, /* sent as text, so that no digit is lost */
    FH_KIND_STRING,
    FH_KIND_BYTES,
};

/* Of a column's type as PostgreSQL spells it, or one of our own names ("string", "bytes"). False:
 * no such type. */
bool fh_kind_of_type(struct fh_str type, enum fh_kind *out);

/* true/false, numbers, `\x` and hex digits (or base64) for bytes, all else text. By syntax: true,
 * false, what JSON takes as a number, else text. */
FH_MUST_CHECK enum fh_code fh_convert_text(struct fh_str text, enum fh_kind kind,
                                           struct fh_arena *arena, Freehold__V1__Value *out,
                                           struct fh_error *error);
/* Strings go through fh_convert_text() where the column is no text; objects and arrays become their
 * own JSON. */
FH_MUST_CHECK enum fh_code fh_convert_json(const json_t *json, enum fh_kind kind,
                                           struct fh_arena *arena, Freehold__V1__Value *out,
                                           struct fh_error *error);
/* For a table's cell: "null", `\x...` for bytes, RFC 3339 for times. */
void fh_convert_to_text(struct fh_buf *out, const Freehold__V1__Value *value);

#endif
