/* Drafts in, schema out.
 *
 * Happy path: open() makes a draft for every table of the base schema and takes all its names;
 * statements make, change and drop drafts; finish() gives those that are left their positions and
 * writes them into the arena, first all tables, then the foreign keys that point at them.
 *
 * Failures: memory, and ids that are used up. What was written to the arena by then stays there
 * unused.
 */
#include "stores/schema/build.h"

#include "base/assert.h"

static struct fh_str name_key(const void *item)
{
    const struct fh_str *name = item;
    return *name;
}

/* Names of the base schema are unique already, but for the primary key's, which is made up again
 * here. */
static enum fh_code take_old_name(struct fh_ddl_build *build, const struct fh_str *name)
{
    enum fh_code code = fh_map_put(&build->names, (void *)(uintptr_t)name);
    return code == FH_EXISTS ? FH_OK : code;
}

static enum fh_code take_old_names(struct fh_ddl_build *build, const struct fh_table *table)
{
    enum fh_code code = take_old_name(build, &table->name);
    for (uint16_t i = 0; code == FH_OK && i < table->index_count; i++) {
        code = take_old_name(build, &table->indexes[i].name);
    }
    for (uint16_t i = 0; code == FH_OK && i < table->foreign_key_count; i++) {
        code = take_old_name(build, &table->foreign_keys[i].name);
    }
    for (uint16_t i = 0; code == FH_OK && i < table->check_count; i++) {
        code = take_old_name(build, &table->checks[i].name);
    }
    return code;
}

static struct fh_ddl_table draft_of(const struct fh_table *table)
{
    struct fh_ddl_table draft = {
        .old = table,
        .has_rowid = table->has_rowid,
        .name = table->name,
        .comment = table->comment,
        .id = table->id,
        .next_id = table->next_id,
        .column_count = table->column_count,
        .key_count = table->key_count,
        .index_count = table->index_count,
        .foreign_key_count = table->foreign_key_count,
        .check_count = table->check_count,
        .columns = (struct fh_column *)(uintptr_t)table->columns,
        .indexes = (struct fh_index *)(uintptr_t)table->indexes,
        .checks = (struct fh_check *)(uintptr_t)table->checks,
    };
    memcpy(draft.key, table->key, sizeof(draft.key));
    return draft;
}

enum fh_code fh_ddl_build_open(struct fh_ddl_build *build)
{
    fh_map_init(&build->names,
                FH_DDL_DRAFTS_MAX *
                    (2 + FH_TABLE_INDEXES_MAX + FH_TABLE_FOREIGN_KEYS_MAX + FH_TABLE_CHECKS_MAX),
                name_key);
    build->tables = FH_ARENA_ARRAY(build->scratch, struct fh_ddl_table, FH_DDL_DRAFTS_MAX);
    if (build->tables == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    if (build->base == NULL) {
        return FH_OK;
    }
    FH_ASSERT(build->base->table_count <= FH_TABLES_MAX);
    build->next_id = build->base->next_id;
    for (uint32_t i = 0; i < build->base->table_count; i++) {
        const struct fh_table *table = build->base->tables[i];
        FH_ASSERT(table->position == i && table->id < build->next_id);
        if (take_old_names(build, table) != FH_OK) {
            return fh_ddl_nomem(&build->source);
        }
        build->tables[build->table_count++] = draft_of(table);
    }
    /* After all real names: a primary key's made-up name gives way to them. */
    for (uint32_t i = 0; i < build->table_count; i++) {
        struct fh_ddl_table *table = &build->tables[i];
        if (fh_ddl_name_make(build, table, NULL, 0, "pkey", &table->pkey_name) != FH_OK) {
            return FH_NOMEM;
        }
    }
    return FH_OK;
}

void fh_ddl_build_close(struct fh_ddl_build *build)
{
    fh_map_close(&build->names);
}

struct fh_ddl_table *fh_ddl_build_table(const struct fh_ddl_build *build, struct fh_str name)
{
    for (uint32_t i = 0; i < build->table_count; i++) {
        if (!build->tables[i].dropped && fh_str_eq(build->tables[i].name, name)) {
            return &build->tables[i];
        }
    }
    return NULL;
}

uint32_t fh_ddl_build_live_tables(const struct fh_ddl_build *build)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < build->table_count; i++) {
        count += !build->tables[i].dropped;
    }
    return count;
}

uint32_t fh_ddl_build_target(const struct fh_ddl_table *table, uint16_t i)
{
    return table->owned ? table->foreign_keys[i].target
                        : table->old->foreign_keys[i].target->position;
}

