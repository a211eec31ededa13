/* Happy path: a map of small records. Failures: memory, which loses a note. */
#include "router/store_versions.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/error.h"
#include "stores/store.h"

#define STORES_MAX 1000

struct status {
    char name[sizeof(((struct fh_store *)NULL)->name)];
    uint32_t version;
    char why[FH_ERROR_MESSAGE_MAX];
};

static struct fh_str status_key(const void *item)
{
    const struct status *status = item;
    return fh_str_of(status->name);
}

void fh_store_versions_init(struct fh_store_versions *versions)
{
    fh_map_init(&versions->map, STORES_MAX, status_key);
}

void fh_store_versions_close(struct fh_store_versions *versions)
{
    size_t cursor = 0;
    struct status *status = NULL;
    while ((status = fh_map_next(&versions->map, &cursor)) != NULL) {
        fh_free(status);
    }
    fh_map_close(&versions->map);
}

void fh_store_versions_note(struct fh_store_versions *versions, const char *store, uint32_t version,
                            const char *why)
{
    struct status *status = fh_map_get(&versions->map, fh_str_of(store));
    if (status == NULL) {
        status = fh_calloc(1, sizeof(*status));
        if (status == NULL) {
            return;
        }
        (void)snprintf(status->name, sizeof(status->name), "%s", store);
        if (fh_map_put(&versions->map, status) != FH_OK) {
            fh_free(status);
            return;
        }
    }
    if (version > 0) {
        status->version = version;
    }
    (void)snprintf(status->why, sizeof(status->why), "%s", why);
}

bool fh_store_versions_get(const struct fh_store_versions *versions, const char *store,
                           uint32_t *version, const char **why)
{
    const struct status *status = fh_map_get(&versions->map, fh_str_of(store));
    if (status == NULL) {
        return false;
    }
    *version = status->version;
    *why = status->why;
    return true;
}
