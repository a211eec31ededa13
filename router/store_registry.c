/* Happy path: a record is checked and copied, its location made absolute, the engine's table opens
 * it, the router learns of it.
 *
 * Failures: what is wrong with a record is said before anything is made; a store that opened but
 * could not be handed on is closed in the background, which closing the registry waits for.
 */
#include "router/store_registry.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/map.h"

#define STORES_MAX 1000
#define RECORD_BYTES_MAX ((size_t)32 * 1024)
#define LOCATION_BYTES_MAX 1024 /* of a relative location */
#define PATH_BYTES_MAX 4096
#define DIRECTORY_ENGINE "sqlite" /* its locations are directories of this machine */

struct open_store {
    struct fh_store_registry *registry;
    struct fh_store *store;
    struct fh_store_record record; /* in the arena */
    struct fh_arena arena;
    void (*closed_cb)(void *arg); /* forget's; may be NULL */
    void *closed_arg;
};

struct fh_store_registry {
    const struct fh_env *env;
    struct fh_router *router;
    struct fh_store_registry_options options;
    struct fh_map stores; /* struct open_store by name, but for those that close */
    size_t open;          /* those that close, too */
    bool closing;
    uv_idle_t idle; /* so that close never calls back within itself */
    void (*closed_cb)(void *arg);
    void *closed_arg;
};

static struct fh_str key_of(const void *item)
{
    const struct open_store *opened = item;
    return fh_str_of(opened->record.name);
}

enum fh_code fh_store_registry_create(const struct fh_env *env, struct fh_router *router,
                                      const struct fh_store_registry_options *options,
                                      struct fh_store_registry **out)
{
    struct fh_store_registry *registry = fh_calloc(1, sizeof(*registry));
    if (registry == NULL) {
        return FH_NOMEM;
    }
    registry->env = env;
    registry->router = router;
    registry->options = *options;
    fh_map_init(&registry->stores, STORES_MAX, key_of);
    int failed = uv_idle_init(env->loop, &registry->idle);
    FH_ASSERT(failed == 0); /* it cannot fail */
    registry->idle.data = registry;
    *out = registry;
    return FH_OK;
}

const struct fh_store_ops *fh_store_registry_engine(const struct fh_store_registry *registry,
                                                    struct fh_str name)
{
    for (size_t i = 0; i < registry->options.engine_count; i++) {
        if (fh_str_eq(fh_str_of(registry->options.engines[i]->engine), name)) {
            return registry->options.engines[i];
        }
    }
    return NULL;
}

/* Components of letters, digits and . _ -, none of which begins with a dot: nothing leads out of
 * the data directory. */
static bool is_plain_path(struct fh_str path)
{
    bool at_start = true;
    if (path.len == 0 || path.len > LOCATION_BYTES_MAX || path.data[path.len - 1] == '/') {
        return false;
    }
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-';
        if (!word && (at_start || (c != '.' && c != '/'))) {
            return false;
        }
        at_start = c == '/';
    }
    return true;
}

/* `path` and every directory above it that is missing. */
static enum fh_code make_directories(char *path, struct fh_error *error)
{
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        bool failed = mkdir(path, 0700) != 0 && errno != EEXIST;
        if (failed) {
            int reason = errno;
            return fh_error_field(error, reason == ENOSPC ? FH_DISK_FULL : FH_UNAVAILABLE,
                                  "store.location", "the directory %s cannot be made: %s", path,
                                  strerror(reason));
        }
        *at = kept;
        if (kept == '\0') {
            return FH_OK;
        }
    }
}

/* What the engine gets as location; in the store's arena. */
static enum fh_code resolve_location(const struct fh_store_registry *registry,
                                     struct open_store *opened, const char **out,
                                     struct fh_error *error)
{
    struct fh_str location = opened->record.location;
    bool absolute = location.len > 0 && location.data[0] == '/';
    if (absolute || registry->options.data_dir == NULL ||
        !fh_str_eq(opened->record.engine, FH_STR(DIRECTORY_ENGINE))) {
        *out = location.data;
        return FH_OK;
    }
    if (registry->options.shared) {
        return fh_error_field(error, FH_INVALID, "store.location",
                              "several servers share this catalog, so a sqlite store's location "
                              "must be absolute: each would take a relative one for its own");
    }
    if (!is_plain_path(location)) {
        return fh_error_field(error, FH_INVALID, "store.location",
                              "a relative location is made of letters, digits, '.', '_', '-' and "
                              "'/', and no part of it starts with a dot");
    }
    char *path =
        fh_arena_printf(&opened->arena, "%s/stores/%s", registry->options.data_dir, location.data);
    if (path == NULL) {
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    if (strlen(path) >= PATH_BYTES_MAX) {
        return fh_error_field(error, FH_INVALID, "store.location", "the path is too long");
    }
    *out = path;
    return make_directories(path, error);
}

static enum fh_code check_record(const struct fh_store_registry *registry,
                                 const struct fh_store_record *record, struct fh_error *error)
{
    if (memchr(record->name, '\0', sizeof(record->name)) == NULL ||
        !fh_store_name_is_valid(fh_str_of(record->name))) {
        return fh_error_field(error, FH_INVALID, "store.name",
                              "a store's name is 1 to %d of a-z, 0-9 and -, starting with a letter",
                              FH_STORE_NAME_MAX);
    }
    if (!fh_str_is_text(record->location) || !fh_str_is_text(record->owner_location)) {
        return fh_error_field(error, FH_INVALID, "store.location", "the location is not text");
    }
    if (fh_store_registry_engine(registry, record->engine) == NULL) {
        return fh_error_field(error, FH_INVALID, "store.engine", "this server has no engine '%.*s'",
                              FH_STR_ARG(record->engine));
    }
    if (fh_map_get(&registry->stores, fh_str_of(record->name)) != NULL ||
        fh_router_store(registry->router, fh_str_of(record->name)) != NULL) {
        return fh_error_field(error, FH_EXISTS, "store.name", "there is a store %s already",
                              record->name);
    }
    return FH_OK;
}

static void free_opened(struct open_store *opened)
{
    fh_arena_close(&opened->arena);
    fh_free(opened);
}

/* A copy of the record in memory of its own; NULL: out of memory. */
static struct open_store *copy_record(struct fh_store_registry *registry,
                                      const struct fh_store_record *record)
{
    struct open_store *opened = fh_calloc(1, sizeof(*opened));
    if (opened == NULL) {
        return NULL;
    }
    opened->registry = registry;
    opened->record = *record;
    fh_arena_init(&opened->arena, RECORD_BYTES_MAX);
    struct fh_str *texts[] = {&opened->record.engine, &opened->record.location,
                              &opened->record.owner_location, &opened->record.region};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (fh_arena_str(&opened->arena, *texts[i], texts[i]) != FH_OK) {
            free_opened(opened);
            return NULL;
        }
    }
    return opened;
}

