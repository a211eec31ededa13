/* Constraints' names are ours (see ddl.c): from them a failure finds the table and the index, and
 * names columns, never values. */
#include "stores/pg/commit.h"

#include <stdio.h>
#include <string.h>

#include "stores/commit_record.h"
#include "stores/image.h"
#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/rows.h"

enum record_column {
    COLUMN_TENANT = 3,
    COLUMN_EPOCH,
    COLUMN_SEQ,
    COLUMN_HASH,
    COLUMN_SCHEMA_VERSION,
    COLUMN_AT,
    COLUMN_CHANGES,
    COLUMN_IMAGES,
};

enum fh_code fh_pg_commit_replay(struct fh_pg_op *op, const PGresult *result, bool *found)
{
    struct fh_op_commit *commit = &op->request->as.commit;
    struct fh_commit_record record;
    int64_t epoch = 0;
    int64_t seq = 0;
    int64_t version = 0;
    struct fh_str images;
    *found = false;
    if (PQgetisnull(result, 0, COLUMN_EPOCH) != 0) {
        return FH_OK;
    }
    memset(&record, 0, sizeof(record));
    struct fh_str hash = fh_pg_field(result, 0, COLUMN_HASH);
    if (fh_pg_field_uuid(result, 0, COLUMN_TENANT, &record.tenant) != FH_OK ||
        fh_pg_field_int(result, 0, COLUMN_EPOCH, &epoch) != FH_OK ||
        fh_pg_field_int(result, 0, COLUMN_SEQ, &seq) != FH_OK ||
        fh_pg_field_int(result, 0, COLUMN_SCHEMA_VERSION, &version) != FH_OK ||
        fh_pg_field_time(result, 0, COLUMN_AT, &record.at_us) != FH_OK ||
        hash.len != sizeof(commit->request_hash)) {
        return FH_CORRUPT;
    }
    if (!fh_uuid_eq(&record.tenant, &op->request->scope.tenant)) {
        return FH_FOREIGN_ROW;
    }
    record.epoch = (uint64_t)epoch;
    record.seq = (uint64_t)seq;
    record.schema_version = (uint32_t)version;
    enum fh_code code = fh_pg_field_copy(result, 0, COLUMN_IMAGES, op->request->arena, &images);
    if (code == FH_OK) {
        code = fh_commit_record_decode(&record, fh_pg_field(result, 0, COLUMN_CHANGES), images,
                                       op->request->scope.schema, op->request->arena);
    }
    if (code == FH_OK) {
        code = fh_commit_replay(commit, (const uint8_t *)hash.data, &record, op->request->arena);
        *found = code == FH_OK;
    }
    return code;
}

enum fh_code fh_pg_add_record_header(struct fh_pg_op *op, struct fh_pg_params *params,
                                     int64_t at_us, const struct fh_pg_recorded *recorded)
{
    const struct fh_op_commit *commit = &op->request->as.commit;
    struct fh_buf *scratch = &op->store->scratch;
    fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
    if (commit->request_id.len > 0) {
        fh_pg_add_bytes(params, commit->request_id);
    } else {
        fh_pg_add_null(params);
    }
    fh_pg_add_bytes(params, (struct fh_str){.data = (const char *)commit->request_hash,
                                            .len = sizeof(commit->request_hash)});
    fh_pg_add_int32(params, (int32_t)op->request->scope.schema->version);
    fh_pg_add_bytes(params, commit->actor);
    fh_pg_add_bytes(params, commit->address);
    fh_pg_add_time(params, at_us);
    fh_buf_clear(scratch);
    fh_changes_encode(recorded->writes, recorded->count, scratch);
    if (fh_buf_code(scratch) != FH_OK) {
        return fh_buf_code(scratch);
    }
    fh_pg_add_bytes(params, fh_buf_str(scratch));
    return FH_OK;
}

enum fh_code fh_pg_add_record(struct fh_pg_op *op, struct fh_pg_params *params, int64_t at_us,
                              const struct fh_pg_recorded *recorded)
{
    struct fh_buf *scratch = &op->store->scratch;
    enum fh_code code = fh_pg_add_record_header(op, params, at_us, recorded);
    if (code != FH_OK) {
        return code;
    }
    fh_buf_clear(scratch);
    fh_images_begin(scratch);
    for (size_t i = 0; i < recorded->count; i++) {
        fh_images_add(scratch, recorded->before[i], recorded->after[i]);
    }
    if (fh_buf_code(scratch) != FH_OK) {
        return fh_buf_code(scratch);
    }
    fh_pg_add_bytes(params, fh_buf_str(scratch));
    return FH_OK;
}

static void name_columns(struct fh_error *error, const struct fh_table *table,
                         const struct fh_index *index)
{
    char text[256] = "";
    size_t used = 0;
    for (uint16_t i = 0; i < index->column_count && used < sizeof(text) - 64; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s", i > 0 ? ", " : "",
                                 FH_STR_ARG(table->columns[index->columns[i]].name));
    }
    (void)fh_error_set(error, FH_UNIQUE_VIOLATION, "another live record of %.*s has the same (%s)",
                       FH_STR_ARG(table->name), text);
}

/* A physical constraint spoke that fh_write_evaluate() should have: which one, at least. */
static void name_check(struct fh_pg_op *op, const struct fh_table *table)
{
    const struct fh_pg_failure *failure = &op->failure;
    const struct fh_check *check = fh_pg_ddl_check_of(table, failure->constraint);
    if (strcmp(failure->sqlstate, "23514") != 0) {
        (void)fh_error_set(&op->request->error, FH_CHECK_VIOLATION,
                           "a value does not fit its column in %.*s", FH_STR_ARG(table->name));
    } else if (check != NULL) {
        (void)fh_error_set(&op->request->error, FH_CHECK_VIOLATION, "check %.*s of %.*s",
                           FH_STR_ARG(check->name), FH_STR_ARG(table->name));
    } else {
        /* One that is being added (schema.c), or that of a dedicated home. */
        (void)fh_error_set(&op->request->error, FH_CHECK_VIOLATION,
                           "a constraint of %.*s that this schema version does not have",
                           FH_STR_ARG(table->name));
    }
}

void fh_pg_commit_failed(struct fh_pg_op *op, const struct fh_write *write)
{
    struct fh_pg_failure *failure = &op->failure;
    if (failure->code == FH_CHECK_VIOLATION && write != NULL) {
        name_check(op, write->key.table);
    }
    if (failure->code != FH_UNIQUE_VIOLATION) {
        return;
    }
    if (write == NULL) {
        failure->code = FH_CONFLICT; /* the record's request id: its other user was quicker */
        return;
    }
    const struct fh_table *table = write->key.table;
    const struct fh_index *index = fh_pg_ddl_index_of(table, failure->constraint);
    if (index != NULL) {
        name_columns(&op->request->error, table, index);
        return;
    }
    /* The key: it was free when we looked, so another commit made it meanwhile. */
    failure->code = write->op == FH_WRITE_INSERT ? FH_EXISTS : FH_CONFLICT;
}

int64_t fh_pg_ms_left(const struct fh_pg_op *op, int64_t ms_max)
{
    int64_t left =
        (op->request->deadline_us - fh_clock_monotonic_us(op->store->store.env->clock)) / 1000;
    if (left < 1) {
        return 1;
    }
    return left < ms_max ? left : ms_max;
}
