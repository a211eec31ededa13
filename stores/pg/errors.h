/* SQLSTATE to fh_code: here and nowhere else.
 *
 * Only the code and the names of a constraint and its table leave PostgreSQL's message: its text
 * may hold values, its detail may name rows of others. Pure functions.
 */
#ifndef FH_STORES_PG_ERRORS_H
#define FH_STORES_PG_ERRORS_H

#include <stdbool.h>

#include "base/code.h"

#define FH_PG_CONSTRAINT_MAX 64

/* What failed, as far as it may be known. */
struct fh_pg_failure {
    enum fh_code code; /* FH_OK: nothing failed */
    char sqlstate[6];
    char constraint[FH_PG_CONSTRAINT_MAX];
    char table[FH_PG_CONSTRAINT_MAX];
};

/* `sqlstate` may be NULL or empty (libpq itself failed: the connection is gone): FH_UNAVAILABLE. */
enum fh_code fh_pg_code_of_sqlstate(const char *sqlstate);
/* The statement is not prepared (any more), or its plan went stale: sending it anew may succeed. */
bool fh_pg_is_stale_statement(const char *sqlstate);

#endif
