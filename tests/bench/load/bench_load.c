/* A closed-loop load from the C SDK: `window` calls in flight on one connection until `calls` have
 * ended.
 *
 *   bench_load ADDRESS TOKEN_FILE OPERATION CALLS WINDOW SEED
 *
 * OPERATION: create (a new record of table "bench" each), get (one of 1000 records made before),
 * update (one of them). SEED keeps the keys of several processes apart. Prints one JSON object:
 * calls, failures, seconds, and the latency percentiles in microseconds. Ends with 1 when anything
 * failed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "clients/c/client.h"
#include "freehold/v1/data.pb-c.h"

#define KEYS 1000
#define PAYLOAD "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TOKEN_MAX 4096
#define NAME_LEN 96

struct load {
    struct fh_client *client;
    const char *operation;
    long calls;
    long started;
    long failures;
    const char *seed;
    int64_t *started_at_us; /* by call */
    int64_t *latency_us;
    long ended;
};

static int64_t now_us(void)
{
    return fh_clock_monotonic_us(fh_clock_system());
}

static void start_get(struct load *load, long index, char *name)
{
    Freehold__V1__GetRecordRequest request = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    struct fh_client_call *call = NULL;
    struct fh_error error = FH_ERROR_INIT;
    (void)snprintf(name, NAME_LEN, "tables/bench/records/%s-%ld", load->seed, index % KEYS);
    request.name = name;
    if (fh_client_call_start(load->client, &freehold__v1__data_service__descriptor, "GetRecord",
                             &request.base, &load->started_at_us[index], &call, &error) != FH_OK) {
        load->failures++;
    }
}

static void start_write(struct load *load, long index, char *name, bool create)
{
    Freehold__V1__Value value = FREEHOLD__V1__VALUE__INIT;
    Freehold__V1__Record__FieldsEntry entry = FREEHOLD__V1__RECORD__FIELDS_ENTRY__INIT;
    Freehold__V1__Record__FieldsEntry *entries[] = {&entry};
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    Freehold__V1__CreateRecordRequest created = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    Freehold__V1__UpdateRecordRequest updated = FREEHOLD__V1__UPDATE_RECORD_REQUEST__INIT;
    struct fh_client_call *call = NULL;
    struct fh_error error = FH_ERROR_INIT;
    char payload[] = PAYLOAD;
    char key[] = "payload";
    (void)snprintf(name, NAME_LEN, "tables/bench/records/%s-%ld", load->seed,
                   create ? index : index % KEYS);
    value.kind_case = FREEHOLD__V1__VALUE__KIND_STRING_VALUE;
    value.string_value = payload;
    entry.key = key;
    entry.value = &value;
    record.name = name;
    record.n_fields = 1;
    record.fields = entries;
    created.record = &record;
    updated.record = &record;
    enum fh_code code = fh_client_call_start(load->client, &freehold__v1__data_service__descriptor,
                                             create ? "CreateRecord" : "UpdateRecord",
                                             create ? &created.base : &updated.base,
                                             &load->started_at_us[index], &call, &error);
    load->failures += code != FH_OK ? 1 : 0;
}

static void start_one(struct load *load)
{
    char name[NAME_LEN];
    long index = load->started++;
    load->started_at_us[index] = now_us();
    if (strcmp(load->operation, "get") == 0) {
        start_get(load, index, name);
    } else {
        start_write(load, index, name, strcmp(load->operation, "create") == 0);
    }
}

static void take_one(struct load *load)
{
    struct fh_client_call *call = fh_client_next(load->client);
    if (call == NULL) {
        return;
    }
    const int64_t *started_at_us = fh_client_call_arg(call);
    const struct fh_client_status *status = fh_client_call_status(call);
    load->latency_us[load->ended++] = now_us() - *started_at_us;
    if (fh_client_call_response(call) == NULL) {
        if (load->failures++ == 0) {
            (void)fprintf(stderr, "bench_load: %s\n", status->message);
        }
    }
    fh_client_call_free(call);
}

static int compare_us(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void report(struct load *load, int64_t duration_us)
{
    qsort(load->latency_us, (size_t)load->ended, sizeof(int64_t), compare_us);
    (void)printf("{\"calls\": %ld, \"failures\": %ld, \"seconds\": %.6f, \"p50_us\": %" PRId64
                 ", \"p99_us\": %" PRId64 ", \"max_us\": %" PRId64 "}\n",
                 load->ended, load->failures, (double)duration_us / 1e6,
                 load->latency_us[load->ended / 2], load->latency_us[load->ended * 99 / 100],
                 load->latency_us[load->ended - 1]);
}

static bool read_token(const char *path, char out[TOKEN_MAX])
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool ok = fgets(out, TOKEN_MAX, file) != NULL;
    (void)fclose(file);
    out[strcspn(out, "\n")] = '\0';
    return ok;
}

static int run(struct load *load, long window)
{
    int64_t start_us = now_us();
    while (load->ended < load->calls && load->failures == 0) {
        while (load->started < load->calls && (long)fh_client_live(load->client) < window) {
            start_one(load);
        }
        take_one(load);
    }
    if (load->ended > 0) {
        report(load, now_us() - start_us);
    }
    return load->failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct fh_client_options options;
    struct fh_error error = FH_ERROR_INIT;
    char token[TOKEN_MAX];
    if (argc != 7 || !read_token(argv[2], token)) {
        (void)fprintf(stderr,
                      "usage: bench_load ADDRESS TOKEN_FILE create|get|update CALLS WINDOW SEED\n");
        return 2;
    }
    struct load load = {.operation = argv[3], .calls = strtol(argv[4], NULL, 10), .seed = argv[6]};
    long window = strtol(argv[5], NULL, 10);
    fh_client_options_init(&options);
    options.address = argv[1];
    options.token = token;
    options.calls_max = (uint32_t)window;
    if (load.calls < 1 || window < 1 || window > FH_CLIENT_CALLS_MAX ||
        fh_client_create(&options, &load.client, &error) != FH_OK) {
        (void)fprintf(stderr, "bench_load: %s\n", fh_error_text(&error));
        return 2;
    }
    int status = 2;
    load.started_at_us = calloc((size_t)load.calls, sizeof(int64_t)); /* NOLINT(fh-alloc): a tool */
    load.latency_us = calloc((size_t)load.calls, sizeof(int64_t));    /* NOLINT(fh-alloc): a tool */
    if (load.started_at_us != NULL && load.latency_us != NULL) {
        status = run(&load, window);
    }
    free(load.started_at_us); /* NOLINT(fh-alloc): a tool */
    free(load.latency_us);    /* NOLINT(fh-alloc): a tool */
    fh_client_destroy(load.client);
    return status;
}
