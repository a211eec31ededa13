/* Happy path: a column is its OID, a length and the bytes; lengths are known only behind the value,
 * so a place is left for each and patched. Decoding walks the same form with a reader that never
 * runs past the end.
 *
 * Failures: encoding leaves them to the buffer (its error sticks); decoding answers FH_CORRUPT for
 * anything not exactly in form, and FH_NOMEM. Bytes behind the last column are corrupt too.
 */
#include "stores/image.h"

#include <math.h>

#include "base/assert.h"
#include "base/codec.h"
#include "stores/civil.h"

#define PG_EPOCH_DAYS 10957 /* 2000-01-01 */
#define PG_EPOCH_US (PG_EPOCH_DAYS * FH_US_PER_DAY)
#define OID_INT8 20
#define OID_TIMESTAMPTZ 1184
#define SYSTEM_COLUMNS 4

#define NUMERIC_BASE 10000
#define NUMERIC_HEADER 8
#define NUMERIC_POSITIVE 0x0000
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_DIGITS_MAX 10 /* 18 decimal digits, aligned to the point: at most 6 */

uint32_t fh_type_oid(enum fh_type type)
{
    switch (type) {
    case FH_TYPE_BOOL:
        return 16;
    case FH_TYPE_INT16:
        return 21;
    case FH_TYPE_INT32:
        return 23;
    case FH_TYPE_INT64:
        return OID_INT8;
    case FH_TYPE_FLOAT32:
        return 700;
    case FH_TYPE_FLOAT64:
        return 701;
    case FH_TYPE_NUMERIC:
        return 1700;
    case FH_TYPE_TEXT:
        return 25;
    case FH_TYPE_BYTES:
        return 17;
    case FH_TYPE_TIMESTAMP:
        return OID_TIMESTAMPTZ;
    case FH_TYPE_DATE:
        return 1082;
    case FH_TYPE_UUID:
        return 2950;
    case FH_TYPE_JSON:
        return 114; /* json, not jsonb: our canonical text comes back byte for byte */
    }
    FH_UNREACHABLE();
}

/* numeric_send: digit count, weight of the first digit, sign, display scale, digits of base 10000
 * without zeros at either end. */
static void numeric_encode(int64_t value, unsigned scale, struct fh_buf *out)
{
    unsigned __int128 rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    unsigned fraction_digits = (scale + 3) / 4;
    for (unsigned i = scale; i < fraction_digits * 4; i++) {
        rest *= 10;
    }
    uint16_t digits[NUMERIC_DIGITS_MAX];
    unsigned count = 0;
    for (; rest > 0; rest /= NUMERIC_BASE) {
        FH_ASSERT(count < NUMERIC_DIGITS_MAX);
        digits[count++] = (uint16_t)(rest % NUMERIC_BASE);
    }
    unsigned low = 0;
    while (low < count && digits[low] == 0) {
        low++;
    }
    int weight = count == 0 ? 0 : (int)count - 1 - (int)fraction_digits;
    fh_buf_add_be16(out, (uint16_t)(count - low));
    fh_buf_add_be16(out, (uint16_t)weight);
    fh_buf_add_be16(out, value < 0 ? NUMERIC_NEGATIVE : NUMERIC_POSITIVE);
    fh_buf_add_be16(out, (uint16_t)scale);
    for (unsigned i = count; i > low; i--) {
        fh_buf_add_be16(out, digits[i - 1]);
    }
}

/* Only the form numeric_encode() writes: one value has one image. */
static bool numeric_is_canonical(struct fh_str data, unsigned count, unsigned scale)
{
    if (fh_be16(data.data + 6) != scale) {
        return false;
    }
    if (count == 0) {
        return fh_be16(data.data + 2) == 0 && fh_be16(data.data + 4) == NUMERIC_POSITIVE;
    }
    return fh_be16(data.data + NUMERIC_HEADER) != 0 && fh_be16(data.data + data.len - 2) != 0;
}

