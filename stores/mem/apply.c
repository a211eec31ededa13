/* Happy path: each key's row is taken out of its table, each row put in, each record added that is
 * not there yet, the state replaced; what was taken out is freed at the end.
 *
 * Failures: every step is noted before the next, so going back over the notes restores what was
 * there; that needs no memory, because tables never shrink.
 */
#include "stores/mem/apply.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/mem/commit.h"
#include "stores/mem/schema.h"

#define SCRATCH_BYTES_MAX ((size_t)64 << 20) /* an expression over one row, with room */

/* One step: a row that went away, or one that came. */
struct change {
    struct fh_mem_row *old;
    struct fh_mem_row *fresh;
};

struct batch {
    struct fh_mem_data *data;
    struct fh_mem_tenant *tenant;
    struct fh_request *request;
    struct change *changes;
    size_t change_count;
    struct fh_arena scratch;
    struct fh_mem_record **records; /* added */
    size_t record_count;
};

static enum fh_code delete_rows(struct batch *batch)
{
    const struct fh_op_apply *apply = &batch->request->as.apply;
    for (size_t i = 0; i < apply->delete_count; i++) {
        const struct fh_key *key = &apply->deletes[i];
        struct fh_mem_table *table = fh_mem_table_at(batch->tenant, key->table->id);
        struct fh_mem_row *old = fh_mem_table_get(table, key);
        if (old != NULL) {
            fh_mem_table_set(table, key, NULL);
            batch->changes[batch->change_count++] = (struct change){.old = old};
        }
    }
    return FH_OK;
}

/* FH_EXISTS, FH_UNIQUE_VIOLATION: taken. Room was reserved. */
static enum fh_code check_free(const struct batch *batch, const struct fh_row *row,
                               const struct fh_key *key)
{
    if (fh_mem_table_get(fh_mem_table_at(batch->tenant, row->table->id), key) != NULL) {
        return FH_EXISTS;
    }
    return row->deleted_at_us == 0 ? fh_mem_check_unique_row(batch->tenant, row->table, row)
                                   : FH_OK;
}

static enum fh_code insert_row(struct batch *batch, const struct fh_row *row)
{
    struct fh_op_apply *apply = &batch->request->as.apply;
    struct fh_key key;
    fh_key_of_row(row, &key);
    enum fh_code code = fh_mem_table_reserve(batch->tenant, row->table->id, 1);
    if (code != FH_OK) {
        return code;
    }
    code = check_free(batch, row, &key);
    if (code != FH_OK) {
        return apply->keep_existing
                   ? FH_OK
                   : fh_error_set(&batch->request->error, code, "%.*s: %s",
                                  FH_STR_ARG(row->table->name), fh_code_text(code));
    }
    code = fh_mem_check_row(row, NULL, &batch->scratch, &batch->request->error);
    if (code != FH_OK) {
        return code;
    }
    struct fh_mem_row *fresh = NULL;
    code = fh_mem_row_store(batch->data, row, &fresh);
    if (code != FH_OK) {
        return code;
    }
    fh_mem_table_set(fh_mem_table_at(batch->tenant, row->table->id), &key, fresh);
    batch->changes[batch->change_count++] = (struct change){.fresh = fresh};
    apply->rows_written++;
    return FH_OK;
}

static enum fh_code add_record(struct batch *batch, const struct fh_journal_row *row)
{
    bool found = false;
    (void)fh_mem_record_seek(batch->tenant, row->epoch, row->seq, &found);
    if (found) {
        return FH_OK;
    }
    /* No txid: it was another store's, and no cursor of this one may count it. */
    const struct fh_commit_record header = {.tenant = row->tenant,
                                            .epoch = row->epoch,
                                            .seq = row->seq,
                                            .request_id = row->request_id,
                                            .actor = row->actor,
                                            .address = row->address,
                                            .at_us = row->at_us,
                                            .schema_version = row->schema_version};
    struct fh_mem_record *record = NULL;
    enum fh_code code = fh_mem_record_create(batch->data, &header, row->request_hash, row->changes,
                                             row->images, &record);
    if (code != FH_OK) {
        return code;
    }
    code = fh_mem_record_add(batch->tenant, record);
    if (code != FH_OK) {
        fh_mem_record_free(batch->data, record);
        return code;
    }
    batch->records[batch->record_count++] = record;
    return FH_OK;
}

static void undo(struct batch *batch)
{
    while (batch->record_count > 0) {
        struct fh_mem_record *record = batch->records[--batch->record_count];
        fh_mem_record_take(batch->tenant, record);
        fh_mem_record_free(batch->data, record);
    }
    while (batch->change_count > 0) {
        struct change *change = &batch->changes[--batch->change_count];
        const struct fh_row *row = change->old != NULL ? &change->old->row : &change->fresh->row;
        struct fh_key key;
        fh_key_of_row(row, &key);
        fh_mem_table_set(fh_mem_table_at(batch->tenant, row->table->id), &key, change->old);
        fh_mem_row_free(batch->data, change->fresh);
    }
}

static void settle(struct batch *batch, struct fh_str state)
{
    for (size_t i = 0; i < batch->change_count; i++) {
        fh_mem_row_free(batch->data, batch->changes[i].old);
    }
    for (size_t i = 0; i < batch->record_count; i++) {
        if (batch->records[i]->header.seq > batch->tenant->seq_last) {
            batch->tenant->seq_last = batch->records[i]->header.seq;
        }
    }
    if (state.data != NULL) {
        fh_free((char *)(uintptr_t)batch->tenant->move_state.data);
        batch->tenant->move_state = state;
    }
}

static enum fh_code run(struct batch *batch)
{
    const struct fh_op_apply *apply = &batch->request->as.apply;
    enum fh_code code = delete_rows(batch);
    for (size_t i = 0; code == FH_OK && i < apply->row_count; i++) {
        code = insert_row(batch, apply->rows[i]);
    }
    for (size_t i = 0; code == FH_OK && i < apply->journal_count; i++) {
        code = add_record(batch, &apply->journal[i]);
    }
    return code;
}

enum fh_code fh_mem_apply(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                          struct fh_request *request)
{
    const struct fh_op_apply *apply = &request->as.apply;
    struct batch batch = {.data = data, .tenant = tenant, .request = request};
    char *state = NULL;
    enum fh_code code = FH_NOMEM;
    fh_arena_init(&batch.scratch, SCRATCH_BYTES_MAX);
    batch.changes = fh_calloc(apply->delete_count + apply->row_count + 1, sizeof(struct change));
    batch.records = fh_calloc(apply->journal_count + 1, sizeof(struct fh_mem_record *));
    if (batch.changes == NULL || batch.records == NULL) {
        goto out;
    }
    if (apply->state.data != NULL) {
        state = fh_malloc(apply->state.len + 1);
        if (state == NULL) {
            goto out;
        }
        memcpy(state, apply->state.data, apply->state.len);
    }
    code = run(&batch);
    if (code != FH_OK) {
        undo(&batch);
        fh_free(state);
        goto out;
    }
    settle(&batch, (struct fh_str){.data = state, .len = apply->state.len});
out:
    fh_arena_close(&batch.scratch);
    fh_free(batch.records);
    fh_free(batch.changes);
    return code;
}
