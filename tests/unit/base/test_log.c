/* Log: every line valid JSON whatever it is given, batching, sinks that take nothing, threads.
 *
 * jansson reads the lines back: strict about UTF-8, control bytes and duplicate keys.
 */
#include "base/log.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/alloc.h"

#define HALF_BUFFER (128 * 1024)

static struct fh_clock_virtual virtual_clock;
static long live_before;

static int setup(void **state)
{
    (void)state;
    fh_clock_virtual_init(&virtual_clock, 1700000000123456);
    live_before = fh_alloc_live();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fh_alloc_live() == live_before ? 0 : -1;
}

static struct fh_log *open_log(int fd, enum fh_log_level level_min)
{
    struct fh_log *log = NULL;
    assert_int_equal(fh_log_create(fd, level_min, &virtual_clock.clock, &log), FH_OK);
    return log;
}

static int open_memory(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static off_t size_of(int fd)
{
    return lseek(fd, 0, SEEK_END);
}

/* All that was written to a memory file, for fh_free(). */
static char *read_all(int fd, size_t *len)
{
    *len = (size_t)size_of(fd);
    char *text = fh_malloc(*len + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, *len, 0), *len);
    text[*len] = '\0';
    return text;
}

typedef void line_cb(json_t *line, void *arg);

/* Parses each line; answers how many there were. */
static size_t each_line(const char *text, size_t len, line_cb *cb, void *arg)
{
    size_t count = 0;
    const char *at = text;
    const char *end = text + len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(newline); /* complete lines only */
        json_error_t error;
        json_t *line =
            json_loadb(at, (size_t)(newline - at), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (line == NULL) {
            fail_msg("%s: %.*s", error.text, (int)(newline - at), at);
        }
        assert_true(json_is_object(line));
        assert_non_null(json_object_get(line, "time"));
        if (cb != NULL) {
            cb(line, arg);
        }
        json_decref(line);
        at = newline + 1;
        count++;
    }
    return count;
}

static const char *string_at(json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    assert_non_null(text);
    return text;
}

static void check_kinds(json_t *line, void *arg)
{
    (void)arg;
    assert_string_equal(string_at(line, "time"), "2023-11-14T22:13:20.123456Z");
    assert_string_equal(string_at(line, "level"), "info");
    assert_string_equal(string_at(line, "event"), "test.kinds");
    assert_string_equal(string_at(line, "text"), "v");
    assert_string_equal(string_at(line, "none"), "");
    assert_true(json_integer_value(json_object_get(line, "low")) == INT64_MIN);
    assert_true(json_integer_value(json_object_get(line, "high")) == INT64_MAX);
    assert_true(json_real_value(json_object_get(line, "real")) == 0.1);
    assert_true(json_is_null(json_object_get(line, "nan")));
    assert_true(json_is_null(json_object_get(line, "inf")));
    assert_string_equal(string_at(line, "id"), "00000000-0000-0000-0000-000000000000");
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct fh_uuid nil;
    size_t len = 0;
    int fd = open_memory();
    struct fh_log *log = open_log(fd, FH_LOG_INFO);
    FH_LOG(log, DEBUG, "test.unseen", FH_KV_INT("x", 1));
    FH_LOG(log, INFO, "test.kinds", FH_KV_TEXT("text", "v"), FH_KV_TEXT("none", NULL),
           FH_KV_INT("low", INT64_MIN), FH_KV_INT("high", INT64_MAX), FH_KV_DOUBLE("real", 0.1),
           FH_KV_DOUBLE("nan", (double)NAN), FH_KV_DOUBLE("inf", -(double)INFINITY),
           FH_KV_UUID("id", nil));
    FH_LOG(NULL, ERROR, "nobody.listens", FH_KV_INT("x", 1));
    fh_log_flush(NULL);
    fh_log_destroy(NULL);
    fh_log_destroy(log); /* flushes */
    char *text = read_all(fd, &len);
    assert_int_equal(each_line(text, len, check_kinds, NULL), 1);
    fh_free(text);
    close(fd);
}

static void test_hostile_bytes(void **state)
{
    (void)state;
    size_t len = 0;
    int fd = open_memory();
    struct fh_log *log = open_log(fd, FH_LOG_DEBUG);
    size_t written = 0;
    /* Every pair of bytes, in values, keys and events. */
    for (unsigned first = 0; first < 256; first++) {
        char all[512];
        for (unsigned second = 0; second < 256; second++) {
            all[2 * second] = (char)first;
            all[2 * second + 1] = (char)second;
        }
        const char key[3] = {(char)first, '"', '\0'};
        FH_LOG(log, DEBUG, key, FH_KV_STR("v", ((struct fh_str){all, sizeof(all)})),
               FH_KV_INT(key, 1));
        written++;
    }
    /* Around the cut of a long value, with a character across it. */
    static char huge[40000];
    memset(huge, 'a', sizeof(huge));
    for (size_t at = 2040; at < 2052; at++) {
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes inside a longer text */
        memcpy(huge + at, "\xF0\x9F\x98\x80", 4);
        FH_LOG(log, DEBUG, "test.cut", FH_KV_STR("v", ((struct fh_str){huge, sizeof(huge)})));
        memset(huge + at, 'a', 4);
        written++;
    }
    memset(huge, '\x80', sizeof(huge));
    FH_LOG(log, DEBUG, "test.cut", FH_KV_STR("v", ((struct fh_str){huge, sizeof(huge)})));
    written++;
    fh_log_destroy(log);
    char *text = read_all(fd, &len);
    assert_int_equal(each_line(text, len, NULL, NULL), written);
    /* A whole character before the cut is kept, a cut one is gone: no mark of bad bytes. */
    assert_null(strstr(strstr(text, "test.cut"), "a\\ufffd"));
    fh_free(text);
    close(fd);
}

