/* Drafts in, schema out.
 *
 * Happy path: open() makes a draft for every table of the base schema and takes all its names;
 * statements add tables and indexes; finish() writes changed tables (and those that reference them,
 * which must point at the new copies) into the arena and shares the rest. A table references only
 * itself or earlier ones, so one pass in order of position suffices.
 *
 * Failures: memory only. What was written to the arena by then stays there unused.
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
    return code;
}

static struct fh_ddl_table draft_of(const struct fh_table *table)
{
    struct fh_ddl_table draft = {
        .old = table,
        .name = table->name,
        .columns = (struct fh_column *)(uintptr_t)table->columns,
        .column_count = table->column_count,
        .key_count = table->key_count,
        .index_count = table->index_count,
        .foreign_key_count = table->foreign_key_count,
    };
    memcpy(draft.key, table->key, sizeof(draft.key));
    return draft;
}

enum fh_code fh_ddl_build_open(struct fh_ddl_build *build)
{
    fh_map_init(&build->names,
                FH_TABLES_MAX * (2 + FH_TABLE_INDEXES_MAX + FH_TABLE_FOREIGN_KEYS_MAX), name_key);
    build->tables = FH_ARENA_ARRAY(build->scratch, struct fh_ddl_table, FH_TABLES_MAX);
    if (build->tables == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    if (build->base == NULL) {
        return FH_OK;
    }
    FH_ASSERT(build->base->table_count <= FH_TABLES_MAX);
    for (uint32_t i = 0; i < build->base->table_count; i++) {
        const struct fh_table *table = build->base->tables[i];
        FH_ASSERT(table->position == i);
        if (take_old_names(build, table) != FH_OK) {
            return fh_ddl_nomem(&build->source);
        }
        build->tables[build->table_count++] = draft_of(table);
    }
    /* After all real names: a primary key's made-up name gives way to them. */
    for (uint32_t i = 0; i < build->table_count; i++) {
        struct fh_str name;
        if (fh_ddl_name_make(build, &build->tables[i], NULL, 0, "pkey", &name) != FH_OK) {
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
        if (fh_str_eq(build->tables[i].name, name)) {
            return &build->tables[i];
        }
    }
    return NULL;
}

enum fh_code fh_ddl_build_add_index(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                    int64_t offset, const struct fh_index *index)
{
    if (table->index_count == FH_TABLE_INDEXES_MAX) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "table %.*s has more than %d indexes and unique constraints",
                           FH_STR_ARG(table->name), FH_TABLE_INDEXES_MAX);
    }
    if (table->indexes == NULL) {
        table->indexes = FH_ARENA_ARRAY(build->scratch, struct fh_index, FH_TABLE_INDEXES_MAX);
        if (table->indexes == NULL) {
            return fh_ddl_nomem(&build->source);
        }
        for (uint16_t i = 0; i < table->index_count; i++) {
            table->indexes[i] = table->old->indexes[i];
        }
    }
    table->indexes[table->index_count++] = *index;
    table->changed = true;
    return FH_OK;
}

static bool references_changed(const struct fh_ddl_build *build, const struct fh_ddl_table *table)
{
    for (uint16_t i = 0; table->old != NULL && i < table->foreign_key_count; i++) {
        uint16_t target = table->old->foreign_keys[i].target->position;
        if (build->tables[target].changed) {
            return true;
        }
    }
    return false;
}

static bool write_indexes(const struct fh_ddl_build *build, const struct fh_ddl_table *draft,
                          struct fh_table *table)
{
    if (draft->indexes == NULL) {
        table->indexes = draft->old != NULL ? draft->old->indexes : NULL;
        return true;
    }
    struct fh_index *indexes = FH_ARENA_ARRAY(build->arena, struct fh_index, draft->index_count);
    if (indexes == NULL) {
        return false;
    }
    memcpy(indexes, draft->indexes, draft->index_count * sizeof(*indexes));
    table->indexes = indexes;
    return true;
}

static bool write_foreign_keys(const struct fh_ddl_build *build, const struct fh_ddl_table *draft,
                               const struct fh_table **tables, struct fh_table *table)
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
        uint32_t target = 0;
        if (draft->old != NULL) {
            keys[i] = draft->old->foreign_keys[i];
            target = keys[i].target->position;
        } else {
            keys[i] = draft->foreign_keys[i].key;
            target = draft->foreign_keys[i].target;
        }
        FH_ASSERT(target <= table->position && tables[target] != NULL);
        keys[i].target = tables[target];
    }
    table->foreign_keys = keys;
    return true;
}

/* Sets tables[position] before the foreign keys, which may point at the table itself. */
static bool write_table(const struct fh_ddl_build *build, uint32_t position,
                        const struct fh_table **tables)
{
    const struct fh_ddl_table *draft = &build->tables[position];
    struct fh_table *table = FH_ARENA_NEW(build->arena, struct fh_table);
    if (table == NULL) {
        return false;
    }
    table->name = draft->name;
    table->position = (uint16_t)position;
    table->id = (uint16_t)position;
    table->column_count = draft->column_count;
    table->key_count = draft->key_count;
    table->index_count = draft->index_count;
    table->foreign_key_count = draft->foreign_key_count;
    table->columns = draft->columns;
    memcpy(table->key, draft->key, sizeof(table->key));
    tables[position] = table;
    return write_indexes(build, draft, table) && write_foreign_keys(build, draft, tables, table);
}

enum fh_code fh_ddl_build_finish(struct fh_ddl_build *build, const struct fh_schema **out)
{
    struct fh_schema *schema = FH_ARENA_NEW(build->arena, struct fh_schema);
    const struct fh_table **tables =
        FH_ARENA_ARRAY(build->arena, const struct fh_table *, build->table_count);
    if (schema == NULL || tables == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    for (uint32_t i = 0; i < build->table_count; i++) {
        struct fh_ddl_table *draft = &build->tables[i];
        draft->changed = draft->changed || references_changed(build, draft);
        if (!draft->changed) {
            tables[i] = draft->old;
        } else if (!write_table(build, i, tables)) {
            return fh_ddl_nomem(&build->source);
        }
    }
    schema->version = build->base != NULL ? build->base->version + 1 : 1;
    schema->table_count = build->table_count;
    schema->tables = tables;
    schema->previous = build->base;
    *out = schema;
    return FH_OK;
}
