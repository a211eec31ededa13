/* The pipeline of one connection: groups of statements out, results in. Part of connection.h's
 * module; used by nobody else. */
#ifndef FH_STORES_PG_PIPELINE_H
#define FH_STORES_PG_PIPELINE_H

#include "stores/pg/connection.h"

/* Starts a group; what is sent until the end belongs to it. */
void fh_pg_pipeline_begin(struct fh_pg_conn *conn, enum fh_pg_group_kind kind);
/* Sends the Sync. On failure the connection is broken. */
void fh_pg_pipeline_end(struct fh_pg_conn *conn);
/* Sends the ops' current step as a group; an op whose step cannot be sent ends. */
void fh_pg_pipeline_send_step(struct fh_pg_conn *conn, struct fh_pg_op **ops, unsigned count);
/* A group that rolls back. */
void fh_pg_pipeline_rollback(struct fh_pg_conn *conn);
/* Nobody waits for the op's results any more. */
void fh_pg_pipeline_forget(struct fh_pg_conn *conn, const struct fh_pg_op *op);
/* Takes every result that is there. May set conn->broken. */
void fh_pg_pipeline_receive(struct fh_pg_conn *conn);
/* Forgets everything; the connection is closed. Ops that were on it are told. */
void fh_pg_pipeline_abandon(struct fh_pg_conn *conn);

/* The LRU of prepared statements (prepared.c). */
struct fh_pg_prepared *fh_pg_prepared_find(struct fh_pg_conn *conn,
                                           struct fh_pg_statement *statement);
FH_MUST_CHECK enum fh_code fh_pg_prepared_add(struct fh_pg_conn *conn,
                                              struct fh_pg_statement *statement);
/* Counts a use; true: prepare it anew before this one. */
bool fh_pg_prepared_is_due(struct fh_pg_prepared *entry);
/* When to do so again; 0: not any more. */
uint32_t fh_pg_prepared_next_renewal(uint32_t renew_at);
void fh_pg_prepared_remove(struct fh_pg_conn *conn, struct fh_pg_statement *statement);
/* The one to deallocate before another is prepared, or NULL while there is room. */
struct fh_pg_statement *fh_pg_prepared_victim(struct fh_pg_conn *conn);
void fh_pg_prepared_clear(struct fh_pg_conn *conn);

#endif
