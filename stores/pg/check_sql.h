/* The questions of `store check`. Each is one statement, asked on a serving connection, that
 * answers with a row (subject, what is off and how to mend it) for each fault, and no row when all
 * is well.
 *
 * Parameters of all: $1 the namespace as text, $2 the policy's expression. A question about the
 * shared namespace is about every dedicated one besides it in the database. Constants.
 */
#ifndef FH_STORES_PG_CHECK_SQL_H
#define FH_STORES_PG_CHECK_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "stores/store.h"

struct fh_pg_question {
    const char *subject; /* of the good answer */
    const char *text;    /* of the good answer */
    const char *sql;
    bool store_only; /* not asked inside a tenant's own database */
    uint8_t layers;  /* what a fault takes away: fh_finding_layer */
};

extern const struct fh_pg_question fh_pg_questions[];
extern const size_t fh_pg_question_count;

/* The last one, which is about the functions of admin_sql.h, is generated from them. */
void fh_pg_check_functions_sql(struct fh_buf *out);
#define FH_PG_CHECK_FUNCTIONS_TEXT \
    "the functions that make roles of tenants are what they should be"

#endif
