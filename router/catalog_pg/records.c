/* Happy path: stores, migrations, page keys and events, each a table read whole or in pages, or
 * written by one insert.
 *
 * Failures: constraints tell what is there already, whichever server made it; a gap in the versions
 * is damage.
 */
#include <openssl/rand.h>
#include <stdio.h>

#include "router/catalog_pg/ops.h"
#include "stores/schema/parse.h"

#define STORES_MAX 1000
#define PAGE_KEYS_MAX 64

enum fh_code fh_catalog_pg_store_create(const struct fh_catalog_pg_txn *txn)
{
    struct fh_store_record *store = &txn->request->as.store;
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_text(&params, fh_str_of(store->name));
    fh_catalog_pg_param_text(&params, store->engine);
    fh_catalog_pg_param_text(&params, store->location);
    fh_catalog_pg_param_text(&params, store->owner_location);
    fh_catalog_pg_param_text(&params, store->region);
    fh_catalog_pg_param_bool(&params, store->may_lose_writes);
    fh_catalog_pg_param_int(&params, txn->now_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_STORE_INSERT, &params);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    if (fh_catalog_pg_rows(txn, 1) == 0) {
        return fh_error_field(&txn->request->error, FH_EXISTS, "name",
                              "there is a store %s already", store->name);
    }
    store->created_at_us = txn->now_us;
    char resource[FH_STORE_NAME_MAX + 16];
    char detail[300];
    (void)snprintf(resource, sizeof(resource), "stores/%s", store->name);
    /* The location may hold a password: the event names the engine only. */
    (void)snprintf(detail, sizeof(detail), "engine %.*s", FH_STR_ARG(store->engine));
    fh_catalog_pg_event_add(txn, "store.create", resource, fh_str_of(detail));
    return fh_catalog_pg_commit(txn);
}

static enum fh_code read_store(const PGresult *result, int row, struct fh_arena *arena,
                               struct fh_store_record *out)
{
    struct fh_str *texts[] = {&out->engine, &out->location, &out->owner_location, &out->region};
    enum fh_code code = fh_catalog_pg_name(result, row, 0, out->name, sizeof(out->name));
    for (int i = 0; i < 4 && code == FH_OK; i++) {
        code = fh_catalog_pg_text(result, row, i + 1, arena, texts[i]);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_bool(result, row, 5, &out->may_lose_writes);
    }
    return code == FH_OK
               ? fh_catalog_pg_int(result, row, 6, INT64_MIN, INT64_MAX, &out->created_at_us)
               : code;
}

enum fh_code fh_catalog_pg_store_list(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    request->as.stores.count = 0;
    request->as.stores.stores = NULL;
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_STORES, NULL);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    size_t rows = (size_t)fh_catalog_pg_rows(txn, 0);
    const PGresult *result = fh_catalog_pg_link_result(txn->link, 0);
    request->as.stores.stores = FH_ARENA_ARRAY(request->arena, struct fh_store_record, rows);
    if (request->as.stores.stores == NULL || rows > STORES_MAX) {
        return fh_catalog_pg_unread(txn, FH_TOO_LARGE);
    }
    for (size_t i = 0; i < rows; i++) {
        code = read_store(result, (int)i, request->arena, &request->as.stores.stores[i]);
        if (code != FH_OK) {
            return fh_catalog_pg_unread(txn, code);
        }
        request->as.stores.count++;
    }
    return FH_OK;
}

enum fh_code fh_catalog_pg_migration_newest(const struct fh_catalog_pg_txn *txn, uint32_t *out)
{
    int64_t count = 0;
    int64_t newest = 0;
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_MIGRATION_NEWEST, NULL);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    const PGresult *result = fh_catalog_pg_link_result(txn->link, 1);
    if (fh_catalog_pg_int(result, 0, 0, 0, FH_MIGRATIONS_MAX, &count) != FH_OK ||
        fh_catalog_pg_int(result, 0, 1, count, count, &newest) != FH_OK) {
        return fh_catalog_pg_unread(txn, FH_CORRUPT); /* a hole in the versions */
    }
    *out = (uint32_t)newest;
    return FH_OK;
}

