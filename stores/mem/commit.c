/* Happy path: an earlier record with the request id answers; else every write is evaluated against
 * its row, the new rows are stored beside the old ones, put in their places, the constraints are
 * checked over the result, the record is appended, the old rows freed.
 *
 * What follows from references' actions is put behind the request's writes before any of it.
 *
 * Failures: until the rows are put in place nothing has changed; from there on nothing needs memory
 * but the record's append, so putting the old rows back always works. validate_only is the happy
 * path up to the check, then the way back.
 *
 * Constraints are checked by looking at every row of the tenant's table: this is the reference
 * engine, not the fast one.
 */
#include "stores/mem/commit.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/cascade.h"
#include "stores/commit_record.h"
#include "stores/image.h"

struct staged {
    struct fh_row *before; /* as the request's schema sees it, in the arena */
    struct fh_row *after;
    struct fh_mem_row *old;   /* in its table; NULL: none */
    struct fh_mem_row *fresh; /* to replace it; NULL: the row goes away */
    size_t origin;            /* which of the request's writes it is, or follows from */
};

/* The request's writes, and behind them what follows from references' actions. */
struct batch {
    const struct fh_write *writes;
    struct staged *staged;
    size_t count;
};

static bool is_live(const struct fh_row *row)
{
    return row != NULL && row->deleted_at_us == 0;
}

static bool any_null(const struct fh_row *row, const uint16_t *columns, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        if (row->values[columns[i]].is_null) {
            return true;
        }
    }
    return false;
}

static bool same_columns(const struct fh_row *a, const struct fh_row *b, const uint16_t *columns,
                         uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        if (!fh_value_equal(&a->values[columns[i]], &b->values[columns[i]])) {
            return false;
        }
    }
    return true;
}

/* Among live rows; a null is equal to nothing. */
enum fh_code fh_mem_check_unique_row(const struct fh_mem_tenant *tenant,
                                     const struct fh_table *table, const struct fh_row *row)
{
    const struct fh_mem_table *stored = fh_mem_table_at(tenant, table->id);
    for (uint16_t x = 0; x < table->index_count; x++) {
        const struct fh_index *index = &table->indexes[x];
        if (!index->unique || any_null(row, index->columns, index->column_count)) {
            continue;
        }
        struct fh_key key;
        fh_key_of_row(row, &key);
        for (size_t i = 0; i < stored->count; i++) {
            const struct fh_row *other = &stored->rows[i]->row;
            struct fh_key other_key;
            fh_key_of_row(other, &other_key);
            if (is_live(other) && fh_key_compare(&key, &other_key) != 0 &&
                same_columns(row, other, index->columns, index->column_count)) {
                return FH_UNIQUE_VIOLATION;
            }
        }
    }
    return FH_OK;
}

