/* A shim in front of SQLite's file system that fails on command: the test program's default VFS.
 *
 * Thread-safe. Counts writes and syncs of the log (shared.db-wal) since it was armed; from the nth
 * on, `count` of them fail.
 */
#ifndef FH_TESTS_STORES_SQLITE_VFS_H
#define FH_TESTS_STORES_SQLITE_VFS_H

void vfs_install(void);
/* After `after` more writes to the log, `count` writes answer `rc` (SQLITE_FULL,
 * SQLITE_IOERR_WRITE). */
void vfs_fail_writes(int after, int count, int rc);
/* Instead of that write the process is killed. */
void vfs_kill_at_write(int after);
/* The same for syncs of the log: SQLITE_IOERR_FSYNC. */
void vfs_fail_syncs(int after, int count);
void vfs_heal(void);
/* How many faults were delivered since the last arming. */
int vfs_delivered(void);
/* Syncs of the log since vfs_install(). */
int vfs_syncs(void);

#endif
