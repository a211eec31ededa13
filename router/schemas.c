/* One job at a time:
 *
 *     load, refresh: LISTING -> models of what the catalog holds -> STORES -> end
 *     apply:         LISTING -> the same, files compared and parsed -> ROLLOUT (is one unfinished?)
 *                    -> ADDING (files and rollout, all or none) -> STORES -> end
 *
 * An error, validate_only, and a refresh with nothing new end behind LISTING.
 *
 * Happy path: the catalog is the truth and comes first; then the router serves the newest version,
 * for a rollout may have brought it to homes already; then every store whose shared home has no
 * version is brought to it, all at once. A crash in between is healed by the next load, and the
 * rollout goes on in whichever process takes it.
 *
 * Failures: a file that cannot be parsed or was changed ends the job before anything is written. A
 * store that is away stays behind: requests that need the newer schema fail cleanly there until
 * catch_up. done_cb is never called within the call that began the job, for every job begins with
 * the catalog or a store.
 */
#include "router/schemas.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "router/schema_versions.h"
#include "router/store_bringup.h"
#include "router/store_versions.h"

#define JOB_BYTES_MAX ((size_t)128 * 1024 * 1024) /* every file twice: as given, as stored */

struct fh_schemas {
    const struct fh_env *env;
    struct fh_catalog *catalog;
    struct fh_router *router;
    struct fh_schema_versions versions;
    struct fh_store_versions stores;
    size_t behind_cursor; /* of the router's stores */
    bool busy;            /* a load or an apply runs */
    size_t jobs;
};

enum job_state { JOB_LISTING, JOB_ROLLOUT, JOB_ADDING, JOB_STORES, JOB_ENDED };

struct job {
    struct fh_schemas *schemas;
    enum job_state state;
    bool exclusive; /* load and apply; refresh once it has found something */
    bool refresh;
    size_t known; /* refresh: versions when it began */
    bool validate_only;
    bool tell_store;            /* catch_up: the store's failure is the job's */
    struct fh_migration *files; /* NULL: load */
    size_t file_count;
    struct fh_schema_version
        *parsed[FH_MIGRATIONS_MAX]; /* new ones, owned until they are the schemas' */
    size_t parsed_count;
    size_t added; /* of parsed */
    struct fh_rollout_settings rollout;
    struct fh_audit_context audit;
    int64_t deadline_us;
    struct fh_arena arena;
    struct fh_catalog_request catalog;
    struct fh_store_bringup *applies;
    size_t apply_count;
    size_t outstanding;
    struct fh_schemas_result result;
    fh_schemas_done_cb *done_cb;
    void *arg;
};

enum fh_code fh_schemas_create(const struct fh_env *env, struct fh_catalog *catalog,
                               struct fh_router *router, struct fh_schemas **out)
{
    struct fh_schemas *schemas = fh_calloc(1, sizeof(*schemas));
    if (schemas == NULL) {
        return FH_NOMEM;
    }
    schemas->env = env;
    schemas->catalog = catalog;
    schemas->router = router;
    fh_store_versions_init(&schemas->stores);
    *out = schemas;
    return FH_OK;
}

void fh_schemas_destroy(struct fh_schemas *schemas)
{
    if (schemas == NULL) {
        return;
    }
    FH_ASSERT(schemas->jobs == 0);
    fh_schema_versions_close(&schemas->versions);
    fh_store_versions_close(&schemas->stores);
    fh_free(schemas);
}

static void end_job(struct job *job)
{
    struct fh_schemas *schemas = job->schemas;
    FH_ASSERT(job->outstanding == 0 && job->state != JOB_ENDED);
    job->state = JOB_ENDED;
    if (job->result.code != FH_OK) {
        job->result.error.code = job->result.code;
    }
    for (size_t i = 0; i < job->apply_count; i++) {
        fh_store_bringup_close(&job->applies[i]);
    }
    if (job->exclusive) {
        schemas->busy = false;
    }
    schemas->jobs--;
    job->done_cb(&job->result, job->arg); /* it may look at the schema that was parsed */
    for (size_t i = job->added; i < job->parsed_count; i++) {
        fh_schema_version_free(job->parsed[i]);
    }
    fh_arena_close(&job->arena);
    fh_free(job);
}

