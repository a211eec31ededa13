/* One connection to the file: its settings, its tenant context, what it may do, its lock waits.
 *
 * Layer 2 of the isolation lives here. The connection knows one tenant at a time (the
 * application-defined function fh_tenant(), NULL when none is bound). Reads see the tables only
 * through TEMP views that compare with fh_tenant(), and an authorizer refuses every other way;
 * writes meet BEFORE triggers that stand in the file and compare with fh_tenant() too. Why a
 * function and not a one-row temp table: entering a context is a copy of 16 bytes instead of a
 * statement, an unbound context is NULL and so fails closed, and a foreign program that opens the
 * file has no such function, so even it cannot write past the triggers by accident.
 *
 * Thread: one at a time (SQLite is opened without mutexes): the worker's while it runs, the loop's
 * before the worker starts and after it stopped.
 */
#ifndef FH_STORES_SQLITE_CONN_H
#define FH_STORES_SQLITE_CONN_H

#include <sqlite3.h>

#include "base/clock.h"
#include "stores/sqlite/statements.h"
#include "stores/sqlite/views.h"
#include "stores/store.h"

enum fh_sqlite_role {
    FH_SQLITE_READER,
    FH_SQLITE_WRITER,
    FH_SQLITE_ERASER,  /* a writer whose foreign keys are off: it removes whole tenants in batches,
                          and puts a move's batches in */
    FH_SQLITE_CHECKER, /* looks at the file itself, at no tenant's rows */
};

/* What the authorizer lets through. */
enum fh_sqlite_access {
    FH_SQLITE_ACCESS_SETUP, /* our own fixed set-up and DDL */
    FH_SQLITE_ACCESS_READ,  /* the tenant's views */
    FH_SQLITE_ACCESS_WRITE, /* rows of the base tables; triggers watch */
};

/* A lock held by another process is waited for in slices of so many milliseconds, and never past a
 * deadline: between two slices, what else has ended is delivered. After so many slices in a row who
 * waits is told. */
#define FH_SQLITE_LOCK_WAITS_MAX 50
#define FH_SQLITE_LOCK_SLICES_MAX 20

#define FH_SQLITE_PREFIX_MAX (FH_HOME_NAME_MAX + 2) /* "t_<32 hex>__" */

/* A connection's page cache: of a file that all tenants share, and of one of many. */
#define FH_SQLITE_CACHE_KIB 16000
#define FH_SQLITE_CACHE_SMALL_KIB 1000

struct fh_sqlite_place;

struct fh_sqlite_conn {
    sqlite3 *db; /* NULL: not open */
    enum fh_sqlite_role role;
    enum fh_sqlite_access access;
    const char *path;                    /* borrows */
    const struct fh_sqlite_place *place; /* borrows; NULL: nothing is known but the path */
    bool lock_held;    /* the caller has the lock of the place's directory (layout.h) */
    bool unidentified; /* whose file it is does not matter: only its header is read */
    bool making; /* the file is new, and nobody else's: nothing is durable, nothing is looked at */
    const struct fh_clock *clock;
    const struct fh_isolation_faults *faults; /* NULL outside tests */
    const struct fh_probe *probe;             /* of the read in hand; NULL but for the prober's */
    struct fh_uuid first;                     /* what ?1 of the statement in hand was bound to */
    struct fh_uuid tenant;
    bool bound;              /* `tenant` is the context */
    bool broken;             /* close and open anew before the next batch */
    uint32_t lock_slices;    /* in a row that met the lock; writers */
    uint32_t careful_groups; /* so many more groups with a savepoint for each request; writers */
    int last_rc;             /* of the last failed step, for whoever must tell more than a code */
    uint32_t contexts;       /* counted for faults->wrong_context_every */
    int64_t deadline_us;     /* lock waits end then; on readers statements do, too */
    int64_t schema_version;  /* of the home, as the last look at a fence saw it; -1: none */
    bool bridge;             /* the file holds many homes of the schema tier */
    struct fh_home home;     /* of the request in hand: fh_sqlite_conn_use_home() */
    char prefix[FH_SQLITE_PREFIX_MAX]; /* of its tables' names; "" in a file of one home */
    struct fh_sqlite_statements statements;
    struct fh_sqlite_views views;
};

/* The home that the next statements are for, until the next call: every request says so before it
 * is executed (also each of a group's). In a bridge file its tables are `<home>__<table>`, and
 * conn->prefix is "<home>__". Costs a copy of some 40 bytes, so nothing is remembered by it but
 * these two fields. */
void fh_sqlite_conn_use_home(struct fh_sqlite_conn *conn, const struct fh_home *home);

void fh_sqlite_conn_init(struct fh_sqlite_conn *conn, enum fh_sqlite_role role, const char *path,
                         const struct fh_clock *clock, const struct fh_isolation_faults *faults);
/* Which file it is about; closes the one that is open, if that is another. `place` is borrowed
 * until the next call. */
void fh_sqlite_conn_use_place(struct fh_sqlite_conn *conn, const struct fh_sqlite_place *place);
/* Opens when it is closed or broken, or when its file has lost its name (layout.h). A writer makes
 * the system tables in an empty file. FH_NO_TENANT: there is no such file. */
FH_MUST_CHECK enum fh_code fh_sqlite_conn_open(struct fh_sqlite_conn *conn, struct fh_error *error);
void fh_sqlite_conn_close(struct fh_sqlite_conn *conn);
/* Closes, and folds the log of a home's file into it, if nobody else has it open and no lock is in
 * the way; else the next who opens it does. Other files' logs are folded by any close. */
void fh_sqlite_conn_fold(struct fh_sqlite_conn *conn);

/* Our own text, in SETUP access. */
FH_MUST_CHECK enum fh_code fh_sqlite_conn_exec(struct fh_sqlite_conn *conn, const char *sql,
                                               struct fh_error *error);
/* One integer from one of our own PRAGMAs. */
FH_MUST_CHECK enum fh_code fh_sqlite_conn_pragma(struct fh_sqlite_conn *conn, const char *sql,
                                                 int64_t *out, struct fh_error *error);

/* The tenant's context from here to the next call; NULL leaves it. */
void fh_sqlite_conn_enter(struct fh_sqlite_conn *conn, const struct fh_uuid *tenant);
/* Notes the failure (a fatal one breaks the connection) and answers its code. */
enum fh_code fh_sqlite_conn_fail(struct fh_sqlite_conn *conn, int rc, struct fh_error *error);
/* FH_SQLITE_TEXT_* of the probe and the faults in force. */
uint32_t fh_sqlite_conn_text_flags(const struct fh_sqlite_conn *conn);
bool fh_sqlite_conn_in_transaction(const struct fh_sqlite_conn *conn);

#endif
