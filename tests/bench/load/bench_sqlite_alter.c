/* What SQLite itself takes to change the schema of many files, durably: open, one transaction with
 * all statements, WAL, synchronous FULL, close.
 *
 *   bench_sqlite_alter DIRECTORY FILES THREADS SQL      prints {"files": n, "seconds": s}
 *
 * The files are DIRECTORY/0.db and so on. Each is closed as SQLite does by default, its log folded
 * into it: so are homes that make room for others. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX 64
#define PATH_SIZE 4096

static const char *directory;
static const char *statements;
static long files;
static atomic_long next;

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        (void)fprintf(stderr, "bench_sqlite_alter: %s\n", sqlite3_errmsg(db));
        exit(EXIT_FAILURE);
    }
}

static void change(long number)
{
    char path[PATH_SIZE];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/%ld.db", directory, number);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        (void)fprintf(stderr, "bench_sqlite_alter: %s: %s\n", path, sqlite3_errmsg(db));
        exit(EXIT_FAILURE);
    }
    run(db, "pragma journal_mode=wal; pragma synchronous=full; begin immediate");
    run(db, statements);
    run(db, "commit");
    (void)sqlite3_close(db);
}

static void *work(void *arg)
{
    (void)arg;
    for (long i = atomic_fetch_add(&next, 1); i < files; i = atomic_fetch_add(&next, 1)) {
        change(i);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    if (argc != 5) {
        (void)fprintf(stderr, "usage: bench_sqlite_alter DIRECTORY FILES THREADS SQL\n");
        return 2;
    }
    directory = argv[1];
    files = strtol(argv[2], NULL, 10);
    long count = strtol(argv[3], NULL, 10);
    statements = argv[4];
    if (count < 1 || count > THREADS_MAX) {
        return 2;
    }
    double start_s = now_s();
    for (long i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0) {
            return EXIT_FAILURE;
        }
    }
    for (long i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    (void)printf("{\"files\": %ld, \"seconds\": %.6f}\n", files, now_s() - start_s);
    return EXIT_SUCCESS;
}
