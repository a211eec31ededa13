/* Keys of advisory locks: the tenant's gate in a home, and a request id in it. The same in every
 * process, for ever.
 *
 * 64 bits of a keyed hash: two tenants whose keys collide hold or refuse each other now and then,
 * never more. Pure functions.
 */
#ifndef FH_STORES_PG_KEYS_H
#define FH_STORES_PG_KEYS_H

#include <stdint.h>

#include "stores/store.h"

int64_t fh_pg_gate_key(const struct fh_scope *scope);
int64_t fh_pg_once_key(const struct fh_scope *scope, struct fh_str request_id);
/* The lock that schema changes of a home take. */
int64_t fh_pg_schema_key(const struct fh_home *home);
/* The lock of whoever makes or drops a dedicated home, in the store's database; and the one under
 * which homes are counted. */
int64_t fh_pg_home_key(const struct fh_home *home);
int64_t fh_pg_count_key(void);
/* The lock of whoever makes or drops a template, in the store's database. */
int64_t fh_pg_template_key(void);

#endif
