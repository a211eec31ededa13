/* Happy path: every key that goes is put into a queue; for each of its references with an action
 * the live rows are asked for, page by page, and become entries: to be deleted (then they are put
 * into the queue, too) or to have columns set to null. At the end each entry is evaluated as a
 * write.
 *
 * Entries and the commit's own keys are sorted arrays: both are small and bounded, and nothing has
 * to be freed.
 */
#include "stores/cascade.h"

#include "base/assert.h"

#define ENTRIES_FIRST 16

struct entry {
    struct fh_key key;
    struct fh_row *row;
    bool goes;
    bool purges;    /* with `goes` */
    uint32_t nulls; /* bits: references of its table whose columns become null */
    size_t origin;
};

/* A key that goes, and how far its references have been asked about. */
struct gone {
    struct fh_key key;
    bool purges;
    size_t origin;
    struct gone *next;
};

struct fh_cascade {
    const struct fh_schema *schema;
    struct fh_uuid tenant;
    int64_t now_us;
    const struct fh_write *writes;
    uint16_t *order; /* of the writes, by key */
    size_t write_count;
    struct fh_arena *arena;
    struct entry **entries; /* by key */
    size_t entry_count;
    size_t entry_capacity;
    struct gone *queue; /* the first is being asked about */
    struct gone **queue_end;
    uint32_t table; /* where in the schema the question is */
    uint16_t reference;
    bool paging; /* `after` says from where */
    struct fh_key after;
    size_t limit; /* of the question that is out; 0: none is */
};

static bool is_live(const struct fh_row *row)
{
    return row != NULL && row->deleted_at_us == 0;
}

static bool acts(const struct fh_foreign_key *reference, const struct fh_table *target)
{
    return reference->target->id == target->id && reference->on_delete != FH_REFERENCE_RESTRICT;
}

static bool is_acted_upon(const struct fh_schema *schema, const struct fh_table *target)
{
    for (uint32_t t = 0; t < schema->table_count; t++) {
        const struct fh_table *child = schema->tables[t];
        for (uint16_t i = 0; i < child->foreign_key_count; i++) {
            if (acts(&child->foreign_keys[i], target)) {
                return true;
            }
        }
    }
    return false;
}

static enum fh_code enqueue(struct fh_cascade *cascade, const struct fh_key *key, bool purges,
                            size_t origin)
{
    if (!is_acted_upon(cascade->schema, key->table)) {
        return FH_OK;
    }
    struct gone *gone = FH_ARENA_NEW(cascade->arena, struct gone);
    if (gone == NULL) {
        return FH_NOMEM;
    }
    *gone = (struct gone){.key = *key, .purges = purges, .origin = origin};
    *cascade->queue_end = gone;
    cascade->queue_end = &gone->next;
    return FH_OK;
}

static enum fh_code make(const struct fh_schema *schema, const struct fh_uuid *tenant,
                         int64_t now_us, const struct fh_write *writes, size_t count,
                         struct fh_arena *arena, struct fh_cascade **out)
{
    struct fh_cascade *cascade = FH_ARENA_NEW(arena, struct fh_cascade);
    uint16_t *order = FH_ARENA_ARRAY(arena, uint16_t, count);
    if (cascade == NULL || order == NULL) {
        return FH_NOMEM;
    }
    fh_writes_lock_order(writes, count, order);
    *cascade = (struct fh_cascade){.schema = schema,
                                   .tenant = *tenant,
                                   .now_us = now_us,
                                   .writes = writes,
                                   .order = order,
                                   .write_count = count,
                                   .arena = arena};
    cascade->queue_end = &cascade->queue;
    *out = cascade;
    return FH_OK;
}

enum fh_code fh_cascade_begin(const struct fh_schema *schema, const struct fh_uuid *tenant,
                              int64_t now_us, const struct fh_write *writes,
                              struct fh_row *const *before, struct fh_row *const *after,
                              size_t count, struct fh_arena *arena, struct fh_cascade **out)
{
    *out = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!is_live(before[i]) || is_live(after[i]) ||
            !is_acted_upon(schema, writes[i].key.table)) {
            continue;
        }
        enum fh_code code =
            *out == NULL ? make(schema, tenant, now_us, writes, count, arena, out) : FH_OK;
        if (code == FH_OK) {
            code = enqueue(*out, &writes[i].key, after[i] == NULL, i);
        }
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

