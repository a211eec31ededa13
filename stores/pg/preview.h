/* fh_store_ops.preview; see stores/store.h. Pure; any thread. */
#ifndef FH_STORES_PG_PREVIEW_H
#define FH_STORES_PG_PREVIEW_H

#include "stores/store.h"

FH_MUST_CHECK enum fh_code fh_pg_preview(const struct fh_schema *from, const struct fh_schema *to,
                                         const struct fh_home *home, fh_ddl_cb *cb, void *arg,
                                         struct fh_error *error);

#endif
