/* What a token grants on tables: its claim "tables", as in {"packages": "read", "orders": "write"}.
 *
 * A token without the claim is not restricted. One with it may do with those tables what is said
 * there, and nothing with any other; "write" includes "read". It narrows what the roles allow,
 * never widens it. Kept as one text, in the order of the claim: "packages:r,orders:w".
 */
#ifndef FH_SERVER_AUTH_GRANTS_H
#define FH_SERVER_AUTH_GRANTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"

#define FH_GRANTS_TABLES_MAX 64

enum fh_grant { FH_GRANT_READ = 'r', FH_GRANT_WRITE = 'w' };

struct fh_grants {
    bool restricted;
    struct fh_str tables; /* borrowed */
};

/* Of a token's claims; the text is in the arena. FH_UNAUTHENTICATED: not such a claim; FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_grants_read(const json_t *claims, struct fh_arena *arena,
                                          struct fh_grants *out, struct fh_error *error);
/* FH_OK, or FH_PERMISSION, naming the table. */
FH_MUST_CHECK enum fh_code fh_grants_check(const struct fh_grants *grants, struct fh_str table,
                                           enum fh_grant access, struct fh_error *error);
/* For what tells of all tables at once. */
FH_MUST_CHECK enum fh_code fh_grants_check_all(const struct fh_grants *grants,
                                               struct fh_error *error);

#endif