static enum fh_code numeric_decode(struct fh_str data, const struct fh_column *column, int64_t *out)
{
    if (data.len < NUMERIC_HEADER) {
        return FH_CORRUPT;
    }
    unsigned count = fh_be16(data.data);
    int weight = (int16_t)fh_be16(data.data + 2);
    unsigned sign = fh_be16(data.data + 4);
    if (count > NUMERIC_DIGITS_MAX || data.len != NUMERIC_HEADER + 2 * (size_t)count ||
        (sign != NUMERIC_POSITIVE && sign != NUMERIC_NEGATIVE) || weight < -NUMERIC_DIGITS_MAX ||
        weight > NUMERIC_DIGITS_MAX || !numeric_is_canonical(data, count, column->scale)) {
        return FH_CORRUPT; /* NaN and the infinities too */
    }
    int fraction_digits = (column->scale + 3) / 4;
    /* From the first digit down to the last one the scale can hold; beyond it only zeros may stand.
     */
    __int128 value = 0;
    for (int place = weight; place >= -fraction_digits || weight - place < (int)count; place--) {
        unsigned digit = 0;
        if (weight - place < (int)count) {
            digit = fh_be16(data.data + NUMERIC_HEADER + 2 * (weight - place));
        }
        if (digit >= NUMERIC_BASE || (place < -fraction_digits && digit != 0)) {
            return FH_CORRUPT;
        }
        if (place >= -fraction_digits) {
            value = value * NUMERIC_BASE + digit;
        }
        if (value > ((__int128)1 << 96)) {
            return FH_CORRUPT;
        }
    }
    for (int i = column->scale; i < fraction_digits * 4; i++) {
        if (value % 10 != 0) {
            return FH_CORRUPT;
        }
        value /= 10;
    }
    if (value > INT64_MAX) {
        return FH_CORRUPT;
    }
    *out = sign == NUMERIC_NEGATIVE ? -(int64_t)value : (int64_t)value;
    return fh_integer_in_range(*out, column) ? FH_OK : FH_CORRUPT;
}

void fh_value_encode(const struct fh_value *value, const struct fh_column *column,
                     struct fh_buf *out)
{
    FH_ASSERT(!value->is_null);
    switch (value->type) {
    case FH_TYPE_BOOL:
        fh_buf_add_char(out, value->as.boolean ? 1 : 0);
        return;
    case FH_TYPE_INT16:
        fh_buf_add_be16(out, (uint16_t)value->as.integer);
        return;
    case FH_TYPE_INT32:
        fh_buf_add_be32(out, (uint32_t)value->as.integer);
        return;
    case FH_TYPE_INT64:
        fh_buf_add_be64(out, (uint64_t)value->as.integer);
        return;
    case FH_TYPE_FLOAT32: {
        float narrow = (float)value->as.real;
        uint32_t bits = 0;
        memcpy(&bits, &narrow, sizeof(bits));
        fh_buf_add_be32(out, bits);
        return;
    }
    case FH_TYPE_FLOAT64: {
        uint64_t bits = 0;
        memcpy(&bits, &value->as.real, sizeof(bits));
        fh_buf_add_be64(out, bits);
        return;
    }
    case FH_TYPE_NUMERIC:
        numeric_encode(value->as.integer, column->scale, out);
        return;
    case FH_TYPE_TEXT:
    case FH_TYPE_BYTES:
    case FH_TYPE_JSON:
        fh_buf_add_str(out, value->as.bytes);
        return;
    case FH_TYPE_TIMESTAMP:
        fh_buf_add_be64(out, (uint64_t)(value->as.integer - PG_EPOCH_US));
        return;
    case FH_TYPE_DATE:
        fh_buf_add_be32(out, (uint32_t)(value->as.integer - PG_EPOCH_DAYS));
        return;
    case FH_TYPE_UUID:
        fh_buf_add(out, value->as.uuid.bytes, sizeof(value->as.uuid.bytes));
        return;
    }
}

static enum fh_code timestamp_decode(struct fh_str data, int64_t *out)
{
    int64_t value = 0;
    if (data.len != 8 || __builtin_add_overflow((int64_t)fh_be64(data.data), PG_EPOCH_US, &value) ||
        value < FH_TIMESTAMP_US_MIN || value > FH_TIMESTAMP_US_MAX) {
        return FH_CORRUPT;
    }
    *out = value;
    return FH_OK;
}

static enum fh_code real_decode(struct fh_str data, enum fh_type type, double *out)
{
    if (type == FH_TYPE_FLOAT32) {
        if (data.len != 4) {
            return FH_CORRUPT;
        }
        uint32_t bits = fh_be32(data.data);
        float narrow = 0;
        memcpy(&narrow, &bits, sizeof(narrow));
        *out = (double)narrow;
    } else {
        if (data.len != 8) {
            return FH_CORRUPT;
        }
        uint64_t bits = fh_be64(data.data);
        memcpy(out, &bits, sizeof(bits));
    }
    return isfinite(*out) ? FH_OK : FH_CORRUPT;
}

