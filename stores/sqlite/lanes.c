/* Happy path: the request goes to the thread of its home's file; the thread takes a batch, puts
 * together what is of one file, and lets the file's writer or reader run it.
 * A schema change of the database tier is noted while it is under way, and its home's later writes
 * are kept until fh_sqlite_lanes_done() hears of its end.
 *
 * Failures: no memory for a file's connections is FH_NOMEM for its requests; everything else is the
 * writer's and the reader's to tell. When a lane has as many files as it may, the one longest
 * unused is closed.
 */
#include "stores/sqlite/lanes.h"

#include <sys/resource.h>

#include "base/alloc.h"
#include "base/assert.h"

#define TIDY_EVERY_MS 15000
/* Of a home: file, log and its index for writing; file and log for erasing, for reading, and for
 * schema changes. */
#define DESCRIPTORS_PER_HOME 9

/* Compared as bytes: no padding. */
struct place_key {
    char name[FH_HOME_NAME_MAX]; /* of a home of the database tier; zeros: a bridge file */
    uint32_t number;
};

struct fh_sqlite_file {
    struct fh_list node;
    struct place_key key;
    struct fh_sqlite_place place;
    int64_t used_us;
    struct fh_sqlite_writer writer; /* of a writing lane */
    struct fh_sqlite_reader reader; /* of a reading lane */
};

/* A schema change of the database tier, from submit until it is done. */
struct change {
    struct place_key key;
    const struct fh_request *request;
    struct fh_list held; /* the home's later writes; struct fh_work, no worker's */
};

static struct fh_str change_key_of(const void *item)
{
    const struct change *change = item;
    return (struct fh_str){.data = (const char *)&change->key, .len = sizeof(change->key)};
}

static struct fh_str key_of(const void *item)
{
    const struct fh_sqlite_file *file = item;
    return (struct fh_str){.data = (const char *)&file->key, .len = sizeof(file->key)};
}

static struct place_key key_for(const struct fh_home *home)
{
    struct place_key key = {.number = 0};
    struct fh_uuid tenant;
    bool dedicated = fh_home_tenant(home, &tenant);
    FH_ASSERT(dedicated);
    if (home->tier == FH_TIER_SCHEMA) {
        key.number = tenant.bytes[sizeof(tenant.bytes) - 1] % FH_SQLITE_BRIDGE_FILES;
    } else {
        memcpy(key.name, home->name, strnlen(home->name, sizeof(key.name)));
    }
    return key;
}

/* Threads */

static bool is_alone(const struct fh_sqlite_file *file)
{
    return !file->place.bridge;
}

static uint32_t connections_of(const struct fh_sqlite_file *file)
{
    return (file->writer.conn.db != NULL ? 1u : 0u) + (file->writer.eraser.db != NULL ? 1u : 0u) +
           (file->reader.conn.db != NULL ? 1u : 0u);
}

static void count_connections(struct fh_sqlite_lane *lane, uint32_t before, uint32_t after)
{
    __atomic_add_fetch(&lane->open, after - before, __ATOMIC_RELAXED);
}

static void close_file(struct fh_sqlite_lane *lane, struct fh_sqlite_file *file)
{
    count_connections(lane, connections_of(file), 0);
    fh_sqlite_conn_fold(&file->writer.eraser);
    fh_sqlite_conn_fold(&file->writer.conn);
    fh_sqlite_conn_fold(&file->reader.conn);
}

static void forget_file(struct fh_sqlite_lane *lane, struct fh_sqlite_file *file)
{
    close_file(lane, file);
    lane->alone -= is_alone(file) ? 1 : 0;
    fh_map_remove(&lane->files, key_of(file));
    fh_list_remove(&file->node);
    fh_free(file);
}

static void make_room(struct fh_sqlite_lane *lane)
{
    struct fh_list *node = lane->recent.prev;
    while (lane->alone >= lane->files_max && node != &lane->recent) {
        struct fh_sqlite_file *file = FH_CONTAINER_OF(node, struct fh_sqlite_file, node);
        node = node->prev;
        if (is_alone(file)) {
            forget_file(lane, file);
        }
    }
}

