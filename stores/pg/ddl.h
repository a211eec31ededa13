/* The physical layout of a home in PostgreSQL, generated from the schema model.
 *
 * Every table: tenant_id first in its key, its unique constraints (partial, among live rows), its
 * indexes and its references; row level security enabled and forced with the one policy; rights of
 * the serving role granted, PUBLIC's taken. Names that are ours begin with fh_, which the model
 * forbids to the application: constraints carry the ids of table and thing, so that they outlive
 * renaming, make room for another of the same name, and lead an error back to the model. Tables of
 * a dedicated home have a check that names the tenant besides.
 *
 * References. The physical constraint is deferred and NO ACTION, and its first column is fh_live, a
 * generated column that is the tenant while the row is live and null when it is deleted: so it
 * holds among live rows, as in the model, and a record that only deleted ones reference may be
 * purged.
 */
#ifndef FH_STORES_PG_DDL_H
#define FH_STORES_PG_DDL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/uuid.h"
#include "stores/model.h"
#include "stores/store.h"

#define FH_PG_NIL_TENANT "00000000-0000-0000-0000-000000000000"
#define FH_PG_POLICY "fh_tenant"
/* As pg_get_expr() prints it. */
#define FH_PG_POLICY_EXPRESSION "(tenant_id = (current_setting('fh.tenant'::text))::uuid)"
/* Whether the row y of pg_policy is that one, for everybody; `expression` is SQL. What it lets in
 * is not looked at. */
#define FH_PG_IS_POLICY(expression)                                                           \
    "y.polname = '" FH_PG_POLICY "' and y.polpermissive and y.polcmd = '*' and y.polroles = " \
    "array[0]::oid[] and pg_get_expr(y.polqual, y.polrelid) = " expression
/* Of all rows: that there is one, and it is that. */
#define FH_PG_ONE_POLICY(expression) \
    "count(*) = 1 and count(*) filter (where " FH_PG_IS_POLICY(expression) ") = 1"

struct fh_schema_change;

/* What an earlier attempt may have left, which is looked for before it is made. */
enum fh_pg_ddl_made {
    FH_PG_MADE_NOTHING,
    FH_PG_MADE_INDEX,      /* and is valid; one that is not is dropped */
    FH_PG_MADE_CONSTRAINT, /* perhaps not validated yet */
    FH_PG_MADE_VALID,      /* a constraint, validated */
};

#define FH_PG_NAME_SIZE 64

struct fh_pg_ddl_step {
    const char *sql; /* borrows from the script */
    enum fh_ddl_lock lock;
    bool scans;
    /* In a transaction of its own, ahead of the one that changes the version: what takes time and
     * lets reads and writes go on. The older version's statements do not notice. */
    bool ahead;
    enum fh_pg_ddl_made made;
    char name[FH_PG_NAME_SIZE];   /* of what is made */
    const struct fh_table *table; /* whose; NULL: none of the model's */
};

/* Statements, each ended by a NUL byte, and what is to be known of them. */
struct fh_pg_script {
    struct fh_buf text;
    struct fh_buf notes; /* a struct fh_pg_ddl_step for each, `sql` not set */
};

void fh_pg_script_init(struct fh_pg_script *script);
void fh_pg_script_close(struct fh_pg_script *script);
FH_MUST_CHECK enum fh_code fh_pg_script_code(const struct fh_pg_script *script);
/* *cursor starts at 0; NULL at the end. */
const char *fh_pg_script_next(const struct fh_pg_script *script, size_t *cursor);
/* Statement `index`, with `cursor` as above: in order. False at the end. */
FH_MUST_CHECK bool fh_pg_script_step(const struct fh_pg_script *script, size_t index,
                                     size_t *cursor, struct fh_pg_ddl_step *out);
/* Ends a statement that keeps nobody from anything. */
void fh_pg_script_end(struct fh_pg_script *script);
/* Ends one that does; `step` is its note. */
void fh_pg_script_end_step(struct fh_pg_script *script, const struct fh_pg_ddl_step *step);

/* The home that is changed. */
struct fh_pg_ddl_home {
    const char *namespace;
    const char *role;             /* the tables are granted to */
    const struct fh_uuid *tenant; /* whose dedicated home it is; NULL: a shared one */
    bool ahead; /* what takes time goes ahead; else everything is in one transaction */
    bool blank; /* no check names the tenant: fh_pg_ddl_tenant_check() comes later */
};

/* Namespace and system tables. `role` is the serving role. */
void fh_pg_ddl_system(struct fh_pg_script *script, const char *home, const char *role);
/* All that leads from one version to the next: first the fence's view gets the newer version's
 * name, which keeps out everybody who is still at the older one; then the changes. `from` NULL:
 * nothing is there; then `to` may be any version. `changes` is what fh_schema_changes() says. */
void fh_pg_ddl_upgrade(struct fh_pg_script *script, const struct fh_pg_ddl_home *home,
                       const struct fh_schema *from, const struct fh_schema *to,
                       const struct fh_schema_change *changes, size_t count);
/* The same, with the changes found in `arena`. FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_pg_ddl_between(struct fh_pg_script *script,
                                             const struct fh_pg_ddl_home *home,
                                             const struct fh_schema *from,
                                             const struct fh_schema *to, struct fh_arena *arena);
/* Notes the version, under the nil tenant's context, which it sets. */
void fh_pg_ddl_note_version(struct fh_pg_script *script, const char *namespace, uint32_t version);

#define FH_PG_LIVE_COLUMN                          \
    "fh_live uuid generated always as (case when " \
    "deleted_at is null then tenant_id end) stored"

/* Parts, for ddl_change.c and whoever makes system tables. Rights: what `role` may do. */
void fh_pg_ddl_protect(struct fh_pg_script *script, const char *namespace, struct fh_str table,
                       const char *role, const char *rights);
void fh_pg_ddl_create_table(struct fh_pg_script *script, const struct fh_pg_ddl_home *home,
                            const struct fh_table *table);
/* What a dedicated home's table was made without. */
void fh_pg_ddl_tenant_check(struct fh_pg_script *script, const struct fh_pg_ddl_home *home,
                            const struct fh_table *table);
void fh_pg_ddl_type(struct fh_buf *out, const struct fh_column *column);
/* fh_<letter><table id>_<thing id>_<name>: at most 63 bytes, told apart by the ids. Letters: x
 * index, k index of a reference, f reference, c check. */
void fh_pg_ddl_name(char out[FH_PG_NAME_SIZE], char letter, const struct fh_table *table,
                    uint16_t id, struct fh_str name);

/* The fence's view, named by the version the home is at: a statement of another version finds none.
 */
#define FH_PG_FENCE_VIEW_SIZE 24
void fh_pg_ddl_fence_view(char out[FH_PG_FENCE_VIEW_SIZE], uint32_t version);

/* What a constraint's name belongs to, or NULL. */
const struct fh_index *fh_pg_ddl_index_of(const struct fh_table *table, const char *constraint);
const struct fh_check *fh_pg_ddl_check_of(const struct fh_table *table, const char *constraint);

#endif