enum fh_code fh_ddl_build_own(struct fh_ddl_build *build, struct fh_ddl_table *table)
{
    if (table->owned) {
        return FH_OK;
    }
    struct fh_arena *scratch = build->scratch;
    struct fh_column *columns = FH_ARENA_ARRAY(scratch, struct fh_column, FH_COLUMNS_MAX);
    struct fh_index *indexes = FH_ARENA_ARRAY(scratch, struct fh_index, FH_TABLE_INDEXES_MAX);
    struct fh_check *checks = FH_ARENA_ARRAY(scratch, struct fh_check, FH_TABLE_CHECKS_MAX);
    struct fh_ddl_foreign_key *foreign_keys =
        FH_ARENA_ARRAY(scratch, struct fh_ddl_foreign_key, FH_TABLE_FOREIGN_KEYS_MAX);
    if (columns == NULL || indexes == NULL || checks == NULL || foreign_keys == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        columns[i] = table->columns[i];
    }
    for (uint16_t i = 0; i < table->index_count; i++) {
        indexes[i] = table->indexes[i];
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        checks[i] = table->checks[i];
    }
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        foreign_keys[i] = (struct fh_ddl_foreign_key){.key = table->old->foreign_keys[i],
                                                      .target = fh_ddl_build_target(table, i)};
    }
    table->columns = columns;
    table->indexes = indexes;
    table->checks = checks;
    table->foreign_keys = foreign_keys;
    table->owned = true;
    return FH_OK;
}

enum fh_code fh_ddl_build_id(const struct fh_ddl_build *build, struct fh_ddl_table *table,
                             int64_t offset, uint16_t *out)
{
    if (table->next_id > FH_DDL_ID_MAX) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "table %.*s was changed too often: create a new one",
                           FH_STR_ARG(table->name));
    }
    *out = table->next_id++;
    return FH_OK;
}

static enum fh_code too_many(const struct fh_ddl_build *build, const struct fh_ddl_table *table,
                             int64_t offset, int max, const char *what)
{
    return fh_ddl_fail(&build->source, FH_INVALID, offset, "table %.*s has more than %d %s",
                       FH_STR_ARG(table->name), max, what);
}

enum fh_code fh_ddl_build_add_index(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                    int64_t offset, const struct fh_index *index)
{
    if (table->index_count == FH_TABLE_INDEXES_MAX) {
        return too_many(build, table, offset, FH_TABLE_INDEXES_MAX,
                        "indexes and unique constraints");
    }
    uint16_t id = 0;
    enum fh_code code = fh_ddl_build_own(build, table);
    if (code == FH_OK) {
        code = fh_ddl_build_id(build, table, offset, &id);
    }
    if (code == FH_OK) {
        table->indexes[table->index_count] = *index;
        table->indexes[table->index_count++].id = id;
    }
    return code;
}

/* Dropped by this file and added again, with the same name, columns and target: that is how an
 * action is changed, and the reference is the same. Nothing else may differ, or stored rows were
 * not looked at. */
static bool find_former_id(const struct fh_ddl_build *build, const struct fh_ddl_table *table,
                           const struct fh_ddl_foreign_key *key, uint16_t *out)
{
    const struct fh_ddl_table *target = &build->tables[key->target];
    for (uint16_t i = 0; table->old != NULL && i < table->old->foreign_key_count; i++) {
        const struct fh_foreign_key *former = &table->old->foreign_keys[i];
        bool same = fh_str_eq(former->name, key->key.name) && former->target == target->old &&
                    former->column_count == key->key.column_count;
        for (uint16_t k = 0; same && k < former->column_count; k++) {
            same = table->old->columns[former->columns[k]].id ==
                   table->columns[key->key.columns[k]].id;
        }
        if (same) {
            *out = former->id;
            return true;
        }
    }
    return false;
}

enum fh_code fh_ddl_build_add_foreign_key(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                          int64_t offset, const struct fh_ddl_foreign_key *key)
{
    if (table->foreign_key_count == FH_TABLE_FOREIGN_KEYS_MAX) {
        return too_many(build, table, offset, FH_TABLE_FOREIGN_KEYS_MAX, "foreign keys");
    }
    uint16_t id = 0;
    enum fh_code code = fh_ddl_build_own(build, table);
    if (code == FH_OK && !find_former_id(build, table, key, &id)) {
        code = fh_ddl_build_id(build, table, offset, &id);
    }
    if (code == FH_OK) {
        table->foreign_keys[table->foreign_key_count] = *key;
        table->foreign_keys[table->foreign_key_count++].key.id = id;
    }
    return code;
}

