/* Happy path of a group:
 *
 *     BEGIN IMMEDIATE -> for each request: the work -> COMMIT -> all acknowledged
 *
 * Failures:
 * - A request is refused before it changed anything, as nearly all are that are refused: the group
 *   goes on. A statement that fails takes back itself what it did (and counts no change): it keeps
 * a journal of its own, for every table that is written here has triggers that may refuse.
 * - A request is refused behind a change of its own (a reference that does not hold): nothing of
 *   the group holds. It is run again, and so are the next CAREFUL_GROUPS groups, with a savepoint
 *   for each request: ROLLBACK TO, and the group goes on. Savepoints are not used before there is
 *   need, for each keeps a copy of all pages that its request changes. Who only asks whether a
 * write would be accepted has one in any case.
 * - An error has rolled the whole transaction back (FULL, IOERR, NOMEM may do that): SQLite is in
 * autocommit mode again, and a later savepoint would commit by itself. So after every error that is
 * looked at, and then nothing of the group holds: all are run again, singly.
 * - COMMIT fails and the transaction is certainly not in the log: rolled back, all run again
 * singly, where each meets its own error. COMMIT fails otherwise (a failed sync): nobody can tell,
 * every request that wrote is FH_OUTCOME_UNKNOWN, and the connection is opened anew.
 * - BEGIN meets a lock of another process: waited for in short slices, so that what else has ended
 *   is delivered meanwhile; who has time left goes back into the queue, until the lock has been met
 *   for a second (conn.h).
 */
#include "stores/sqlite/writer.h"

#include "base/assert.h"
#include "stores/sqlite/admit.h"
#include "stores/sqlite/commit.h"
#include "stores/sqlite/errors.h"
#include "stores/sqlite/fence.h"
#include "stores/sqlite/homes.h"
#include "stores/sqlite/move_apply.h"
#include "stores/sqlite/move_read.h"
#include "stores/sqlite/schema.h"
#include "stores/sqlite/version.h"

#define CAREFUL_GROUPS 64 /* so who provokes it costs others at most one group in so many */

struct entry {
    struct fh_request *request;
    bool waiting; /* not executed yet, or its execution was undone */
    bool wrote;   /* has changes in the open transaction */
    bool fitted;  /* was done before and undone for another's sake */
};

/* Fences and homes need no table of the application's. */
static enum fh_code use(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    return fh_sqlite_views_use(
        conn, fh_sqlite_version_matters(request->op) ? request->scope.schema : NULL,
        &request->error);
}

static enum fh_code dispatch(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    enum fh_code code = use(conn, request);
    if (code != FH_OK) {
        return code;
    }
    switch (request->op) {
    case FH_OP_COMMIT:
        return fh_sqlite_commit(conn, request);
    case FH_OP_FENCE_SET:
        return fh_sqlite_fence_set(conn, request);
    case FH_OP_HOME_CREATE:
        return fh_sqlite_home_create(conn, request);
    default:
        FH_UNREACHABLE();
    }
}

static bool keeps_changes(const struct fh_request *request)
{
    return request->code == FH_OK &&
           !(request->op == FH_OP_COMMIT && request->as.commit.validate_only);
}

/* Fails with a message that all of them share. */
static void fail_waiting(struct entry *entries, size_t count, enum fh_code code,
                         const struct fh_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].waiting) {
            entries[i].waiting = false;
            entries[i].request->code = code;
            if (code != FH_SQLITE_AGAIN) {
                entries[i].request->error = *error;
            }
        }
    }
}

static int64_t first_deadline(const struct entry *entries, size_t count)
{
    int64_t first = FH_DEADLINE_NONE;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].waiting && entries[i].request->deadline_us < first) {
            first = entries[i].request->deadline_us;
        }
    }
    return first;
}

