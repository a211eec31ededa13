/* Happy path: the file is there. Else: lock the store's directory -> still nothing under the name
 * -> make `<name>.new` whole, without a log, sync it -> rename -> sync the directory -> unlock.
 *
 * Failures: what is half made is removed before the answer; what a process that died left under
 * .new, or what stood beside a file that is gone, is removed by the next one that makes the file.
 */
#include "stores/sqlite/bridge.h"

#include <errno.h>
#include <stdio.h>

#include "base/fault_point.h"
#include "stores/sqlite/identity.h"

/* What a bridge file has before it has homes. */
static enum fh_code fill_bridge(struct fh_sqlite_conn *maker, uint8_t number,
                                struct fh_error *error)
{
    enum fh_code code = fh_sqlite_conn_open(maker, error);
    if (code == FH_OK) {
        code = fh_sqlite_conn_exec(maker, "BEGIN", error);
    }
    if (code == FH_OK) {
        code = fh_sqlite_identify_bridge(maker, number, error);
    }
    if (code == FH_OK) {
        code = fh_sqlite_conn_exec(maker, "COMMIT; PRAGMA journal_mode=WAL", error);
    }
    fh_sqlite_conn_close(maker);
    return code;
}

/* The directory's lock is held, and nothing is under the name. It gets its name once it is whole
 * and durable. SQLite syncs the directory, too, when it first syncs the log, but says nothing when
 * that fails. */
static enum fh_code make_bridge(const struct fh_sqlite_conn *conn,
                                const struct fh_sqlite_place *place, int64_t deadline_us,
                                struct fh_error *error)
{
    static const char *const suffixes[] = {"-wal",
                                           "-shm",
                                           "-journal",
                                           FH_SQLITE_NEW_SUFFIX,
                                           FH_SQLITE_NEW_SUFFIX "-wal",
                                           FH_SQLITE_NEW_SUFFIX "-journal"};
    struct fh_sqlite_conn maker;
    char path[FH_SQLITE_PATH_SIZE + sizeof(FH_SQLITE_NEW_SUFFIX)];
    bool removed = false;
    enum fh_code code = fh_sqlite_file_remove_all(
        place, suffixes, sizeof(suffixes) / sizeof(suffixes[0]), &removed, error);
    if (code == FH_OK && removed) { /* a log that came back would be taken for the new file's */
        code = fh_sqlite_directory_sync(place->directory, error);
    }
    if (code != FH_OK) {
        return code;
    }
    (void)snprintf(path, sizeof(path), "%s" FH_SQLITE_NEW_SUFFIX, place->path);
    fh_sqlite_conn_init(&maker, FH_SQLITE_ERASER, path, conn->clock, conn->faults);
    maker.making = true;
    maker.deadline_us = deadline_us;
    code = fh_sqlite_file_make_empty(path, error);
    if (code == FH_OK) {
        code = fill_bridge(&maker, place->number, error);
    }
    if (code == FH_OK) {
        code = fh_sqlite_file_sync(path, error);
    }
    fh_fault_point("sqlite.bridge.filled");
    bool named = code == FH_OK && rename(path, place->path) == 0;
    if (code == FH_OK && !named) {
        code = fh_sqlite_path_error(error, place->path, errno);
    }
    fh_fault_point("sqlite.bridge.named");
    if (named) {
        code = fh_sqlite_directory_sync(place->directory, error);
    } else {
        enum fh_code ignored = fh_sqlite_file_remove(place, FH_SQLITE_NEW_SUFFIX, &removed, NULL);
        (void)ignored; /* the next attempt sweeps it */
    }
    return code;
}

enum fh_code fh_sqlite_bridge_have(const struct fh_sqlite_layout *layout,
                                   const struct fh_sqlite_conn *conn, int64_t deadline_us,
                                   struct fh_error *error)
{
    struct fh_sqlite_place place = *conn->place;
    int lock = -1;
    enum fh_code code = fh_sqlite_file_find(place.path, error);
    if (code != FH_NO_TENANT) {
        return code;
    }
    *error = (struct fh_error)FH_ERROR_INIT;
    (void)snprintf(place.directory, sizeof(place.directory), "%s", layout->root);
    code = fh_sqlite_directory_lock(&place, true, conn->clock, deadline_us, &lock, error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_file_find(place.path, error);
    if (code == FH_NO_TENANT) { /* nobody was faster */
        *error = (struct fh_error)FH_ERROR_INIT;
        code = make_bridge(conn, &place, deadline_us, error);
    }
    fh_sqlite_directory_unlock(lock);
    return code;
}