static void fail_job(struct job *job, enum fh_code code, const struct fh_error *error)
{
    if (job->result.code == FH_OK) { /* the first failure is the one to tell */
        job->result.code = code;
        job->result.error = *error;
        if (error->code != code) {
            (void)fh_error_set(&job->result.error, code, "%s", fh_code_text(code));
        }
    }
}

static void note_store(struct job *job, const char *name, enum fh_code code, uint32_t version,
                       const struct fh_error *error)
{
    struct fh_schemas *schemas = job->schemas;
    const char *text = "";
    if (code != FH_OK) {
        text =
            error->code == code && error->message[0] != '\0' ? error->message : fh_code_text(code);
        FH_LOG(schemas->env->log, WARN, "schema.store_behind", FH_KV_TEXT("store", name),
               FH_KV_INT("version", version), FH_KV_TEXT("why", text));
        if (job->tell_store) {
            struct fh_error failure = FH_ERROR_INIT;
            (void)fh_error_set(&failure, code, "store %s: %s", name, text);
            fail_job(job, code, &failure);
        }
    }
    fh_store_versions_note(&schemas->stores, name, version, text);
}

static void store_over(struct fh_store_bringup *apply, enum fh_code code, uint32_t version)
{
    struct job *job = apply->arg;
    note_store(job, apply->name, code, version, &apply->request.error);
    FH_ASSERT(job->outstanding > 0);
    job->outstanding--;
    if (job->outstanding == 0) {
        end_job(job);
    }
}

static enum fh_code submit_to_store(struct job *job, struct fh_store *store,
                                    struct fh_store_bringup *apply)
{
    apply->done_cb = store_over;
    apply->arg = job;
    enum fh_code code =
        fh_store_bringup_begin(apply, store, job->schemas->versions.current, job->deadline_us);
    if (code == FH_OK) {
        job->outstanding++;
    }
    return code;
}

/* All at once. A store that hangs may take nine tenths of the time that is left, so that there is
 * some to answer in. */
static void begin_stores(struct job *job)
{
    struct fh_router *router = job->schemas->router;
    FH_ASSERT(job->state < JOB_STORES);
    job->state = JOB_STORES;
    if (job->exclusive) {
        fh_router_set_schema(router, job->schemas->versions.current);
    }
    int64_t now_us = fh_clock_monotonic_us(job->schemas->env->clock);
    if (job->deadline_us < FH_DEADLINE_NONE && job->deadline_us > now_us) {
        job->deadline_us = now_us + (job->deadline_us - now_us) / 10 * 9;
    }
    size_t cursor = 0;
    size_t count = 0;
    while (fh_router_next_store(router, &cursor) != NULL) {
        count++;
    }
    job->applies = FH_ARENA_ARRAY(&job->arena, struct fh_store_bringup, count);
    if (job->applies == NULL) {
        struct fh_error error = FH_ERROR_INIT;
        fail_job(job, FH_NOMEM, &error);
        end_job(job);
        return;
    }
    cursor = 0;
    struct fh_store *store = NULL;
    while ((store = fh_router_next_store(router, &cursor)) != NULL) {
        struct fh_store_bringup *apply = &job->applies[job->apply_count++];
        enum fh_code code = submit_to_store(job, store, apply);
        if (code != FH_OK) {
            note_store(job, apply->name, code, 0, &apply->request.error);
        }
    }
    if (job->outstanding == 0) {
        end_job(job);
    }
}

static void fail_and_end(struct job *job, enum fh_code code, const struct fh_error *error)
{
    fail_job(job, code, error);
    end_job(job);
}

static void added_cb(struct fh_catalog_request *request)
{
    struct job *job = request->arg;
    const struct fh_rollout *rollout = &request->as.rollout_create.rollout;
    if (request->code != FH_OK) {
        fail_and_end(job, request->code, &request->error);
        return;
    }
    for (; job->added < job->parsed_count; job->added++) {
        fh_schema_versions_adopt(&job->schemas->versions, job->parsed[job->added],
                                 rollout->created_at_us);
    }
    job->result.applied = (uint32_t)job->added;
    job->result.has_rollout = true;
    job->result.rollout = rollout->uuid;
    begin_stores(job);
}

