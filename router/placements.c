/* Happy path: a map by tenant, and a list of the idle entries in the order of their last use.
 *
 * Failures: memory, and a cache all of whose entries are busy.
 */
#include "router/placements.h"

#include "base/alloc.h"
#include "base/assert.h"

static struct fh_str key_of(const void *item)
{
    const struct fh_placement_entry *entry = item;
    return (struct fh_str){.data = (const char *)entry->tenant.bytes,
                           .len = sizeof(entry->tenant.bytes)};
}

void fh_placements_init(struct fh_placements *placements, size_t count_max)
{
    fh_map_init(&placements->map, count_max, key_of);
    fh_list_init(&placements->idle);
}

static bool is_busy(const struct fh_placement_entry *entry)
{
    return entry->in_flight > 0 || entry->lookup != NULL || entry->hold != NULL || entry->pins > 0;
}

static void drop(struct fh_placements *placements, struct fh_placement_entry *entry)
{
    FH_ASSERT(!is_busy(entry) && fh_list_empty(&entry->waiters));
    fh_list_remove(&entry->idle);
    void *removed = fh_map_remove(&placements->map, key_of(entry));
    FH_ASSERT(removed == entry);
    fh_free(entry);
}

void fh_placements_close(struct fh_placements *placements)
{
    struct fh_list *node;
    while ((node = fh_list_pop_front(&placements->idle)) != NULL) {
        drop(placements, FH_CONTAINER_OF(node, struct fh_placement_entry, idle));
    }
    FH_ASSERT(placements->map.count == 0);
    fh_map_close(&placements->map);
}

struct fh_placement_entry *fh_placements_find(const struct fh_placements *placements,
                                              const struct fh_uuid *tenant)
{
    struct fh_str key = {.data = (const char *)tenant->bytes, .len = sizeof(tenant->bytes)};
    return fh_map_get(&placements->map, key);
}

enum fh_code fh_placements_get(struct fh_placements *placements, const struct fh_uuid *tenant,
                               struct fh_placement_entry **out)
{
    *out = fh_placements_find(placements, tenant);
    if (*out != NULL) {
        return FH_OK;
    }
    if (placements->map.count == placements->map.count_max) {
        struct fh_list *oldest = fh_list_pop_front(&placements->idle);
        if (oldest == NULL) {
            return FH_FULL;
        }
        drop(placements, FH_CONTAINER_OF(oldest, struct fh_placement_entry, idle));
    }
    struct fh_placement_entry *entry = fh_calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return FH_NOMEM;
    }
    entry->tenant = *tenant;
    fh_list_init(&entry->idle);
    fh_list_init(&entry->waiters);
    enum fh_code code = fh_map_put(&placements->map, entry);
    if (code != FH_OK) {
        fh_free(entry);
        return code;
    }
    *out = entry;
    return FH_OK;
}

void fh_placements_settle(struct fh_placements *placements, struct fh_placement_entry *entry)
{
    fh_list_remove(&entry->idle);
    if (is_busy(entry)) {
        return;
    }
    if (entry->status == FH_PLACEMENT_UNKNOWN) {
        drop(placements, entry);
        return;
    }
    fh_list_push_back(&placements->idle, &entry->idle);
}