/* The lock was not to be had. Nobody is left waiting. */
static void give_up_lock(struct fh_sqlite_conn *conn, struct entry *entries, size_t count,
                         const struct fh_error *error)
{
    bool patient = ++conn->lock_slices < FH_SQLITE_LOCK_SLICES_MAX;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].waiting) {
            enum fh_code code = fh_sqlite_admit(conn->clock, entries[i].request);
            if (code != FH_OK) {
                entries[i].request->code = code;
                entries[i].waiting = false;
            }
        }
    }
    fail_waiting(entries, count, patient ? FH_SQLITE_AGAIN : FH_UNAVAILABLE, error);
}

/* BEGIN IMMEDIATE; on anything but FH_OK every waiting entry has its answer. */
static enum fh_code begin(struct fh_sqlite_conn *conn, struct entry *entries, size_t count)
{
    struct fh_error error = FH_ERROR_INIT;
    conn->deadline_us = first_deadline(entries, count);
    conn->last_rc = SQLITE_OK;
    enum fh_code code = fh_sqlite_statement_run(conn, FH_SQLITE_BEGIN_WRITE, &error);
    if (code != FH_OK && (conn->last_rc & 0xff) == SQLITE_BUSY) {
        give_up_lock(conn, entries, count, &error);
        return code;
    }
    conn->lock_slices = 0;
    if (code != FH_OK) {
        fail_waiting(entries, count, code, &error);
    }
    return code;
}

static void roll_back(struct fh_sqlite_conn *conn)
{
    if (fh_sqlite_conn_in_transaction(conn) &&
        fh_sqlite_statement_run(conn, FH_SQLITE_ROLLBACK, NULL) != FH_OK) {
        conn->broken = true; /* closing ends it */
    }
}

/* COMMIT. FH_OK, FH_OUTCOME_UNKNOWN, or the reason why certainly nothing was written. */
static enum fh_code finish(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    conn->last_rc = SQLITE_OK;
    enum fh_code code = fh_sqlite_statement_run(conn, FH_SQLITE_COMMIT, error);
    if (code == FH_OK) {
        return FH_OK;
    }
    bool refused = fh_sqlite_commit_refused(conn->last_rc);
    roll_back(conn);
    if (refused) {
        return code;
    }
    conn->broken = true;
    return fh_error_set(error, FH_OUTCOME_UNKNOWN,
                        "the store's file failed while the write was committed; repeat it with the "
                        "same request_id");
}

/* A request that is run again has less of its arena left than it had. That it does not fit now is
 * no reason to refuse it for good. */
static enum fh_code act(struct fh_sqlite_conn *conn, struct entry *entry)
{
    struct fh_request *request = entry->request;
    request->error = (struct fh_error)FH_ERROR_INIT;
    enum fh_code code = dispatch(conn, request);
    if (entry->fitted && (code == FH_TOO_LARGE || code == FH_NOMEM)) {
        request->error = (struct fh_error)FH_ERROR_INIT;
        return fh_error_set(&request->error, FH_UNAVAILABLE,
                            "the write was undone with others of its group, and did not fit a "
                            "second time: repeat it");
    }
    return code;
}

/* A transaction of its own. */
static void run_single(struct fh_sqlite_conn *conn, struct entry *entry)
{
    struct fh_request *request = entry->request;
    conn->deadline_us = request->deadline_us;
    request->code = fh_sqlite_conn_open(conn, &request->error);
    if (request->code == FH_OK) {
        request->code = use(conn, request);
    }
    if (request->code != FH_OK) {
        entry->waiting = false;
        return;
    }
    if (begin(conn, entry, 1) != FH_OK) {
        return;
    }
    entry->waiting = false;
    request->code = act(conn, entry);
    if (!keeps_changes(request)) {
        roll_back(conn);
        return;
    }
    if (!fh_sqlite_conn_in_transaction(conn)) {
        /* It succeeded and yet the transaction is gone: never acknowledge that. */
        request->code = fh_error_set(&request->error, FH_INTERNAL, "the transaction was lost");
        return;
    }
    request->code = finish(conn, &request->error);
}

