/* How long the service takes to make tenants, one after another, as one operator's client sees it.
 *
 *   bench_provision OPERATOR_ADDRESS TOKEN_FILE STORE shared|schema|database COUNT SLUG
 *
 * Makes COUNT tenants "<SLUG>-<n>" and prints a line each: its uid and the microseconds its
 * CreateTenant took. Ends with 1 at the first that failed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "clients/c/client.h"
#include "freehold/v1/tenant_admin.pb-c.h"

#define TOKEN_MAX 4096
#define NAME_LEN 128

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

static bool read_tier(const char *text, Freehold__V1__Placement__Tier *out)
{
    if (strcmp(text, "shared") == 0) {
        *out = FREEHOLD__V1__PLACEMENT__TIER__TIER_SHARED;
    } else if (strcmp(text, "schema") == 0) {
        *out = FREEHOLD__V1__PLACEMENT__TIER__TIER_SCHEMA;
    } else if (strcmp(text, "database") == 0) {
        *out = FREEHOLD__V1__PLACEMENT__TIER__TIER_DATABASE;
    } else {
        return false;
    }
    return true;
}

static bool make_one(struct fh_client *client, char *store, char *slug,
                     Freehold__V1__Placement__Tier tier)
{
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    Freehold__V1__CreateTenantRequest request = FREEHOLD__V1__CREATE_TENANT_REQUEST__INIT;
    ProtobufCMessage *out = NULL;
    struct fh_client_status status;
    tenant.slug = slug;
    request.tenant = &tenant;
    request.store = store;
    request.tier = tier;
    int64_t start_us = fh_clock_monotonic_us(fh_clock_system());
    if (!fh_client_invoke(client, &freehold__v1__tenant_admin_service__descriptor, "CreateTenant",
                          &request.base, &out, &status)) {
        (void)fprintf(stderr, "bench_provision: %s: %s\n", slug, status.message);
        return false;
    }
    (void)printf("%s %" PRId64 "\n", ((const Freehold__V1__Tenant *)out)->uid,
                 fh_clock_monotonic_us(fh_clock_system()) - start_us);
    fh_client_message_free(out);
    return true;
}

int main(int argc, char **argv)
{
    struct fh_client_options options;
    struct fh_client *client = NULL;
    struct fh_error error = FH_ERROR_INIT;
    Freehold__V1__Placement__Tier tier = FREEHOLD__V1__PLACEMENT__TIER__TIER_UNSPECIFIED;
    char token[TOKEN_MAX];
    char store[NAME_LEN];
    if (argc != 7 || !read_token(argv[2], token) || !read_tier(argv[4], &tier)) {
        (void)fprintf(stderr, "usage: bench_provision OPERATOR_ADDRESS TOKEN_FILE STORE "
                              "shared|schema|database COUNT SLUG\n");
        return 2;
    }
    (void)snprintf(store, sizeof(store), "stores/%s", argv[3]);
    fh_client_options_init(&options);
    options.address = argv[1];
    options.token = token;
    if (fh_client_create(&options, &client, &error) != FH_OK) {
        (void)fprintf(stderr, "bench_provision: %s\n", fh_error_text(&error));
        return 2;
    }
    bool ok = true;
    for (long i = 0; i < strtol(argv[5], NULL, 10) && ok; i++) {
        char slug[NAME_LEN];
        (void)snprintf(slug, sizeof(slug), "%s-%ld", argv[6], i);
        ok = make_one(client, store, slug, tier);
    }
    fh_client_destroy(client);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
