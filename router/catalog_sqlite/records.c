/* Happy path: stores, migrations and page keys, each a table read whole or written by one
 * insert.
 *
 * Failures: constraints tell what is there already; a gap in the versions is damage.
 */
#include <openssl/rand.h>
#include <stdio.h>

#include "router/catalog_sqlite/ops.h"
#include "stores/schema/parse.h"

#define STORES_MAX 1000
#define PAGE_KEYS_MAX 64

static enum fh_code failed(struct fh_catalog_request *request, enum fh_code code)
{
    if (code == FH_CORRUPT) {
        return fh_error_set(&request->error, code,
                            "the catalog's file holds a record that cannot be read: restore it "
                            "from a backup");
    }
    return fh_error_set(&request->error, code, "%s", fh_code_text(code));
}

enum fh_code fh_catalog_store_create(const struct fh_catalog_txn *txn,
                                     struct fh_catalog_request *request)
{
    struct fh_store_record *store = &request->as.store;
    sqlite3_stmt *statement = NULL;
    bool inserted = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_STORE_INSERT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    store->created_at_us = txn->now_us;
    fh_catalog_bind_text(statement, 1, fh_str_of(store->name));
    fh_catalog_bind_text(statement, 2, store->engine);
    fh_catalog_bind_text(statement, 3, store->location);
    fh_catalog_bind_text(statement, 4, store->owner_location);
    fh_catalog_bind_text(statement, 5, store->region);
    fh_catalog_bind_int(statement, 6, store->may_lose_writes ? 1 : 0);
    fh_catalog_bind_int(statement, 7, store->created_at_us);
    code = fh_catalog_db_step(txn->db, statement, &inserted, &request->error);
    fh_catalog_db_end(statement);
    if (code == FH_OK && !inserted) {
        return fh_error_field(&request->error, FH_EXISTS, "name", "there is a store %s already",
                              store->name);
    }
    if (code == FH_OK) {
        char resource[FH_STORE_NAME_MAX + 16];
        (void)snprintf(resource, sizeof(resource), "stores/%s", store->name);
        /* The location may hold a password: the event names the engine only. */
        char detail[300];
        (void)snprintf(detail, sizeof(detail), "engine %.*s", FH_STR_ARG(store->engine));
        code = fh_catalog_event(txn, request, "store.create", resource, detail);
    }
    return code;
}

static enum fh_code read_store(sqlite3_stmt *statement, struct fh_arena *arena,
                               struct fh_store_record *out)
{
    if (!fh_catalog_column_name(statement, 0, out->name, sizeof(out->name))) {
        return FH_CORRUPT;
    }
    struct fh_str *texts[] = {&out->engine, &out->location, &out->owner_location, &out->region};
    for (int i = 0; i < 4; i++) {
        enum fh_code code = fh_catalog_column_text(statement, i + 1, arena, texts[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    out->may_lose_writes = sqlite3_column_int(statement, 5) != 0;
    out->created_at_us = sqlite3_column_int64(statement, 6);
    return FH_OK;
}

enum fh_code fh_catalog_store_list(const struct fh_catalog_txn *txn,
                                   struct fh_catalog_request *request)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    request->as.stores.count = 0;
    request->as.stores.stores = FH_ARENA_ARRAY(request->arena, struct fh_store_record, STORES_MAX);
    if (request->as.stores.stores == NULL) {
        return failed(request, FH_NOMEM);
    }
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_STORES, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        code = request->as.stores.count < STORES_MAX
                   ? read_store(statement, request->arena,
                                &request->as.stores.stores[request->as.stores.count])
                   : FH_TOO_LARGE;
        if (code != FH_OK) {
            code = failed(request, code);
            break;
        }
        request->as.stores.count++;
    }
    fh_catalog_db_end(statement);
    return code;
}

enum fh_code fh_catalog_migration_newest(const struct fh_catalog_txn *txn,
                                         struct fh_catalog_request *request, uint32_t *out)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_MIGRATION_NEWEST, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    if (code == FH_OK) {
        int64_t count = row ? sqlite3_column_int64(statement, 0) : -1;
        int64_t newest = row ? sqlite3_column_int64(statement, 1) : 0;
        *out = (uint32_t)newest;
        if (count != newest || newest > FH_MIGRATIONS_MAX) {
            code = failed(request, FH_CORRUPT); /* a hole in the versions */
        }
    }
    fh_catalog_db_end(statement);
    return code;
}

/* With its event. */
enum fh_code fh_catalog_migration_insert(const struct fh_catalog_txn *txn,
                                         struct fh_catalog_request *request,
                                         const struct fh_migration_record *migration)
{
    sqlite3_stmt *statement = NULL;
    bool inserted = false;
    char resource[32];
    char detail[300];
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_MIGRATION_INSERT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_int(statement, 1, migration->version);
    fh_catalog_bind_text(statement, 2, migration->name);
    fh_catalog_bind_text(statement, 3, migration->sql);
    fh_catalog_bind_blob(statement, 4, migration->checksum, sizeof(migration->checksum));
    fh_catalog_bind_int(statement, 5, txn->now_us);
    code = fh_catalog_db_step(txn->db, statement, &inserted, &request->error);
    fh_catalog_db_end(statement);
    if (code == FH_OK && !inserted) {
        return fh_error_set(&request->error, FH_CONFLICT, "a migration of this name is there");
    }
    if (code != FH_OK) {
        return code;
    }
    (void)snprintf(resource, sizeof(resource), "migrations/%u", migration->version);
    (void)snprintf(detail, sizeof(detail), "%.*s", FH_STR_ARG(migration->name));
    return fh_catalog_event(txn, request, "migration.add", resource, detail);
}