enum fh_code fh_mem_check_unique(const struct fh_mem_tenant *tenant, const struct fh_table *table)
{
    const struct fh_mem_table *stored = fh_mem_table_at(tenant, table->id);
    for (size_t i = 0; stored != NULL && i < stored->count; i++) {
        const struct fh_row *row = &stored->rows[i]->row;
        enum fh_code code = is_live(row) ? fh_mem_check_unique_row(tenant, table, row) : FH_OK;
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

bool fh_mem_reference_broken(const struct fh_mem_tenant *tenant, const struct fh_row *row,
                             const struct fh_foreign_key *reference, bool live)
{
    if (any_null(row, reference->columns, reference->column_count)) {
        return false;
    }
    struct fh_key key = {.table = reference->target};
    for (uint16_t i = 0; i < reference->column_count; i++) {
        key.values[i] = row->values[reference->columns[i]];
    }
    const struct fh_mem_row *target =
        fh_mem_table_get(fh_mem_table_at(tenant, reference->target->id), &key);
    return target == NULL || (live && !is_live(&target->row));
}

const struct fh_foreign_key *fh_mem_broken_reference(const struct fh_mem_tenant *tenant,
                                                     const struct fh_row *row, bool live)
{
    for (uint16_t f = 0; f < row->table->foreign_key_count; f++) {
        if (fh_mem_reference_broken(tenant, row, &row->table->foreign_keys[f], live)) {
            return &row->table->foreign_keys[f];
        }
    }
    return NULL;
}

static bool references(const struct fh_row *row, const struct fh_foreign_key *reference,
                       const struct fh_key *key)
{
    for (uint16_t i = 0; i < reference->column_count; i++) {
        const struct fh_value *value = &row->values[reference->columns[i]];
        if (value->is_null || !fh_value_equal(value, &key->values[i])) {
            return false;
        }
    }
    return true;
}

/* No live row may be left that references a row which is gone. */
static enum fh_code check_orphans(const struct fh_mem_tenant *tenant,
                                  const struct fh_schema *schema, const struct fh_key *key)
{
    for (uint32_t t = 0; t < schema->table_count; t++) {
        const struct fh_table *table = schema->tables[t];
        const struct fh_mem_table *stored = fh_mem_table_at(tenant, table->id);
        for (uint16_t f = 0; f < table->foreign_key_count; f++) {
            const struct fh_foreign_key *reference = &table->foreign_keys[f];
            if (reference->target->id != key->table->id) {
                continue;
            }
            for (size_t i = 0; stored != NULL && i < stored->count; i++) {
                const struct fh_row *row = &stored->rows[i]->row;
                if (is_live(row) && references(row, reference, key)) {
                    return FH_REFERENCE_VIOLATION;
                }
            }
        }
    }
    return FH_OK;
}

static enum fh_code check_constraints(const struct fh_mem_tenant *tenant,
                                      struct fh_request *request, const struct batch *batch)
{
    const struct staged *staged = batch->staged;
    for (size_t i = 0; i < batch->count; i++) {
        enum fh_code code = FH_OK;
        if (is_live(staged[i].after)) {
            code = fh_mem_check_unique_row(tenant, staged[i].after->table, staged[i].after);
            if (code == FH_OK && fh_mem_broken_reference(tenant, staged[i].after, true) != NULL) {
                code = FH_REFERENCE_VIOLATION;
            }
        } else if (is_live(staged[i].before)) {
            code = check_orphans(tenant, request->scope.schema, &batch->writes[i].key);
        }
        if (code != FH_OK) {
            request->as.commit.failed_write = staged[i].origin;
            return fh_error_set(&request->error, code, "%s", fh_code_text(code));
        }
    }
    return FH_OK;
}

/* Every write against its row; the new rows stored and room made for them. */
static enum fh_code stage(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                          struct fh_request *request, int64_t now_us, struct staged *staged)
{
    struct fh_op_commit *commit = &request->as.commit;
    for (size_t i = 0; i < commit->count; i++) {
        const struct fh_write *write = &commit->writes[i];
        const struct fh_table *table = write->key.table;
        struct staged *s = &staged[i];
        s->origin = i;
        /* For all of them, as the other writes may go to the same table. */
        enum fh_code code = fh_mem_table_reserve(tenant, table->id, commit->count);
        if (code != FH_OK) {
            return code;
        }
        s->old = fh_mem_table_get(fh_mem_table_at(tenant, table->id), &write->key);
        if (s->old != NULL) {
            s->before = fh_mem_row_read(s->old, table, request->arena);
            if (s->before == NULL) {
                return FH_NOMEM;
            }
        }
        code = fh_write_evaluate(write, s->before, &request->scope.tenant, now_us, request->arena,
                                 &s->after, &request->error);
        if (code != FH_OK) {
            commit->failed_write = i;
            return code;
        }
        if (s->after != NULL) {
            code = fh_mem_row_store(data, s->after, &s->fresh);
            if (code != FH_OK) {
                return code;
            }
        }
        commit->rows[i] = s->after;
    }
    return FH_OK;
}

struct asked {
    const struct fh_mem_tenant *tenant;
    struct fh_arena *arena;
};

/* One page of the live rows that reference the parent. */
static enum fh_code find_cb(const struct fh_cascade_question *question, struct fh_row **rows,
                            size_t *count, void *arg)
{
    const struct asked *asked = arg;
    const struct fh_mem_table *stored = fh_mem_table_at(asked->tenant, question->child->id);
    *count = 0;
    for (size_t i = 0; stored != NULL && i < stored->count && *count < question->limit; i++) {
        const struct fh_row *row = &stored->rows[i]->row;
        struct fh_key key;
        fh_key_of_row(row, &key);
        if (!is_live(row) || !references(row, question->reference, question->parent) ||
            (question->after != NULL && fh_key_compare(&key, question->after) <= 0)) {
            continue;
        }
        rows[*count] = fh_mem_row_read(stored->rows[i], question->child, asked->arena);
        if (rows[*count] == NULL) {
            return FH_NOMEM;
        }
        ++*count;
    }
    return FH_OK;
}

/* Puts what follows behind the request's own writes. */
static enum fh_code append_derived(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                                   struct fh_request *request,
                                   const struct fh_cascade_write *derived, size_t count,
                                   struct batch *batch)
{
    size_t total = batch->count + count;
    const struct fh_write *writes =
        fh_cascade_behind(batch->writes, batch->count, derived, count, request->arena);
    struct staged *staged = fh_calloc(total, sizeof(*staged));
    if (writes == NULL || staged == NULL) {
        fh_free(staged);
        return FH_NOMEM;
    }
    memcpy(staged, batch->staged, batch->count * sizeof(*staged));
    fh_free(batch->staged);
    batch->staged = staged;
    batch->writes = writes;
    for (size_t i = 0; i < count; i++) {
        struct staged *s = &staged[batch->count];
        const struct fh_table *table = derived[i].write.key.table;
        *s = (struct staged){
            .before = derived[i].before, .after = derived[i].after, .origin = derived[i].origin};
        s->old = fh_mem_table_get(fh_mem_table_at(tenant, table->id), &derived[i].write.key);
        batch->count++;
        enum fh_code code = s->after != NULL ? fh_mem_row_store(data, s->after, &s->fresh) : FH_OK;
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code follow_references(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                                      struct fh_request *request, int64_t now_us,
                                      struct batch *batch)
{
    const struct fh_op_commit *commit = &request->as.commit;
    struct asked asked = {.tenant = tenant, .arena = request->arena};
    const struct fh_cascade_write *derived = NULL;
    size_t count = 0;
    struct fh_row **before = FH_ARENA_ARRAY(request->arena, struct fh_row *, commit->count);
    if (before == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < commit->count; i++) {
        before[i] = batch->staged[i].before;
    }
    enum fh_code code =
        fh_cascade_run(request, now_us, before, commit->rows, find_cb, &asked, &derived, &count);
    return code == FH_OK && count > 0 ? append_derived(data, tenant, request, derived, count, batch)
                                      : code;
}

static enum fh_code append_record(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                                  struct fh_request *request, int64_t now_us,
                                  const struct batch *batch)
{
    const struct fh_op_commit *commit = &request->as.commit;
    struct fh_commit_record header = {.tenant = tenant->id,
                                      .epoch = request->scope.epoch,
                                      .seq = tenant->seq_last + 1,
                                      .request_id = commit->request_id,
                                      .actor = commit->actor,
                                      .address = commit->address,
                                      .at_us = now_us,
                                      .txid = data->txid_last + 1,
                                      .schema_version = request->scope.schema->version};
    struct fh_buf changes;
    struct fh_buf images;
    struct fh_mem_record *record = NULL;
    fh_buf_init(&changes, FH_MEM_BYTES_MAX);
    fh_buf_init(&images, FH_MEM_BYTES_MAX);
    fh_changes_encode(batch->writes, batch->count, &changes);
    fh_images_begin(&images);
    for (size_t i = 0; i < batch->count; i++) {
        fh_images_add(&images, batch->staged[i].before, batch->staged[i].after);
    }
    enum fh_code code = fh_buf_code(&changes);
    if (code == FH_OK) {
        code = fh_buf_code(&images);
    }
    if (code == FH_OK) {
        code = fh_mem_record_create(data, &header, commit->request_hash, fh_buf_str(&changes),
                                    fh_buf_str(&images), &record);
    }
    if (code == FH_OK) {
        code = fh_mem_record_add(tenant, record);
        if (code != FH_OK) {
            fh_mem_record_free(data, record);
        }
    }
    if (code == FH_OK) {
        tenant->seq_last++;
        data->txid_last++;
    }
    fh_buf_close(&images);
    fh_buf_close(&changes);
    return code;
}

static void put_in_place(struct fh_mem_tenant *tenant, const struct batch *batch, bool forward)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct fh_key *key = &batch->writes[i].key;
        const struct staged *staged = &batch->staged[i];
        struct fh_mem_table *table = fh_mem_table_at(tenant, key->table->id);
        fh_mem_table_set(table, key, forward ? staged->fresh : staged->old);
    }
}

static enum fh_code replay(const struct fh_mem_record *record, struct fh_request *request)
{
    struct fh_commit_record header = record->header;
    enum fh_code code = fh_commit_record_decode(&header, record->changes, record->images,
                                                request->scope.schema, request->arena);
    if (code != FH_OK) {
        return code;
    }
    code = fh_commit_replay(&request->as.commit, record->request_hash, &header, request->arena);
    for (size_t i = 0; code == FH_OK && i < request->as.commit.count; i++) {
        struct fh_row **row = &request->as.commit.rows[i];
        /* Decoded rows borrow from the record, which an erasure may free. */
        if (*row != NULL && (*row = fh_row_copy(*row, request->arena)) == NULL) {
            code = FH_NOMEM;
        }
    }
    return code;
}

enum fh_code fh_mem_commit(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                           struct fh_request *request, int64_t now_us)
{
    struct fh_op_commit *commit = &request->as.commit;
    if (commit->request_id.len > 0) {
        const struct fh_mem_record *earlier =
            fh_map_get(&tenant->by_request_id, commit->request_id);
        if (earlier != NULL) {
            return replay(earlier, request);
        }
    }
    commit->rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, commit->count);
    struct batch batch = {.writes = commit->writes,
                          .staged = fh_calloc(commit->count, sizeof(*batch.staged)),
                          .count = commit->count};
    enum fh_code code = FH_NOMEM;
    if (commit->rows == NULL || batch.staged == NULL) {
        goto out;
    }
    code = stage(data, tenant, request, now_us, batch.staged);
    if (code == FH_OK) {
        code = follow_references(data, tenant, request, now_us, &batch);
    }
    if (code != FH_OK) {
        goto free_fresh;
    }
    put_in_place(tenant, &batch, true);
    code = check_constraints(tenant, request, &batch);
    if (code == FH_OK && !commit->validate_only) {
        code = append_record(data, tenant, request, now_us, &batch);
    }
    if (code != FH_OK || commit->validate_only) {
        put_in_place(tenant, &batch, false);
        goto free_fresh;
    }
    for (size_t i = 0; i < batch.count; i++) {
        fh_mem_row_free(data, batch.staged[i].old);
    }
    commit->seq = tenant->seq_last;
    commit->at_us = now_us;
    goto out;

free_fresh:
    for (size_t i = 0; i < batch.count; i++) {
        fh_mem_row_free(data, batch.staged[i].fresh);
    }
    commit->at_us = now_us;
out:
    fh_free(batch.staged);
    return code;
}
