/* Sorted arrays and maps; what can fail is done before anything is changed (reserve, then set). */
#include "stores/mem/data.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"

static struct fh_str home_key(const void *item)
{
    return (struct fh_str){.data = (const char *)&((const struct fh_mem_home *)item)->id,
                           .len = sizeof(struct fh_home)};
}

static struct fh_str tenant_key(const void *item)
{
    const struct fh_mem_tenant *tenant = item;
    return (struct fh_str){.data = (const char *)tenant->id.bytes, .len = sizeof(tenant->id.bytes)};
}

static struct fh_str request_id_key(const void *item)
{
    return ((const struct fh_mem_record *)item)->header.request_id;
}

void fh_mem_data_init(struct fh_mem_data *data)
{
    memset(data, 0, sizeof(*data));
    fh_map_init(&data->homes, FH_MEM_HOMES_MAX, home_key);
}

uint64_t fh_mem_tenant_free(struct fh_mem_data *data, struct fh_mem_tenant *tenant)
{
    uint64_t count = tenant->record_count;
    for (size_t t = 0; t < tenant->table_count; t++) {
        struct fh_mem_table *table = &tenant->tables[t];
        for (size_t i = 0; i < table->count; i++) {
            fh_mem_row_free(data, table->rows[i]);
        }
        count += table->count;
        fh_free(table->rows);
    }
    fh_free(tenant->tables);
    for (size_t i = 0; i < tenant->record_count; i++) {
        fh_mem_record_free(data, tenant->records[i]);
    }
    fh_free(tenant->records);
    fh_map_close(&tenant->by_request_id);
    fh_free((char *)(uintptr_t)tenant->move_state.data);
    fh_free(tenant);
    return count;
}

static enum fh_code copy_rows(struct fh_mem_data *data, const struct fh_mem_tenant *tenant,
                              struct fh_mem_tenant *copy)
{
    for (size_t t = 0; t < tenant->table_count; t++) {
        const struct fh_mem_table *from = &tenant->tables[t];
        enum fh_code code = fh_mem_table_reserve(copy, (uint16_t)t, from->count);
        if (code != FH_OK) {
            return code;
        }
        struct fh_mem_table *to = &copy->tables[t];
        for (size_t i = 0; i < from->count; i++) {
            code = fh_mem_row_store(data, &from->rows[i]->row, &to->rows[i]);
            if (code != FH_OK) {
                return code;
            }
            to->count++;
        }
    }
    return FH_OK;
}

