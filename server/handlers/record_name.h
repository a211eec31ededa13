/* Resource names of records: "[tenants/{uuid}/]tables/{table}/records/{key}".
 *
 * The parts of a composite key are joined with commas; each is percent-encoded but for A-Z a-z 0-9
 * - _ . ~ (RFC 3986's unreserved). A tenant that is not the caller's is FH_NOT_FOUND, as if it did
 * not exist; a table the schema lacks is FH_INVALID. Pure functions.
 */
#ifndef FH_SERVER_HANDLERS_RECORD_NAME_H
#define FH_SERVER_HANDLERS_RECORD_NAME_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "base/uuid.h"
#include "stores/model.h"
#include "stores/row.h"

#define FH_RECORD_NAME_MAX 8192 /* bytes */
/* All text parts of one key together: fits PostgreSQL's index entries (2704 bytes) and a page
 * token. */
#define FH_KEY_TEXT_MAX 1024

/* `field` names the request's field in errors. */
FH_MUST_CHECK enum fh_code fh_record_name_parse(struct fh_str name, const char *field,
                                                const struct fh_uuid *tenant,
                                                const struct fh_schema *schema,
                                                struct fh_arena *arena, struct fh_key *out,
                                                struct fh_error *error);
/* "[tenants/{uuid}/]tables/{table}" */
FH_MUST_CHECK enum fh_code fh_table_name_parse(struct fh_str name, const char *field,
                                               const struct fh_uuid *tenant,
                                               const struct fh_schema *schema,
                                               const struct fh_table **out, struct fh_error *error);
/* The name of the table in either, whether there is such a table or not; empty when there is none
 * in it. */
struct fh_str fh_record_name_table(struct fh_str name);
/* What a message shows of a name the caller gave: up to 64 bytes, in whole characters. */
struct fh_str fh_name_shown(struct fh_str name);
/* Appends "tables/{table}/records/{key}". */
void fh_record_name_format(const struct fh_key *key, struct fh_buf *out);
/* The same, NUL-terminated in the arena; NULL when out of memory. */
char *fh_record_name_text(const struct fh_key *key, struct fh_arena *arena);

#endif
