/* SchemaService: migration files in, models and their spread over the stores out. */
#include "freehold/v1/schema.pb-c.h"

#include "base/codec.h"
#include "server/auth/principal.h"
#include "server/handlers/admin.h"
#include "server/handlers/follow.h"
#include "server/handlers/refusal.h"
#include "server/handlers/rollout_admin.h"
#include "server/handlers/rollout_messages.h"
#include "server/handlers/schema_files.h"
#include "server/handlers/services.h"
#include "server/handlers/values.h"

static char *type_text(const struct fh_column *column, struct fh_arena *arena)
{
    if (column->type == FH_TYPE_NUMERIC) {
        return fh_arena_printf(arena, "numeric(%u,%u)", column->precision, column->scale);
    }
    if (column->type == FH_TYPE_TEXT && column->length_max > 0) {
        return fh_arena_printf(arena, "varchar(%u)", column->length_max);
    }
    return fh_arena_printf(arena, "%s", fh_type_name(column->type));
}

static enum fh_code table_to_proto(const struct fh_table *in, struct fh_arena *arena,
                                   Freehold__V1__Table **out)
{
    Freehold__V1__Table *table = FH_ARENA_NEW(arena, Freehold__V1__Table);
    Freehold__V1__Column *columns = FH_ARENA_ARRAY(arena, Freehold__V1__Column, in->column_count);
    if (table == NULL || columns == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__table__init(table);
    table->name = (char *)(uintptr_t)in->name.data;
    table->columns = FH_ARENA_ARRAY(arena, Freehold__V1__Column *, in->column_count);
    table->primary_key = FH_ARENA_ARRAY(arena, char *, in->key_count);
    if (table->columns == NULL || table->primary_key == NULL) {
        return FH_NOMEM;
    }
    for (uint16_t i = 0; i < in->column_count; i++) {
        freehold__v1__column__init(&columns[i]);
        columns[i].name = (char *)(uintptr_t)in->columns[i].name.data;
        columns[i].type = type_text(&in->columns[i], arena);
        columns[i].required = in->columns[i].not_null;
        columns[i].has_default = in->columns[i].default_kind != FH_DEFAULT_NONE;
        if (columns[i].type == NULL) {
            return FH_NOMEM;
        }
        table->columns[i] = &columns[i];
    }
    for (uint16_t i = 0; i < in->key_count; i++) {
        table->primary_key[i] = (char *)(uintptr_t)in->columns[in->key[i]].name.data;
    }
    table->n_columns = in->column_count;
    table->n_primary_key = in->key_count;
    *out = table;
    return FH_OK;
}

static enum fh_code fill_migrations(const struct fh_schemas *schemas, struct fh_arena *arena,
                                    Freehold__V1__Schema *out)
{
    size_t count = 0;
    const struct fh_migration_record *records = fh_schemas_migrations(schemas, &count);
    Freehold__V1__AppliedMigration *migrations =
        FH_ARENA_ARRAY(arena, Freehold__V1__AppliedMigration, count);
    out->migrations = FH_ARENA_ARRAY(arena, Freehold__V1__AppliedMigration *, count);
    if (migrations == NULL || out->migrations == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        freehold__v1__applied_migration__init(&migrations[i]);
        migrations[i].version = records[i].version;
        migrations[i].name = fh_arena_copy(arena, records[i].name.data, records[i].name.len);
        migrations[i].checksum = fh_arena_alloc(arena, 2 * sizeof(records[i].checksum) + 1);
        migrations[i].apply_time = fh_timestamp_to_proto(records[i].applied_at_us, arena);
        if (migrations[i].name == NULL || migrations[i].checksum == NULL ||
            migrations[i].apply_time == NULL) {
            return FH_NOMEM;
        }
        fh_hex_encode(records[i].checksum, sizeof(records[i].checksum), migrations[i].checksum);
        out->migrations[i] = &migrations[i];
    }
    out->n_migrations = count;
    return FH_OK;
}

static enum fh_code fill_stores(const struct fh_services *services, struct fh_arena *arena,
                                Freehold__V1__Schema *out)
{
    size_t cursor = 0;
    size_t count = 0;
    struct fh_store *store;
    while (fh_router_next_store(services->router, &cursor) != NULL) {
        count++;
    }
    out->stores = FH_ARENA_ARRAY(arena, Freehold__V1__StoreSchema *, count);
    if (out->stores == NULL) {
        return FH_NOMEM;
    }
    cursor = 0;
    while ((store = fh_router_next_store(services->router, &cursor)) != NULL) {
        const char *error = "";
        Freehold__V1__StoreSchema *item = FH_ARENA_NEW(arena, Freehold__V1__StoreSchema);
        if (item == NULL) {
            return FH_NOMEM;
        }
        freehold__v1__store_schema__init(item);
        item->store = fh_arena_printf(arena, "stores/%s", store->name);
        item->version = fh_schemas_store_version(services->schemas, store, &error);
        item->error = fh_arena_copy(arena, error, strlen(error));
        if (item->store == NULL || item->error == NULL) {
            return FH_NOMEM;
        }
        out->stores[out->n_stores++] = item;
    }
    return FH_OK;
}

/* Borrows the schema's names. */
static enum fh_code schema_to_proto(const struct fh_services *services,
                                    const struct fh_schema *schema, struct fh_arena *arena,
                                    Freehold__V1__Schema *out)
{
    freehold__v1__schema__init(out);
    if (schema != NULL) {
        out->version = schema->version;
        out->tables = FH_ARENA_ARRAY(arena, Freehold__V1__Table *, schema->table_count);
        if (out->tables == NULL) {
            return FH_NOMEM;
        }
        for (uint32_t i = 0; i < schema->table_count; i++) {
            enum fh_code code = table_to_proto(schema->tables[i], arena, &out->tables[i]);
            if (code != FH_OK) {
                return code;
            }
        }
        out->n_tables = schema->table_count;
    }
    enum fh_code code = fill_migrations(services->schemas, arena, out);
    return code != FH_OK ? code : fill_stores(services, arena, out);
}

static void get_schema(struct fh_call *call, void *arg)
{
    const struct fh_services *services = arg;
    Freehold__V1__Schema out;
    enum fh_code code =
        schema_to_proto(services, fh_schemas_current(services->schemas), fh_call_arena(call), &out);
    if (code != FH_OK) {
        fh_call_fail_code(call, code);
        return;
    }
    fh_call_reply(call, &out.base);
}

/* -- ApplySchema: files in, then the rollout is waited for ----------------------------------------
 */

struct apply_call {
    struct fh_call *call;
    struct fh_services *services;
    uint32_t applied;
    Freehold__V1__Rollout *rollout; /* as seen last */
};

static void answer_apply(struct apply_call *apply, const struct fh_schema *schema_then)
{
    Freehold__V1__Schema schema;
    Freehold__V1__ApplySchemaResponse out = FREEHOLD__V1__APPLY_SCHEMA_RESPONSE__INIT;
    enum fh_code code =
        schema_to_proto(apply->services, schema_then, fh_call_arena(apply->call), &schema);
    if (code != FH_OK) {
        fh_call_fail_unanswered(apply->call, code);
        return;
    }
    out.schema = &schema;
    out.applied = apply->applied;
    out.rollout = apply->rollout;
    fh_call_reply(apply->call, &out.base);
}

/* Whether there is nothing to wait for that will come soon. */
static bool is_settled(const struct fh_rollout *rollout)
{
    return fh_rollout_is_finished(rollout->phase) || rollout->wish == FH_ROLLOUT_WISH_PAUSE ||
           rollout->progress.at_rest != 0;
}

static enum fh_code rollout_seen_cb(const struct fh_catalog_request *seen, bool last, void *arg)
{
    const struct fh_rollout *rollout = &seen->as.rollout_get.rollout;
    struct apply_call *apply = arg;
    const Freehold__V1__ApplySchemaRequest *in =
        (const Freehold__V1__ApplySchemaRequest *)fh_call_request(apply->call);
    bool waits = !in->no_wait && apply->services->roller != NULL;
    if (!last && waits && !is_settled(rollout)) {
        return FH_OK;
    }
    enum fh_code code = fh_rollout_to_proto(rollout, fh_call_arena(apply->call), &apply->rollout);
    return code == FH_OK ? FH_CANCELLED : code;
}

static void rollout_ended_cb(enum fh_code code, const struct fh_error *error, void *arg)
{
    struct apply_call *apply = arg;
    (void)error;
    if (code != FH_OK) { /* the files are in, and the rollout is under way */
        fh_call_fail_unanswered(apply->call, code);
        return;
    }
    answer_apply(apply, fh_schemas_current(apply->services->schemas));
}

/* Some of the time is for answering. */
static int64_t wait_until_us(const struct apply_call *apply)
{
    int64_t now_us = fh_clock_monotonic_us(apply->services->env->clock);
    int64_t deadline_us = fh_call_deadline_us(apply->call);
    return deadline_us < FH_DEADLINE_NONE && deadline_us > now_us
               ? now_us + (deadline_us - now_us) / 10 * 9
               : deadline_us;
}

static void apply_done_cb(const struct fh_schemas_result *result, void *arg)
{
    struct apply_call *apply = arg;
    if (result->code != FH_OK) {
        struct fh_error error = result->error;
        fh_call_fail_as(apply->call, result->code, &error);
        return;
    }
    apply->applied = result->applied;
    if (!result->has_rollout) {
        const struct fh_schema *current = fh_schemas_current(apply->services->schemas);
        answer_apply(apply, result->planned != NULL ? result->planned : current);
        return;
    }
    if (apply->services->roller != NULL) {
        fh_roller_wake(apply->services->roller);
    }
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code =
        fh_follow(apply->services, apply->call, FH_FOLLOWED_ROLLOUT, &result->rollout,
                  wait_until_us(apply), rollout_seen_cb, rollout_ended_cb, apply, &error);
    if (code != FH_OK) {
        fh_call_fail_unanswered(apply->call, code);
    }
}

static void apply_schema(struct fh_call *call, void *arg)
{
    struct fh_services *services = arg;
    const Freehold__V1__ApplySchemaRequest *in =
        (const Freehold__V1__ApplySchemaRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_migration *files = NULL;
    struct fh_rollout_settings settings;
    struct apply_call *apply = FH_ARENA_NEW(fh_call_arena(call), struct apply_call);
    if (apply == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    *apply = (struct apply_call){.call = call, .services = services};
    enum fh_code code = fh_schema_files_parse(in->migrations, in->n_migrations, fh_call_arena(call),
                                              &files, &error);
    if (code == FH_OK) {
        code = fh_rollout_settings_from_proto(in->rollout, &settings, &error);
    }
    if (code == FH_OK) {
        code = fh_reason_check(in->reason, &error);
    }
    if (code == FH_OK) {
        struct fh_audit_context audit = fh_call_audit(call, in->reason);
        code = fh_schemas_apply(services->schemas, files, in->n_migrations, in->validate_only != 0,
                                &settings, &audit, fh_call_deadline_us(call), apply_done_cb, apply);
    }
    if (code == FH_CONFLICT) {
        (void)fh_error_set(&error, code, "another change of the schema is running; retry");
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
    }
}

static const struct fh_rpc_method methods[] = {
    {"ApplySchema", FH_RPC_UNARY, FH_ACCESS_OPERATOR, apply_schema},
    {"GetSchema", FH_RPC_UNARY, FH_ACCESS_OPERATOR, get_schema},
    {"DiffSchema", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_schema_diff},
    {"PreviewSchema", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_schema_preview},
    {"GetRollout", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_rollout_get},
    {"ListRollouts", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_rollout_list},
    {"ListRolloutHomes", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_rollout_list_homes},
    {"PauseRollout", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_rollout_pause},
    {"ResumeRollout", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_rollout_resume},
    {"CancelRollout", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_rollout_cancel},
    {"ListRolloutEvents", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_rollout_list_events},
    {"WatchRollout", FH_RPC_SERVER_STREAM, FH_ACCESS_OPERATOR, fh_rollout_watch},
};

struct fh_rpc_service fh_schema_service(struct fh_services *services)
{
    return (struct fh_rpc_service){
        .descriptor = &freehold__v1__schema_service__descriptor,
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(methods[0]),
        .arg = services,
    };
}
