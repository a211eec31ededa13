/* Failures: SQLite's own are codes; a version that does not build on k is left out. */
#include "stores/sqlite/expected.h"

#include <stdio.h>

#include "base/uuid.h"
#include "stores/sqlite/errors.h"

#define OBJECTS_MAX 20000
#define NO_TENANT "00000000000000000000000000000000"

void fh_sqlite_expected_init(struct fh_sqlite_expected *expected, enum fh_tier tier,
                             const struct fh_schema *schema, struct fh_arena *arena)
{
    *expected = (struct fh_sqlite_expected){.arena = arena, .tier = tier, .schema = schema};
}

size_t fh_sqlite_expected_count(const struct fh_sqlite_expected *expected)
{
    const struct fh_schema *schema = expected->schema;
    size_t count = 1;
    while (schema != NULL && schema->version > 1 && schema->previous != NULL &&
           count < FH_SQLITE_VARIANTS_MAX) {
        schema = schema->previous;
        count++;
    }
    return count;
}

static void stub_cb(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_null(context);
}

static int open_memory(sqlite3 **db)
{
    static const char *const functions[] = {"fh_tenant", "fh_now", "fh_uuid"};
    int rc = sqlite3_open_v2(
        ":memory:", db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && rc == SQLITE_OK; i++) {
        rc = sqlite3_create_function_v2(*db, functions[i], 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL,
                                        stub_cb, NULL, NULL, NULL);
    }
    return rc;
}

static enum fh_code ddl_cb(void *arg, const struct fh_sqlite_ddl *ddl, struct fh_error *error)
{
    if (ddl->kind == FH_SQLITE_PROBE) {
        return FH_OK;
    }
    int rc = sqlite3_exec(arg, ddl->sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? FH_OK : fh_sqlite_error(rc, error);
}

static enum fh_code build(sqlite3 *db, const struct fh_sqlite_ddl_home *home,
                          const struct fh_schema *made_at, const struct fh_schema *now,
                          struct fh_error *error)
{
    enum fh_code code = fh_sqlite_ddl_system(home, ddl_cb, db, error);
    if (code == FH_OK && made_at != NULL) {
        code = fh_sqlite_ddl_schema(home, made_at, ddl_cb, db, error);
    }
    if (code == FH_OK && made_at != NULL && made_at != now) {
        code = fh_sqlite_ddl_bring(home, made_at->version, now, ddl_cb, db, error);
    }
    return code;
}

static enum fh_code copy_column(sqlite3_stmt *statement, int at, struct fh_arena *arena,
                                struct fh_str *out)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    if (text == NULL) {
        return FH_NOMEM; /* none of them is null */
    }
    return fh_arena_str(arena, fh_str_of(text), out);
}

static enum fh_code read_objects(sqlite3_stmt *statement, struct fh_arena *arena,
                                 struct fh_sqlite_object_list *out, int *rc)
{
    size_t capacity = 0;
    for (;;) { /* ends with the statement's rows */
        *rc = sqlite3_step(statement);
        if (*rc != SQLITE_ROW) {
            return FH_OK;
        }
        if (out->count == capacity) {
            capacity = capacity > 0 ? 2 * capacity : 64;
            struct fh_sqlite_object_text *grown =
                capacity <= OBJECTS_MAX
                    ? FH_ARENA_ARRAY(arena, struct fh_sqlite_object_text, capacity)
                    : NULL;
            if (grown == NULL) {
                return FH_NOMEM;
            }
            if (out->count > 0) {
                memcpy(grown, out->objects, out->count * sizeof(*grown));
            }
            out->objects = grown;
        }
        struct fh_sqlite_object_text *object = &out->objects[out->count];
        enum fh_code code = copy_column(statement, 0, arena, &object->type);
        if (code == FH_OK) {
            code = copy_column(statement, 1, arena, &object->name);
        }
        if (code == FH_OK) {
            code = copy_column(statement, 2, arena, &object->sql);
        }
        if (code != FH_OK) {
            return code;
        }
        out->count++;
    }
}

static int bind_home(sqlite3_stmt *statement, const struct fh_sqlite_ddl_home *home, char hex[33])
{
    for (size_t i = 0; i < sizeof(home->tenant.bytes); i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", home->tenant.bytes[i]);
    }
    int rc = sqlite3_bind_text(statement, 1, home->prefix, -1, SQLITE_STATIC);
    /* A shared home's texts have no tenant: nothing is replaced. */
    const char *replaced = home->dedicated ? hex : NO_TENANT;
    return rc == SQLITE_OK ? sqlite3_bind_text(statement, 2, replaced, -1, SQLITE_STATIC) : rc;
}

enum fh_code fh_sqlite_object_list(sqlite3 *db, const struct fh_sqlite_ddl_home *home,
                                   struct fh_arena *arena, struct fh_sqlite_object_list *out,
                                   struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    char hex[33];
    enum fh_code code = FH_OK;
    *out = (struct fh_sqlite_object_list){.count = 0};
    /* Indexes that SQLite makes by itself have no text, tables of its own another name. */
    int rc = sqlite3_prepare_v2(
        db,
        "SELECT type,replace(name,?2,'" NO_TENANT "'),replace(sql,?2,'" NO_TENANT "') "
        "FROM main.sqlite_schema WHERE sql IS NOT NULL AND substr(name,1,7)<>'sqlite_' "
        "AND substr(name,1,length(?1))=?1 ORDER BY name",
        -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = bind_home(statement, home, hex);
    }
    if (rc == SQLITE_OK) {
        code = read_objects(statement, arena, out, &rc);
    }
    sqlite3_finalize(statement);
    if (code != FH_OK) {
        return fh_error_set(error, code, "out of memory");
    }
    return rc == SQLITE_DONE ? FH_OK : fh_sqlite_error(rc, error);
}

static const struct fh_schema *made_at(const struct fh_sqlite_expected *expected, size_t which)
{
    const struct fh_schema *schema = expected->schema;
    for (; which > 0; which--) {
        schema = schema->previous;
    }
    return schema;
}

enum fh_code fh_sqlite_expected_get(struct fh_sqlite_expected *expected, size_t which,
                                    const struct fh_sqlite_object_list **out,
                                    struct fh_error *error)
{
    if (expected->made[which] == NULL) {
        struct fh_sqlite_object_list *list =
            FH_ARENA_NEW(expected->arena, struct fh_sqlite_object_list);
        struct fh_sqlite_ddl_home ddl_home;
        struct fh_home home;
        static const struct fh_uuid nobody = {.bytes = {0}};
        sqlite3 *db = NULL;
        if (list == NULL) {
            return fh_error_set(error, FH_NOMEM, "out of memory");
        }
        fh_home_of(expected->tier, &nobody, &home);
        fh_sqlite_ddl_home_of(&home, &ddl_home);
        int rc = open_memory(&db);
        enum fh_code code = rc == SQLITE_OK ? FH_OK : fh_sqlite_error(rc, error);
        if (code == FH_OK) {
            code = build(db, &ddl_home, made_at(expected, which), expected->schema, error);
        }
        if (code == FH_OK) {
            code = fh_sqlite_object_list(db, &ddl_home, expected->arena, list, error);
        }
        sqlite3_close(db);
        if (code != FH_OK) {
            return code;
        }
        expected->made[which] = list;
    }
    *out = expected->made[which];
    return FH_OK;
}
