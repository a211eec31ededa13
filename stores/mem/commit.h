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

#endif
