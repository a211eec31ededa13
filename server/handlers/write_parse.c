/* A commit's write: operation, then transforms, then precondition. Errors name the write by its
 * index. */
#include "server/handlers/write_parse.h"

#include <stdio.h>

#include "server/handlers/records.h"
#include "server/handlers/values.h"

#define PREFIX_MAX 32 /* "writes[499]" and more */

enum fh_code fh_write_set_name(const struct fh_tenant_call *tenant_call, const char *name,
                               const char *field, struct fh_write *write, struct fh_error *error)
{
    return fh_tenant_call_key(tenant_call, fh_str_of(name), field, FH_GRANT_WRITE, &write->key,
                              error);
}

enum fh_code fh_write_set_record(const struct fh_tenant_call *tenant_call,
                                 const struct fh_record_source *source, struct fh_write *write,
                                 struct fh_error *error)
{
    struct fh_mask mask;
    char name_field[FH_ERROR_FIELD_MAX];
    if (source->record == NULL) {
        return fh_error_field(error, FH_INVALID, source->field, "%s is missing", source->field);
    }
    (void)snprintf(name_field, sizeof(name_field), "%s.name", source->field);
    enum fh_code code =
        fh_write_set_name(tenant_call, source->record->name, name_field, write, error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_mask_parse(source->mask, write->key.table, source->mask_field, &mask, error);
    if (code != FH_OK) {
        return code;
    }
    return fh_record_to_assignments(source->record, source->field, &mask,
                                    fh_call_arena(tenant_call->call), write, error);
}

static enum fh_code transform_value(const Freehold__V1__Value *in, const struct fh_column *column,
                                    enum fh_transform transform, struct fh_arena *arena,
                                    struct fh_assignment *out, struct fh_error *error)
{
    bool numeric = column->type == FH_TYPE_INT16 || column->type == FH_TYPE_INT32 ||
                   column->type == FH_TYPE_INT64 || column->type == FH_TYPE_NUMERIC ||
                   column->type == FH_TYPE_FLOAT32 || column->type == FH_TYPE_FLOAT64;
    out->transform = transform;
    if (transform == FH_TRANSFORM_INCREMENT && !numeric) {
        return fh_error_set(error, FH_INVALID, "column %s is %s and cannot be incremented",
                            column->name.data, fh_type_name(column->type));
    }
    enum fh_code code = fh_value_from_proto(in, column, arena, &out->value, error);
    if (code == FH_OK && out->value.is_null) {
        return fh_error_set(error, FH_INVALID, "a transform's operand cannot be null");
    }
    return code;
}

static enum fh_code transform_from_proto(const Freehold__V1__Transform *in,
                                         const struct fh_table *table, struct fh_arena *arena,
                                         struct fh_assignment *out, struct fh_error *error)
{
    const struct fh_column *column = fh_table_column(table, fh_str_of(in->field));
    if (column == NULL) {
        return fh_error_set(error, FH_INVALID, "table %s has no such column", table->name.data);
    }
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == column->position) {
            return fh_error_set(error, FH_INVALID, "column %s is part of the key",
                                column->name.data);
        }
    }
    *out = (struct fh_assignment){.column = column->position};
    switch (in->operation_case) {
    case FREEHOLD__V1__TRANSFORM__OPERATION_INCREMENT:
        return transform_value(in->increment, column, FH_TRANSFORM_INCREMENT, arena, out, error);
    case FREEHOLD__V1__TRANSFORM__OPERATION_MINIMUM:
        return transform_value(in->minimum, column, FH_TRANSFORM_MIN, arena, out, error);
    case FREEHOLD__V1__TRANSFORM__OPERATION_MAXIMUM:
        return transform_value(in->maximum, column, FH_TRANSFORM_MAX, arena, out, error);
    case FREEHOLD__V1__TRANSFORM__OPERATION_SERVER_TIME:
        if (column->type != FH_TYPE_TIMESTAMP) {
            return fh_error_set(error, FH_INVALID, "column %s is not timestamptz",
                                column->name.data);
        }
        out->transform = FH_TRANSFORM_SERVER_TIME;
        out->value = (struct fh_value){.type = column->type, .is_null = true};
        return FH_OK;
    case FREEHOLD__V1__TRANSFORM__OPERATION__NOT_SET:
    default:
        return fh_error_set(error, FH_INVALID, "the transform has no operation");
    }
}

