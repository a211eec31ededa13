/* The files of a store's directory, and the locks that keep their names and contents together.
 *
 *     shared.db                      the shared home
 *     bridge-<00..3f>.db             homes of the schema tier, by the tenant's last byte
 *     homes/<00..ff>/t_<32 hex>.db   homes of the database tier, by the tenant's last byte
 *
 * Why the last byte: tenants' ids begin with the time of their creation, and end at random. How
 * many bridge files there are is fixed for good, and noted in each of them (conn.c).
 *
 * A file of the database tier comes and goes while others, also of other processes, have its name
 * or an open handle. What must never happen:
 *
 *   1. An eraser deletes a file in which the tenant lives again. So it deletes the name only after
 *      it has, in the file, committed the end of the fence that has the generation required, and
 *      only while it holds the directory's lock exclusively from before that look until after the
 *      deletion. HOME_CREATE takes the same lock, and FENCE_SET finds no fence any more: between
 *      the look and the deletion nobody can bring the tenant back.
 *   2. Somebody writes to, or reads from, a file that has lost its name. The fence went before the
 *      name did, so whatever is asked through an old handle finds no fence (FH_NO_TENANT), within
 *      its own transaction; and each batch begins with a look whether the name still means the
 *      file that is open (SQLITE_FCNTL_HAS_MOVED), so that an old handle is given up for the new
 *      file, if there is one.
 *   3. The log of one file meets the pages of another, for they are found by name, one after the
 *      other. So a connection goes from the name to the open log under the directory's lock,
 *      shared, and whoever makes or deletes names holds it exclusively; files next to a name that
 *      is new are removed first. For the same reason a connection that is closed does not delete
 *      the log (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE), but for one that holds the lock exclusively and
 *      has looked that the name is still its file's (fh_sqlite_conn_fold()).
 *
 * Bridge files never go. They come as those do: made whole under another name, and only while the
 * store's directory is locked.
 *
 * The lock is flock() of homes/<2 hex>, or of the store's directory: it goes with whoever dies, and
 * has nothing to do with the locks of SQLite, which belong to the process and would be lost by
 * closing a descriptor of the same file.
 *
 * Thread: any; the layout does not change after it was made.
 */
#ifndef FH_STORES_SQLITE_LAYOUT_H
#define FH_STORES_SQLITE_LAYOUT_H

#include <limits.h>

#include "base/clock.h"
#include "base/error.h"
#include "stores/home.h"

#define FH_SQLITE_BRIDGE_FILES 64 /* docs/decisions/0009-bridge-files.md */
#define FH_SQLITE_HOME_DIRECTORIES 256
#define FH_SQLITE_PATH_SIZE (PATH_MAX + 64)
#define FH_SQLITE_NEW_SUFFIX ".new" /* of a file until it is whole */

struct fh_sqlite_layout {
    char root[PATH_MAX]; /* the store's directory, without links in its path */
};

/* Where a home is. */
struct fh_sqlite_place {
    char path[FH_SQLITE_PATH_SIZE];      /* of the file */
    char directory[FH_SQLITE_PATH_SIZE]; /* whose lock guards the name; empty: it never goes */
    bool bridge;
    uint8_t number; /* of the bridge file, or of the directory; 0 for shared.db */
};

/* Finds the directory; makes it when only its last part is missing. */
FH_MUST_CHECK enum fh_code fh_sqlite_layout_init(struct fh_sqlite_layout *layout,
                                                 const char *location, struct fh_error *error);
/* The home is whole and valid (store.c looked). */
void fh_sqlite_layout_place(const struct fh_sqlite_layout *layout, const struct fh_home *home,
                            struct fh_sqlite_place *out);
void fh_sqlite_layout_bridge(const struct fh_sqlite_layout *layout, uint8_t number,
                             struct fh_sqlite_place *out);

/* Makes an empty file, for this user only, and its name durable; one that is there must be a
 * regular file, and is not opened: closing a descriptor of it would drop the locks that SQLite
 * connections of this process hold (POSIX locks belong to the process). */
FH_MUST_CHECK enum fh_code fh_sqlite_file_make(const struct fh_sqlite_place *place,
                                               struct fh_error *error);
/* FH_OK, or FH_NO_TENANT when there is no such file. */
FH_MUST_CHECK enum fh_code fh_sqlite_file_find(const char *path, struct fh_error *error);
/* Makes names that were made or deleted in the directory durable. */
FH_MUST_CHECK enum fh_code fh_sqlite_directory_sync(const char *directory, struct fh_error *error);
/* All of homes/<2 hex>, durably: they are made once, and so at the price of one. */
FH_MUST_CHECK enum fh_code fh_sqlite_directories_make(const struct fh_sqlite_layout *layout,
                                                      struct fh_error *error);
bool fh_sqlite_directory_exists(const struct fh_sqlite_place *place);
/* Waits for the lock in steps of a millisecond, half a second at most and not
 * past the deadline: FH_UNAVAILABLE. FH_NO_TENANT: there is no such directory. *out is to be given
 * back with fh_sqlite_directory_unlock(). */
FH_MUST_CHECK enum fh_code fh_sqlite_directory_lock(const struct fh_sqlite_place *place,
                                                    bool exclusive, const struct fh_clock *clock,
                                                    int64_t deadline_us, int *out,
                                                    struct fh_error *error);
void fh_sqlite_directory_unlock(int lock);
/* Removes path + suffix, and sets *removed; one that is not there is no error. */
FH_MUST_CHECK enum fh_code fh_sqlite_file_remove(const struct fh_sqlite_place *place,
                                                 const char *suffix, bool *removed,
                                                 struct fh_error *error);
/* The same of each; goes on where one fails, and tells of the first that did. */
FH_MUST_CHECK enum fh_code fh_sqlite_file_remove_all(const struct fh_sqlite_place *place,
                                                     const char *const *suffixes, size_t count,
                                                     bool *removed, struct fh_error *error);
/* An empty file, for this user only: what SQLite puts beside it is the same. */
FH_MUST_CHECK enum fh_code fh_sqlite_file_make_empty(const char *path, struct fh_error *error);
/* Of a file that no connection of this process has open: its locks would go with ours. */
FH_MUST_CHECK enum fh_code fh_sqlite_file_sync(const char *path, struct fh_error *error);
/* Of an errno. */
enum fh_code fh_sqlite_path_error(struct fh_error *error, const char *path, int reason);

#endif
