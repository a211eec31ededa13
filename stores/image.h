/* Images: rows as bytes, the same bytes on every engine.
 *
 * The form is PostgreSQL's binary record form (record_send): int32 column count, then for each
 * column int32 type OID, int32 length (-1: null), the value in PostgreSQL's binary format; all
 * big-endian. The columns are the table's in model order, then created_at, updated_at, deleted_at
 * (timestamptz), version (int8). PostgreSQL thus makes an image with one built-in function, SQLite
 * by fh_image_encode(), and digests of canonical values can be taken over either. tenant_id is left
 * out: the record that holds the image names the tenant.
 *
 * A commit's images: one byte of format (1), then for each change two images, before and after,
 * each an int32 length (-1: none) and the bytes. See docs/decisions/0003-commit-record.md.
 */
#ifndef FH_STORES_IMAGE_H
#define FH_STORES_IMAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/code.h"
#include "stores/row.h"

#define FH_IMAGES_FORMAT 1

/* PostgreSQL's type OIDs and binary values: the codec of images, and of the pg engine's parameters
 * and results. */
uint32_t fh_type_oid(enum fh_type type);
/* Appends the value's binary form without a length; the value is not null. `column` gives numeric's
 * scale. */
void fh_value_encode(const struct fh_value *value, const struct fh_column *column,
                     struct fh_buf *out);
/* Borrows text and bytes from `data`. FH_CORRUPT when it is not a value of the column's type. */
FH_MUST_CHECK enum fh_code fh_value_decode(struct fh_str data, const struct fh_column *column,
                                           struct fh_value *out);

void fh_image_encode(const struct fh_row *row, struct fh_buf *out);
/* The row borrows from `image`; its tenant is set to `tenant`. FH_CORRUPT on anything malformed. */
FH_MUST_CHECK enum fh_code fh_image_decode(struct fh_str image, const struct fh_table *table,
                                           const struct fh_uuid *tenant, struct fh_arena *arena,
                                           struct fh_row **out);

void fh_images_begin(struct fh_buf *out);
/* Either row may be NULL. */
void fh_images_add(struct fh_buf *out, const struct fh_row *before, const struct fh_row *after);

struct fh_images_reader {
    struct fh_str rest;
};
FH_MUST_CHECK enum fh_code fh_images_open(struct fh_str images, struct fh_images_reader *reader);
/* Next pair of raw images, {NULL, 0} for none; FH_NOT_FOUND at the end, FH_CORRUPT. */
FH_MUST_CHECK enum fh_code fh_images_next(struct fh_images_reader *reader, struct fh_str *before,
                                          struct fh_str *after);

#endif