enum fh_code fh_ddl_build_add_check(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                    int64_t offset, const struct fh_check *check)
{
    if (table->check_count == FH_TABLE_CHECKS_MAX) {
        return too_many(build, table, offset, FH_TABLE_CHECKS_MAX, "checks");
    }
    uint16_t id = 0;
    enum fh_code code = fh_ddl_build_own(build, table);
    if (code == FH_OK) {
        code = fh_ddl_build_id(build, table, offset, &id);
    }
    if (code == FH_OK) {
        table->checks[table->check_count] = *check;
        table->checks[table->check_count++].id = id;
    }
    return code;
}

/* A list of the draft as the result keeps it: shared with the old version when it did not change.
 */
static bool keep_list(const struct fh_ddl_build *build, const struct fh_ddl_table *draft,
                      const void *list, size_t count, size_t size, const void **out)
{
    if (!draft->owned || count == 0) {
        *out = count == 0 ? NULL : list;
        return true;
    }
    void *copy = fh_arena_calloc(build->arena, count, size);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, list, count * size);
    *out = copy;
    return true;
}

static struct fh_table *write_table(const struct fh_ddl_build *build,
                                    const struct fh_ddl_table *draft, uint16_t position)
{
    struct fh_table *table = FH_ARENA_NEW(build->arena, struct fh_table);
    const void *columns = NULL;
    const void *indexes = NULL;
    const void *checks = NULL;
    if (table == NULL ||
        !keep_list(build, draft, draft->columns, draft->column_count, sizeof(*draft->columns),
                   &columns) ||
        !keep_list(build, draft, draft->indexes, draft->index_count, sizeof(*draft->indexes),
                   &indexes) ||
        !keep_list(build, draft, draft->checks, draft->check_count, sizeof(*draft->checks),
                   &checks)) {
        return NULL;
    }
    *table = (struct fh_table){.name = draft->name,
                               .comment = draft->comment,
                               .position = position,
                               .id = draft->id,
                               .next_id = draft->next_id,
                               .has_rowid = draft->has_rowid,
                               .column_count = draft->column_count,
                               .key_count = draft->key_count,
                               .index_count = draft->index_count,
                               .foreign_key_count = draft->foreign_key_count,
                               .check_count = draft->check_count,
                               .columns = columns,
                               .indexes = indexes,
                               .checks = checks};
    memcpy(table->key, draft->key, sizeof(table->key));
    return table;
}

/* `written` has the new table of each draft, NULL for a dropped one. */
static bool write_foreign_keys(const struct fh_ddl_build *build, const struct fh_ddl_table *draft,
                               struct fh_table *const *written, struct fh_table *table)
{
    if (draft->foreign_key_count == 0) {
        return true;
    }
    struct fh_foreign_key *keys =
        FH_ARENA_ARRAY(build->arena, struct fh_foreign_key, draft->foreign_key_count);
    if (keys == NULL) {
        return false;
    }
    for (uint16_t i = 0; i < draft->foreign_key_count; i++) {
        keys[i] = draft->owned ? draft->foreign_keys[i].key : draft->old->foreign_keys[i];
        keys[i].target = written[fh_ddl_build_target(draft, i)];
        FH_ASSERT(keys[i].target != NULL);
    }
    table->foreign_keys = keys;
    return true;
}

static bool write_tables(const struct fh_ddl_build *build, const struct fh_table **tables)
{
    struct fh_table **written =
        FH_ARENA_ARRAY(build->scratch, struct fh_table *, build->table_count);
    uint16_t position = 0;
    for (uint32_t i = 0; written != NULL && i < build->table_count; i++) {
        if (build->tables[i].dropped) {
            continue;
        }
        written[i] = write_table(build, &build->tables[i], position);
        if (written[i] == NULL) {
            return false;
        }
        tables[position++] = written[i];
    }
    for (uint32_t i = 0; written != NULL && i < build->table_count; i++) {
        if (written[i] != NULL &&
            !write_foreign_keys(build, &build->tables[i], written, written[i])) {
            return false;
        }
    }
    return written != NULL;
}

enum fh_code fh_ddl_build_finish(struct fh_ddl_build *build, const struct fh_schema **out)
{
    struct fh_schema *schema = FH_ARENA_NEW(build->arena, struct fh_schema);
    uint32_t count = fh_ddl_build_live_tables(build);
    const struct fh_table **tables = FH_ARENA_ARRAY(build->arena, const struct fh_table *, count);
    if (schema == NULL || tables == NULL || !write_tables(build, tables)) {
        return fh_ddl_nomem(&build->source);
    }
    schema->version = build->base != NULL ? build->base->version + 1 : 1;
    schema->next_id = build->next_id;
    schema->table_count = count;
    schema->tables = tables;
    schema->previous = build->base;
    *out = schema;
    return FH_OK;
}