static enum fh_code copy_records(struct fh_mem_data *data, const struct fh_mem_tenant *tenant,
                                 struct fh_mem_tenant *copy)
{
    for (size_t i = 0; i < tenant->record_count; i++) {
        const struct fh_mem_record *from = tenant->records[i];
        struct fh_mem_record *record = NULL;
        enum fh_code code = fh_mem_record_create(data, &from->header, from->request_hash,
                                                 from->changes, from->images, &record);
        if (code == FH_OK) {
            code = fh_mem_record_add(copy, record);
            if (code != FH_OK) {
                fh_mem_record_free(data, record);
            }
        }
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

enum fh_code fh_mem_tenant_copy(struct fh_mem_data *data, const struct fh_mem_tenant *tenant,
                                struct fh_mem_tenant **out)
{
    struct fh_mem_tenant *copy = fh_calloc(1, sizeof(*copy));
    if (copy == NULL) {
        return FH_NOMEM;
    }
    copy->id = tenant->id;
    copy->fence = tenant->fence;
    copy->seq_last = tenant->seq_last;
    fh_map_init(&copy->by_request_id, FH_MEM_REQUEST_IDS_MAX, request_id_key);
    enum fh_code code = copy_rows(data, tenant, copy);
    if (code == FH_OK) {
        code = copy_records(data, tenant, copy);
    }
    if (code != FH_OK) {
        (void)fh_mem_tenant_free(data, copy);
        return code;
    }
    *out = copy;
    return FH_OK;
}

void fh_mem_data_close(struct fh_mem_data *data)
{
    size_t home_cursor = 0;
    struct fh_mem_home *home = NULL;
    while ((home = fh_map_next(&data->homes, &home_cursor)) != NULL) {
        size_t tenant_cursor = 0;
        struct fh_mem_tenant *tenant = NULL;
        while ((tenant = fh_map_next(&home->tenants, &tenant_cursor)) != NULL) {
            (void)fh_mem_tenant_free(data, tenant);
        }
        fh_map_close(&home->tenants);
        fh_free(home);
    }
    fh_map_close(&data->homes);
    FH_ASSERT(data->bytes == 0);
}

/* Whatever stands behind the name's end is not part of it. */
static struct fh_home normal(const struct fh_home *id)
{
    _Static_assert(sizeof(struct fh_home) == sizeof(enum fh_tier) + FH_HOME_NAME_MAX,
                   "nothing between the tier and the name");
    struct fh_home home = {.tier = id->tier};
    (void)snprintf(home.name, sizeof(home.name), "%s", id->name);
    return home;
}

struct fh_mem_home *fh_mem_home_find(const struct fh_mem_data *data, const struct fh_home *id)
{
    const struct fh_home home = normal(id);
    return fh_map_get(&data->homes,
                      (struct fh_str){.data = (const char *)&home, .len = sizeof(home)});
}

enum fh_code fh_mem_home_create(struct fh_mem_data *data, const struct fh_home *id,
                                const struct fh_schema *schema, struct fh_mem_home **out)
{
    struct fh_mem_home *home = fh_calloc(1, sizeof(*home));
    if (home == NULL) {
        return FH_NOMEM;
    }
    home->id = normal(id);
    home->schema = schema;
    fh_map_init(&home->tenants, FH_MEM_TENANTS_MAX, tenant_key);
    enum fh_code code = fh_map_put(&data->homes, home);
    if (code != FH_OK) {
        fh_map_close(&home->tenants);
        fh_free(home);
        return code;
    }
    data->schema_homes += home->id.tier == FH_TIER_SCHEMA;
    *out = home;
    return FH_OK;
}

void fh_mem_home_drop(struct fh_mem_data *data, struct fh_mem_home *home)
{
    FH_ASSERT(home->tenants.count == 0);
    void *removed = fh_map_remove(&data->homes, home_key(home));
    FH_ASSERT(removed == home);
    data->schema_homes -= home->id.tier == FH_TIER_SCHEMA;
    fh_map_close(&home->tenants);
    fh_free(home);
}

struct fh_mem_tenant *fh_mem_tenant_find(const struct fh_mem_home *home,
                                         const struct fh_uuid *tenant)
{
    return fh_map_get(&home->tenants, (struct fh_str){.data = (const char *)tenant->bytes,
                                                      .len = sizeof(tenant->bytes)});
}

enum fh_code fh_mem_tenant_create(struct fh_mem_home *home, const struct fh_uuid *tenant,
                                  const struct fh_fence *fence)
{
    struct fh_mem_tenant *fresh = fh_calloc(1, sizeof(*fresh));
    if (fresh == NULL) {
        return FH_NOMEM;
    }
    fresh->id = *tenant;
    fresh->fence = *fence;
    fh_map_init(&fresh->by_request_id, FH_MEM_REQUEST_IDS_MAX, request_id_key);
    enum fh_code code = fh_map_put(&home->tenants, fresh);
    if (code != FH_OK) {
        fh_map_close(&fresh->by_request_id);
        fh_free(fresh);
    }
    return code;
}

uint64_t fh_mem_tenant_erase(struct fh_mem_data *data, struct fh_mem_home *home,
                             struct fh_mem_tenant *tenant)
{
    void *removed = fh_map_remove(&home->tenants, tenant_key(tenant));
    FH_ASSERT(removed == tenant);
    return fh_mem_tenant_free(data, tenant);
}

struct fh_mem_table *fh_mem_table_at(const struct fh_mem_tenant *tenant, uint16_t id)
{
    return id < tenant->table_count ? &tenant->tables[id] : NULL;
}

enum fh_code fh_mem_table_reserve(struct fh_mem_tenant *tenant, uint16_t id, size_t more)
{
    if (id >= tenant->table_count) {
        size_t count = (size_t)id + 1;
        struct fh_mem_table *grown = fh_realloc(tenant->tables, count * sizeof(*grown));
        if (grown == NULL) {
            return FH_NOMEM;
        }
        memset(grown + tenant->table_count, 0, (count - tenant->table_count) * sizeof(*grown));
        tenant->tables = grown;
        tenant->table_count = count;
    }
    struct fh_mem_table *table = &tenant->tables[id];
    if (table->count + more <= table->capacity) {
        return FH_OK;
    }
    size_t capacity = table->capacity == 0 ? 8 : table->capacity;
    while (capacity < table->count + more) {
        capacity *= 2;
    }
    struct fh_mem_row **rows = fh_realloc(table->rows, capacity * sizeof(struct fh_mem_row *));
    if (rows == NULL) {
        return FH_NOMEM;
    }
    table->rows = rows;
    table->capacity = capacity;
    return FH_OK;
}

size_t fh_mem_table_seek(const struct fh_mem_table *table, const struct fh_key *key, bool *found)
{
    size_t low = 0;
    size_t high = table->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct fh_key other;
        fh_key_of_row(&table->rows[middle]->row, &other);
        int order = fh_key_compare(&other, key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct fh_mem_row *fh_mem_table_get(const struct fh_mem_table *table, const struct fh_key *key)
{
    if (table == NULL) {
        return NULL;
    }
    bool found = false;
    size_t index = fh_mem_table_seek(table, key, &found);
    return found ? table->rows[index] : NULL;
}

void fh_mem_table_set(struct fh_mem_table *table, const struct fh_key *key, struct fh_mem_row *row)
{
    bool found = false;
    size_t index = fh_mem_table_seek(table, key, &found);
    if (found && row != NULL) {
        table->rows[index] = row;
        return;
    }
    size_t behind = table->count - index;
    if (found) {
        memmove(&table->rows[index], &table->rows[index + 1],
                (behind - 1) * sizeof(struct fh_mem_row *));
        table->count--;
        return;
    }
    if (row == NULL) {
        return;
    }
    FH_ASSERT(table->count < table->capacity);
    memmove(&table->rows[index + 1], &table->rows[index], behind * sizeof(struct fh_mem_row *));
    table->rows[index] = row;
    table->count++;
}

static bool has_bytes(const struct fh_value *value)
{
    return !value->is_null && (value->type == FH_TYPE_TEXT || value->type == FH_TYPE_BYTES ||
                               value->type == FH_TYPE_JSON);
}

/* Accounts for and makes one allocation of stored data. */
static enum fh_code data_alloc(struct fh_mem_data *data, size_t bytes, void **out)
{
    if (bytes > FH_MEM_BYTES_MAX - data->bytes) {
        return FH_DISK_FULL;
    }
    *out = fh_malloc(bytes);
    if (*out == NULL) {
        return FH_NOMEM;
    }
    data->bytes += bytes;
    return FH_OK;
}

static void data_free(struct fh_mem_data *data, void *memory, size_t bytes)
{
    FH_ASSERT(data->bytes >= bytes);
    data->bytes -= bytes;
    fh_free(memory);
}

enum fh_code fh_mem_row_store(struct fh_mem_data *data, const struct fh_row *row,
                              struct fh_mem_row **out)
{
    size_t count = row->table->column_count;
    size_t bytes = sizeof(struct fh_mem_row) + count * sizeof(struct fh_value);
    for (size_t i = 0; i < count; i++) {
        bytes += has_bytes(&row->values[i]) ? row->values[i].as.bytes.len : 0;
    }
    void *memory = NULL;
    enum fh_code code = data_alloc(data, bytes, &memory);
    if (code != FH_OK) {
        return code;
    }
    struct fh_mem_row *stored = memory;
    stored->bytes = bytes;
    stored->row = *row;
    stored->row.values = stored->values;
    char *next = (char *)&stored->values[count];
    for (size_t i = 0; i < count; i++) {
        stored->values[i] = row->values[i];
        if (has_bytes(&row->values[i])) {
            struct fh_str from = row->values[i].as.bytes;
            if (from.len > 0) {
                memcpy(next, from.data, from.len);
            }
            stored->values[i].as.bytes.data = next;
            next += from.len;
        }
    }
    *out = stored;
    return FH_OK;
}

void fh_mem_row_free(struct fh_mem_data *data, struct fh_mem_row *row)
{
    if (row != NULL) {
        data_free(data, row, row->bytes);
    }
}

struct fh_row *fh_mem_row_read(const struct fh_mem_row *stored, const struct fh_table *table,
                               struct fh_arena *arena)
{
    struct fh_row *row = fh_row_create(table, arena);
    if (row == NULL) {
        return NULL;
    }
    struct fh_value *values = row->values;
    *row = stored->row;
    row->table = table;
    row->values = values;
    FH_ASSERT(stored->row.table->column_count == table->column_count);
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (fh_value_copy(&stored->values[i], arena, &values[i]) != FH_OK) {
            return NULL;
        }
    }
    return row;
}

static struct fh_str copy_str(char **next, struct fh_str from)
{
    char *at = *next;
    if (from.len > 0) {
        memcpy(at, from.data, from.len);
    }
    *next += from.len;
    return (struct fh_str){.data = at, .len = from.len};
}

enum fh_code fh_mem_record_create(struct fh_mem_data *data, const struct fh_commit_record *header,
                                  const uint8_t request_hash[32], struct fh_str changes,
                                  struct fh_str images, struct fh_mem_record **out)
{
    size_t bytes = sizeof(struct fh_mem_record) + header->request_id.len + header->actor.len +
                   header->address.len + changes.len + images.len;
    void *memory = NULL;
    enum fh_code code = data_alloc(data, bytes, &memory);
    if (code != FH_OK) {
        return code;
    }
    struct fh_mem_record *record = memory;
    record->bytes = bytes;
    record->header = *header;
    memcpy(record->request_hash, request_hash, sizeof(record->request_hash));
    char *next = record->data;
    record->header.request_id = copy_str(&next, header->request_id);
    record->header.actor = copy_str(&next, header->actor);
    record->header.address = copy_str(&next, header->address);
    record->changes = copy_str(&next, changes);
    record->images = images.data != NULL ? copy_str(&next, images) : (struct fh_str){.data = NULL};
    *out = record;
    return FH_OK;
}

void fh_mem_record_free(struct fh_mem_data *data, struct fh_mem_record *record)
{
    if (record != NULL) {
        data_free(data, record, record->bytes);
    }
}

size_t fh_mem_record_seek(const struct fh_mem_tenant *tenant, uint64_t epoch, uint64_t seq,
                          bool *found)
{
    size_t low = 0;
    size_t high = tenant->record_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct fh_commit_record *header = &tenant->records[middle]->header;
        if (header->epoch < epoch || (header->epoch == epoch && header->seq < seq)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < tenant->record_count && tenant->records[low]->header.epoch == epoch &&
             tenant->records[low]->header.seq == seq;
    return low;
}

enum fh_code fh_mem_record_add(struct fh_mem_tenant *tenant, struct fh_mem_record *record)
{
    if (tenant->record_count == tenant->record_capacity) {
        size_t capacity = tenant->record_capacity == 0 ? 8 : tenant->record_capacity * 2;
        struct fh_mem_record **grown =
            fh_realloc(tenant->records, capacity * sizeof(struct fh_mem_record *));
        if (grown == NULL) {
            return FH_NOMEM;
        }
        tenant->records = grown;
        tenant->record_capacity = capacity;
    }
    bool found = false;
    size_t at = fh_mem_record_seek(tenant, record->header.epoch, record->header.seq, &found);
    FH_ASSERT(!found);
    if (record->header.request_id.len > 0) {
        enum fh_code code = fh_map_put(&tenant->by_request_id, record);
        if (code != FH_OK) {
            return code;
        }
    }
    memmove(&tenant->records[at + 1], &tenant->records[at],
            (tenant->record_count - at) * sizeof(struct fh_mem_record *));
    tenant->records[at] = record;
    tenant->record_count++;
    return FH_OK;
}

void fh_mem_record_take(struct fh_mem_tenant *tenant, struct fh_mem_record *record)
{
    bool found = false;
    size_t at = fh_mem_record_seek(tenant, record->header.epoch, record->header.seq, &found);
    FH_ASSERT(found && tenant->records[at] == record);
    tenant->record_count--;
    memmove(&tenant->records[at], &tenant->records[at + 1],
            (tenant->record_count - at) * sizeof(struct fh_mem_record *));
    if (record->header.request_id.len > 0) {
        void *removed = fh_map_remove(&tenant->by_request_id, record->header.request_id);
        FH_ASSERT(removed == record);
    }
}