static enum fh_code integer_decode(struct fh_str data, const struct fh_column *column, int64_t *out)
{
    switch (column->type) {
    case FH_TYPE_INT16:
        if (data.len != 2) {
            return FH_CORRUPT;
        }
        *out = (int16_t)fh_be16(data.data);
        return FH_OK;
    case FH_TYPE_INT32:
        if (data.len != 4) {
            return FH_CORRUPT;
        }
        *out = (int32_t)fh_be32(data.data);
        return FH_OK;
    case FH_TYPE_DATE:
        if (data.len != 4) {
            return FH_CORRUPT;
        }
        *out = (int64_t)(int32_t)fh_be32(data.data) + PG_EPOCH_DAYS;
        return fh_integer_in_range(*out, column) ? FH_OK : FH_CORRUPT;
    case FH_TYPE_TIMESTAMP:
        return timestamp_decode(data, out);
    case FH_TYPE_NUMERIC:
        return numeric_decode(data, column, out);
    default:
        if (data.len != 8) {
            return FH_CORRUPT;
        }
        *out = (int64_t)fh_be64(data.data);
        return FH_OK;
    }
}

enum fh_code fh_value_decode(struct fh_str data, const struct fh_column *column,
                             struct fh_value *out)
{
    struct fh_value value = {.type = column->type};
    enum fh_code code = FH_OK;
    switch (column->type) {
    case FH_TYPE_BOOL:
        code = data.len == 1 && (unsigned char)data.data[0] <= 1 ? FH_OK : FH_CORRUPT;
        value.as.boolean = code == FH_OK && data.data[0] == 1;
        break;
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_NUMERIC:
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
        code = integer_decode(data, column, &value.as.integer);
        break;
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        code = real_decode(data, column->type, &value.as.real);
        break;
    case FH_TYPE_TEXT:
    case FH_TYPE_BYTES:
    case FH_TYPE_JSON:
        code = data.len > FH_VALUE_BYTES_MAX ||
                       (column->type != FH_TYPE_BYTES && !fh_str_is_text(data))
                   ? FH_CORRUPT
                   : FH_OK;
        value.as.bytes = data;
        break;
    case FH_TYPE_UUID:
        code = data.len == sizeof(value.as.uuid.bytes) ? FH_OK : FH_CORRUPT;
        if (code == FH_OK) {
            memcpy(value.as.uuid.bytes, data.data, sizeof(value.as.uuid.bytes));
        }
        break;
    }
    if (code == FH_OK) {
        *out = value;
    }
    return code;
}

/* A length is known behind its content: leaves four bytes, and fills them in. */
static size_t length_begin(struct fh_buf *out)
{
    size_t at = out->len;
    fh_buf_add_be32(out, 0);
    return at;
}

static void length_end(struct fh_buf *out, size_t at)
{
    if (fh_buf_code(out) != FH_OK) {
        return; /* nothing there to patch; the error sticks */
    }
    uint32_t len = (uint32_t)(out->len - at - 4);
    for (int i = 0; i < 4; i++) {
        out->data[at + (size_t)i] = (char)(uint8_t)(len >> (24 - 8 * i));
    }
}

static void add_timestamp(int64_t us, bool is_null, struct fh_buf *out)
{
    fh_buf_add_be32(out, OID_TIMESTAMPTZ);
    if (is_null) {
        fh_buf_add_be32(out, UINT32_MAX);
        return;
    }
    fh_buf_add_be32(out, 8);
    fh_buf_add_be64(out, (uint64_t)(us - PG_EPOCH_US));
}

void fh_image_encode(const struct fh_row *row, struct fh_buf *out)
{
    const struct fh_table *table = row->table;
    fh_buf_add_be32(out, (uint32_t)table->column_count + SYSTEM_COLUMNS);
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_buf_add_be32(out, fh_type_oid(table->columns[i].type));
        if (row->values[i].is_null) {
            fh_buf_add_be32(out, UINT32_MAX);
            continue;
        }
        size_t at = length_begin(out);
        fh_value_encode(&row->values[i], &table->columns[i], out);
        length_end(out, at);
    }
    add_timestamp(row->created_at_us, false, out);
    add_timestamp(row->updated_at_us, false, out);
    add_timestamp(row->deleted_at_us, row->deleted_at_us == 0, out);
    fh_buf_add_be32(out, OID_INT8);
    fh_buf_add_be32(out, 8);
    fh_buf_add_be64(out, (uint64_t)row->version);
}