/* The new files with their rollout. */
static void add(struct job *job)
{
    const struct fh_schemas *schemas = job->schemas;
    struct fh_migration_record *records =
        FH_ARENA_ARRAY(&job->arena, struct fh_migration_record, job->parsed_count);
    struct fh_error error = FH_ERROR_INIT;
    if (records == NULL) {
        fail_and_end(job, FH_NOMEM, &error);
        return;
    }
    for (size_t i = 0; i < job->parsed_count; i++) {
        records[i] = job->parsed[i]->record;
    }
    job->state = JOB_ADDING;
    job->catalog = (struct fh_catalog_request){
        .op = FH_CATALOG_ROLLOUT_CREATE,
        .deadline_us = job->deadline_us,
        .arena = &job->arena,
        .done_cb = added_cb,
        .arg = job,
        .audit = job->audit,
    };
    job->catalog.as.rollout_create.rollout.uuid =
        fh_uuid_v7(fh_clock_realtime_us(schemas->env->clock));
    job->catalog.as.rollout_create.rollout.version =
        (uint32_t)(schemas->versions.count + job->parsed_count);
    job->catalog.as.rollout_create.rollout.settings = job->rollout;
    job->catalog.as.rollout_create.migrations = records;
    job->catalog.as.rollout_create.migration_count = job->parsed_count;
    enum fh_code code = fh_catalog_submit(schemas->catalog, &job->catalog);
    if (code != FH_OK) {
        fail_and_end(job, code, &job->catalog.error);
    }
}

/* The newest rollout, or none. */
static void rollout_cb(struct fh_catalog_request *request)
{
    struct job *job = request->arg;
    const struct fh_rollout *last = &request->as.rollout_get.rollout;
    struct fh_error error = request->error;
    bool there = request->code == FH_OK;
    if (!there && request->code != FH_NOT_FOUND) {
        fail_and_end(job, request->code, &error);
        return;
    }
    bool unfinished = there && !fh_rollout_is_finished(last->phase);
    if (unfinished && job->parsed_count > 0) {
        enum fh_code code =
            fh_error_set(&error, FH_PRECONDITION,
                         "a rollout to version %u is under way: wait for its end, or cancel it, "
                         "before new files are applied",
                         last->version);
        fail_and_end(job, code, &error);
        return;
    }
    bool done = there && last->phase == FH_ROLLOUT_DONE &&
                last->version == job->schemas->versions.current->version;
    if (unfinished || (done && job->parsed_count == 0)) {
        job->result.has_rollout = true;
        job->result.rollout = last->uuid;
        begin_stores(job);
    } else if (job->parsed_count == 0 && job->schemas->versions.current->version == 0) {
        begin_stores(job);
    } else {
        add(job);
    }
}

static void ask_rollout(struct job *job)
{
    job->state = JOB_ROLLOUT;
    job->catalog = (struct fh_catalog_request){
        .op = FH_CATALOG_ROLLOUT_GET, /* the newest */
        .deadline_us = job->deadline_us,
        .arena = &job->arena,
        .done_cb = rollout_cb,
        .arg = job,
    };
    enum fh_code code = fh_catalog_submit(job->schemas->catalog, &job->catalog);
    if (code != FH_OK) {
        fail_and_end(job, code, &job->catalog.error);
    }
}

static enum fh_code parse_files(struct job *job, struct fh_error *error)
{
    const struct fh_schemas *schemas = job->schemas;
    const struct fh_schema *base = schemas->versions.count > 0 ? schemas->versions.current : NULL;
    for (size_t i = schemas->versions.count; i < job->file_count; i++) {
        struct fh_schema_version *version = NULL;
        enum fh_code code = fh_schema_version_make(base, &job->files[i], &version, error);
        if (code != FH_OK) {
            return code;
        }
        job->parsed[job->parsed_count++] = version;
        base = version->schema;
    }
    return FH_OK;
}

/* A load that failed may have learnt what the router does not serve yet. */
static bool is_news(const struct fh_schemas *schemas, const struct fh_catalog_request *request)
{
    return request->as.migrations.count != schemas->versions.count ||
           fh_router_schema(schemas->router) != schemas->versions.current;
}

