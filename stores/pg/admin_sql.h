/* What the owning role cannot do itself: roles of dedicated tenants, through functions.
 *
 * In PostgreSQL 15 CREATEROLE is nearly SUPERUSER, so no login of ours has it. Instead a superuser
 * installs, once a store, the functions of this script in schema fh_admin: SECURITY DEFINER, their
 * search_path pinned, EXECUTE for the owning role alone. They make names from a uuid and a kind,
 * never take one, so they can touch no other role.
 *
 *   kind              role              what it is
 *   schema            t_<hex>           no login; the serving login takes it for a statement
 *   database          t_<hex>_db        the login that serves the tenant's own database
 *   schema_reader     t_<hex>_ro        the tenant's read-only login, in the store's database
 *   database_reader   t_<hex>_db_ro     the same, in the tenant's own database
 *
 * A tenant may have homes of two tiers for as long as it moves: hence four names. Pure functions.
 */
#ifndef FH_STORES_PG_ADMIN_SQL_H
#define FH_STORES_PG_ADMIN_SQL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/code.h"
#include "stores/home.h"

#define FH_PG_ADMIN_SCHEMA "fh_admin"
#define FH_PG_ROLE_SIZE 48
/* Which functions of PostgreSQL's take advisory locks: a pattern, quoted. In a store's database
 * they are the owner's and the serving login's alone. */
#define FH_PG_LOCK_FUNCTIONS "'^pg_(try_)?advisory_(xact_)?lock(_shared)?$'"

/* The whole script, for psql or one simple query; may be run again. FH_INVALID: a name that is none
 * (1 to 63 bytes, no control characters, no dollar sign). */
FH_MUST_CHECK enum fh_code fh_pg_admin_script(const char *owner, const char *serving,
                                              struct fh_buf *out);

struct fh_pg_admin_function {
    const char *name;
    const char *arguments; /* as pg_get_function_identity_arguments() prints them */
    const char *returns;
    const char *language;
    const char *body;
};
/* For the check: what must be installed, but for serving(), whose body is the login's name. */
extern const struct fh_pg_admin_function fh_pg_admin_functions[];
extern const size_t fh_pg_admin_function_count;

/* The kind of role that a dedicated home's tables are granted to, and of its reader. */
const char *fh_pg_admin_kind(const struct fh_home *home, bool reader);
/* The name that the functions give it. */
void fh_pg_admin_role(const struct fh_home *home, bool reader, char out[FH_PG_ROLE_SIZE]);

#endif