static void check_truncated(json_t *line, void *arg)
{
    (void)arg;
    assert_string_equal(string_at(line, "event"), "test.large");
    assert_true(json_is_true(json_object_get(line, "truncated")));
    assert_null(json_object_get(line, "k0"));
}

static void test_too_large_line(void **state)
{
    (void)state;
    static char value[2000];
    static char keys[100][16];
    struct fh_log_field fields[100];
    memset(value, 1, sizeof(value));
    for (int i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        fields[i] = FH_KV_STR(keys[i], ((struct fh_str){value, sizeof(value)}));
    }
    size_t len = 0;
    int fd = open_memory();
    struct fh_log *log = open_log(fd, FH_LOG_DEBUG);
    fh_log_write(log, FH_LOG_INFO, "test.large", fields, 100);
    fh_log_destroy(log);
    char *text = read_all(fd, &len);
    assert_int_equal(each_line(text, len, check_truncated, NULL), 1);
    fh_free(text);
    close(fd);
}

static void test_batches(void **state)
{
    (void)state;
    /* A packet socket keeps writes apart. */
    int ends[2];
    char packet[65536];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    struct fh_log *log = open_log(ends[0], FH_LOG_DEBUG);
    for (int i = 0; i < 10; i++) {
        FH_LOG(log, INFO, "test.line", FH_KV_INT("i", i));
    }
    assert_int_equal(recv(ends[1], packet, sizeof(packet), MSG_DONTWAIT), -1);
    fh_log_flush(log);
    ssize_t len = recv(ends[1], packet, sizeof(packet), MSG_DONTWAIT);
    assert_true(len > 0);
    assert_int_equal(each_line(packet, (size_t)len, NULL, NULL), 10);
    assert_int_equal(recv(ends[1], packet, sizeof(packet), MSG_DONTWAIT), -1);

    FH_LOG(log, INFO, "test.line", FH_KV_INT("i", 1));
    FH_LOG(log, WARN, "test.line", FH_KV_INT("i", 2)); /* at once, with what waits */
    len = recv(ends[1], packet, sizeof(packet), MSG_DONTWAIT);
    assert_true(len > 0);
    assert_int_equal(each_line(packet, (size_t)len, NULL, NULL), 2);
    FH_LOG(log, ERROR, "test.line", FH_KV_INT("i", 3));
    len = recv(ends[1], packet, sizeof(packet), MSG_DONTWAIT);
    assert_true(len > 0);
    assert_int_equal(each_line(packet, (size_t)len, NULL, NULL), 1);
    fh_log_destroy(log);
    close(ends[0]);
    close(ends[1]);
}

static void test_writes_when_half_full(void **state)
{
    (void)state;
    int fd = open_memory();
    struct fh_log *log = open_log(fd, FH_LOG_DEBUG);
    static char value[1000];
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < HALF_BUFFER / 1200; i++) {
        FH_LOG(log, INFO, "test.line", FH_KV_STR("v", ((struct fh_str){value, sizeof(value)})));
        assert_int_equal(size_of(fd), 0);
    }
    for (int i = 0; i < HALF_BUFFER / 1000 && size_of(fd) == 0; i++) {
        FH_LOG(log, INFO, "test.line", FH_KV_STR("v", ((struct fh_str){value, sizeof(value)})));
    }
    assert_in_range(size_of(fd), HALF_BUFFER, HALF_BUFFER + 2000);
    fh_log_destroy(log);
    close(fd);
}

/* Numbers of the lines seen, and what the log said it dropped. */
struct tally {
    int64_t last;
    int64_t seen;
    int64_t dropped;
};

static void tally_line(json_t *line, void *arg)
{
    struct tally *tally = arg;
    if (strcmp(string_at(line, "event"), "log.dropped") == 0) {
        assert_string_equal(string_at(line, "level"), "warn");
        tally->dropped += json_integer_value(json_object_get(line, "count"));
        return;
    }
    int64_t number = json_integer_value(json_object_get(line, "i"));
    assert_true(number > tally->last); /* in order, none twice */
    tally->last = number;
    tally->seen++;
}