static struct fh_sqlite_file *add_file(struct fh_sqlite_lane *lane, const struct fh_home *home,
                                       const struct place_key *key)
{
    const struct fh_sqlite_lanes *lanes = lane->lanes;
    const struct fh_clock *clock = lanes->env->clock;
    if (home->tier == FH_TIER_DATABASE) {
        make_room(lane);
    }
    struct fh_sqlite_file *file = fh_calloc(1, sizeof(*file));
    if (file == NULL) {
        return NULL;
    }
    file->key = *key;
    fh_sqlite_layout_place(lanes->layout, home, &file->place);
    fh_sqlite_conn_init(&file->writer.conn, FH_SQLITE_WRITER, NULL, clock, lanes->faults);
    fh_sqlite_conn_init(&file->writer.eraser, FH_SQLITE_ERASER, NULL, clock, lanes->faults);
    fh_sqlite_conn_init(&file->reader.conn, FH_SQLITE_READER, NULL, clock, lanes->faults);
    fh_sqlite_conn_use_place(&file->writer.conn, &file->place);
    fh_sqlite_conn_use_place(&file->writer.eraser, &file->place);
    fh_sqlite_conn_use_place(&file->reader.conn, &file->place);
    file->writer.homes = lanes->homes;
    if (fh_map_put(&lane->files, file) != FH_OK) {
        fh_free(file);
        return NULL;
    }
    fh_list_push_front(&lane->recent, &file->node);
    lane->alone += is_alone(file) ? 1 : 0;
    return file;
}

static struct fh_sqlite_file *use_file(struct fh_sqlite_lane *lane, const struct fh_home *home,
                                       const struct place_key *key)
{
    struct fh_sqlite_file *file =
        fh_map_get(&lane->files, (struct fh_str){.data = (const char *)key, .len = sizeof(*key)});
    if (file == NULL) {
        file = add_file(lane, home, key);
    }
    if (file != NULL) {
        fh_list_remove(&file->node);
        fh_list_push_front(&lane->recent, &file->node);
        file->used_us = fh_clock_monotonic_us(lane->lanes->env->clock);
    }
    return file;
}

static void run_file(struct fh_sqlite_lane *lane, const struct fh_home *home,
                     const struct place_key *key, struct fh_work **items, size_t count)
{
    struct fh_sqlite_file *file = use_file(lane, home, key);
    if (file == NULL) {
        for (size_t i = 0; i < count; i++) {
            struct fh_request *request = FH_CONTAINER_OF(items[i], struct fh_request, work);
            request->code = fh_error_set(&request->error, FH_NOMEM, "out of memory");
        }
        return;
    }
    uint32_t before = connections_of(file);
    if (lane->writes) {
        fh_sqlite_writer_run(&file->writer, items, count);
    } else {
        fh_sqlite_reader_run(&file->reader, items, count);
    }
    count_connections(lane, before, connections_of(file));
    if (is_alone(file) && connections_of(file) == 0) {
        forget_file(lane, file); /* there is no such home: it does not push out one that is */
    }
}

static void close_idle(struct fh_sqlite_lane *lane)
{
    int64_t now = fh_clock_monotonic_us(lane->lanes->env->clock);
    struct fh_list *node = lane->recent.prev;
    while (node != &lane->recent) { /* at most files_max and the bridge files */
        struct fh_sqlite_file *file = FH_CONTAINER_OF(node, struct fh_sqlite_file, node);
        node = node->prev;
        if (now - file->used_us < FH_SQLITE_FILE_IDLE_US) {
            return;
        }
        if (is_alone(file)) {
            forget_file(lane, file);
        }
    }
}

/* A reader's batch is smaller than a lane's. */
static size_t batch_max(const struct fh_sqlite_lane *lane)
{
    return lane->writes ? FH_SQLITE_GROUP_MAX : FH_SQLITE_READ_BATCH_MAX;
}

