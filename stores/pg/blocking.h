/* A connection of the owning role on a thread that may wait: for making and dropping homes.
 *
 * One after the other, in the order of the source, everything bounded by the request's deadline:
 * where it passes, the connection is closed, and what was under way may or may not have happened.
 * No statement holds a value: values are bound, identifiers come from uuids and the model.
 *
 * One thread at a time; memory of libpq's only.
 */
#ifndef FH_STORES_PG_BLOCKING_H
#define FH_STORES_PG_BLOCKING_H

#include <libpq-fe.h>

#include "base/clock.h"
#include "base/error.h"
#include "stores/pg/conninfo.h"
#include "stores/pg/ddl.h"

#define FH_PG_BLOCKING_PARAMS_MAX 4

struct fh_pg_blocking {
    PGconn *pq; /* NULL: closed */
    const struct fh_clock *clock;
    int64_t deadline_us;
    struct fh_error *error; /* the request's; filled with the first failure */
    char sqlstate[6];       /* of the last statement that failed, or "" */
};

/* `database` NULL: the connection string's. FH_UNAVAILABLE, FH_DEADLINE, FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_pg_blocking_open(struct fh_pg_blocking *conn,
                                               const struct fh_pg_conninfo *info,
                                               const char *database, const struct fh_clock *clock,
                                               int64_t deadline_us, struct fh_error *error);
/* Orderly; locks of its session are free when another asks next. A closed one is fine. */
void fh_pg_blocking_close(struct fh_pg_blocking *conn);

/* One statement with text parameters (NULL: null). `out` NULL: not wanted; else cleared by the
 * caller when FH_OK. A lost connection or a passed deadline is FH_OUTCOME_UNKNOWN where `commits`,
 * and the connection is closed. */
FH_MUST_CHECK enum fh_code fh_pg_blocking_ask(struct fh_pg_blocking *conn, const char *sql,
                                              const char *const *params, int count, bool commits,
                                              PGresult **out);
/* Several at once, none with parameters; for use inside a transaction. */
FH_MUST_CHECK enum fh_code fh_pg_blocking_run(struct fh_pg_blocking *conn, const char *sql);
FH_MUST_CHECK enum fh_code fh_pg_blocking_script(struct fh_pg_blocking *conn,
                                                 const struct fh_pg_script *script);
FH_MUST_CHECK enum fh_code fh_pg_blocking_commit(struct fh_pg_blocking *conn);
/* The first column of the first row; "" where there is none. */
FH_MUST_CHECK enum fh_code fh_pg_blocking_value(struct fh_pg_blocking *conn, const char *sql,
                                                const char *const *params, int count, char *out,
                                                size_t out_size);

#endif
