/* What SQLite itself takes for the bytes of our durable write: one row and one commit record, in
 * groups of 64 a transaction, WAL, synchronous FULL.
 *
 *   bench_sqlite_floor DIRECTORY ROWS      prints {"rows": n, "seconds": s}
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GROUP 64
#define IMAGE_BYTES 240 /* of a row with a 64-byte payload, before the copy of system columns */

static void check(sqlite3 *db, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) {
        (void)fprintf(stderr, "bench_sqlite_floor: %s\n", sqlite3_errmsg(db));
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

int main(int argc, char **argv)
{
    sqlite3 *db = NULL;
    char path[4096];
    if (argc != 3 || snprintf(path, sizeof(path), "%s/floor.db", argv[1]) >= (int)sizeof(path)) {
        (void)fprintf(stderr, "usage: bench_sqlite_floor DIRECTORY ROWS\n");
        return 2;
    }
    long rows = strtol(argv[2], NULL, 10);
    check(db, sqlite3_open(path, &db));
    check(db, sqlite3_exec(db,
                           "pragma journal_mode=wal; pragma synchronous=full;"
                           "create table bench(t blob, id text, payload text, c integer, u integer,"
                           " d integer, v integer, primary key(t, id)) strict, without rowid;"
                           "create table record(t blob, seq integer, changes text, images blob,"
                           " primary key(t, seq)) strict, without rowid;",
                           NULL, NULL, NULL));
    sqlite3_stmt *row = prepare(db, "insert into bench values(?,?,?,1,1,null,1)");
    sqlite3_stmt *record = prepare(db, "insert into record values(?,?,?,?)");
    double start_s = now_s();
    for (long i = 0; i < rows;) {
        check(db, sqlite3_exec(db, "begin immediate", NULL, NULL, NULL));
        for (int k = 0; k < GROUP && i < rows; k++, i++) {
            insert(db, row, record, i);
        }
        check(db, sqlite3_exec(db, "commit", NULL, NULL, NULL));
    }
    (void)printf("{\"rows\": %ld, \"seconds\": %.6f}\n", rows, now_s() - start_s);
    (void)sqlite3_finalize(row);
    (void)sqlite3_finalize(record);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
