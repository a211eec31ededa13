/* DiffSchema and PreviewSchema: the files are parsed on top of what runs, in memory only, and what
 * leads from version to version is described; a preview asks every engine that a store is
 * registered of for its statements, which asks no server.
 *
 * Bounds: the answer's arena; FH_STATEMENTS_MAX statements a plan.
 */
#include "server/handlers/schema_files.h"

#include <string.h>

#include "server/handlers/refusal.h"
#include "server/handlers/services.h"
#include "stores/schema_change.h"

#define NAME_BYTES_MAX 200
#define DESCRIPTION_BYTES_MAX 4096
#define STATEMENTS_MAX 10000
#define ENGINES_MAX 8

enum fh_code fh_schema_files_parse(Freehold__V1__Migration *const *in, size_t count,
                                   struct fh_arena *arena, struct fh_migration **out,
                                   struct fh_error *error)
{
    if (count == 0 || count > FH_MIGRATIONS_MAX) {
        return fh_error_field(error, FH_INVALID, "migrations", "give 1 to %d files, not %zu",
                              FH_MIGRATIONS_MAX, count);
    }
    struct fh_migration *files = FH_ARENA_ARRAY(arena, struct fh_migration, count);
    if (files == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        files[i].name = fh_str_of(in[i]->name);
        files[i].sql = fh_str_of(in[i]->sql);
        if (files[i].name.len == 0 || files[i].name.len > NAME_BYTES_MAX ||
            files[i].sql.len > FH_MIGRATION_BYTES_MAX) {
            return fh_error_field(error, FH_INVALID, "migrations",
                                  "migrations[%zu]: the name has 1 to %d bytes, the file up to "
                                  "%d",
                                  i, NAME_BYTES_MAX, FH_MIGRATION_BYTES_MAX);
        }
        if (i > 0 && fh_str_cmp(files[i - 1].name, files[i].name) >= 0) {
            return fh_error_field(error, FH_INVALID, "migrations",
                                  "file names must sort in the order of application; '%.*s' does "
                                  "not come after '%.*s'",
                                  FH_STR_ARG(files[i].name), FH_STR_ARG(files[i - 1].name));
        }
    }
    *out = files;
    return FH_OK;
}

struct compare {
    struct fh_services *services;
    struct fh_arena *arena;
    struct fh_migration *files;
    size_t count;
    struct fh_error error;
    uint32_t from_version;
    uint32_t to_version;
    Freehold__V1__SchemaVersionDiff **versions;
    size_t version_count;
    bool wants_plans;
    Freehold__V1__SchemaPlan **plans;
    size_t plan_count;
};

