/* Commits of the memory engine: evaluate, stage, check, record; all or nothing. */
#ifndef FH_STORES_MEM_COMMIT_H
#define FH_STORES_MEM_COMMIT_H

#include "stores/mem/data.h"

/* Runs the request's commit against `tenant`, whose fence let it in. Fills as.commit and error;
 * `now_us` is the commit's time. */
FH_MUST_CHECK enum fh_code fh_mem_commit(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                                         struct fh_request *request, int64_t now_us);

/* FH_UNIQUE_VIOLATION when a live row of the tenant shares the values of one of the table's unique
 * indexes with another one: asked when a schema brings new indexes. */
FH_MUST_CHECK enum fh_code fh_mem_check_unique(const struct fh_mem_tenant *tenant,
                                               const struct fh_table *table);

/* The same for one live row, which may be in the table already; room was reserved there. */
FH_MUST_CHECK enum fh_code fh_mem_check_unique_row(const struct fh_mem_tenant *tenant,
                                                   const struct fh_table *table,
                                                   const struct fh_row *row);

/* The first of the row's references that leads to no row, or (`live`) to no live one; NULL: all
 * lead somewhere. With a null in it a reference leads nowhere, and may. */
const struct fh_foreign_key *fh_mem_broken_reference(const struct fh_mem_tenant *tenant,
                                                     const struct fh_row *row, bool live);
/* One of them. */
bool fh_mem_reference_broken(const struct fh_mem_tenant *tenant, const struct fh_row *row,
                             const struct fh_foreign_key *reference, bool live);

#endif
