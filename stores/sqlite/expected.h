/* What a home's tables may look like, for FH_OP_CHECK.
 *
 * A home that was made at version k and brought to version n has other texts than one made at n:
 * its columns stand in another order, and SQLite has rewritten what was altered in place. So the
 * home is compared with what each k leads to, made by the same generator in a database in memory;
 * it is right when all its objects, together, are those of one k. Names and texts are compared with
 * the tenant's id replaced by zeros, so that all homes of a file are compared with the same ones.
 *
 * One schema and one tier at a time; a worker's thread. Limits: FH_SQLITE_VARIANTS_MAX values of k,
 * the newest ones, kept until the end.
 */
#ifndef FH_STORES_SQLITE_EXPECTED_H
#define FH_STORES_SQLITE_EXPECTED_H

#include <sqlite3.h>

#include "base/arena.h"
#include "stores/sqlite/ddl.h"

#define FH_SQLITE_VARIANTS_MAX 256

/* Borrows from the arena. */
struct fh_sqlite_object_text {
    struct fh_str type;
    struct fh_str name;
    struct fh_str sql;
};

struct fh_sqlite_object_list {
    struct fh_sqlite_object_text *objects; /* by name: no two have the same */
    size_t count;
};

struct fh_sqlite_expected {
    struct fh_arena *arena;
    enum fh_tier tier;
    const struct fh_schema *schema;                             /* NULL: system tables only */
    struct fh_sqlite_object_list *made[FH_SQLITE_VARIANTS_MAX]; /* by schema->version - k */
};

/* Nothing is made yet. */
void fh_sqlite_expected_init(struct fh_sqlite_expected *expected, enum fh_tier tier,
                             const struct fh_schema *schema, struct fh_arena *arena);
/* How many there are to compare with: 0.. */
size_t fh_sqlite_expected_count(const struct fh_sqlite_expected *expected);
/* Makes the list when it is asked for first; the newest k is 0. */
FH_MUST_CHECK enum fh_code fh_sqlite_expected_get(struct fh_sqlite_expected *expected, size_t which,
                                                  const struct fh_sqlite_object_list **out,
                                                  struct fh_error *error);

/* The objects of a home in a database that is open, as above. */
FH_MUST_CHECK enum fh_code fh_sqlite_object_list(sqlite3 *db, const struct fh_sqlite_ddl_home *home,
                                                 struct fh_arena *arena,
                                                 struct fh_sqlite_object_list *out,
                                                 struct fh_error *error);

#endif
