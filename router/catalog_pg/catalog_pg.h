/* The shared catalog: schema freehold_catalog of a PostgreSQL database, so that several servers
 * have one. The tables and columns are those of the embedded catalog.
 *
 * Threads: two workers with a connection each (one for what a request or a switch waits for, one
 * for the rest) and one that listens for hints. Each step on a connection obeys its request's
 * deadline, however dead the server is. Only a host's name is looked up in the time the system's
 * resolver takes; hostaddr spares that.
 *
 * Outcomes: before COMMIT was sent a lost connection is FH_UNAVAILABLE and a passed deadline
 * FH_DEADLINE, and nothing happened; after, both are FH_OUTCOME_UNKNOWN. The change may then still
 * be on its way in the server: a read may come before it, while a change of the same tenant or move
 * waits for its lock and so tells the truth. Whoever must know repeats the change, or claims.
 *
 * Limits: 4096 requests queued for each worker, then FH_FULL. A server on which schema and tables
 * are to be made gives the role CREATE on the database; later it needs to own them or to have
 * SELECT, INSERT and UPDATE.
 */
#ifndef FH_ROUTER_CATALOG_PG_CATALOG_PG_H
#define FH_ROUTER_CATALOG_PG_CATALOG_PG_H

#include "router/catalog.h"

/* `conninfo` names host (or hostaddr), dbname and user and no password; keywords are allowlisted:
 * FH_INVALID. Makes schema and tables where there are none, one of several servers at a time.
 * Refuses a schema that is not a catalog, or is newer than this program. Blocks until connected and
 * looked at, at most connect_timeout (5 s) and 10 s. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_open(const struct fh_env *env, const char *conninfo,
                                              struct fh_catalog **out, struct fh_error *error);

#endif
