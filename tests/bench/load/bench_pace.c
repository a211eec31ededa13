/* A paced load: `rate` calls a second of one tenant or some, whether or not earlier ones were
 * answered, until standard input ends.
 *
 *   bench_pace ADDRESS TOKEN_FILE WRITES_PER_SECOND READS_PER_SECOND TABLE FIELD KEYS_FILE OUT
 *
 * Reads get a record of TABLE, writes update its text FIELD; the keys are the lines of KEYS_FILE,
 * taken in turn.
 *
 * Every call has its instant in a schedule, and its latency counts from there: a pause of the
 * server shows in full in all calls that should have been made meanwhile (no coordinated omission).
 * Calls are spread over threads, each with a blocking client of its own: THREADS_MIN of them, or
 * one a line of TOKEN_FILE where it has more. Each line is the token of a tenant, and belongs to a
 * thread: one tenant's pause does not keep the others' calls.
 *
 * OUT gets a line a call: scheduled instant (monotonic us), latency (us), w or r, 1 when it failed.
 * Prints "ready" once it has begun and at the end one JSON object: calls, failures. Keys are those
 * of `bench_load ... create`, 1000 of them with the seed. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "clients/c/client.h"
#include "freehold/v1/data.pb-c.h"

#define THREADS_MIN 16
#define TENANTS_MAX 128
#define KEYS_MAX 100000
#define KEY_LEN 64
#define CALLS_MAX (1L << 22)
#define TOKEN_MAX 4096
#define NAME_LEN 192

struct sample {
    int64_t at_us;
    int32_t latency_us;
    char kind;
    bool failed;
};

struct pace {
    const char *address;
    char (*tokens)[TOKEN_MAX];
    long token_count;
    atomic_long threads; /* begun */
    const char *table;
    const char *field;
    char (*keys)[KEY_LEN];
    long key_count;
    double writes_per_second;
    double calls_per_second;
    int64_t start_us;
    atomic_bool over;
    atomic_long next; /* slot of the schedule */
    struct sample *samples;
};

static int64_t now_us(void)
{
    return fh_clock_monotonic_us(fh_clock_system());
}

static void sleep_until(int64_t at_us)
{
    struct timespec at = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) {
    }
}

static bool get(struct fh_client *client, const char *name)
{
    Freehold__V1__GetRecordRequest request = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    ProtobufCMessage *out = NULL;
    struct fh_client_status status;
    request.name = (char *)(uintptr_t)name;
    bool ok = fh_client_invoke(client, &freehold__v1__data_service__descriptor, "GetRecord",
                               &request.base, &out, &status);
    if (!ok) {
        (void)fprintf(stderr, "bench_pace: get: %s\n", status.message);
    }
    fh_client_message_free(out);
    return ok;
}

static bool update(struct fh_client *client, const char *field, const char *name)
{
    Freehold__V1__Value value = FREEHOLD__V1__VALUE__INIT;
    Freehold__V1__Record__FieldsEntry entry = FREEHOLD__V1__RECORD__FIELDS_ENTRY__INIT;
    Freehold__V1__Record__FieldsEntry *entries[] = {&entry};
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    Freehold__V1__UpdateRecordRequest request = FREEHOLD__V1__UPDATE_RECORD_REQUEST__INIT;
    ProtobufCMessage *out = NULL;
    struct fh_client_status status;
    char payload[] = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    value.kind_case = FREEHOLD__V1__VALUE__KIND_STRING_VALUE;
    value.string_value = payload;
    entry.key = (char *)(uintptr_t)field;
    entry.value = &value;
    record.name = (char *)(uintptr_t)name;
    record.n_fields = 1;
    record.fields = entries;
    request.record = &record;
    bool ok = fh_client_invoke(client, &freehold__v1__data_service__descriptor, "UpdateRecord",
                               &request.base, &out, &status);
    if (!ok) {
        (void)fprintf(stderr, "bench_pace: update: %s\n", status.message);
    }
    fh_client_message_free(out);
    return ok;
}

/* Writes are spread evenly among the calls. */
static bool is_write(const struct pace *pace, long slot)
{
    double share = pace->writes_per_second / pace->calls_per_second;
    return (long)((double)(slot + 1) * share) > (long)((double)slot * share);
}

