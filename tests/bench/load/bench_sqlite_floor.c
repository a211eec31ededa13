/* What SQLite itself takes for the bytes of our durable write: one row and one commit record, in
 * groups of 64 a transaction, WAL, synchronous FULL.
 *
 *   bench_sqlite_floor DIRECTORY ROWS [FILES GROUP THREADS]
 *
 * prints {"rows": n, "seconds": s}. With FILES, rows are spread evenly over so many files, GROUP a
 * transaction, by THREADS threads that have some of the files each and write them in turn.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GROUP 64
#define FILES_MAX 1024
#define THREADS_MAX 16
#define IMAGE_BYTES 240 /* of a row with a 64-byte payload, before the copy of system columns */

static void check(sqlite3 *db, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) {
        (void)fprintf(stderr, "bench_sqlite_floor: %s\n",
                      db != NULL ? sqlite3_errmsg(db) : "cannot open");
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    check(db, sqlite3_prepare_v2(db, sql, -1, &statement, NULL));
    return statement;
}

static void insert(sqlite3 *db, sqlite3_stmt *row, sqlite3_stmt *record, long i)
{
    static char image[IMAGE_BYTES];
    char key[32];
    int len = snprintf(key, sizeof(key), "floor-%ld", i);
    check(db, sqlite3_bind_blob(row, 1, "0123456789abcdef", 16, SQLITE_STATIC));
    check(db, sqlite3_bind_text(row, 2, key, len, SQLITE_TRANSIENT));
    check(db, sqlite3_bind_text(row, 3,
                                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                                64, SQLITE_STATIC));
    check(db, sqlite3_step(row));
    check(db, sqlite3_reset(row));
    check(db, sqlite3_bind_blob(record, 1, "0123456789abcdef", 16, SQLITE_STATIC));
    check(db, sqlite3_bind_int64(record, 2, i));
    check(db, sqlite3_bind_text(record, 3, key, len, SQLITE_TRANSIENT));
    check(db, sqlite3_bind_blob(record, 4, image, sizeof(image), SQLITE_STATIC));
    check(db, sqlite3_step(record));
    check(db, sqlite3_reset(record));
}

struct file {
    sqlite3 *db;
    sqlite3_stmt *row;
    sqlite3_stmt *record;
    long written;
};

struct part {
    pthread_t thread;
    struct file *files; /* its first; the next is `step` further on */
    int count;
    int step;
    long rows; /* of each file */
    int group;
};

static void open_file(struct file *file, const char *directory, int number)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/floor%d.db", directory, number) >= (int)sizeof(path)) {
        exit(2);
    }
    check(NULL, sqlite3_open(path, &file->db));
    check(file->db, sqlite3_exec(file->db,
                                 "pragma journal_mode=wal; pragma synchronous=full;"
                                 "create table bench(t blob, id text, payload text, c integer, "
                                 "u integer, d integer, v integer, primary key(t, id)) strict, "
                                 "without rowid;"
                                 "create table record(t blob, seq integer, changes text, images "
                                 "blob, primary key(t, seq)) strict, without rowid;",
                                 NULL, NULL, NULL));
    file->row = prepare(file->db, "insert into bench values(?,?,?,1,1,null,1)");
    file->record = prepare(file->db, "insert into record values(?,?,?,?)");
}

static void close_file(struct file *file)
{
    (void)sqlite3_finalize(file->row);
    (void)sqlite3_finalize(file->record);
    check(file->db, sqlite3_close(file->db));
}

static void *write_part(void *arg)
{
    const struct part *part = arg;
    for (long at = 0; at < part->rows; at += part->group) {
        for (int i = 0; i < part->count; i++) {
            struct file *file = &part->files[(size_t)i * (size_t)part->step];
            check(file->db, sqlite3_exec(file->db, "begin immediate", NULL, NULL, NULL));
            for (int k = 0; k < part->group && file->written < part->rows; k++) {
                insert(file->db, file->row, file->record, file->written++);
            }
            check(file->db, sqlite3_exec(file->db, "commit", NULL, NULL, NULL));
        }
    }
    return NULL;
}

static void write_all(struct file *files, int file_count, long rows_each, int group, int threads)
{
    struct part parts[THREADS_MAX];
    for (int i = 0; i < threads; i++) {
        parts[i] = (struct part){.files = &files[i],
                                 .count = (file_count - i + threads - 1) / threads,
                                 .step = threads,
                                 .rows = rows_each,
                                 .group = group};
        if (pthread_create(&parts[i].thread, NULL, write_part, &parts[i]) != 0) {
            exit(1);
        }
    }
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(parts[i].thread, NULL);
    }
}

int main(int argc, char **argv)
{
    static struct file files[FILES_MAX];
    bool spread = argc == 6;
    long rows = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    int file_count = spread ? (int)strtol(argv[3], NULL, 10) : 1;
    int group = spread ? (int)strtol(argv[4], NULL, 10) : GROUP;
    int threads = spread ? (int)strtol(argv[5], NULL, 10) : 1;
    if ((argc != 3 && !spread) || file_count < 1 || file_count > FILES_MAX || group < 1 ||
        threads < 1 || threads > THREADS_MAX || rows < file_count) {
        (void)fprintf(stderr, "usage: bench_sqlite_floor DIRECTORY ROWS [FILES GROUP THREADS]\n");
        return 2;
    }
    for (int i = 0; i < file_count; i++) {
        open_file(&files[i], argv[1], i);
    }
    double start_s = now_s();
    write_all(files, file_count, rows / file_count, group, threads);
    (void)printf("{\"rows\": %ld, \"seconds\": %.6f}\n", rows / file_count * file_count,
                 now_s() - start_s);
    for (int i = 0; i < file_count; i++) {
        close_file(&files[i]);
    }
    return 0;
}
