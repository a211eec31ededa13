/* FH_OP_APPLY of the memory engine: deletes, rows, records and state, all or nothing. */
#ifndef FH_STORES_MEM_APPLY_H
#define FH_STORES_MEM_APPLY_H

#include "stores/mem/data.h"

/* Runs the request's batch against `tenant`, whose fence let it in. Fills as.apply and error. */
FH_MUST_CHECK enum fh_code fh_mem_apply(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                                        struct fh_request *request);

#endif
