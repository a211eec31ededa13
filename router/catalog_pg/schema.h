/* The tables of a shared catalog: made where there are none, and looked at. */
#ifndef FH_ROUTER_CATALOG_PG_SCHEMA_H
#define FH_ROUTER_CATALOG_PG_SCHEMA_H

#include "router/catalog_pg/link.h"

/* On a link that is ready. FH_INVALID: a schema of that name which is no catalog. FH_PRECONDITION:
 * a catalog of a newer program. FH_PERMISSION: the role may not make one. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_schema_ensure(struct fh_catalog_pg_link *link,
                                                       struct fh_error *error);

#endif