static void listed_cb(struct fh_catalog_request *request)
{
    struct job *job = request->arg;
    struct fh_error error = request->error;
    enum fh_code code = request->code;
    FH_ASSERT(job->state == JOB_LISTING);
    if (job->refresh && code == FH_OK) {
        if (job->schemas->busy || job->schemas->versions.count != job->known) {
            code = fh_error_set(&error, FH_CONFLICT, "%s", fh_code_text(FH_CONFLICT));
        } else if (!is_news(job->schemas, request)) {
            end_job(job);
            return;
        } else {
            job->exclusive = true;
            job->schemas->busy = true;
        }
    }
    if (code == FH_OK) {
        code = fh_schema_versions_learn(&job->schemas->versions, request->as.migrations.migrations,
                                        request->as.migrations.count, &error);
    }
    if (code == FH_OK && job->files != NULL) {
        code = fh_schema_versions_compare(&job->schemas->versions, job->files, job->file_count,
                                          &error);
    }
    if (code == FH_OK && job->files != NULL) {
        code = parse_files(job, &error);
    }
    if (code != FH_OK) {
        fail_and_end(job, code, &error);
    } else if (job->validate_only) {
        job->result.applied = (uint32_t)job->parsed_count;
        job->result.planned =
            job->parsed_count > 0 ? job->parsed[job->parsed_count - 1]->schema : NULL;
        end_job(job);
    } else if (job->files != NULL) {
        ask_rollout(job);
    } else {
        begin_stores(job);
    }
}

static struct job *make_job(struct fh_schemas *schemas, int64_t deadline_us,
                            fh_schemas_done_cb *done_cb, void *arg)
{
    struct job *job = fh_calloc(1, sizeof(*job));
    if (job == NULL) {
        return NULL;
    }
    job->schemas = schemas;
    job->deadline_us = deadline_us;
    job->done_cb = done_cb;
    job->arg = arg;
    fh_arena_init(&job->arena, JOB_BYTES_MAX);
    return job;
}

static enum fh_code begin_listing(struct job *job)
{
    struct fh_schemas *schemas = job->schemas;
    job->exclusive = !job->refresh;
    job->catalog = (struct fh_catalog_request){
        .op = FH_CATALOG_MIGRATION_LIST,
        .deadline_us = job->deadline_us,
        .arena = &job->arena,
        .done_cb = listed_cb,
        .arg = job,
    };
    enum fh_code code = fh_catalog_submit(schemas->catalog, &job->catalog);
    if (code != FH_OK) {
        fh_arena_close(&job->arena);
        fh_free(job);
        return code;
    }
    schemas->busy = schemas->busy || job->exclusive;
    schemas->jobs++;
    return FH_OK;
}

enum fh_code fh_schemas_refresh(struct fh_schemas *schemas, int64_t deadline_us,
                                fh_schemas_done_cb *done_cb, void *arg)
{
    struct job *job = make_job(schemas, deadline_us, done_cb, arg);
    if (job == NULL) {
        return FH_NOMEM;
    }
    job->refresh = true;
    job->known = schemas->versions.count;
    return begin_listing(job);
}

enum fh_code fh_schemas_load(struct fh_schemas *schemas, int64_t deadline_us,
                             fh_schemas_done_cb *done_cb, void *arg)
{
    if (schemas->busy) {
        return FH_CONFLICT;
    }
    struct job *job = make_job(schemas, deadline_us, done_cb, arg);
    return job != NULL ? begin_listing(job) : FH_NOMEM;
}

static enum fh_code copy_input(struct job *job, const struct fh_migration *files, size_t count,
                               const struct fh_audit_context *audit)
{
    struct fh_arena *arena = &job->arena;
    job->audit = *audit;
    struct fh_str *texts[] = {&job->audit.actor, &job->audit.address, &job->audit.reason,
                              &job->audit.request_id};
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < 4 && code == FH_OK; i++) {
        code = fh_arena_str(arena, *texts[i], texts[i]);
    }
    job->files = FH_ARENA_ARRAY(arena, struct fh_migration, count);
    if (job->files == NULL) {
        return FH_NOMEM;
    }
    job->file_count = count;
    for (size_t i = 0; i < count && code == FH_OK; i++) {
        code = fh_arena_str(arena, files[i].name, &job->files[i].name);
        if (code == FH_OK) {
            code = fh_arena_str(arena, files[i].sql, &job->files[i].sql);
        }
    }
    return code;
}

