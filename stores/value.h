/* Portable values: what a column may hold, the same on every engine.
 *
 * A value in canonical form (fh_value_canonicalize) compares, stores and prints the same
 * everywhere: text is valid UTF-8 without NUL, floats are finite and never -0, numeric is an
 * integer scaled by the column's scale, timestamps are microseconds and dates days since 1970-01-01
 * (years 0001..9999), JSON is canonical text (keys sorted by bytes, no blanks, integers within
 * int64 or shortest round-trip doubles). Stores receive canonical values only.
 */
#ifndef FH_STORES_VALUE_H
#define FH_STORES_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "base/uuid.h"

enum fh_type {
    FH_TYPE_BOOL = 1,
    FH_TYPE_INT16,
    FH_TYPE_INT32,
    FH_TYPE_INT64,
    FH_TYPE_FLOAT32,
    FH_TYPE_FLOAT64,
    FH_TYPE_NUMERIC, /* precision <= 18 */
    FH_TYPE_TEXT,
    FH_TYPE_BYTES,
    FH_TYPE_TIMESTAMP,
    FH_TYPE_DATE,
    FH_TYPE_UUID,
    FH_TYPE_JSON,
};

#define FH_VALUE_BYTES_MAX (1024 * 1024) /* text, bytes, json: one value */
#define FH_JSON_DEPTH_MAX 32

struct fh_value {
    enum fh_type type;
    bool is_null;
    union {
        bool boolean;
        int64_t integer;     /* INT*, NUMERIC (scaled), TIMESTAMP (us), DATE (days) */
        double real;         /* FLOAT* */
        struct fh_str bytes; /* TEXT, BYTES, JSON; borrows */
        struct fh_uuid uuid;
    } as;
};

struct fh_column; /* stores/model.h */

/* Checks `value` against the column (type, length, precision, not null is NOT checked here) and
 * puts it in canonical form in place; new bytes come from the arena. FH_INVALID with error->message
 * otherwise. */
FH_MUST_CHECK enum fh_code fh_value_canonicalize(struct fh_value *value,
                                                 const struct fh_column *column,
                                                 struct fh_arena *arena, struct fh_error *error);

/* Text form to canonical value by the column's type, and back: for keys in resource names, CSV
 * import, CLI output, numeric/date/uuid/json fields on the wire. Timestamps are RFC 3339 with a Z
 * ("2026-11-21T02:00:00.000001Z"), bytes base64url, numeric plain decimal with exactly `scale`
 * digits. Parsing rounds nothing (digits that do not fit are refused) and leaves no pointer into
 * `text`; a null formats as nothing. */
FH_MUST_CHECK enum fh_code fh_value_parse(struct fh_str text, const struct fh_column *column,
                                          struct fh_arena *arena, struct fh_value *out,
                                          struct fh_error *error);
void fh_value_format(const struct fh_value *value, const struct fh_column *column,
                     struct fh_buf *out);

/* Whether an integer is within the column's type and precision: INT*, NUMERIC (scaled), TIMESTAMP,
 * DATE. */
bool fh_integer_in_range(int64_t value, const struct fh_column *column);
/* Rounds to a float for FLOAT32 and drops the sign of zero; false when not finite or out of range.
 */
bool fh_real_normalize(double *value, enum fh_type type);

/* Characters of valid UTF-8. */
size_t fh_text_characters(struct fh_str text);

/* Total order within one type: nulls last, byte-wise text. <0, 0, >0. */
int fh_value_compare(const struct fh_value *a, const struct fh_value *b);
static inline bool fh_value_equal(const struct fh_value *a, const struct fh_value *b)
{
    return fh_value_compare(a, b) == 0;
}
/* Deep copy into the arena. */
FH_MUST_CHECK enum fh_code fh_value_copy(const struct fh_value *in, struct fh_arena *arena,
                                         struct fh_value *out);
const char *fh_type_name(enum fh_type type); /* PostgreSQL's name: "bigint" */

#endif
