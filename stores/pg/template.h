/* Template databases: what tenants' own databases are copied from, one a store and schema version.
 *
 * A home's tables are made once, in a database of no tenant's that nobody may connect to; a
 * tenant's database is then a copy of it, to which only what is the tenant's own is added: rights
 * of its role, checks that name it, its fence. The more tables a schema has, the more that saves.
 *
 * The name is fh_template_<oid of the store's database>_v<version>_<start of the digest>; its
 * comment holds the whole digest, of the statements that made it and of the owner's name, and is
 * written last. So one that is half made, another build's, another version's or another store's is
 * never taken, and a home can be made without any: whoever finds none, and may not or cannot make
 * one, goes the slow way. It holds no row of a tenant's, and no right.
 *
 * Making one needs the lock of the store's templates (fh_pg_template_key()), a session's on the
 * connection that also writes the comment: a maker that has lost it can finish nothing. Under the
 * lock go those of lower versions; of other stores nothing is ever dropped, nor anything whose name
 * or comment is not as above.
 *
 * On the provisioning threads.
 */
#ifndef FH_STORES_PG_TEMPLATE_H
#define FH_STORES_PG_TEMPLATE_H

#include "stores/pg/provision.h"

#define FH_PG_TEMPLATE_NAME_SIZE 64
#define FH_PG_TEMPLATE_PREFIX "fh_template_"

/* A template that fits, made where there is none; "" where none is to be had: not FH_OK's contrary.
 * Else the code of what ended the connection. */
FH_MUST_CHECK enum fh_code fh_pg_template_get(struct fh_pg_site *site,
                                              char out[FH_PG_TEMPLATE_NAME_SIZE]);

#endif
