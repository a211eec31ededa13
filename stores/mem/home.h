/* Homes and fences of the memory engine.
 *
 * A shared home is made by a schema change and stays; a dedicated one is made whole with its tenant
 * and goes with it. Thread: the loop's.
 */
#ifndef FH_STORES_MEM_HOME_H
#define FH_STORES_MEM_HOME_H

#include "stores/mem/data.h"

#define FH_MEM_SCHEMA_HOMES_MAX 1000 /* unless the configuration says otherwise */

FH_MUST_CHECK enum fh_code fh_mem_home_op_create(struct fh_mem_data *data, uint32_t homes_max,
                                                 struct fh_request *request);
FH_MUST_CHECK enum fh_code fh_mem_home_op_erase(struct fh_mem_data *data,
                                                struct fh_request *request);
/* FH_OP_FENCE_READ and FH_OP_FENCE_SET. */
FH_MUST_CHECK enum fh_code fh_mem_home_op_fence(const struct fh_mem_data *data,
                                                struct fh_request *request);

/* FH_STALE_SCHEMA unless the home (or a view of it) is at the version that the request was made
 * for. `schema` NULL: at none. */
FH_MUST_CHECK enum fh_code fh_mem_check_version(struct fh_request *request,
                                                const struct fh_schema *schema);
/* FH_MOVED unless the fence has the scope's epoch and is as the guard requires; says what it saw.
 */
FH_MUST_CHECK enum fh_code fh_mem_check_guard(struct fh_request *request,
                                              const struct fh_fence *fence,
                                              const struct fh_fence_guard *guard);

#endif