enum fh_code fh_catalog_pg_migration_insert(const struct fh_catalog_pg_txn *txn,
                                            const struct fh_migration_record *migration)
{
    struct fh_catalog_pg_params params = {.count = 0};
    char resource[32];
    fh_catalog_pg_param_int(&params, migration->version);
    fh_catalog_pg_param_text(&params, migration->name);
    fh_catalog_pg_param_text(&params, migration->sql);
    fh_catalog_pg_param_bytes(&params, migration->checksum, sizeof(migration->checksum));
    fh_catalog_pg_param_int(&params, txn->now_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_MIGRATION_INSERT, &params);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    if (fh_catalog_pg_rows(txn, 0) == 0) {
        return fh_error_set(&txn->request->error, FH_CONFLICT,
                            "a migration of this name or version is there");
    }
    (void)snprintf(resource, sizeof(resource), "migrations/%u", migration->version);
    fh_catalog_pg_event_add(txn, "migration.add", resource, migration->name);
    return FH_OK;
}

enum fh_code fh_catalog_pg_migration_add(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_migration_record *migration = &request->as.migration;
    uint32_t newest = 0;
    enum fh_code code = fh_catalog_pg_migration_newest(txn, &newest);
    if (code != FH_OK) {
        return code;
    }
    if (newest >= FH_MIGRATIONS_MAX) {
        return fh_error_set(&request->error, FH_TOO_LARGE, "there are 1000 migrations already");
    }
    if (migration->version != newest + 1) {
        return fh_error_set(&request->error, FH_CONFLICT,
                            "the catalog's schema is at version %u, so the next is not %u; another "
                            "apply was faster",
                            newest, migration->version);
    }
    migration->applied_at_us = txn->now_us;
    code = fh_catalog_pg_migration_insert(txn, migration);
    return code == FH_OK ? fh_catalog_pg_commit(txn) : code;
}

static enum fh_code read_migration(const PGresult *result, int row, struct fh_arena *arena,
                                   struct fh_migration_record *out)
{
    int64_t version = 0;
    enum fh_code code = fh_catalog_pg_int(result, row, 0, row + 1, row + 1, &version); /* no hole */
    out->version = (uint32_t)version;
    if (code == FH_OK) {
        code = fh_catalog_pg_text(result, row, 1, arena, &out->name);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_text(result, row, 2, arena, &out->sql);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_bytes(result, row, 3, out->checksum, sizeof(out->checksum));
    }
    return code == FH_OK
               ? fh_catalog_pg_int(result, row, 4, INT64_MIN, INT64_MAX, &out->applied_at_us)
               : code;
}

enum fh_code fh_catalog_pg_migration_list(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    request->as.migrations.count = 0;
    request->as.migrations.migrations = NULL;
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_MIGRATIONS, NULL);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    size_t rows = (size_t)fh_catalog_pg_rows(txn, 0);
    const PGresult *result = fh_catalog_pg_link_result(txn->link, 0);
    struct fh_migration_record *migrations =
        FH_ARENA_ARRAY(request->arena, struct fh_migration_record, rows);
    if (migrations == NULL || rows > FH_MIGRATIONS_MAX) {
        return fh_catalog_pg_unread(txn, FH_TOO_LARGE);
    }
    request->as.migrations.migrations = migrations;
    for (size_t i = 0; i < rows; i++) {
        code = read_migration(result, (int)i, request->arena, &migrations[i]);
        if (code != FH_OK) {
            return fh_catalog_pg_unread(txn, code);
        }
        request->as.migrations.count++;
    }
    return FH_OK;
}

/* The rows of the group's i-th statement. */
static enum fh_code read_keys(const struct fh_catalog_pg_txn *txn, size_t index)
{
    struct fh_catalog_request *request = txn->request;
    const PGresult *result = fh_catalog_pg_link_result(txn->link, index);
    int rows = PQntuples(result);
    request->as.page_keys.count = 0;
    for (int i = 0; i < rows && i < PAGE_KEYS_MAX; i++) {
        struct fh_page_key *key = &request->as.page_keys.keys[i];
        int64_t id = 0;
        if (fh_catalog_pg_int(result, i, 0, 1, UINT32_MAX, &id) != FH_OK ||
            fh_catalog_pg_bytes(result, i, 1, key->key, sizeof(key->key)) != FH_OK ||
            fh_catalog_pg_int(result, i, 2, INT64_MIN, INT64_MAX, &key->created_at_us) != FH_OK) {
            return fh_catalog_pg_unread(txn, FH_CORRUPT);
        }
        key->id = (uint32_t)id;
        request->as.page_keys.count++;
    }
    return FH_OK;
}