static void *run(void *arg)
{
    struct pace *pace = arg;
    struct fh_client_options options;
    struct fh_client *client = NULL;
    struct fh_error error = FH_ERROR_INIT;
    fh_client_options_init(&options);
    options.address = pace->address;
    options.token = pace->tokens[atomic_fetch_add(&pace->threads, 1) % pace->token_count];
    if (fh_client_create(&options, &client, &error) != FH_OK) {
        (void)fprintf(stderr, "bench_pace: %s\n", fh_error_text(&error));
        exit(EXIT_FAILURE);
    }
    while (!atomic_load(&pace->over)) {
        char name[NAME_LEN];
        long slot = atomic_fetch_add(&pace->next, 1);
        if (slot >= CALLS_MAX) {
            break;
        }
        struct sample *sample = &pace->samples[slot];
        sample->at_us = pace->start_us + (int64_t)((double)slot * 1e6 / pace->calls_per_second);
        sample->kind = is_write(pace, slot) ? 'w' : 'r';
        (void)snprintf(name, sizeof(name), "tables/%s/records/%s", pace->table,
                       pace->keys[slot % pace->key_count]);
        sleep_until(sample->at_us);
        sample->failed =
            sample->kind == 'w' ? !update(client, pace->field, name) : !get(client, name);
        sample->latency_us = (int32_t)(now_us() - sample->at_us);
    }
    fh_client_destroy(client);
    return NULL;
}

static int report(const struct pace *pace, const char *path)
{
    long failures = 0;
    long calls = 0;
    FILE *out = fopen(path, "we");
    if (out == NULL) {
        return EXIT_FAILURE;
    }
    for (long i = 0; i < atomic_load(&pace->next) && i < CALLS_MAX; i++) {
        const struct sample *sample = &pace->samples[i];
        if (sample->kind != '\0' && sample->latency_us > 0) {
            calls++;
            failures += sample->failed ? 1 : 0;
            (void)fprintf(out, "%" PRId64 " %" PRId32 " %c %d\n", sample->at_us, sample->latency_us,
                          sample->kind, sample->failed ? 1 : 0);
        }
    }
    (void)printf("{\"calls\": %ld, \"failures\": %ld}\n", calls, failures);
    return fclose(out) == 0 && failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The lines of a file, without their ends; `out` has `max` places of `size` bytes. */
static long read_lines(const char *path, char *out, long max, size_t size)
{
    FILE *file = fopen(path, "re");
    long count = 0;
    if (file == NULL || out == NULL) {
        return 0;
    }
    while (count < max && fgets(out, (int)size, file) != NULL) {
        out[strcspn(out, "\n")] = '\0';
        out += size;
        count++;
    }
    (void)fclose(file);
    return count;
}

static bool read_files(struct pace *pace, const char *tokens, const char *keys)
{
    pace->tokens = calloc(TENANTS_MAX, sizeof(*pace->tokens)); /* NOLINT(fh-alloc): a tool */
    pace->keys = calloc(KEYS_MAX, sizeof(*pace->keys));        /* NOLINT(fh-alloc): a tool */
    pace->token_count = read_lines(tokens, (char *)pace->tokens, TENANTS_MAX, TOKEN_MAX);
    pace->key_count = read_lines(keys, (char *)pace->keys, KEYS_MAX, KEY_LEN);
    return pace->token_count > 0 && pace->key_count > 0;
}

int main(int argc, char **argv)
{
    static struct pace pace;
    pthread_t threads[TENANTS_MAX];
    char ignored[256];
    if (argc != 9 || !read_files(&pace, argv[2], argv[7])) {
        (void)fprintf(stderr, "usage: bench_pace ADDRESS TOKEN_FILE WRITES_PER_SECOND "
                              "READS_PER_SECOND TABLE FIELD KEYS_FILE OUT\n");
        return 2;
    }
    pace.address = argv[1];
    pace.writes_per_second = strtod(argv[3], NULL);
    pace.calls_per_second = pace.writes_per_second + strtod(argv[4], NULL);
    pace.table = argv[5];
    pace.field = argv[6];
    pace.samples = calloc(CALLS_MAX, sizeof(*pace.samples)); /* NOLINT(fh-alloc): a tool */
    if (pace.samples == NULL || pace.calls_per_second < 1) {
        return 2;
    }
    const long count = pace.token_count > THREADS_MIN ? pace.token_count : THREADS_MIN;
    pace.start_us = now_us() + 200000;
    for (long i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run, &pace) != 0) {
            return 2;
        }
    }
    (void)puts("ready");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0) {
    }
    atomic_store(&pace.over, true);
    for (long i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    int status = report(&pace, argv[8]);
    free(pace.samples); /* NOLINT(fh-alloc): a tool */
    free(pace.keys);    /* NOLINT(fh-alloc): a tool */
    free(pace.tokens);  /* NOLINT(fh-alloc): a tool */
    return status;
}
