/* Every text the catalog sends to SQLite. All are fixed; values are bound. */
#ifndef FH_ROUTER_CATALOG_SQLITE_SQL_H
#define FH_ROUTER_CATALOG_SQLITE_SQL_H

#include "router/catalog_sqlite/db.h"

extern const char fh_catalog_sql_schema[]; /* of an empty file, without its transaction */
const char *fh_catalog_sql(enum fh_catalog_statement which);

#endif