static bool only_asks(const struct fh_request *request)
{
    return request->op == FH_OP_COMMIT && request->as.commit.validate_only;
}

/* What becomes of the group's transaction. */
enum group_state {
    GROUP_WHOLE,
    GROUP_SPOILT, /* holds what must not be committed: to be run again, with savepoints */
    GROUP_GONE,   /* rolled back by SQLite, or it cannot be told */
};

/* One request inside the group. */
static enum group_state run_plainly(struct fh_sqlite_conn *conn, struct entry *entry)
{
    struct fh_request *request = entry->request;
    sqlite3_int64 before = sqlite3_total_changes64(conn->db);
    request->code = act(conn, entry);
    if (!fh_sqlite_conn_in_transaction(conn)) {
        return GROUP_GONE;
    }
    if (request->code != FH_OK && sqlite3_total_changes64(conn->db) != before) {
        return GROUP_SPOILT;
    }
    entry->waiting = false;
    entry->wrote = request->code == FH_OK;
    return GROUP_WHOLE;
}

static enum group_state run_in_savepoint(struct fh_sqlite_conn *conn, struct entry *entry)
{
    struct fh_request *request = entry->request;
    request->error = (struct fh_error)FH_ERROR_INIT;
    request->code = fh_sqlite_statement_run(conn, FH_SQLITE_SAVEPOINT, &request->error);
    if (request->code != FH_OK) {
        return GROUP_GONE; /* without its savepoint nothing can be undone singly */
    }
    request->code = act(conn, entry);
    if (!fh_sqlite_conn_in_transaction(conn)) {
        return GROUP_GONE;
    }
    bool keeps = keeps_changes(request);
    if (!keeps && fh_sqlite_statement_run(conn, FH_SQLITE_ROLLBACK_TO, NULL) != FH_OK) {
        return GROUP_GONE;
    }
    if (fh_sqlite_statement_run(conn, FH_SQLITE_RELEASE, NULL) != FH_OK) {
        return GROUP_GONE;
    }
    entry->waiting = false;
    entry->wrote = keeps;
    return fh_sqlite_conn_in_transaction(conn) ? GROUP_WHOLE : GROUP_GONE;
}

static void run_singly(struct fh_sqlite_conn *conn, struct entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].waiting) {
            run_single(conn, &entries[i]);
        }
    }
}

/* Nothing of the group holds any more. */
static void undo(struct entry *entries, const bool *member, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entries[i].waiting = member[i];
        entries[i].fitted = entries[i].fitted || entries[i].wrote;
        entries[i].wrote = false;
    }
}

/* Its transaction is begun. */
static enum group_state run_members(struct fh_sqlite_conn *conn, struct entry *entries,
                                    size_t count)
{
    enum group_state state = GROUP_WHOLE;
    for (size_t i = 0; i < count && state == GROUP_WHOLE; i++) {
        if (entries[i].waiting) {
            state = conn->careful_groups > 0 || only_asks(entries[i].request)
                        ? run_in_savepoint(conn, &entries[i])
                        : run_plainly(conn, &entries[i]);
        }
    }
    return state;
}

static void run_group(struct fh_sqlite_conn *conn, struct entry *entries, size_t count)
{
    bool member[FH_SQLITE_GROUP_MAX] = {false};
    struct fh_error error = FH_ERROR_INIT;
    for (size_t i = 0; i < count; i++) {
        member[i] = entries[i].waiting;
    }
    if (begin(conn, entries, count) != FH_OK) {
        return;
    }
    enum group_state state = run_members(conn, entries, count);
    if (state == GROUP_SPOILT) {
        conn->careful_groups = CAREFUL_GROUPS;
        roll_back(conn);
        undo(entries, member, count);
        if (!conn->broken) {
            if (begin(conn, entries, count) != FH_OK) {
                return;
            }
            state = run_members(conn, entries, count);
        }
    } else if (conn->careful_groups > 0) {
        conn->careful_groups--;
    }
    enum fh_code code = state == GROUP_WHOLE ? finish(conn, &error) : FH_INTERNAL;
    if (code == FH_OK) {
        return;
    }
    if (code == FH_OUTCOME_UNKNOWN) {
        for (size_t i = 0; i < count; i++) {
            if (entries[i].wrote) {
                entries[i].request->code = code;
                entries[i].request->error = error;
            }
        }
        return;
    }
    roll_back(conn);
    undo(entries, member, count);
    run_singly(conn, entries, count);
}