enum fh_code fh_catalog_migration_add(const struct fh_catalog_txn *txn,
                                      struct fh_catalog_request *request)
{
    uint32_t newest = 0;
    uint32_t version = request->as.migration.version;
    enum fh_code code = fh_catalog_migration_newest(txn, request, &newest);
    if (code != FH_OK) {
        return code;
    }
    if (newest >= FH_MIGRATIONS_MAX) {
        return fh_error_set(&request->error, FH_TOO_LARGE, "there are 1000 migrations already");
    }
    if (version != newest + 1) {
        return fh_error_set(&request->error, FH_CONFLICT,
                            "the catalog's schema is at version %u, so the next is not %u; another "
                            "apply was faster",
                            newest, version);
    }
    request->as.migration.applied_at_us = txn->now_us;
    return fh_catalog_migration_insert(txn, request, &request->as.migration);
}

static enum fh_code read_migration(sqlite3_stmt *statement, struct fh_arena *arena,
                                   struct fh_migration_record *out)
{
    out->version = (uint32_t)sqlite3_column_int64(statement, 0);
    out->applied_at_us = sqlite3_column_int64(statement, 4);
    enum fh_code code = fh_catalog_column_text(statement, 1, arena, &out->name);
    if (code == FH_OK) {
        code = fh_catalog_column_text(statement, 2, arena, &out->sql);
    }
    if (code == FH_OK &&
        !fh_catalog_column_bytes(statement, 3, out->checksum, sizeof(out->checksum))) {
        code = FH_CORRUPT;
    }
    return code;
}

enum fh_code fh_catalog_migration_list(const struct fh_catalog_txn *txn,
                                       struct fh_catalog_request *request)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    uint32_t newest = 0;
    enum fh_code code = fh_catalog_migration_newest(txn, request, &newest);
    if (code != FH_OK) {
        return code;
    }
    request->as.migrations.count = 0;
    request->as.migrations.migrations =
        FH_ARENA_ARRAY(request->arena, struct fh_migration_record, newest);
    if (request->as.migrations.migrations == NULL) {
        return failed(request, FH_NOMEM);
    }
    code = fh_catalog_db_get(txn->db, FH_CATALOG_SQL_MIGRATIONS, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        code =
            request->as.migrations.count < newest
                ? read_migration(statement, request->arena,
                                 &request->as.migrations.migrations[request->as.migrations.count])
                : FH_CORRUPT;
        if (code != FH_OK) {
            code = failed(request, code);
            break;
        }
        request->as.migrations.count++;
    }
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code read_keys(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_PAGE_KEYS, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    request->as.page_keys.count = 0;
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        struct fh_page_key *key = &request->as.page_keys.keys[request->as.page_keys.count];
        if (request->as.page_keys.count == PAGE_KEYS_MAX ||
            !fh_catalog_column_bytes(statement, 1, key->key, sizeof(key->key))) {
            code = failed(request, FH_CORRUPT);
            break;
        }
        key->id = (uint32_t)sqlite3_column_int64(statement, 0);
        key->created_at_us = sqlite3_column_int64(statement, 2);
        request->as.page_keys.count++;
    }
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code make_key(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    struct fh_page_key key = {.id = 1, .created_at_us = txn->now_us};
    sqlite3_stmt *statement = NULL;
    bool row = false;
    if (RAND_bytes(key.key, sizeof(key.key)) != 1) {
        return fh_error_set(&request->error, FH_UNAVAILABLE, "the system gives no random bytes");
    }
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_PAGE_KEY_INSERT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_int(statement, 1, key.id);
    fh_catalog_bind_blob(statement, 2, key.key, sizeof(key.key));
    fh_catalog_bind_int(statement, 3, key.created_at_us);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    if (code == FH_OK) {
        code = fh_catalog_event(txn, request, "page_key.create", "page_keys/1", "");
    }
    if (code == FH_OK) {
        request->as.page_keys.keys[0] = key;
        request->as.page_keys.count = 1;
    }
    return code;
}

enum fh_code fh_catalog_page_keys(const struct fh_catalog_txn *txn,
                                  struct fh_catalog_request *request)
{
    request->as.page_keys.keys = FH_ARENA_ARRAY(request->arena, struct fh_page_key, PAGE_KEYS_MAX);
    if (request->as.page_keys.keys == NULL) {
        return failed(request, FH_NOMEM);
    }
    enum fh_code code = read_keys(txn, request);
    return code == FH_OK && request->as.page_keys.count == 0 ? make_key(txn, request) : code;
}
