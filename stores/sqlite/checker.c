/* Happy path: shared.db fills the findings; then each other file is checked by itself, into
 * findings of its own, and what is off there is added; two findings at the end say how many files
 * of each tier were looked at.
 *
 * Failures: what cannot be looked at is a finding. A home that is erased meanwhile is passed over.
 */
#include "stores/sqlite/checker.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stores/sqlite/admit.h"
#include "stores/sqlite/check.h"

#define SUMMARIES 3 /* one for each dedicated tier, and that there is more */
#define FINDINGS_MAX (FH_CHECK_FINDINGS_MAX - SUMMARIES)
#define SCRATCH_BYTES_MAX ((size_t)16 << 20) /* of one file */
#define SUFFIX ".db"

struct walk {
    struct fh_sqlite_checker *checker;
    struct fh_request *request;
    struct fh_arena scratch;
    enum fh_code code; /* the first that ends the check */
    bool more;         /* findings that found no room */
    uint32_t files;    /* of the tier in hand */
    uint32_t off;      /* files of it that something was found of */
};

static void add(struct walk *walk, size_t max, bool ok, const char *subject, const char *text)
{
    struct fh_op_check *op = &walk->request->as.check;
    struct fh_arena *arena = walk->request->arena;
    struct fh_finding finding = {.ok = ok};
    if (walk->code != FH_OK) {
        return;
    }
    if (op->count >= max) {
        walk->more = true;
        return;
    }
    walk->code = fh_arena_str(arena, fh_str_of(subject), &finding.subject);
    if (walk->code == FH_OK) {
        walk->code = fh_arena_str(arena, fh_str_of(text), &finding.text);
    }
    if (walk->code == FH_OK) {
        op->findings[op->count++] = finding;
    }
}

/* "homes/3f/t_...db" of its whole path */
static const char *name_of(const struct walk *walk, const char *path)
{
    return path + strlen(walk->checker->layout->root) + 1;
}

static void add_off(struct walk *walk, const char *path, struct fh_str subject, struct fh_str text)
{
    char line[FH_SQLITE_PATH_SIZE + 256];
    char said[512];
    (void)snprintf(line, sizeof(line), "%s: %.*s", name_of(walk, path), FH_STR_ARG(subject));
    (void)snprintf(said, sizeof(said), "%.*s", FH_STR_ARG(text));
    add(walk, FINDINGS_MAX, false, line, said);
}

/* Between two files. */
static bool goes_on(struct walk *walk)
{
    if (walk->code == FH_OK) {
        walk->code = fh_sqlite_admit(walk->checker->env->clock, walk->request);
    }
    return walk->code == FH_OK;
}

/* `home` NULL: a bridge file. */
static void check_file(struct walk *walk, const struct fh_sqlite_place *place,
                       const struct fh_home *home)
{
    const char *path = place->path;
    struct fh_request part = {
        .op = FH_OP_CHECK,
        .scope = walk->request->scope,
        .deadline_us = walk->request->deadline_us,
        .arena = &walk->scratch,
    };
    bool off = false;
    fh_arena_reset(&walk->scratch);
    enum fh_code code = fh_sqlite_check(place, home, walk->checker->env->clock, &part);
    if (fh_sqlite_file_find(path, NULL) == FH_NO_TENANT) {
        return;
    }
    walk->files++;
    for (size_t i = 0; code == FH_OK && i < part.as.check.count; i++) {
        const struct fh_finding *finding = &part.as.check.findings[i];
        if (!finding->ok) {
            add_off(walk, path, finding->subject, finding->text);
            off = true;
        }
    }
    if (code == FH_DEADLINE || code == FH_CANCELLED || code == FH_NOMEM) {
        walk->code = fh_error_set(&walk->request->error, code, "%s", part.error.message);
    } else if (code != FH_OK) {
        add_off(walk, path, FH_STR("file"), fh_str_of(part.error.message));
        off = true;
    }
    walk->off += off ? 1 : 0;
}

static void summarise(struct walk *walk, const char *subject, const char *what)
{
    char text[160];
    (void)snprintf(text, sizeof(text), "%u %s looked at, %u with findings", walk->files, what,
                   walk->off);
    add(walk, FH_CHECK_FINDINGS_MAX - 1, walk->off == 0, subject, text);
    walk->files = 0;
    walk->off = 0;
}