/* Adds the transforms behind the plain assignments; a column may be in one of the two only. */
static enum fh_code add_transforms(const Freehold__V1__Write *in, size_t index,
                                   struct fh_arena *arena, struct fh_write *write,
                                   struct fh_error *error)
{
    const struct fh_table *table = write->key.table;
    size_t total = write->assignment_count + in->n_transforms;
    if (in->n_transforms == 0) {
        return FH_OK;
    }
    char field[FH_ERROR_FIELD_MAX];
    (void)snprintf(field, sizeof(field), "writes[%zu].transforms", index);
    if (in->n_transforms > table->column_count ||
        in->operation_case != FREEHOLD__V1__WRITE__OPERATION_UPDATE) {
        return fh_error_field(error, FH_INVALID, field,
                              "transforms go with update, at most one a column");
    }
    struct fh_assignment *all = FH_ARENA_ARRAY(arena, struct fh_assignment, total);
    bool *taken = FH_ARENA_ARRAY(arena, bool, table->column_count);
    if (all == NULL || taken == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    for (uint16_t i = 0; i < write->assignment_count; i++) {
        all[i] = write->assignments[i];
        taken[all[i].column] = true;
    }
    for (size_t i = 0; i < in->n_transforms; i++) {
        struct fh_assignment *assignment = &all[write->assignment_count + i];
        struct fh_error cause = FH_ERROR_INIT;
        enum fh_code code =
            transform_from_proto(in->transforms[i], table, arena, assignment, &cause);
        if (code != FH_OK) {
            (void)snprintf(field, sizeof(field), "writes[%zu].transforms[%zu]", index, i);
            cause.code = code; /* memory runs out without a word */
            return fh_error_field(error, code, field, "%s", fh_error_text(&cause));
        }
        if (taken[assignment->column]) {
            (void)snprintf(field, sizeof(field), "writes[%zu].transforms[%zu]", index, i);
            return fh_error_field(error, FH_INVALID, field, "column %s is changed twice",
                                  table->columns[assignment->column].name.data);
        }
        taken[assignment->column] = true;
    }
    write->assignments = all;
    write->assignment_count = (uint16_t)total;
    return FH_OK;
}

static enum fh_code set_precondition(const Freehold__V1__Precondition *in, size_t index,
                                     struct fh_write *write, struct fh_error *error)
{
    char field[FH_ERROR_FIELD_MAX];
    if (in == NULL) {
        return FH_OK;
    }
    (void)snprintf(field, sizeof(field), "writes[%zu].precondition", index);
    switch (in->condition_case) {
    case FREEHOLD__V1__PRECONDITION__CONDITION_EXISTS:
        write->expect = in->exists ? FH_EXPECT_EXISTS : FH_EXPECT_ABSENT;
        return FH_OK;
    case FREEHOLD__V1__PRECONDITION__CONDITION_ETAG:
        if (in->etag[0] == '\0') { /* which means "any" elsewhere: here somebody wanted one */
            return fh_error_field(error, FH_INVALID, field, "the etag is empty");
        }
        return fh_etag_parse(in->etag, field, write, error);
    case FREEHOLD__V1__PRECONDITION__CONDITION__NOT_SET:
    default:
        return fh_error_field(error, FH_INVALID, field, "the precondition has no condition");
    }
}

static enum fh_code set_record(const struct fh_tenant_call *tenant_call,
                               const Freehold__V1__Record *record, const char *prefix,
                               const char *operation, const Google__Protobuf__FieldMask *mask,
                               struct fh_write *write, struct fh_error *error)
{
    char field[PREFIX_MAX + 16];
    char mask_field[PREFIX_MAX + 16];
    (void)snprintf(field, sizeof(field), "%s.%s", prefix, operation);
    (void)snprintf(mask_field, sizeof(mask_field), "%s.update_mask", prefix);
    const struct fh_record_source source = {
        .record = record, .field = field, .mask = mask, .mask_field = mask_field};
    return fh_write_set_record(tenant_call, &source, write, error);
}

static enum fh_code set_name(const struct fh_tenant_call *tenant_call, const char *name,
                             const char *prefix, const char *operation, struct fh_write *write,
                             struct fh_error *error)
{
    char field[PREFIX_MAX + 16];
    (void)snprintf(field, sizeof(field), "%s.%s", prefix, operation);
    return fh_write_set_name(tenant_call, name, field, write, error);
}

static enum fh_code set_operation(const struct fh_tenant_call *tenant_call,
                                  const Freehold__V1__Write *in, const char *prefix,
                                  struct fh_write *write, struct fh_error *error)
{
    switch (in->operation_case) {
    case FREEHOLD__V1__WRITE__OPERATION_INSERT:
        write->op = FH_WRITE_INSERT;
        return set_record(tenant_call, in->insert, prefix, "insert", NULL, write, error);
    case FREEHOLD__V1__WRITE__OPERATION_UPSERT:
        write->op = FH_WRITE_UPSERT;
        return set_record(tenant_call, in->upsert, prefix, "upsert", NULL, write, error);
    case FREEHOLD__V1__WRITE__OPERATION_UPDATE:
        write->op = FH_WRITE_UPDATE;
        return set_record(tenant_call, in->update, prefix, "update", in->update_mask, write, error);
    case FREEHOLD__V1__WRITE__OPERATION_DELETE:
        write->op = FH_WRITE_DELETE;
        return set_name(tenant_call, in->delete_, prefix, "delete", write, error);
    case FREEHOLD__V1__WRITE__OPERATION_UNDELETE:
        write->op = FH_WRITE_UNDELETE;
        return set_name(tenant_call, in->undelete, prefix, "undelete", write, error);
    case FREEHOLD__V1__WRITE__OPERATION_PURGE:
        write->op = FH_WRITE_PURGE;
        return set_name(tenant_call, in->purge, prefix, "purge", write, error);
    case FREEHOLD__V1__WRITE__OPERATION__NOT_SET:
    default:
        return fh_error_field(error, FH_INVALID, prefix, "%s has no operation", prefix);
    }
}

enum fh_code fh_write_from_proto(const struct fh_tenant_call *tenant_call,
                                 const Freehold__V1__Write *in, size_t index,
                                 struct fh_write *write, struct fh_error *error)
{
    char prefix[PREFIX_MAX];
    (void)snprintf(prefix, sizeof(prefix), "writes[%zu]", index);
    enum fh_code code = set_operation(tenant_call, in, prefix, write, error);
    if (code == FH_OK) {
        code = add_transforms(in, index, fh_call_arena(tenant_call->call), write, error);
    }
    if (code == FH_OK) {
        code = set_precondition(in->precondition, index, write, error);
    }
    return code;
}

enum fh_code fh_writes_check_distinct(const struct fh_write *writes, size_t count,
                                      struct fh_arena *arena, struct fh_error *error)
{
    if (count < 2) {
        return FH_OK;
    }
    uint16_t *order = FH_ARENA_ARRAY(arena, uint16_t, count);
    if (order == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    fh_writes_lock_order(writes, count, order);
    for (size_t i = 1; i < count; i++) {
        if (fh_key_compare(&writes[order[i - 1]].key, &writes[order[i]].key) == 0) {
            return fh_error_field(error, FH_INVALID, "writes",
                                  "writes[%u] and writes[%u] name the same record", order[i - 1],
                                  order[i]);
        }
    }
    return FH_OK;
}