static void idle_closed_cb(uv_handle_t *handle)
{
    struct fh_store_registry *registry = handle->data;
    void (*closed_cb)(void *arg) = registry->closed_cb;
    void *arg = registry->closed_arg;
    fh_map_close(&registry->stores);
    fh_free(registry);
    closed_cb(arg);
}

static void settle(struct fh_store_registry *registry)
{
    if (registry->closing && registry->open == 0 &&
        !uv_is_closing((uv_handle_t *)&registry->idle)) {
        uv_close((uv_handle_t *)&registry->idle, idle_closed_cb);
    }
}

static void store_closed_cb(void *arg)
{
    struct open_store *opened = arg;
    struct fh_store_registry *registry = opened->registry;
    void (*closed_cb)(void *arg) = opened->closed_cb;
    void *closed_arg = opened->closed_arg;
    free_opened(opened);
    FH_ASSERT(registry->open > 0);
    registry->open--;
    settle(registry);
    if (closed_cb != NULL) {
        closed_cb(closed_arg);
    }
}

enum fh_code fh_store_registry_open(struct fh_store_registry *registry,
                                    const struct fh_store_record *record, struct fh_store **out,
                                    struct fh_error *error)
{
    if (registry->closing) {
        return fh_error_set(error, FH_SHUTTING_DOWN, "%s", fh_code_text(FH_SHUTTING_DOWN));
    }
    enum fh_code code = check_record(registry, record, error);
    if (code != FH_OK) {
        return code;
    }
    struct open_store *opened = copy_record(registry, record);
    if (opened == NULL) {
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    struct fh_store_config config = {.name = opened->record.name,
                                     .homes_max = registry->options.homes_max,
                                     .open_homes_max = registry->options.open_homes_max,
                                     .secret = registry->options.secret,
                                     .faults = registry->options.faults};
    if (opened->record.owner_location.len > 0) {
        config.owner_location = opened->record.owner_location.data;
    }
    code = resolve_location(registry, opened, &config.location, error);
    if (code == FH_OK) {
        const struct fh_store_ops *engine =
            fh_store_registry_engine(registry, opened->record.engine);
        code = engine->open(registry->env, &config, &opened->store, error);
    }
    if (code != FH_OK) {
        free_opened(opened);
        return code;
    }
    registry->open++;
    code = fh_map_put(&registry->stores, opened);
    if (code == FH_OK) {
        code = fh_router_add_store(registry->router, opened->store);
    }
    if (code != FH_OK) {
        (void)fh_map_remove(&registry->stores, fh_str_of(opened->record.name));
        fh_store_close(opened->store, store_closed_cb, opened);
        return fh_error_set(error, code, "the store cannot be added: %s", fh_code_text(code));
    }
    FH_LOG(registry->env->log, INFO, "store.opened", FH_KV_TEXT("store", record->name),
           FH_KV_STR("engine", record->engine));
    *out = opened->store;
    return FH_OK;
}

const struct fh_store_record *fh_store_registry_record(const struct fh_store_registry *registry,
                                                       struct fh_str name)
{
    const struct open_store *opened = fh_map_get(&registry->stores, name);
    return opened != NULL ? &opened->record : NULL;
}

static void close_store(struct fh_store_registry *registry, struct open_store *opened)
{
    void *removed = fh_map_remove(&registry->stores, fh_str_of(opened->record.name));
    FH_ASSERT(removed == opened);
    fh_router_remove_store(registry->router, opened->store);
    fh_store_close(opened->store, store_closed_cb, opened);
}

void fh_store_registry_forget(struct fh_store_registry *registry, struct fh_store *store,
                              void (*closed_cb)(void *arg), void *arg)
{
    struct open_store *opened = fh_map_get(&registry->stores, fh_str_of(store->name));
    FH_ASSERT(opened != NULL && opened->store == store);
    opened->closed_cb = closed_cb;
    opened->closed_arg = arg;
    close_store(registry, opened);
}

void fh_store_registry_close(struct fh_store_registry *registry, void (*closed_cb)(void *arg),
                             void *arg)
{
    FH_ASSERT(!registry->closing);
    registry->closing = true;
    registry->closed_cb = closed_cb;
    registry->closed_arg = arg;
    for (;;) {
        size_t cursor = 0;
        struct open_store *opened = fh_map_next(&registry->stores, &cursor);
        if (opened == NULL) {
            break;
        }
        close_store(registry, opened);
    }
    settle(registry);
}
