/* A list in order of use; a statement finds its entry by the connection's number, so a hit costs no
 * hashing. */
#include "base/alloc.h"
#include "base/assert.h"
#include "stores/pg/pipeline.h"

#define RENEW_FIRST 16
#define RENEW_GROWTH 8
#define RENEW_LAST 65536

struct fh_pg_prepared *fh_pg_prepared_find(struct fh_pg_conn *conn,
                                           struct fh_pg_statement *statement)
{
    struct fh_pg_prepared *entry = statement->prepared[conn->id];
    if (entry != NULL && conn->prepared.next != &entry->node) {
        fh_list_remove(&entry->node);
        fh_list_push_front(&conn->prepared, &entry->node);
    }
    return entry;
}

enum fh_code fh_pg_prepared_add(struct fh_pg_conn *conn, struct fh_pg_statement *statement)
{
    FH_ASSERT(statement->prepared[conn->id] == NULL);
    FH_ASSERT(conn->prepared_count < FH_PG_PREPARED_MAX);
    struct fh_pg_prepared *entry = fh_calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return FH_NOMEM;
    }
    entry->statement = statement;
    entry->renew_at = RENEW_FIRST;
    fh_list_push_front(&conn->prepared, &entry->node);
    statement->prepared[conn->id] = entry;
    statement->holders++;
    conn->prepared_count++;
    return FH_OK;
}

bool fh_pg_prepared_is_due(struct fh_pg_prepared *entry)
{
    entry->uses++;
    return entry->renew_at != 0 && entry->uses >= entry->renew_at && entry->confirmed;
}

uint32_t fh_pg_prepared_next_renewal(uint32_t renew_at)
{
    return renew_at < RENEW_LAST ? renew_at * RENEW_GROWTH : 0;
}

void fh_pg_prepared_remove(struct fh_pg_conn *conn, struct fh_pg_statement *statement)
{
    struct fh_pg_prepared *entry = statement->prepared[conn->id];
    if (entry == NULL) {
        return;
    }
    statement->prepared[conn->id] = NULL;
    FH_ASSERT(statement->holders > 0 && conn->prepared_count > 0);
    statement->holders--;
    conn->prepared_count--;
    fh_list_remove(&entry->node);
    fh_free(entry);
}

struct fh_pg_statement *fh_pg_prepared_victim(struct fh_pg_conn *conn)
{
    if (conn->prepared_count < FH_PG_PREPARED_MAX) {
        return NULL;
    }
    return FH_CONTAINER_OF(conn->prepared.prev, struct fh_pg_prepared, node)->statement;
}

void fh_pg_prepared_clear(struct fh_pg_conn *conn)
{
    while (!fh_list_empty(&conn->prepared)) {
        fh_pg_prepared_remove(
            conn, FH_CONTAINER_OF(conn->prepared.next, struct fh_pg_prepared, node)->statement);
    }
}