static void lane_run(void *ctx, struct fh_work **items, size_t count)
{
    struct fh_sqlite_lane *lane = ctx;
    struct place_key keys[FH_SQLITE_LANE_BATCH_MAX];
    bool taken[FH_SQLITE_LANE_BATCH_MAX] = {false};
    FH_ASSERT(count <= FH_SQLITE_LANE_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        taken[i] = items[i] == &lane->tidy;
        if (!taken[i]) {
            struct fh_request *request = FH_CONTAINER_OF(items[i], struct fh_request, work);
            keys[i] = key_for(&request->scope.home);
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct fh_work *group[FH_SQLITE_LANE_BATCH_MAX];
        size_t size = 0;
        if (taken[i]) {
            continue;
        }
        for (size_t j = i; j < count && size < batch_max(lane); j++) {
            if (!taken[j] && memcmp(&keys[j], &keys[i], sizeof(keys[i])) == 0) {
                group[size++] = items[j];
                taken[j] = true;
            }
        }
        const struct fh_request *request = FH_CONTAINER_OF(items[i], struct fh_request, work);
        struct fh_home home = request->scope.home; /* the request may be done with */
        run_file(lane, &home, &keys[i], group, size);
    }
    close_idle(lane);
}

/* Loop */

static void init_lane(struct fh_sqlite_lanes *lanes, struct fh_sqlite_lane *lane, const char *name,
                      bool writes, uint32_t files_max)
{
    *lane = (struct fh_sqlite_lane){
        .lanes = lanes,
        .name = name,
        .writes = writes,
        .taken_max = FH_SQLITE_LANE_BATCH_MAX,
        .files_max = files_max > 0 ? files_max : 1,
    };
    fh_map_init(&lane->files, (size_t)lane->files_max + FH_SQLITE_BRIDGE_FILES, key_of);
    fh_list_init(&lane->recent);
}

/* As many as half of the process' descriptors are enough for: the rest is for bridge files and for
 * what else the process does. */
static uint32_t fitting(const struct fh_env *env, uint32_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return wanted;
    }
    rlim_t fit = limit.rlim_cur / 2 / DESCRIPTORS_PER_HOME;
    if (fit >= wanted) {
        return wanted;
    }
    FH_LOG(env->log, WARN, "sqlite.few_descriptors", FH_KV_INT("limit", (int64_t)limit.rlim_cur),
           FH_KV_INT("open_homes_wanted", wanted), FH_KV_INT("open_homes_max", (int64_t)fit));
    return (uint32_t)fit;
}

void fh_sqlite_lanes_init(struct fh_sqlite_lanes *lanes, const struct fh_env *env,
                          const struct fh_isolation_faults *faults,
                          const struct fh_sqlite_layout *layout, struct fh_sqlite_homes *homes,
                          const struct fh_sqlite_lanes_config *config)
{
    uint32_t open_max = fitting(env, config->open_homes_max > 0 ? config->open_homes_max
                                                                : FH_SQLITE_OPEN_HOMES_DEFAULT);
    FH_ASSERT(config->readers > 0 && config->readers <= FH_SQLITE_READ_LANES_MAX);
    *lanes = (struct fh_sqlite_lanes){
        .env = env,
        .faults = faults,
        .layout = layout,
        .homes = homes,
        .queue_max = config->queue_max,
        .reader_count = config->readers,
    };
    fh_map_init(&lanes->changes, config->queue_max, change_key_of);
    for (uint32_t i = 0; i < FH_SQLITE_WRITE_LANES; i++) {
        uint32_t files_max = open_max / FH_SQLITE_WRITE_LANES;
        init_lane(lanes, &lanes->writers[i], "fh-sqlite-hw", true, files_max);
        init_lane(lanes, &lanes->changers[i], "fh-sqlite-hc", true, files_max);
        lanes->changers[i].taken_max = 1; /* nobody's writes wait for another home's change */
    }
    for (uint32_t i = 0; i < lanes->reader_count; i++) {
        init_lane(lanes, &lanes->readers[i], "fh-sqlite-hr", false, open_max / lanes->reader_count);
    }
}

static void tidied_cb(struct fh_work *work)
{
    FH_CONTAINER_OF(work, struct fh_sqlite_lane, tidy)->tidy_queued = false;
}