/* Reads what is there without waiting, behind what was read before. */
static void drain(int fd, char *text, size_t size, size_t *len)
{
    ssize_t got = 0;
    while (*len < size && (got = read(fd, text + *len, size - *len)) > 0) {
        *len += (size_t)got;
    }
    assert_true(*len < size);
}

/* Writes far more than sink and buffer hold while nobody reads, then reads and writes in turn. */
static void check_full_sink(int sink, int source)
{
    static char text[4u << 20];
    size_t len = 0;
    int64_t number = 0;
    assert_int_equal(fcntl(source, F_SETFL, O_NONBLOCK), 0);
    struct fh_log *log = open_log(sink, FH_LOG_DEBUG);
    for (int i = 0; i < 10000; i++) {
        number++;
        fh_log_write(log, i % 100 == 0 ? FH_LOG_WARN : FH_LOG_INFO, "test.line",
                     &FH_KV_INT("i", number), 1);
    }
    struct tally tally = {.last = 0};
    for (int round = 0; round < 2000; round++) {
        size_t before = len;
        drain(source, text, sizeof(text), &len);
        fh_log_flush(log);
        if (round % 50 == 0) {
            number++;
            FH_LOG(log, INFO, "test.line", FH_KV_INT("i", number));
        }
        if (round > 100 && len == before) {
            break;
        }
    }
    fh_log_destroy(log);
    drain(source, text, sizeof(text), &len);
    each_line(text, len, tally_line, &tally);
    assert_true(tally.dropped > 1000); /* lines of 80 bytes: the buffer holds 3300 */
    assert_true(tally.seen > 2000);
    assert_true(tally.seen + tally.dropped == number);
    assert_true(tally.last == number); /* the log recovered */
    close(sink);
    close(source);
}

static void test_full_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    check_full_sink(ends[1], ends[0]);
}

static void test_full_blocking_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    check_full_sink(ends[1], ends[0]);
}

static void test_full_blocking_socket(void **state)
{
    (void)state;
    int ends[2];
    int small = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    check_full_sink(ends[0], ends[1]);
}

static void test_dead_sink(void **state)
{
    (void)state;
    int ends[2];
    struct fh_log *log = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    log = open_log(ends[0], FH_LOG_DEBUG);
    close(ends[1]); /* no signal, no endless loop */
    for (int i = 0; i < 5000; i++) {
        FH_LOG(log, ERROR, "test.line", FH_KV_INT("i", i));
    }
    fh_log_destroy(log);
    close(ends[0]);

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fh_log_create(ends[0], FH_LOG_INFO, &virtual_clock.clock, &log), FH_INVALID);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(fh_log_create(-1, FH_LOG_INFO, &virtual_clock.clock, &log), FH_INVALID);
}

#define THREADS 4
#define LINES 2000

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++) {
        fh_log_write(arg, i % 97 == 0 ? FH_LOG_WARN : FH_LOG_INFO, "test.line", &FH_KV_INT("i", i),
                     1);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    size_t len = 0;
    pthread_t threads[THREADS];
    int fd = open_memory();
    struct fh_log *log = open_log(fd, FH_LOG_DEBUG);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, log), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    fh_log_destroy(log);
    char *text = read_all(fd, &len);
    assert_int_equal(each_line(text, len, NULL, NULL), THREADS * LINES);
    fh_free(text);
    close(fd);
}

static void test_every_allocation_fails(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        assert_true(n < 100);
        struct fh_log *log = NULL;
        int fd = open_memory();
        fh_alloc_fault_on(n, 1);
        enum fh_code code = fh_log_create(fd, FH_LOG_DEBUG, &virtual_clock.clock, &log);
        if (code == FH_OK) {
            static char value[1500];
            memset(value, 'v', sizeof(value));
            FH_LOG(log, INFO, "test.line", FH_KV_INT("i", 1),
                   FH_KV_STR("v", ((struct fh_str){value, sizeof(value)})));
        }
        bool faulted = fh_alloc_fault_off() != 0;
        size_t len = 0;
        struct tally tally = {.last = 0};
        if (code == FH_OK) {
            FH_LOG(log, INFO, "test.line", FH_KV_INT("i", 2));
            fh_log_destroy(log);
            char *text = read_all(fd, &len);
            each_line(text, len, tally_line, &tally);
            fh_free(text);
            assert_int_equal(tally.dropped, faulted ? 1 : 0);
            assert_int_equal(tally.seen, faulted ? 1 : 2);
        } else {
            assert_int_equal(code, FH_NOMEM);
            assert_true(faulted);
        }
        close(fd);
        assert_int_equal(fh_alloc_live(), live_before);
        if (!faulted) {
            assert_true(n >= 3);
            return;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kinds),
        TEST(test_hostile_bytes),
        TEST(test_too_large_line),
        TEST(test_batches),
        TEST(test_writes_when_half_full),
        TEST(test_full_pipe),
        TEST(test_full_blocking_pipe),
        TEST(test_full_blocking_socket),
        TEST(test_dead_sink),
        TEST(test_threads),
        TEST(test_every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