static enum fh_code change_to_proto(const struct fh_schema_change *in, struct fh_arena *arena,
                                    Freehold__V1__SchemaChange **out)
{
    Freehold__V1__SchemaChange *change = FH_ARENA_NEW(arena, Freehold__V1__SchemaChange);
    struct fh_buf text;
    if (change == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__schema_change__init(change);
    fh_buf_init(&text, DESCRIPTION_BYTES_MAX);
    fh_schema_change_describe(in, &text);
    enum fh_code code = fh_buf_code(&text);
    if (code == FH_OK) {
        change->description = fh_arena_copy(arena, text.data, text.len);
        const char *breaks = in->breaks != NULL ? in->breaks : "";
        change->breaks = fh_arena_copy(arena, breaks, strlen(breaks));
        code = change->description != NULL && change->breaks != NULL ? FH_OK : FH_NOMEM;
    }
    fh_buf_close(&text);
    *out = change;
    return code;
}

static enum fh_code version_to_proto(const struct compare *compare, const struct fh_schema *schema,
                                     Freehold__V1__SchemaVersionDiff **out)
{
    struct fh_arena *arena = compare->arena;
    struct fh_schema_change *changes = NULL;
    size_t count = 0;
    enum fh_code code = fh_schema_changes(schema->previous, schema, arena, &changes, &count);
    Freehold__V1__SchemaVersionDiff *diff = FH_ARENA_NEW(arena, Freehold__V1__SchemaVersionDiff);
    if (code != FH_OK || diff == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__schema_version_diff__init(diff);
    diff->version = schema->version;
    struct fh_str name = compare->files[schema->version - 1].name;
    diff->name = fh_arena_copy(arena, name.data, name.len);
    diff->changes = FH_ARENA_ARRAY(arena, Freehold__V1__SchemaChange *, count);
    if (diff->name == NULL || diff->changes == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < count && code == FH_OK; i++) {
        code = change_to_proto(&changes[i], arena, &diff->changes[i]);
        diff->n_changes = i + 1;
    }
    *out = diff;
    return code;
}

struct statements {
    struct fh_arena *arena;
    Freehold__V1__SchemaPlan *plan;
    size_t room;
};

static enum fh_code statement_cb(void *arg, const struct fh_ddl_statement *in)
{
    struct statements *all = arg;
    Freehold__V1__SchemaStatement *statement =
        FH_ARENA_NEW(all->arena, Freehold__V1__SchemaStatement);
    Freehold__V1__SchemaPlan *plan = all->plan;
    if (statement == NULL) {
        return FH_NOMEM;
    }
    if (plan->n_statements == all->room) {
        size_t room = all->room == 0 ? 32 : 2 * all->room;
        Freehold__V1__SchemaStatement **grown =
            room <= STATEMENTS_MAX
                ? FH_ARENA_ARRAY(all->arena, Freehold__V1__SchemaStatement *, room)
                : NULL;
        if (grown == NULL) {
            return FH_TOO_LARGE;
        }
        if (plan->n_statements > 0) {
            memcpy(grown, plan->statements, plan->n_statements * sizeof(void *));
        }
        plan->statements = grown;
        all->room = room;
    }
    freehold__v1__schema_statement__init(statement);
    statement->sql = fh_arena_copy(all->arena, in->sql, strlen(in->sql));
    statement->scans = in->scans;
    statement->lock = in->lock == FH_DDL_LOCK_ALL ? FREEHOLD__V1__SCHEMA_LOCK__SCHEMA_LOCK_ALL
                      : in->lock == FH_DDL_LOCK_WRITES
                          ? FREEHOLD__V1__SCHEMA_LOCK__SCHEMA_LOCK_WRITES
                          : FREEHOLD__V1__SCHEMA_LOCK__SCHEMA_LOCK_NONE;
    plan->statements[plan->n_statements++] = statement;
    return statement->sql != NULL ? FH_OK : FH_NOMEM;
}

static enum fh_code plan_tier(struct compare *compare, const struct fh_store *store,
                              enum fh_tier tier, const struct fh_schema *newest)
{
    static const struct fh_uuid example = {
        {0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x01}};
    const struct fh_schema *from =
        compare->from_version > 0 ? fh_schema_at(newest, compare->from_version) : NULL;
    struct fh_home home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    struct statements all = {.arena = compare->arena,
                             .plan = FH_ARENA_NEW(compare->arena, Freehold__V1__SchemaPlan)};
    if (tier != FH_TIER_SHARED) {
        fh_home_of(tier, &example, &home);
    }
    if (all.plan == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__schema_plan__init(all.plan);
    all.plan->engine = (char *)(uintptr_t)store->ops->engine;
    all.plan->tier = (char *)(uintptr_t)fh_tier_name(tier);
    compare->plans[compare->plan_count++] = all.plan;
    return store->ops->preview(from, newest, &home, statement_cb, &all, &compare->error);
}

/* One of each engine. */
static enum fh_code plan_all(struct compare *compare, const struct fh_schema *newest)
{
    static const struct {
        enum fh_tier tier;
        uint32_t capability;
    } tiers[] = {{FH_TIER_SHARED, FH_CAPABILITY_SHARED},
                 {FH_TIER_SCHEMA, FH_CAPABILITY_SCHEMA},
                 {FH_TIER_DATABASE, FH_CAPABILITY_DATABASE}};
    const char *engines[ENGINES_MAX];
    size_t engine_count = 0;
    size_t cursor = 0;
    const struct fh_store *store = NULL;
    enum fh_code code = FH_OK;
    while (code == FH_OK &&
           (store = fh_router_next_store(compare->services->router, &cursor)) != NULL) {
        bool known = store->ops->preview == NULL || engine_count == ENGINES_MAX;
        for (size_t i = 0; i < engine_count && !known; i++) {
            known = strcmp(engines[i], store->ops->engine) == 0;
        }
        if (known) {
            continue;
        }
        engines[engine_count++] = store->ops->engine;
        for (size_t i = 0; i < 3 && code == FH_OK; i++) {
            if ((store->ops->capabilities & tiers[i].capability) != 0) {
                code = plan_tier(compare, store, tiers[i].tier, newest);
            }
        }
    }
    return code;
}

static enum fh_code visit_cb(const struct fh_schema *newest, void *arg)
{
    struct compare *compare = arg;
    enum fh_code code = FH_OK;
    compare->to_version = newest->version;
    size_t count = newest->version - compare->from_version;
    compare->versions = FH_ARENA_ARRAY(compare->arena, Freehold__V1__SchemaVersionDiff *, count);
    compare->plans = FH_ARENA_ARRAY(compare->arena, Freehold__V1__SchemaPlan *, 3 * ENGINES_MAX);
    if (compare->versions == NULL || compare->plans == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < count && code == FH_OK; i++) {
        const struct fh_schema *schema =
            fh_schema_at(newest, compare->from_version + 1 + (uint32_t)i);
        code = version_to_proto(compare, schema, &compare->versions[i]);
        compare->version_count = i + 1;
    }
    if (code == FH_OK && compare->wants_plans && count > 0) {
        code = plan_all(compare, newest);
    }
    return code;
}

/* False: the call has failed. */
static bool run(struct compare *compare, struct fh_call *call, Freehold__V1__Migration **in,
                size_t count)
{
    const struct fh_schema *current = fh_schemas_current(compare->services->schemas);
    compare->arena = fh_call_arena(call);
    compare->count = count;
    compare->from_version = current != NULL ? current->version : 0;
    enum fh_code code =
        fh_schema_files_parse(in, count, compare->arena, &compare->files, &compare->error);
    if (code == FH_OK) {
        code = fh_schemas_try(compare->services->schemas, compare->files, count, visit_cb, compare,
                              &compare->error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &compare->error);
    }
    return code == FH_OK;
}

void fh_schema_diff(struct fh_call *call, void *arg)
{
    const Freehold__V1__DiffSchemaRequest *in =
        (const Freehold__V1__DiffSchemaRequest *)fh_call_request(call);
    Freehold__V1__DiffSchemaResponse out = FREEHOLD__V1__DIFF_SCHEMA_RESPONSE__INIT;
    struct compare compare = {.services = arg};
    if (!run(&compare, call, in->migrations, in->n_migrations)) {
        return;
    }
    out.from_version = compare.from_version;
    out.to_version = compare.to_version;
    out.versions = compare.versions;
    out.n_versions = compare.version_count;
    fh_call_reply(call, &out.base);
}

void fh_schema_preview(struct fh_call *call, void *arg)
{
    const Freehold__V1__PreviewSchemaRequest *in =
        (const Freehold__V1__PreviewSchemaRequest *)fh_call_request(call);
    Freehold__V1__PreviewSchemaResponse out = FREEHOLD__V1__PREVIEW_SCHEMA_RESPONSE__INIT;
    struct compare compare = {.services = arg, .wants_plans = true};
    if (!run(&compare, call, in->migrations, in->n_migrations)) {
        return;
    }
    out.from_version = compare.from_version;
    out.to_version = compare.to_version;
    out.versions = compare.versions;
    out.n_versions = compare.version_count;
    out.plans = compare.plans;
    out.n_plans = compare.plan_count;
    fh_call_reply(call, &out.base);
}
