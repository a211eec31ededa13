/* Hears what other servers changed (LISTEN) and tells the catalog's watchers on the loop.
 *
 * A thread of its own waits on a connection of its own. What our own connections announced is left
 * out: whoever completes the request tells it. When the connection was lost, or more came than
 * there is room for (256), hints of every kind are told with the nil uuid.
 *
 * Loop thread, except where it says so.
 */
#ifndef FH_ROUTER_CATALOG_PG_LISTENER_H
#define FH_ROUTER_CATALOG_PG_LISTENER_H

#include "router/catalog.h"
#include "router/catalog_pg/link.h"

#define FH_CATALOG_PG_OWN_MAX 2

struct fh_catalog_pg_listener;

/* On the listener's link, which is ready: nothing that is changed from here on is missed. */
FH_MUST_CHECK enum fh_code fh_catalog_pg_listen(struct fh_catalog_pg_link *link,
                                                struct fh_error *error);

/* Takes `link` over, on which fh_catalog_pg_listen() was called; its memory stays the caller's, as
 * does that of `own`, whose backends are read by the listener's thread. */
FH_MUST_CHECK enum fh_code
fh_catalog_pg_listener_start(struct fh_catalog *catalog, const struct fh_env *env,
                             struct fh_catalog_pg_link *link,
                             struct fh_catalog_pg_link *const own[FH_CATALOG_PG_OWN_MAX],
                             struct fh_catalog_pg_listener **out, struct fh_error *error);
/* After the link's stop_fd was made readable. No hint is told from here on. */
void fh_catalog_pg_listener_stop(struct fh_catalog_pg_listener *listener,
                                 void (*stopped_cb)(void *arg), void *arg);

/* "tenant:<uuid>", "move:<uuid>", "stores", "schema"; false: none of ours. */
bool fh_catalog_pg_hint_parse(const char *payload, enum fh_catalog_hint *hint,
                              struct fh_uuid *uuid);

#endif