static bool take(struct fh_str *rest, size_t len, struct fh_str *out)
{
    if (rest->len < len) {
        return false;
    }
    *out = (struct fh_str){.data = rest->data, .len = len};
    rest->data += len;
    rest->len -= len;
    return true;
}

static bool take_u32(struct fh_str *rest, uint32_t *out)
{
    struct fh_str bytes;
    if (!take(rest, 4, &bytes)) {
        return false;
    }
    *out = fh_be32(bytes.data);
    return true;
}

/* A length of -1 gives {NULL, 0}; a value of no bytes has a pointer. */
static bool take_sized(struct fh_str *rest, struct fh_str *out)
{
    uint32_t len = 0;
    if (!take_u32(rest, &len)) {
        return false;
    }
    if (len == UINT32_MAX) {
        *out = (struct fh_str){.data = NULL, .len = 0};
        return true;
    }
    return take(rest, len, out);
}

static bool take_column(struct fh_str *rest, uint32_t oid, struct fh_str *out)
{
    uint32_t seen = 0;
    return take_u32(rest, &seen) && seen == oid && take_sized(rest, out);
}

static bool take_timestamp(struct fh_str *rest, bool nullable, int64_t *out)
{
    struct fh_str data;
    if (!take_column(rest, OID_TIMESTAMPTZ, &data)) {
        return false;
    }
    if (data.data == NULL) {
        *out = 0;
        return nullable;
    }
    return timestamp_decode(data, out) == FH_OK;
}

enum fh_code fh_image_decode(struct fh_str image, const struct fh_table *table,
                             const struct fh_uuid *tenant, struct fh_arena *arena,
                             struct fh_row **out)
{
    uint32_t count = 0;
    if (!take_u32(&image, &count) || count != (uint32_t)table->column_count + SYSTEM_COLUMNS) {
        return FH_CORRUPT;
    }
    struct fh_row *row = fh_row_create(table, arena);
    if (row == NULL) {
        return FH_NOMEM;
    }
    row->tenant = *tenant;
    for (uint16_t i = 0; i < table->column_count; i++) {
        struct fh_str data;
        if (!take_column(&image, fh_type_oid(table->columns[i].type), &data)) {
            return FH_CORRUPT;
        }
        if (data.data != NULL &&
            fh_value_decode(data, &table->columns[i], &row->values[i]) != FH_OK) {
            return FH_CORRUPT;
        }
    }
    struct fh_str version;
    if (!take_timestamp(&image, false, &row->created_at_us) ||
        !take_timestamp(&image, false, &row->updated_at_us) ||
        !take_timestamp(&image, true, &row->deleted_at_us) ||
        !take_column(&image, OID_INT8, &version) || version.len != 8 || image.len != 0) {
        return FH_CORRUPT;
    }
    row->version = (int64_t)fh_be64(version.data);
    *out = row;
    return FH_OK;
}

void fh_images_begin(struct fh_buf *out)
{
    fh_buf_add_char(out, FH_IMAGES_FORMAT);
}

static void add_optional(struct fh_buf *out, const struct fh_row *row)
{
    if (row == NULL) {
        fh_buf_add_be32(out, UINT32_MAX);
        return;
    }
    size_t at = length_begin(out);
    fh_image_encode(row, out);
    length_end(out, at);
}

void fh_images_add(struct fh_buf *out, const struct fh_row *before, const struct fh_row *after)
{
    add_optional(out, before);
    add_optional(out, after);
}

enum fh_code fh_images_open(struct fh_str images, struct fh_images_reader *reader)
{
    if (images.len == 0 || images.data[0] != FH_IMAGES_FORMAT) {
        return FH_CORRUPT;
    }
    reader->rest = (struct fh_str){.data = images.data + 1, .len = images.len - 1};
    return FH_OK;
}

enum fh_code fh_images_next(struct fh_images_reader *reader, struct fh_str *before,
                            struct fh_str *after)
{
    if (reader->rest.len == 0) {
        return FH_NOT_FOUND;
    }
    if (!take_sized(&reader->rest, before) || !take_sized(&reader->rest, after)) {
        return FH_CORRUPT;
    }
    return FH_OK;
}