static void tidy(struct fh_sqlite_lane *lane)
{
    if (lane->worker == NULL || lane->tidy_queued) {
        return;
    }
    lane->tidy.done_cb = tidied_cb;
    lane->tidy_queued = fh_worker_submit(lane->worker, &lane->tidy) == FH_OK;
}

static void tidy_cb(uv_timer_t *timer)
{
    struct fh_sqlite_lanes *lanes = timer->data;
    for (uint32_t i = 0; i < FH_SQLITE_WRITE_LANES; i++) {
        tidy(&lanes->writers[i]);
        tidy(&lanes->changers[i]);
    }
    for (uint32_t i = 0; i < lanes->reader_count; i++) {
        tidy(&lanes->readers[i]);
    }
}

static void start_timer(struct fh_sqlite_lanes *lanes)
{
    int failed = uv_timer_init(lanes->env->loop, &lanes->timer);
    FH_ASSERT(failed == 0);
    lanes->timer.data = lanes;
    uv_unref((uv_handle_t *)&lanes->timer); /* no reason for a loop to go on */
    lanes->has_timer = true;
    failed = uv_timer_start(&lanes->timer, tidy_cb, TIDY_EVERY_MS, TIDY_EVERY_MS);
    FH_ASSERT(failed == 0);
}

static enum fh_code submit_to(struct fh_sqlite_lane *lane, struct fh_request *request)
{
    struct fh_sqlite_lanes *lanes = lane->lanes;
    if (lane->worker == NULL) {
        /* And one for what makes it tidy. */
        enum fh_code code = fh_worker_start(lanes->env->loop, lane->name, lanes->queue_max + 1,
                                            lane->taken_max, lane_run, lane, &lane->worker);
        if (code != FH_OK) {
            return fh_error_set(&request->error, code, "a thread could not be started");
        }
    }
    if (!lanes->has_timer) {
        start_timer(lanes);
    }
    return fh_worker_submit(lane->worker, &request->work);
}

static bool is_change(const struct fh_request *request)
{
    return request->op == FH_OP_SCHEMA_APPLY && request->scope.home.tier == FH_TIER_DATABASE;
}

/* The schema change that is under way in the request's home; NULL: none. */
static struct change *change_of(const struct fh_sqlite_lanes *lanes,
                                const struct fh_request *request)
{
    if (request->scope.home.tier != FH_TIER_DATABASE || lanes->changes.count == 0) {
        return NULL;
    }
    struct place_key key = key_for(&request->scope.home);
    return fh_map_get(&lanes->changes,
                      (struct fh_str){.data = (const char *)&key, .len = sizeof(key)});
}

static enum fh_code submit_change(struct fh_sqlite_lane *lane, struct fh_request *request)
{
    struct fh_sqlite_lanes *lanes = lane->lanes;
    struct change *change = fh_calloc(1, sizeof(*change));
    if (change == NULL) {
        return fh_error_set(&request->error, FH_NOMEM, "out of memory");
    }
    change->key = key_for(&request->scope.home);
    change->request = request;
    fh_list_init(&change->held);
    enum fh_code code = fh_map_put(&lanes->changes, change);
    if (code == FH_OK) {
        code = submit_to(lane, request);
        if (code == FH_OK) {
            return FH_OK;
        }
        fh_map_remove(&lanes->changes, change_key_of(change));
    }
    fh_free(change);
    return code;
}

enum fh_code fh_sqlite_lanes_submit(struct fh_sqlite_lanes *lanes, struct fh_request *request,
                                    bool writes)
{
    struct fh_uuid tenant;
    bool dedicated = fh_home_tenant(&request->scope.home, &tenant);
    FH_ASSERT(dedicated);
    uint8_t last = tenant.bytes[sizeof(tenant.bytes) - 1];
    uint32_t number =
        request->scope.home.tier == FH_TIER_SCHEMA ? last % FH_SQLITE_BRIDGE_FILES : last;
    if (lanes->stopping) {
        return FH_SHUTTING_DOWN;
    }
    if (!writes) {
        return submit_to(&lanes->readers[number % lanes->reader_count], request);
    }
    struct change *change = change_of(lanes, request);
    if (change != NULL) {
        fh_list_push_back(&change->held, &request->work.node);
        return FH_OK;
    }
    if (is_change(request)) {
        return submit_change(&lanes->changers[number % FH_SQLITE_WRITE_LANES], request);
    }
    return submit_to(&lanes->writers[number % FH_SQLITE_WRITE_LANES], request);
}

