/* The fixture's help for tests of the mover's operations: two tenants, a second home, views. */
#ifndef FH_TESTS_UNIT_STORES_PG_MOVES_H
#define FH_TESTS_UNIT_STORES_PG_MOVES_H

#include "tests/unit/stores_pg/fixture.h"

#define PAGE_BYTES (1u << 20)
#define OTHER_HOME "fh_other"

extern const struct fh_fence_guard guard_open;     /* generation 1 */
extern const struct fh_fence_guard guard_incoming; /* generation 1 */

struct view {
    struct fh_snapshot *snapshot;
    char cursor[FH_CURSOR_MAX + 1];
};

/* fixture_start() with a server that does not sync. */
void moves_start(struct fixture *f);
/* A second home on the same server, and in it the tenant, incoming at epoch 2. */
void moves_make_other(struct fixture *f);
void moves_to_other(struct call *call); /* the call goes there, at epoch 2 */
void moves_fence(struct fixture *f, struct call *call, struct fh_fence from, struct fh_fence to);

void view_open(struct fixture *f, struct view *view);
void view_close(struct fixture *f, struct view *view);

void add_author(struct fixture *f, int64_t id);
void set_score(struct fixture *f, int64_t id, int64_t score);
void delete_author(struct fixture *f, int64_t id, enum fh_write_op op);
/* A row of the tenant as it might be copied; its name is made of its id. */
struct fh_row *author_row(struct call *call, int64_t id);
struct fh_row *book_row(struct call *call, int64_t author, const char *slug);

/* Prepare one; call_run() then. `view` may be NULL where the operation allows it. */
void ask_open(struct call *call);
void ask_scan(struct call *call, const struct view *view, const struct fh_table *table);
void ask_journal(struct call *call, const struct view *view);
void ask_changes(struct call *call, const struct view *view, const char *since);
void ask_tally(struct call *call, const struct view *view, const char *since);
void ask_apply(struct call *call, struct fh_row *const *rows, size_t count);
void ask_state(struct call *call);

/* A number the server answers with, asked as superuser. */
long server_number(struct fixture *f, const char *sql);
/* Until that number is above 0. */
void server_wait(struct fixture *f, const char *sql);

#endif
