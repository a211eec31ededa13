#include "tests/unit/stores_sqlite/vfs.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define KILL (-1) /* in place of a code */

struct file {
    sqlite3_file base;
    bool is_log;
    sqlite3_file *real; /* behind this struct */
};

struct fault {
    int after;
    int count;
    int rc;
};

static sqlite3_vfs shim;
static sqlite3_vfs *real_vfs;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fault writes;
static struct fault syncs;
static int delivered;
static int sync_count;

static int strike(struct fault *fault)
{
    int rc = SQLITE_OK;
    pthread_mutex_lock(&mutex);
    if (fault->count > 0 && fault->after-- <= 0) {
        fault->count--;
        delivered++;
        rc = fault->rc;
    }
    pthread_mutex_unlock(&mutex);
    return rc;
}

static void arm(struct fault *fault, int after, int count, int rc)
{
    pthread_mutex_lock(&mutex);
    *fault = (struct fault){.after = after, .count = count, .rc = rc};
    delivered = 0;
    pthread_mutex_unlock(&mutex);
}

void vfs_fail_writes(int after, int count, int rc)
{
    arm(&writes, after, count, rc);
}

void vfs_kill_at_write(int after)
{
    arm(&writes, after, 1, KILL);
}

void vfs_fail_syncs(int after, int count)
{
    arm(&syncs, after, count, SQLITE_IOERR_FSYNC);
}

void vfs_heal(void)
{
    int before = vfs_delivered();
    arm(&writes, 0, 0, SQLITE_OK);
    arm(&syncs, 0, 0, SQLITE_OK);
    pthread_mutex_lock(&mutex);
    delivered = before;
    pthread_mutex_unlock(&mutex);
}

int vfs_delivered(void)
{
    pthread_mutex_lock(&mutex);
    int result = delivered;
    pthread_mutex_unlock(&mutex);
    return result;
}

int vfs_syncs(void)
{
    pthread_mutex_lock(&mutex);
    int result = sync_count;
    pthread_mutex_unlock(&mutex);
    return result;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct file *)(void *)file)->real;
}

static int x_close(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods != NULL ? real->pMethods->xClose(real) : SQLITE_OK;
}

static int x_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    return real_of(file)->pMethods->xRead(real_of(file), data, len, at);
}

static int x_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    int rc = ((struct file *)(void *)file)->is_log ? strike(&writes) : SQLITE_OK;
    if (rc == KILL) {
        (void)kill(getpid(), SIGKILL);
    }
    return rc != SQLITE_OK ? rc : real_of(file)->pMethods->xWrite(real_of(file), data, len, at);
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int x_sync(sqlite3_file *file, int flags)
{
    int rc = SQLITE_OK;
    if (((struct file *)(void *)file)->is_log) {
        pthread_mutex_lock(&mutex);
        sync_count++;
        pthread_mutex_unlock(&mutex);
        rc = strike(&syncs);
    }
    return rc != SQLITE_OK ? rc : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int x_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int x_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int x_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int x_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int x_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int x_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int x_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int x_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int x_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void x_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int x_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_reserved,
    .xFileControl = x_control,
    .xSectorSize = x_sector,
    .xDeviceCharacteristics = x_characteristics,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    struct file *shimmed = (struct file *)(void *)file;
    shimmed->real = (sqlite3_file *)(void *)(shimmed + 1);
    shimmed->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    int rc = real_vfs->xOpen(real_vfs, name, shimmed->real, flags, out);
    file->pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

void vfs_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    assert(real_vfs != NULL && real_vfs != &shim);
    shim = *real_vfs; /* whatever takes no file goes to the real one's functions */
    shim.zName = "shim";
    shim.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    shim.xOpen = x_open;
    int rc = sqlite3_vfs_register(&shim, 1);
    assert(rc == SQLITE_OK);
    (void)rc;
}