/* Another server may make it at the same time: one of the two is kept, and both answer it. */
static enum fh_code make_key(const struct fh_catalog_pg_txn *txn)
{
    uint8_t key[32];
    if (RAND_bytes(key, sizeof(key)) != 1) {
        return fh_error_set(&txn->request->error, FH_UNAVAILABLE,
                            "the system gives no random bytes");
    }
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_int(&params, 1);
    fh_catalog_pg_param_bytes(&params, key, sizeof(key));
    fh_catalog_pg_param_int(&params, txn->now_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_PAGE_KEY_INSERT, &params);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_PAGE_KEYS, NULL);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK) {
        code = read_keys(txn, 2);
    }
    if (code != FH_OK || fh_catalog_pg_rows(txn, 1) == 0) {
        return code;
    }
    fh_catalog_pg_event_add(txn, "page_key.create", "page_keys/1", FH_STR(""));
    return fh_catalog_pg_commit(txn);
}

enum fh_code fh_catalog_pg_page_keys(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    request->as.page_keys.count = 0;
    request->as.page_keys.keys = FH_ARENA_ARRAY(request->arena, struct fh_page_key, PAGE_KEYS_MAX);
    if (request->as.page_keys.keys == NULL) {
        return fh_catalog_pg_unread(txn, FH_NOMEM);
    }
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_PAGE_KEYS, NULL);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK) {
        code = read_keys(txn, 0);
    }
    return code == FH_OK && request->as.page_keys.count == 0 ? make_key(txn) : code;
}

static enum fh_code read_event(const PGresult *result, int row, struct fh_arena *arena,
                               struct fh_operator_event *out)
{
    struct fh_str *texts[] = {&out->actor,    &out->address, &out->action,
                              &out->resource, &out->reason,  &out->detail};
    int64_t id = 0;
    enum fh_code code = fh_catalog_pg_int(result, row, 0, 1, INT64_MAX, &id);
    out->id = (uint64_t)id;
    if (code == FH_OK) {
        code = fh_catalog_pg_int(result, row, 1, INT64_MIN, INT64_MAX, &out->at_us);
    }
    for (int i = 0; i < 6 && code == FH_OK; i++) {
        code = fh_catalog_pg_text(result, row, i + 2, arena, texts[i]);
    }
    return code;
}

enum fh_code fh_catalog_pg_events(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    size_t limit = request->as.events.limit;
    struct fh_str resource = request->as.events.resource;
    struct fh_catalog_pg_params params = {.count = 0};
    request->as.events.count = 0;
    request->as.events.more = false;
    request->as.events.events = FH_ARENA_ARRAY(request->arena, struct fh_operator_event, limit);
    if (request->as.events.events == NULL) {
        return fh_catalog_pg_unread(txn, FH_TOO_LARGE);
    }
    fh_catalog_pg_param_int(&params, (int64_t)request->as.events.after_id);
    fh_catalog_pg_param_int(&params, (int64_t)limit + 1);
    if (resource.len > 0) {
        fh_catalog_pg_param_text(&params, resource);
    }
    fh_catalog_pg_link_add(
        txn->link, resource.len > 0 ? FH_CATALOG_PG_SQL_EVENTS_OF : FH_CATALOG_PG_SQL_EVENTS,
        &params);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    size_t rows = (size_t)fh_catalog_pg_rows(txn, 0);
    request->as.events.more = rows > limit;
    for (size_t i = 0; i < rows && i < limit; i++) {
        code = read_event(fh_catalog_pg_link_result(txn->link, 0), (int)i, request->arena,
                          &request->as.events.events[i]);
        if (code != FH_OK) {
            return fh_catalog_pg_unread(txn, code);
        }
        request->as.events.count++;
    }
    return FH_OK;
}