enum fh_code fh_schemas_apply(struct fh_schemas *schemas, const struct fh_migration *files,
                              size_t count, bool validate_only,
                              const struct fh_rollout_settings *rollout,
                              const struct fh_audit_context *audit, int64_t deadline_us,
                              fh_schemas_done_cb *done_cb, void *arg)
{
    if (schemas->busy) {
        return FH_CONFLICT;
    }
    if (count > FH_MIGRATIONS_MAX) {
        return FH_TOO_LARGE;
    }
    for (size_t i = 0; i < count; i++) {
        if (files[i].name.len == 0 || files[i].sql.len > FH_MIGRATION_BYTES_MAX) {
            return FH_INVALID;
        }
    }
    struct job *job = make_job(schemas, deadline_us, done_cb, arg);
    if (job == NULL) {
        return FH_NOMEM;
    }
    job->validate_only = validate_only;
    fh_rollout_settings_init(&job->rollout);
    if (rollout != NULL) {
        job->rollout = *rollout;
    }
    enum fh_code code = copy_input(job, files, count, audit);
    if (code != FH_OK) {
        fh_arena_close(&job->arena);
        fh_free(job);
        return code;
    }
    return begin_listing(job);
}

enum fh_code fh_schemas_catch_up(struct fh_schemas *schemas, struct fh_store *store,
                                 int64_t deadline_us, fh_schemas_done_cb *done_cb, void *arg)
{
    if (schemas->versions.current == NULL) {
        return FH_UNAVAILABLE; /* not loaded yet */
    }
    struct job *job = make_job(schemas, deadline_us, done_cb, arg);
    if (job == NULL) {
        return FH_NOMEM;
    }
    job->tell_store = true;
    job->state = JOB_STORES;
    enum fh_code code = FH_NOMEM;
    job->applies = FH_ARENA_NEW(&job->arena, struct fh_store_bringup);
    if (job->applies != NULL) {
        job->apply_count = 1;
        code = submit_to_store(job, store, &job->applies[0]);
    }
    if (code != FH_OK) {
        fh_arena_close(&job->arena); /* the store's arena holds nothing yet */
        fh_free(job);
        return code;
    }
    schemas->jobs++;
    return FH_OK;
}

enum fh_code fh_schemas_try(const struct fh_schemas *schemas, const struct fh_migration *files,
                            size_t count, fh_schema_visit_cb *visit_cb, void *arg,
                            struct fh_error *error)
{
    return fh_schema_versions_try(&schemas->versions, files, count, visit_cb, arg, error);
}

const struct fh_schema *fh_schemas_current(const struct fh_schemas *schemas)
{
    return schemas->versions.current;
}

const struct fh_migration_record *fh_schemas_migrations(const struct fh_schemas *schemas,
                                                        size_t *count)
{
    *count = schemas->versions.count;
    return schemas->versions.records;
}

void fh_schemas_note_store(struct fh_schemas *schemas, const struct fh_store *store,
                           uint32_t version)
{
    fh_store_versions_note(&schemas->stores, store->name, version, "");
}

uint32_t fh_schemas_store_version(const struct fh_schemas *schemas, const struct fh_store *store,
                                  const char **error)
{
    const struct fh_schema *newest = schemas->versions.current;
    uint32_t version = 0;
    if (!fh_store_versions_get(&schemas->stores, store->name, &version, error)) {
        *error = newest != NULL && newest->version > 0
                     ? "the schema was not applied to this store yet"
                     : "";
    }
    return version;
}

/* A fresh store has no version either before the first file: it may be behind version 0. */
static bool is_behind(const struct fh_schemas *schemas, const struct fh_store *store)
{
    uint32_t version = 0;
    const char *why = "";
    return !fh_store_versions_get(&schemas->stores, store->name, &version, &why) ||
           version < schemas->versions.current->version || why[0] != '\0';
}

struct fh_store *fh_schemas_next_behind(struct fh_schemas *schemas)
{
    struct fh_store *store = NULL;
    for (int turn = 0; turn < 2 && schemas->versions.current != NULL; turn++) {
        while ((store = fh_router_next_store(schemas->router, &schemas->behind_cursor)) != NULL) {
            if (is_behind(schemas, store)) {
                return store;
            }
        }
        schemas->behind_cursor = 0;
    }
    return NULL;
}
