/* Prepared statements of one connection: the only way to reach the file's tables.
 *
 * A statement is named by home and schema (the set of views in use), shape, table and ordinal,
 * never by text; its text is made by sql.c. Getting one for a tenant also puts the connection in
 * that tenant's context and binds it as ?1, so no statement of a table runs without a context.
 * Bounded: beyond FH_SQLITE_STATEMENTS_MAX the least recently used goes. The connection's thread
 * only.
 */
#ifndef FH_STORES_SQLITE_STATEMENTS_H
#define FH_STORES_SQLITE_STATEMENTS_H

#include <sqlite3.h>

#include "base/list.h"
#include "base/map.h"
#include "base/uuid.h"
#include "stores/sqlite/sql.h"

#define FH_SQLITE_STATEMENTS_MAX 1024 /* a bridge connection serves many homes */
#define FH_SQLITE_STATEMENTS_HOT 64   /* 2^6; a commit takes some five */

struct fh_sqlite_conn;
struct fh_sqlite_statement;

struct fh_sqlite_statements {
    struct fh_map map;
    struct fh_list recent; /* most recently used first */
    /* Of the map, by a cheap hash: the last used of each place. */
    struct fh_sqlite_statement *hot[FH_SQLITE_STATEMENTS_HOT];
};

void fh_sqlite_statements_init(struct fh_sqlite_statements *statements);
void fh_sqlite_statements_close(struct fh_sqlite_statements *statements);

/* Those of a set of views (views.h) go; none of them may be running. */
void fh_sqlite_statements_forget(struct fh_sqlite_statements *statements, uint64_t set);

/* Borrows until fh_sqlite_statement_end(). `tenant` may be NULL for shapes without ?1. */
FH_MUST_CHECK enum fh_code fh_sqlite_statement_get(struct fh_sqlite_conn *conn,
                                                   enum fh_sqlite_shape shape,
                                                   const struct fh_table *table, uint16_t ordinal,
                                                   const struct fh_uuid *tenant, sqlite3_stmt **out,
                                                   struct fh_error *error);
/* One step: FH_OK and *row tells whether there is one, or the error. */
FH_MUST_CHECK enum fh_code fh_sqlite_statement_step(struct fh_sqlite_conn *conn,
                                                    sqlite3_stmt *statement, bool *row,
                                                    struct fh_error *error);
/* Ends the run and leaves the tenant's context. */
void fh_sqlite_statement_end(struct fh_sqlite_conn *conn, sqlite3_stmt *statement);
/* Gets, steps to the end and ends a statement without parameters. */
FH_MUST_CHECK enum fh_code fh_sqlite_statement_run(struct fh_sqlite_conn *conn,
                                                   enum fh_sqlite_shape shape,
                                                   struct fh_error *error);

#endif