static void check_bridges(struct walk *walk)
{
    for (uint8_t i = 0; i < FH_SQLITE_BRIDGE_FILES && goes_on(walk); i++) {
        struct fh_sqlite_place place;
        fh_sqlite_layout_bridge(walk->checker->layout, i, &place);
        if (fh_sqlite_file_find(place.path, NULL) != FH_NO_TENANT) {
            check_file(walk, &place, NULL);
        }
    }
    summarise(walk, "schema tier", "bridge files");
}

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* What stands beside a home's file. */
static bool is_beside(const char *name)
{
    static const char *const ends[] = {"-wal", "-shm", "-journal", ".new"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends_with(name, ends[i])) {
            return true;
        }
    }
    return false;
}

static void check_name(struct walk *walk, const char *directory, uint8_t number, const char *name)
{
    struct fh_home home = {.tier = FH_TIER_DATABASE};
    struct fh_uuid tenant;
    char path[FH_SQLITE_PATH_SIZE + 256];
    size_t len = strlen(name);
    if (name[0] == '.' || is_beside(name)) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    size_t home_len = ends_with(name, SUFFIX) ? len - sizeof(SUFFIX) + 1 : 0;
    if (home_len < sizeof(home.name)) {
        memcpy(home.name, name, home_len);
    }
    if (!fh_home_tenant(&home, &tenant) || tenant.bytes[sizeof(tenant.bytes) - 1] != number) {
        walk->files++;
        walk->off++;
        add_off(walk, path, FH_STR("name"),
                FH_STR("this is no home's file, or not in its place; nobody opens it"));
        return;
    }
    struct fh_sqlite_place place;
    fh_sqlite_layout_place(walk->checker->layout, &home, &place);
    check_file(walk, &place, &home);
}

static void check_directory(struct walk *walk, uint8_t number)
{
    char path[FH_SQLITE_PATH_SIZE];
    const struct dirent *entry = NULL;
    (void)snprintf(path, sizeof(path), "%s/homes/%02x", walk->checker->layout->root, number);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        if (errno != ENOENT) {
            add_off(walk, path, FH_STR("directory"), fh_str_of(strerror(errno)));
        }
        return;
    }
    while (goes_on(walk)) { /* ends with the directory's entries */
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): only this thread reads the stream */
        entry = readdir(directory);
        if (entry == NULL) {
            break;
        }
        check_name(walk, path, number, entry->d_name);
    }
    closedir(directory);
}

static void check_all(struct fh_sqlite_checker *checker, struct fh_request *request)
{
    struct walk walk = {.checker = checker, .request = request};
    struct fh_sqlite_place place;
    struct fh_home shared = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    fh_sqlite_layout_place(checker->layout, &shared, &place);
    request->as.check.findings = NULL; /* of an earlier run of the request */
    request->code = fh_sqlite_check(&place, &shared, checker->env->clock, request);
    if (request->code != FH_OK) {
        return;
    }
    struct fh_op_check *op = &request->as.check;
    walk.more = op->count > FINDINGS_MAX;
    op->count = walk.more ? FINDINGS_MAX : op->count;
    fh_arena_init(&walk.scratch, SCRATCH_BYTES_MAX);
    check_bridges(&walk);
    for (int i = 0; i < FH_SQLITE_HOME_DIRECTORIES && goes_on(&walk); i++) {
        check_directory(&walk, (uint8_t)i);
    }
    summarise(&walk, "database tier", "files");
    if (walk.more) {
        add(&walk, FH_CHECK_FINDINGS_MAX, false, "check",
            "there are more findings; mend these and check again");
    }
    fh_arena_close(&walk.scratch);
    request->code = walk.code;
}

static void run(void *ctx, struct fh_work **items, size_t count)
{
    struct fh_sqlite_checker *checker = ctx;
    for (size_t i = 0; i < count; i++) {
        struct fh_request *request = FH_CONTAINER_OF(items[i], struct fh_request, work);
        request->code = fh_sqlite_admit(checker->env->clock, request);
        if (request->code == FH_OK) {
            check_all(checker, request);
        }
    }
}

enum fh_code fh_sqlite_checker_submit(struct fh_sqlite_checker *checker, struct fh_request *request)
{
    if (checker->worker == NULL) {
        enum fh_code code = fh_worker_start(checker->env->loop, "fh-sqlite-c", checker->queue_max,
                                            1, run, checker, &checker->worker);
        if (code != FH_OK) {
            return fh_error_set(&request->error, code, "a thread could not be started");
        }
    }
    return fh_worker_submit(checker->worker, &request->work);
}

uint32_t fh_sqlite_checker_stop(struct fh_sqlite_checker *checker, fh_worker_stopped_cb *stopped_cb,
                                void *arg)
{
    if (checker->worker == NULL) {
        return 0;
    }
    fh_worker_stop(checker->worker, stopped_cb, arg);
    return 1;
}
