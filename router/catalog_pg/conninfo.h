/* The catalog's connection string: which keywords may be given, and what each connection adds.
 *
 * The rule is that of stores' locations: an allowlist, because libpq's keywords read files, run
 * services and change sessions; no password, which belongs in a passfile; host, user and database
 * are required, so that a string means the same in every process.
 */
#ifndef FH_ROUTER_CATALOG_PG_CONNINFO_H
#define FH_ROUTER_CATALOG_PG_CONNINFO_H

#include <stdint.h>

#include "base/code.h"
#include "base/error.h"

#define FH_CATALOG_PG_KEYWORDS 12
/* What keywords and values of a connection need at most, with the NULL behind them. */
#define FH_CATALOG_PG_SETTINGS_MAX 24

struct fh_catalog_pg_conninfo {
    char *values[FH_CATALOG_PG_KEYWORDS]; /* owned; NULL: not given */
    int64_t connect_timeout_us;
};

/* FH_INVALID names the keyword, never a value. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_conninfo_parse(const char *text,
                                                        struct fh_catalog_pg_conninfo *out,
                                                        struct fh_error *error);
void fh_catalog_pg_conninfo_close(struct fh_catalog_pg_conninfo *info);
/* For PQconnectStartParams(); borrows from `info`. `application_name` unless one was given. */
void fh_catalog_pg_conninfo_settings(const struct fh_catalog_pg_conninfo *info,
                                     const char *application_name,
                                     const char *keywords[FH_CATALOG_PG_SETTINGS_MAX],
                                     const char *values[FH_CATALOG_PG_SETTINGS_MAX]);

#endif