/* A batch of one erase, in a transaction and on a connection of its own: its foreign keys are off,
 * for batches take a tenant's tables one after another. */
static void run_erase(struct fh_sqlite_writer *writer, struct fh_request *request)
{
    struct fh_sqlite_conn *conn = &writer->eraser;
    struct entry entry = {.request = request, .waiting = true};
    uint64_t erased = request->as.home.rows_erased;
    bool more = false;
    conn->deadline_us = request->deadline_us;
    request->code = fh_sqlite_conn_open(conn, &request->error);
    if (request->code == FH_NO_TENANT) { /* not even the bridge file */
        request->error = (struct fh_error)FH_ERROR_INIT;
        request->code = FH_OK;
        return;
    }
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    if (request->code == FH_OK) { /* of a bridge file tables are dropped, whatever they are */
        request->code =
            fh_sqlite_views_use(conn, conn->bridge ? NULL : request->scope.schema, &request->error);
    }
    if (request->code != FH_OK || begin(conn, &entry, 1) != FH_OK) {
        return;
    }
    request->code = conn->bridge ? fh_sqlite_homes_erase_namespace(conn, request, &more)
                                 : fh_sqlite_home_erase(conn, request, &more);
    if (request->code == FH_OK && !fh_sqlite_conn_in_transaction(conn)) {
        request->code = fh_error_set(&request->error, FH_INTERNAL, "the transaction was lost");
    }
    if (request->code == FH_OK) {
        request->code = finish(conn, &request->error);
    } else {
        roll_back(conn);
    }
    if (request->code != FH_OK) {
        request->as.home.rows_erased = erased;
    } else if (more) {
        request->code = FH_SQLITE_AGAIN;
    }
}

/* A batch of a move, likewise: it brings children before their parents. */
static void run_apply(struct fh_sqlite_writer *writer, struct fh_request *request)
{
    struct fh_sqlite_conn *conn = &writer->eraser;
    struct entry entry = {.request = request, .waiting = true};
    conn->deadline_us = request->deadline_us;
    request->code = fh_sqlite_conn_open(conn, &request->error);
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    if (request->code == FH_OK) {
        request->code = fh_sqlite_views_use(conn, request->scope.schema, &request->error);
    }
    if (request->code != FH_OK || begin(conn, &entry, 1) != FH_OK) {
        return;
    }
    request->code = fh_sqlite_move_apply(conn, request);
    if (request->code == FH_OK && !fh_sqlite_conn_in_transaction(conn)) {
        request->code = fh_error_set(&request->error, FH_INTERNAL, "the transaction was lost");
    }
    if (request->code == FH_OK) {
        request->code = finish(conn, &request->error);
    } else {
        roll_back(conn);
    }
}

/* A schema change, likewise: tables are rebuilt while others reference them. No view may stand on
 * the connection meanwhile (views.h). */
static void run_schema(struct fh_sqlite_writer *writer, struct fh_request *request)
{
    struct fh_sqlite_conn *conn = &writer->eraser;
    request->code = FH_OK;
    if (!fh_home_is_dedicated(&request->scope.home)) { /* it may have to make the file */
        writer->conn.deadline_us = request->deadline_us;
        request->code = fh_sqlite_conn_open(&writer->conn, &request->error);
    }
    conn->deadline_us = request->deadline_us;
    if (request->code == FH_OK) {
        request->code = fh_sqlite_conn_open(conn, &request->error);
    }
    if (request->code == FH_OK) {
        request->code = fh_sqlite_views_clear(conn, &request->error);
    }
    if (request->code == FH_OK) {
        request->code = use(conn, request);
    }
    if (request->code == FH_OK) {
        request->code = fh_sqlite_schema_begin(conn, request);
    }
    if (request->code != FH_OK) {
        return;
    }
    request->code = fh_sqlite_schema_apply(conn, request);
    if (request->code == FH_OK && !fh_sqlite_conn_in_transaction(conn)) {
        request->code = fh_error_set(&request->error, FH_INTERNAL, "the transaction was lost");
    }
    if (request->code == FH_OK) {
        request->code = finish(conn, &request->error);
    } else {
        roll_back(conn);
    }
}