bool fh_cascade_next(struct fh_cascade *cascade, struct fh_cascade_question *question)
{
    FH_ASSERT(cascade->limit == 0);
    while (cascade->queue != NULL) {
        const struct gone *gone = cascade->queue;
        for (; cascade->table < cascade->schema->table_count; cascade->table++) {
            const struct fh_table *child = cascade->schema->tables[cascade->table];
            for (; cascade->reference < child->foreign_key_count; cascade->reference++) {
                const struct fh_foreign_key *reference = &child->foreign_keys[cascade->reference];
                if (!acts(reference, gone->key.table)) {
                    continue;
                }
                cascade->limit = FH_CASCADE_PAGE_MAX;
                *question =
                    (struct fh_cascade_question){.child = child,
                                                 .reference = reference,
                                                 .parent = &gone->key,
                                                 .after = cascade->paging ? &cascade->after : NULL,
                                                 .limit = cascade->limit};
                return true;
            }
            cascade->reference = 0;
        }
        cascade->table = 0;
        cascade->queue = gone->next;
    }
    cascade->queue_end = &cascade->queue;
    return false;
}

/* Whether the commit writes the key itself. */
static bool is_written(const struct fh_cascade *cascade, const struct fh_key *key)
{
    size_t low = 0;
    size_t high = cascade->write_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = fh_key_compare(&cascade->writes[cascade->order[middle]].key, key);
        if (order == 0) {
            return true;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return false;
}

/* Where the key is, or where it belongs. */
static size_t place_of(const struct fh_cascade *cascade, const struct fh_key *key)
{
    size_t low = 0;
    size_t high = cascade->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fh_key_compare(&cascade->entries[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool grow(struct fh_cascade *cascade)
{
    if (cascade->entry_count < cascade->entry_capacity) {
        return true;
    }
    size_t capacity = cascade->entry_capacity > 0 ? cascade->entry_capacity * 2 : ENTRIES_FIRST;
    struct entry **entries = FH_ARENA_ARRAY(cascade->arena, struct entry *, capacity);
    if (entries == NULL) {
        return false;
    }
    if (cascade->entry_count > 0) {
        memcpy(entries, cascade->entries, cascade->entry_count * sizeof(struct entry *));
    }
    cascade->entries = entries;
    cascade->entry_capacity = capacity;
    return true;
}

static enum fh_code entry_of(struct fh_cascade *cascade, struct fh_row *row, struct entry **out,
                             struct fh_error *error)
{
    struct fh_key key;
    fh_key_of_row(row, &key);
    size_t at = place_of(cascade, &key);
    if (at < cascade->entry_count && fh_key_compare(&cascade->entries[at]->key, &key) == 0) {
        *out = cascade->entries[at];
        return FH_OK;
    }
    if (cascade->entry_count == FH_CASCADE_ROWS_MAX) {
        return fh_error_set(error, FH_TOO_LARGE,
                            "more than %d records reference what would go away, some of them in "
                            "table %.*s; delete those first",
                            FH_CASCADE_ROWS_MAX, FH_STR_ARG(row->table->name));
    }
    struct entry *entry = FH_ARENA_NEW(cascade->arena, struct entry);
    if (entry == NULL || !grow(cascade)) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    *entry = (struct entry){.key = key, .row = row};
    memmove(&cascade->entries[at + 1], &cascade->entries[at],
            (cascade->entry_count - at) * sizeof(struct entry *));
    cascade->entries[at] = entry;
    cascade->entry_count++;
    *out = entry;
    return FH_OK;
}

static enum fh_code take_row(struct fh_cascade *cascade, struct fh_row *row, struct fh_error *error)
{
    const struct gone *gone = cascade->queue;
    struct fh_key key;
    struct entry *entry = NULL;
    fh_key_of_row(row, &key);
    if (is_written(cascade, &key)) {
        return FH_OK;
    }
    enum fh_code code = entry_of(cascade, row, &entry, error);
    if (code != FH_OK) {
        return code;
    }
    FH_ASSERT(entry != NULL);
    if (row->table->foreign_keys[cascade->reference].on_delete == FH_REFERENCE_SET_NULL) {
        entry->nulls |= UINT32_C(1) << cascade->reference;
        entry->origin = entry->goes ? entry->origin : gone->origin;
        return FH_OK;
    }
    if (entry->goes && (entry->purges || !gone->purges)) {
        return FH_OK;
    }
    entry->goes = true;
    entry->purges = gone->purges;
    entry->origin = gone->origin;
    code = enqueue(cascade, &entry->key, entry->purges, entry->origin);
    return code == FH_OK ? FH_OK : fh_error_set(error, code, "out of memory");
}

enum fh_code fh_cascade_answer(struct fh_cascade *cascade, struct fh_row *const *rows, size_t count,
                               struct fh_error *error)
{
    FH_ASSERT(cascade->limit > 0 && count <= cascade->limit && cascade->queue != NULL);
    bool more = count == cascade->limit;
    cascade->limit = 0;
    for (size_t i = 0; i < count; i++) {
        enum fh_code code = take_row(cascade, rows[i], error);
        if (code != FH_OK) {
            return code;
        }
    }
    cascade->paging = more;
    if (more) {
        fh_key_of_row(rows[count - 1], &cascade->after);
    } else {
        cascade->reference++;
    }
    return FH_OK;
}

/* Every column of every reference that lost its row, each once. */
static enum fh_code assign_nulls(struct fh_cascade *cascade, const struct entry *entry,
                                 struct fh_write *write)
{
    const struct fh_table *table = entry->key.table;
    struct fh_assignment *assignments =
        FH_ARENA_ARRAY(cascade->arena, struct fh_assignment, table->column_count);
    if (assignments == NULL) {
        return FH_NOMEM;
    }
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        const struct fh_foreign_key *reference = &table->foreign_keys[i];
        for (uint16_t k = 0; (entry->nulls >> i & 1) != 0 && k < reference->column_count; k++) {
            uint16_t column = reference->columns[k];
            bool repeated = false;
            for (uint16_t a = 0; a < write->assignment_count; a++) {
                repeated = repeated || assignments[a].column == column;
            }
            if (!repeated) {
                assignments[write->assignment_count++] = (struct fh_assignment){
                    .column = column,
                    .transform = FH_TRANSFORM_SET,
                    .value = {.type = table->columns[column].type, .is_null = true}};
            }
        }
    }
    write->assignments = assignments;
    return FH_OK;
}

static enum fh_code finish_entry(struct fh_cascade *cascade, const struct entry *entry,
                                 struct fh_cascade_write *out, struct fh_error *error)
{
    *out = (struct fh_cascade_write){
        .write = {.op = FH_WRITE_UPDATE, .key = entry->key, .expect = FH_EXPECT_ANY},
        .before = entry->row,
        .origin = entry->origin};
    enum fh_code code = FH_OK;
    if (entry->goes) {
        out->write.op = entry->purges ? FH_WRITE_PURGE : FH_WRITE_DELETE;
    } else {
        code = assign_nulls(cascade, entry, &out->write);
    }
    if (code != FH_OK) {
        return fh_error_set(error, code, "out of memory");
    }
    return fh_write_evaluate(&out->write, entry->row, &cascade->tenant, cascade->now_us,
                             cascade->arena, &out->after, error);
}

enum fh_code fh_cascade_finish(struct fh_cascade *cascade, const struct fh_cascade_write **writes,
                               size_t *count, size_t *failed_write, struct fh_error *error)
{
    FH_ASSERT(cascade->queue == NULL && cascade->limit == 0);
    struct fh_cascade_write *list =
        FH_ARENA_ARRAY(cascade->arena, struct fh_cascade_write, cascade->entry_count);
    if (list == NULL && cascade->entry_count > 0) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < cascade->entry_count; i++) {
        enum fh_code code = finish_entry(cascade, cascade->entries[i], &list[i], error);
        if (code != FH_OK) {
            *failed_write = cascade->entries[i]->origin;
            return code;
        }
    }
    *writes = list;
    *count = cascade->entry_count;
    return FH_OK;
}

static enum fh_code ask_all(struct fh_cascade *cascade, struct fh_request *request,
                            fh_cascade_find_cb *find_cb, void *arg)
{
    struct fh_cascade_question question;
    while (fh_cascade_next(cascade, &question)) {
        size_t count = 0;
        struct fh_row **rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, question.limit);
        if (rows == NULL) {
            return fh_error_set(&request->error, FH_NOMEM, "out of memory");
        }
        enum fh_code code = find_cb(&question, rows, &count, arg);
        if (code == FH_OK) {
            code = fh_cascade_answer(cascade, rows, count, &request->error);
        }
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

enum fh_code fh_cascade_run(struct fh_request *request, int64_t now_us,
                            struct fh_row *const *before, struct fh_row *const *after,
                            fh_cascade_find_cb *find_cb, void *arg,
                            const struct fh_cascade_write **writes, size_t *count)
{
    struct fh_op_commit *commit = &request->as.commit;
    struct fh_cascade *cascade = NULL;
    *writes = NULL;
    *count = 0;
    enum fh_code code =
        fh_cascade_begin(request->scope.schema, &request->scope.tenant, now_us, commit->writes,
                         before, after, commit->count, request->arena, &cascade);
    if (code != FH_OK || cascade == NULL) {
        return code == FH_OK ? FH_OK : fh_error_set(&request->error, code, "out of memory");
    }
    code = ask_all(cascade, request, find_cb, arg);
    return code == FH_OK
               ? fh_cascade_finish(cascade, writes, count, &commit->failed_write, &request->error)
               : code;
}

const struct fh_write *fh_cascade_behind(const struct fh_write *own, size_t own_count,
                                         const struct fh_cascade_write *writes, size_t count,
                                         struct fh_arena *arena)
{
    struct fh_write *all = FH_ARENA_ARRAY(arena, struct fh_write, own_count + count);
    if (all == NULL) {
        return NULL;
    }
    memcpy(all, own, own_count * sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        all[own_count + i] = writes[i].write;
    }
    return all;
}
