/* One file with homes of one tier, and a connection that changes their schema, without a store
 * around it: schema changes are driven directly. */
#ifndef FH_TESTS_STORES_SQLITE_WORLD_H
#define FH_TESTS_STORES_SQLITE_WORLD_H

#include "stores/sqlite/conn.h"
#include "tests/unit/stores_sqlite/fixture.h"

#define WORLD_TEXT_MAX 4096

struct world {
    struct fixture *f;
    enum fh_tier tier;
    struct fh_sqlite_conn conn;
    struct fh_arena arena;
};

/* A new file of the tier: tenant a's home (and b's, where the file has many). */
void world_open(struct world *w, struct fixture *f, enum fh_tier tier);
void world_close(struct world *w);
struct fh_home world_home(const struct world *w, const struct fh_uuid *tenant);
/* The next version, from a migration file's text. */
const struct fh_schema *world_migrate(struct world *w, const struct fh_schema *base,
                                      const char *sql);
/* The tenant's fence, open at epoch and generation 1; before the first apply. */
void world_put_fence(struct world *w, const struct fh_uuid *tenant);
struct fh_request world_apply_request(struct world *w, const struct fh_uuid *tenant,
                                      const struct fh_schema *target);
/* In a transaction, which is ended. */
enum fh_code world_run_apply(struct world *w, struct fh_request *request);
enum fh_code world_apply(struct world *w, const struct fh_uuid *tenant,
                         const struct fh_schema *target, struct fh_error *error);
void world_expand(struct world *w, const struct fh_uuid *tenant, const char *text,
                  char out[WORLD_TEXT_MAX]);
/* As the tenant; `@` stands for the prefix of its tables, `$` for tenant_id and the four system
 * columns. */
void world_execute(struct world *w, const struct fh_uuid *tenant, const char *text);
/* The rows of a query, ","- and ";"-separated. */
void world_expect(struct world *w, const struct fh_uuid *tenant, const char *text,
                  const char *expected);
/* The world's file, as of that home; NULL: as a bridge file. */
enum fh_code world_check(const struct world *w, const struct fh_home *home,
                         struct fh_request *request);
/* The check finds nothing off when `schema` is the newest. */
void world_check_is_clean(struct world *w, const struct fh_schema *schema);

/* cmocka's set-up and tear-down: a directory, no store. */
int world_setup(void **state);
int world_teardown(void **state);

#endif
