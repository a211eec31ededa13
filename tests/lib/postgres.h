/* A throw-away PostgreSQL cluster for tests.
 *
 * Lives in a temporary directory of its own, listens on a unix socket there and on 127.0.0.1 at a
 * free port, and trusts everybody. Everybody's database is freehold. Roles: postgres (superuser),
 * freehold_owner (owns the database freehold, CREATEDB), freehold_app (serving role: owns nothing,
 * NOBYPASSRLS, NOINHERIT), freehold_bypass (BYPASSRLS, with freehold_app's rights and the owner's,
 * so in every home: only for tests that take RLS away). The functions of stores/pg/admin_sql.h are
 * installed.
 *
 * A guardian process is the postmaster's parent: it carries out kill, freeze and restart by process
 * id, and when the test process ends, however it ends, the guardian's pipe closes and it stops the
 * server and removes the directory.
 *
 * Thread: one at a time. All calls block. Limits: each wait is bounded (30 s) and then fails.
 */
#ifndef FH_TESTS_LIB_POSTGRES_H
#define FH_TESTS_LIB_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/code.h"

struct fh_pgtest;

struct fh_pgtest_options {
    bool fsync_off;           /* faster; a test of durability leaves it on */
    unsigned connections_max; /* 0: 50 */
    bool logs_statements; /* server logs as PostgreSQL's defaults have them: for tests of the check
                           */
};

enum fh_pgtest_role {
    FH_PGTEST_SUPERUSER,
    FH_PGTEST_OWNER,
    FH_PGTEST_APP,
    FH_PGTEST_BYPASS,
    FH_PGTEST_ROLE_COUNT
};
enum fh_pgtest_via { FH_PGTEST_UNIX, FH_PGTEST_TCP };

/* `options` may be NULL. On failure says why on stderr and leaves nothing behind. */
FH_MUST_CHECK enum fh_code fh_pgtest_start(const struct fh_pgtest_options *options,
                                           struct fh_pgtest **out);
/* Stops the server, removes the directory; NULL is fine. */
void fh_pgtest_stop(struct fh_pgtest *pg);

/* Connection strings of keywords Freehold accepts; the memory is the harness's. */
const char *fh_pgtest_dsn(struct fh_pgtest *pg, enum fh_pgtest_role role, enum fh_pgtest_via via);
unsigned fh_pgtest_port(const struct fh_pgtest *pg);
const char *fh_pgtest_directory(const struct fh_pgtest *pg);

FH_MUST_CHECK enum fh_code
fh_pgtest_kill9(struct fh_pgtest *pg); /* the server and every back end */
FH_MUST_CHECK enum fh_code fh_pgtest_freeze(struct fh_pgtest *pg); /* SIGSTOP to all of them */
FH_MUST_CHECK enum fh_code fh_pgtest_thaw(struct fh_pgtest *pg);
/* After kill9, or while it runs (immediate shutdown first); returns when it accepts connections. */
FH_MUST_CHECK enum fh_code fh_pgtest_restart(struct fh_pgtest *pg);

/* Runs statements on a connection of their own; false and a message on stderr when one fails. */
FH_MUST_CHECK bool fh_pgtest_exec(struct fh_pgtest *pg, enum fh_pgtest_role role, const char *sql);
/* First column of the first row as text into `out` (cut to its size); false when there is none. */
FH_MUST_CHECK bool fh_pgtest_value(struct fh_pgtest *pg, enum fh_pgtest_role role, const char *sql,
                                   char *out, size_t out_size);
/* The same, as superuser in that database. */
FH_MUST_CHECK bool fh_pgtest_value_in(struct fh_pgtest *pg, const char *database, const char *sql,
                                      char *out, size_t out_size);

/* Connects as whoever and runs: "" when all went well, "connect" when that was refused, else the
 * SQLSTATE; until the next call. `password` may be NULL. */
const char *fh_pgtest_try(struct fh_pgtest *pg, const char *database, const char *user,
                          const char *password, const char *sql);
/* Drops every home: fh_shared, dedicated schemas and databases, the roles of tenants. Whoever is
 * connected to such a database is thrown out. Templates of databases stay: the next test's homes
 * may be made from them. */
FH_MUST_CHECK bool fh_pgtest_reset_homes(struct fh_pgtest *pg);

/* A connection of its own that stays open: holds locks of an open transaction, or just a place.
 * NULL and a message on stderr when it cannot be had. */
struct fh_pgtest_session;
struct fh_pgtest_session *fh_pgtest_session_open(struct fh_pgtest *pg, enum fh_pgtest_role role,
                                                 const char *sql);
/* More on the same connection: ends its transaction, for instance. */
FH_MUST_CHECK bool fh_pgtest_session_exec(struct fh_pgtest_session *session, const char *sql);
void fh_pgtest_session_close(struct fh_pgtest_session *session); /* NULL is fine */

#endif
