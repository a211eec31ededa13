/* Happy path: the map has it. Otherwise its text is generated, it gets the next name and goes into
 * map and LRU. Full: from the LRU's old end, the first statement nobody holds is dropped.
 */
#include "stores/pg/statements.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "stores/pg/sql.h"

#define STATEMENT_BYTES_MAX (256u * 1024)

static struct fh_str key_of(const void *item)
{
    const struct fh_pg_statement *statement = item;
    return (struct fh_str){.data = (const char *)&statement->key, .len = sizeof(statement->key)};
}

void fh_pg_statements_init(struct fh_pg_statements *statements)
{
    fh_map_init(&statements->map, FH_PG_STATEMENTS_MAX, key_of);
    fh_list_init(&statements->lru);
    statements->next_name = 1;
}

static void drop(struct fh_pg_statements *statements, struct fh_pg_statement *statement)
{
    FH_ASSERT(statement->holders == 0 && statement->pins == 0);
    (void)fh_map_remove(&statements->map, key_of(statement));
    fh_list_remove(&statement->node);
    fh_free(statement->text);
    fh_free(statement);
}

void fh_pg_statements_close(struct fh_pg_statements *statements)
{
    while (!fh_list_empty(&statements->lru)) {
        drop(statements, FH_CONTAINER_OF(statements->lru.next, struct fh_pg_statement, node));
    }
    fh_map_close(&statements->map);
}

static enum fh_code make_room(struct fh_pg_statements *statements)
{
    if (statements->map.count < FH_PG_STATEMENTS_MAX) {
        return FH_OK;
    }
    struct fh_list *node = statements->lru.prev;
    for (; node != &statements->lru; node = node->prev) {
        struct fh_pg_statement *statement = FH_CONTAINER_OF(node, struct fh_pg_statement, node);
        if (statement->holders == 0 && statement->pins == 0) {
            drop(statements, statement);
            return FH_OK;
        }
    }
    return FH_FULL;
}

static enum fh_code make(struct fh_pg_statements *statements, const struct fh_pg_statement_key *key,
                         struct fh_pg_statement **out)
{
    enum fh_code code = make_room(statements);
    if (code != FH_OK) {
        return code;
    }
    struct fh_buf text;
    fh_buf_init(&text, STATEMENT_BYTES_MAX);
    struct fh_pg_statement *statement = fh_calloc(1, sizeof(*statement));
    if (statement == NULL) {
        return FH_NOMEM;
    }
    statement->key = *key;
    fh_list_init(&statement->node);
    (void)snprintf(statement->name, sizeof(statement->name), "s%u", statements->next_name++);
    fh_pg_sql(key, &text);
    code = fh_buf_code(&text);
    if (code == FH_OK) {
        statement->text = fh_strdup(text.data);
        code = statement->text != NULL ? fh_map_put(&statements->map, statement) : FH_NOMEM;
    }
    fh_buf_close(&text);
    if (code != FH_OK) {
        fh_free(statement->text);
        fh_free(statement);
        return code;
    }
    fh_list_push_front(&statements->lru, &statement->node);
    *out = statement;
    return FH_OK;
}

enum fh_code fh_pg_statement_get(struct fh_pg_statements *statements,
                                 const struct fh_pg_statement_key *key,
                                 struct fh_pg_statement **out)
{
    struct fh_str bytes = {.data = (const char *)key, .len = sizeof(*key)};
    struct fh_pg_statement *statement = fh_map_get(&statements->map, bytes);
    if (statement == NULL) {
        return make(statements, key, out);
    }
    fh_list_remove(&statement->node);
    fh_list_push_front(&statements->lru, &statement->node);
    *out = statement;
    return FH_OK;
}