/* Not in the group: it takes a transaction, and the eraser's connection, for itself. */
static bool runs_alone(const struct fh_request *request)
{
    return request->op == FH_OP_HOME_ERASE || request->op == FH_OP_APPLY ||
           request->op == FH_OP_SCHEMA_APPLY ||
           (request->op == FH_OP_HOME_CREATE && fh_home_is_dedicated(&request->scope.home));
}

/* Fills `entries`; answers how many wait for the group. */
static size_t prepare(struct fh_sqlite_writer *writer, struct fh_work **items,
                      struct entry *entries, size_t count)
{
    struct fh_sqlite_conn *conn = &writer->conn;
    struct fh_error error = FH_ERROR_INIT;
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++) {
        struct fh_request *request = FH_CONTAINER_OF(items[i], struct fh_request, work);
        request->code = fh_sqlite_admit(conn->clock, request);
        entries[i] = (struct entry){
            .request = request,
            .waiting = request->code == FH_OK && !runs_alone(request),
        };
        waiting += entries[i].waiting ? 1 : 0;
    }
    if (waiting == 0) {
        return 0;
    }
    conn->deadline_us = first_deadline(entries, count);
    enum fh_code code = fh_sqlite_conn_open(conn, &error);
    if (code != FH_OK) {
        fail_waiting(entries, count, code, &error);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].waiting) {
            entries[i].request->code = use(conn, entries[i].request);
            entries[i].waiting = entries[i].request->code == FH_OK;
            waiting -= entries[i].waiting ? 0 : 1;
        }
    }
    return waiting;
}

static void run_alone(struct fh_sqlite_writer *writer, struct fh_request *request)
{
    bool in_file = request->scope.home.tier == FH_TIER_DATABASE;
    switch (request->op) {
    case FH_OP_APPLY:
        run_apply(writer, request);
        return;
    case FH_OP_SCHEMA_APPLY:
        run_schema(writer, request);
        return;
    case FH_OP_HOME_CREATE:
        FH_ASSERT(writer->homes != NULL);
        request->code = fh_sqlite_homes_create(writer->homes, &writer->eraser, request);
        return;
    default:
        FH_ASSERT(request->op == FH_OP_HOME_ERASE);
        if (!in_file) {
            run_erase(writer, request);
            return;
        }
        fh_sqlite_conn_close(&writer->conn);
        request->code = fh_sqlite_homes_erase_file(&writer->eraser, request);
        return;
    }
}

void fh_sqlite_writer_run(void *ctx, struct fh_work **items, size_t count)
{
    struct fh_sqlite_writer *writer = ctx;
    struct entry entries[FH_SQLITE_GROUP_MAX];
    FH_ASSERT(count <= FH_SQLITE_GROUP_MAX);
    size_t waiting = prepare(writer, items, entries, count);
    if (waiting == 1) {
        run_singly(&writer->conn, entries, count);
    } else if (waiting > 1) {
        run_group(&writer->conn, entries, count);
    }
    for (size_t i = 0; i < count; i++) {
        struct fh_request *request = entries[i].request;
        if (!runs_alone(request) || request->code != FH_OK) {
            continue;
        }
        request->code = fh_sqlite_admit(writer->conn.clock, request); /* others took their time */
        if (request->code == FH_OK) {
            run_alone(writer, request);
        }
    }
}
