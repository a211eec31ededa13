/* The physical tables, made from the model and nothing else.
 *
 * Each statement is handed to a callback with its exact text, so that one generator serves applying
 * (it is executed), previewing (it is shown) and checking (it is executed in memory, and the result
 * compared with the file). Whose tables they are is the home's prefix; a dedicated home's also have
 * CHECK(tenant_id = ...).
 *
 * Executing them needs SETUP access (conn.h), foreign keys that are off, no view on the connection,
 * and fh_now() and fh_uuid(), the values that stored rows get for defaults that are computed.
 */
#ifndef FH_STORES_SQLITE_DDL_H
#define FH_STORES_SQLITE_DDL_H

#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "stores/home.h"
#include "stores/model.h"
#include "stores/store.h"

enum fh_sqlite_object {
    FH_SQLITE_TABLE,
    FH_SQLITE_INDEX,
    FH_SQLITE_TRIGGER,
    FH_SQLITE_CHANGE, /* any other statement */
    FH_SQLITE_PROBE,  /* a query; a row of it is a broken reference */
};

struct fh_sqlite_ddl {
    enum fh_sqlite_object kind;
    struct fh_str name; /* the object's, as in the file */
    const char *sql;
    bool scans;                           /* time grows with the rows of the table */
    const struct fh_table *table;         /* the model's; NULL: a system table's */
    const struct fh_foreign_key *foreign; /* a probe's */
};

/* Borrows for the call. Anything but FH_OK ends the generation. */
typedef enum fh_code fh_sqlite_ddl_cb(void *arg, const struct fh_sqlite_ddl *ddl,
                                      struct fh_error *error);

struct fh_sqlite_ddl_home {
    char prefix[48]; /* of the tables' names; "" in a file of one home */
    bool dedicated;
    struct fh_uuid tenant; /* a dedicated home's */
};

void fh_sqlite_ddl_home_of(const struct fh_home *home, struct fh_sqlite_ddl_home *out);

/* fh_meta, fh_fence, fh_commit, fh_move with their triggers and indexes, and the first row of
 * fh_meta (as FH_SQLITE_CHANGE). */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_system(const struct fh_sqlite_ddl_home *home,
                                                fh_sqlite_ddl_cb *cb, void *arg,
                                                struct fh_error *error);
/* All tables of `schema`, where there is none. */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_schema(const struct fh_sqlite_ddl_home *home,
                                                const struct fh_schema *schema,
                                                fh_sqlite_ddl_cb *cb, void *arg,
                                                struct fh_error *error);
/* What leads from one version to the next (upgrade.c). */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_upgrade(const struct fh_sqlite_ddl_home *home,
                                                 const struct fh_schema *from,
                                                 const struct fh_schema *to, fh_sqlite_ddl_cb *cb,
                                                 void *arg, struct fh_error *error);
/* What brings a home from `version` (none below 1) to `to`, version by version. FH_PRECONDITION
 * when `to` is older or does not build on that version. */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_bring(const struct fh_sqlite_ddl_home *home,
                                               int64_t version, const struct fh_schema *to,
                                               fh_sqlite_ddl_cb *cb, void *arg,
                                               struct fh_error *error);
/* fh_store_ops.preview */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_preview(const struct fh_schema *from,
                                                 const struct fh_schema *to,
                                                 const struct fh_home *home, fh_ddl_cb *cb,
                                                 void *arg, struct fh_error *error);

/* For upgrade.c: the pieces. */
struct fh_sqlite_emitter {
    const struct fh_sqlite_ddl_home *home;
    fh_sqlite_ddl_cb *cb;
    void *arg;
    struct fh_error *error;
    struct fh_buf sql;
    struct fh_buf name;
    const struct fh_table *table;
};
void fh_sqlite_emitter_init(struct fh_sqlite_emitter *emitter,
                            const struct fh_sqlite_ddl_home *home, fh_sqlite_ddl_cb *cb, void *arg,
                            struct fh_error *error);
void fh_sqlite_emitter_close(struct fh_sqlite_emitter *emitter);
/* Empties the text. */
struct fh_buf *fh_sqlite_emitter_begin(struct fh_sqlite_emitter *emitter);
/* Hands it to the callback. */
FH_MUST_CHECK enum fh_code fh_sqlite_emitter_end(struct fh_sqlite_emitter *emitter,
                                                 enum fh_sqlite_object kind, bool scans);
/* "<prefix><before><name>" in quotes */
void fh_sqlite_emitter_name(struct fh_sqlite_emitter *emitter, const char *before,
                            struct fh_str name);
/* ` INTEGER NOT NULL CHECK(...)`, after the column's name */
void fh_sqlite_ddl_column(const struct fh_table *table, uint16_t position, struct fh_buf *sql);
/* CREATE TABLE "<before><table>" */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_table(struct fh_sqlite_emitter *emitter,
                                               const struct fh_table *table, const char *before);
/* Its triggers, and the indexes of its references. */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_attach(struct fh_sqlite_emitter *emitter,
                                                const struct fh_table *table, bool scans);
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_index(struct fh_sqlite_emitter *emitter,
                                               const struct fh_table *table,
                                               const struct fh_index *index, bool scans);

#endif