void fh_sqlite_lanes_done(struct fh_sqlite_lanes *lanes, const struct fh_request *request)
{
    struct change *change = is_change(request) ? change_of(lanes, request) : NULL;
    if (change == NULL || change->request != request) { /* it was kept, and then refused */
        return;
    }
    fh_map_remove(&lanes->changes, change_key_of(change));
    struct fh_list *node;
    while ((node = fh_list_pop_front(&change->held)) != NULL) { /* the caller bounds them */
        struct fh_work *work = FH_CONTAINER_OF(node, struct fh_work, node);
        struct fh_request *next = FH_CONTAINER_OF(work, struct fh_request, work);
        enum fh_code code = fh_sqlite_lanes_submit(lanes, next, true);
        if (code != FH_OK) {
            next->code = code;
            work->done_cb(work);
        }
    }
    fh_free(change);
}

uint32_t fh_sqlite_lanes_connections(const struct fh_sqlite_lanes *lanes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < FH_SQLITE_WRITE_LANES; i++) {
        count += __atomic_load_n(&lanes->writers[i].open, __ATOMIC_RELAXED);
        count += __atomic_load_n(&lanes->changers[i].open, __ATOMIC_RELAXED);
    }
    for (uint32_t i = 0; i < lanes->reader_count; i++) {
        count += __atomic_load_n(&lanes->readers[i].open, __ATOMIC_RELAXED);
    }
    return count;
}

static uint32_t stop_lane(struct fh_sqlite_lane *lane, fh_worker_stopped_cb *stopped_cb, void *arg)
{
    if (lane->worker == NULL) {
        return 0;
    }
    fh_worker_stop(lane->worker, stopped_cb, arg);
    return 1;
}

static void timer_closed_cb(uv_handle_t *handle)
{
    struct fh_sqlite_lanes *lanes = handle->data;
    lanes->stopped_cb(lanes->stopped_arg);
}

uint32_t fh_sqlite_lanes_stop(struct fh_sqlite_lanes *lanes, fh_worker_stopped_cb *stopped_cb,
                              void *arg)
{
    uint32_t count = 0;
    lanes->stopping = true;
    for (uint32_t i = 0; i < FH_SQLITE_WRITE_LANES; i++) {
        count += stop_lane(&lanes->writers[i], stopped_cb, arg);
        count += stop_lane(&lanes->changers[i], stopped_cb, arg);
    }
    for (uint32_t i = 0; i < lanes->reader_count; i++) {
        count += stop_lane(&lanes->readers[i], stopped_cb, arg);
    }
    if (lanes->has_timer) {
        lanes->stopped_cb = stopped_cb;
        lanes->stopped_arg = arg;
        uv_close((uv_handle_t *)&lanes->timer, timer_closed_cb);
        count++;
    }
    return count;
}

static void close_lane(struct fh_sqlite_lane *lane)
{
    while (!fh_list_empty(&lane->recent)) {
        forget_file(lane, FH_CONTAINER_OF(lane->recent.next, struct fh_sqlite_file, node));
    }
    fh_map_close(&lane->files);
}

void fh_sqlite_lanes_close(struct fh_sqlite_lanes *lanes)
{
    for (uint32_t i = 0; i < lanes->reader_count; i++) {
        close_lane(&lanes->readers[i]);
    }
    FH_ASSERT(lanes->changes.count == 0);
    fh_map_close(&lanes->changes);
    for (uint32_t i = 0; i < FH_SQLITE_WRITE_LANES; i++) { /* last: they fold logs into files */
        close_lane(&lanes->changers[i]);
        close_lane(&lanes->writers[i]);
    }
}
