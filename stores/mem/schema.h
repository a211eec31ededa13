/* Schema changes of the memory engine, the reference of what they do to stored rows.
 *
 * A row of the new version has, column by column, the value of the stored row's column with the
 * same id; a column that is new has its default, or what its expression says. What the new version
 * demands and the old one did not is then looked for in the stored rows: NOT NULL and checks in all
 * of them, unique indexes among live ones, references from live ones to live ones. Each version is
 * a step that happens whole or not at all.
 *
 * Thread: the loop's.
 */
#ifndef FH_STORES_MEM_SCHEMA_H
#define FH_STORES_MEM_SCHEMA_H

#include "stores/mem/data.h"

/* Whether the row holds its table's NOT NULLs and checks: FH_CHECK_VIOLATION. `was` (may be NULL)
 * is an older version of the table, whose checks are known to hold. Resets the scratch arena. */
FH_MUST_CHECK enum fh_code fh_mem_check_row(const struct fh_row *row, const struct fh_table *was,
                                            struct fh_arena *scratch, struct fh_error *error);

FH_MUST_CHECK enum fh_code fh_mem_schema_apply(struct fh_mem_data *data, struct fh_request *request,
                                               int64_t now_us);
/* For struct fh_store_ops: the changes, in words. */
enum fh_code fh_mem_schema_preview(const struct fh_schema *from, const struct fh_schema *to,
                                   const struct fh_home *home, fh_ddl_cb *cb, void *arg,
                                   struct fh_error *error);

#endif
