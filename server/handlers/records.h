/* freehold.v1.Record to writes, and rows to freehold.v1.Record. Pure functions over a call's arena.
 */
#ifndef FH_SERVER_HANDLERS_RECORDS_H
#define FH_SERVER_HANDLERS_RECORDS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "freehold/v1/data.pb-c.h"
#include "stores/row.h"
#include "stores/write.h"

/* Which columns a read returns or an update changes. */
struct fh_mask {
    bool all;                                  /* no mask was given, or "*" */
    bool given;                                /* a mask was given */
    uint64_t bits[(FH_COLUMNS_MAX + 63) / 64]; /* by position */
};

/* Paths are column names, "fields.<column>" or "*". NULL or no paths: all. `field` names the mask
 * in errors. */
FH_MUST_CHECK enum fh_code fh_mask_parse(const Google__Protobuf__FieldMask *paths,
                                         const struct fh_table *table, const char *field,
                                         struct fh_mask *out, struct fh_error *error);
/* As above, passing over names the table lacks if `lenient` (a mask over several tables). */
FH_MUST_CHECK enum fh_code fh_mask_parse_lenient(const Google__Protobuf__FieldMask *paths,
                                                 const struct fh_table *table, struct fh_mask *out);
static inline bool fh_mask_has(const struct fh_mask *mask, uint16_t position)
{
    return mask->all || ((mask->bits[position / 64] >> (position % 64)) & 1) != 0;
}

/* The record's fields as assignments of `write` (its key is set already). Key columns in `fields`
 * are passed over when they say what the name says, else refused. With a mask (updates): exactly
 * its columns, null where the record has none. `field` names the record in errors. */
FH_MUST_CHECK enum fh_code fh_record_to_assignments(const Freehold__V1__Record *record,
                                                    const char *field, const struct fh_mask *mask,
                                                    struct fh_arena *arena, struct fh_write *write,
                                                    struct fh_error *error);

FH_MUST_CHECK enum fh_code fh_record_from_row(const struct fh_row *row, const struct fh_mask *mask,
                                              struct fh_arena *arena, Freehold__V1__Record **out);

/* "<version>-<created_at_us>" in hexadecimal: a record purged and made again never has an old etag.
 * Empty: no expectation. */
FH_MUST_CHECK enum fh_code fh_etag_parse(const char *etag, const char *field,
                                         struct fh_write *write, struct fh_error *error);

#endif
