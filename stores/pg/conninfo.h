/* Connection strings: which keywords may be given, and what we add.
 *
 * An allowlist, because libpq's keywords read files, run services and change sessions. `password`
 * is refused: a password belongs in a passfile, not in a catalog row. Parsing blocks on nothing; a
 * host name is resolved by the connection.
 */
#ifndef FH_STORES_PG_CONNINFO_H
#define FH_STORES_PG_CONNINFO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/code.h"
#include "base/error.h"

#define FH_PG_KEYWORDS_MAX 12
#define FH_PG_PASSWORD_SIZE 72

struct fh_pg_conninfo {
    /* Keyword i has values[i], owned, NULL when not given: see fh_pg_conninfo_keywords. */
    char *values[FH_PG_KEYWORDS_MAX];
    char password[FH_PG_PASSWORD_SIZE]; /* "": none, or in the passfile */
    uint32_t connect_timeout_ms;
    bool resolves; /* host is a name: hostaddr comes from the resolver */
};

enum fh_pg_keyword {
    FH_PG_KEYWORD_HOST,
    FH_PG_KEYWORD_HOSTADDR,
    FH_PG_KEYWORD_PORT,
    FH_PG_KEYWORD_DBNAME,
    FH_PG_KEYWORD_USER,
    FH_PG_KEYWORD_PASSFILE,
    FH_PG_KEYWORD_SSLMODE,
    FH_PG_KEYWORD_SSLROOTCERT,
    FH_PG_KEYWORD_SSLCERT,
    FH_PG_KEYWORD_SSLKEY,
    FH_PG_KEYWORD_CONNECT_TIMEOUT,
    FH_PG_KEYWORD_APPLICATION_NAME,
};

extern const char *const fh_pg_conninfo_keywords[FH_PG_KEYWORDS_MAX];

/* FH_INVALID names the keyword, never a value. `what` names the string for people ("location"). */
FH_MUST_CHECK enum fh_code fh_pg_conninfo_parse(const char *text, const char *what,
                                                struct fh_pg_conninfo *out, struct fh_error *error);
/* The same server, with another database and (not NULL) another user, who has this password or
 * (NULL) none. FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_pg_conninfo_derive(const struct fh_pg_conninfo *from,
                                                 const char *database, const char *user,
                                                 const char *password, struct fh_pg_conninfo *out);
void fh_pg_conninfo_close(struct fh_pg_conninfo *info);

#endif
