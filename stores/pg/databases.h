/* Tenants' own databases: each one that is in use is an engine of its own, a child of the store.
 *
 * A child has its own connections, as the database's login, and its own statements; requests find
 * it by the home's name. It opens no connection before it needs one, two fast and two slow ones at
 * most (and the mover's, for as long as a move lasts), and is closed when it was idle for
 * FH_PG_DATABASE_IDLE_MS. At most open_homes_max are open at once: another one takes the place of
 * the one that was idle longest, and where none is idle the request waits in a queue that counts
 * against queue_max (FH_FULL), until its deadline.
 *
 * Loop thread only.
 */
#ifndef FH_STORES_PG_DATABASES_H
#define FH_STORES_PG_DATABASES_H

#include "base/error.h"
#include "stores/pg/op.h"

#define FH_PG_DATABASES_DEFAULT 64
#define FH_PG_DATABASE_IDLE_MS 60000
#define FH_PG_DATABASE_FAST 2
#define FH_PG_DATABASE_SLOW 2

/* Whose a tenant's database is stands in its comment: FH_PG_OWNED_BY and the name of the store's
 * database. Another store's is no home of this one. One without such a comment, or whose store is
 * not on the server (any more, or under that name), is ours: it may have been restored. SQL. */
#define FH_PG_OWNED_BY "freehold store in "
#define FH_PG_IS_FOREIGN(database, store)                                                 \
    "exists (select from pg_catalog.pg_shdescription s join pg_catalog.pg_database o on " \
    "s.description = '" FH_PG_OWNED_BY "' || o.datname where s.classoid = "               \
    "'pg_catalog.pg_database'::regclass and s.objoid = " database " and o.datname <> " store ")"

/* The child that serves the op's home, opened where it is not. FH_FULL: all are open and busy.
 * FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_pg_database_get(struct fh_pg_store *pg, const struct fh_home *home,
                                              struct fh_pg_store **out);
/* Makes the op wait until a child can be had. FH_FULL: the queue is. */
FH_MUST_CHECK enum fh_code fh_pg_database_wait(struct fh_pg_op *op);
void fh_pg_database_leave(struct fh_pg_op *op); /* it waits no more */
/* For the dispatcher: whoever waits and can be served. */
void fh_pg_databases_dispatch(struct fh_pg_store *pg);

/* Nobody uses the child of that home any more, if there is one: it goes when it is idle. */
void fh_pg_database_drop(struct fh_pg_store *pg, const struct fh_home *home);
/* For the child's timer: it has been idle for long enough. */
void fh_pg_database_idle(struct fh_pg_store *child);
/* For the store's end: children end, whoever waits is told. */
void fh_pg_databases_close(struct fh_pg_store *pg);

/* The child cannot connect. libpq does not say in so many words whether that is because the
 * database is not there, so the store is asked: the op ends as FH_NO_TENANT or, with the error,
 * FH_UNAVAILABLE. */
void fh_pg_database_ask(struct fh_pg_op *op, const struct fh_error *error);

#endif
