/* Happy path of an evaluation: preconditions, then what the operation says about the row that is
 * there, then the new row's columns, then generated columns, NOT NULL, checks.
 *
 * Failures, in the order in which they are told: FH_PRECONDITION (expect), FH_EXISTS or
 * FH_NOT_FOUND (the operation), FH_ETAG_MISMATCH, FH_INVALID or FH_RANGE (an assignment), FH_RANGE
 * (a generated column), FH_CHECK_VIOLATION (a null where none may be, then a check; FH_RANGE where
 * a check overflows). Messages name columns and checks, never values.
 */
#include "stores/write.h"

#include <stdlib.h>

#include "base/assert.h"
#include "stores/civil.h"
#include "stores/expr.h"

static bool is_live(const struct fh_row *row)
{
    return row != NULL && row->deleted_at_us == 0;
}

/* Whether the row starts from the key and the columns' defaults, whatever was there. */
static bool makes_anew(const struct fh_write *write, const struct fh_row *before)
{
    return write->op == FH_WRITE_INSERT || write->op == FH_WRITE_UPSERT ||
           (write->op == FH_WRITE_UPDATE && write->insert_if_missing && !is_live(before));
}

/* Whether the operation may meet this row at all. */
static enum fh_code check_presence(const struct fh_write *write, const struct fh_row *before,
                                   struct fh_error *error)
{
    switch (write->op) {
    case FH_WRITE_INSERT:
        if (before != NULL) {
            return fh_error_set(error, FH_EXISTS,
                                is_live(before)
                                    ? "a record with this key exists"
                                    : "a deleted record holds this key; undelete or purge it");
        }
        return FH_OK;
    case FH_WRITE_UPSERT:
        return FH_OK;
    case FH_WRITE_UPDATE:
    case FH_WRITE_DELETE:
        return is_live(before) || makes_anew(write, before)
                   ? FH_OK
                   : fh_error_set(error, FH_NOT_FOUND, "no such record");
    case FH_WRITE_UNDELETE:
        if (is_live(before)) {
            return fh_error_set(error, FH_EXISTS, "the record is not deleted");
        }
        return before != NULL ? FH_OK : fh_error_set(error, FH_NOT_FOUND, "no such record");
    case FH_WRITE_PURGE:
        return before != NULL ? FH_OK : fh_error_set(error, FH_NOT_FOUND, "no such record");
    }
    return fh_error_set(error, FH_INVALID, "unknown operation");
}

static enum fh_code check_preconditions(const struct fh_write *write, const struct fh_row *before,
                                        struct fh_error *error)
{
    if (write->expect == FH_EXPECT_EXISTS && !is_live(before)) {
        return fh_error_set(error, FH_PRECONDITION, "the record was expected to exist");
    }
    if (write->expect == FH_EXPECT_ABSENT && is_live(before)) {
        return fh_error_set(error, FH_PRECONDITION, "the record was expected not to exist");
    }
    enum fh_code code = check_presence(write, before, error);
    if (code != FH_OK) {
        return code;
    }
    if (write->expect_version != 0 && (before == NULL || before->version != write->expect_version ||
                                       before->created_at_us != write->expect_created_at_us)) {
        return fh_error_set(error, FH_ETAG_MISMATCH, "the record changed since it was read");
    }
    return FH_OK;
}

void fh_write_default(const struct fh_column *column, int64_t now_us, struct fh_value *out)
{
    *out = (struct fh_value){.type = column->type, .is_null = true};
    switch (column->default_kind) {
    case FH_DEFAULT_NONE:
        return;
    case FH_DEFAULT_CONSTANT:
        *out = column->default_value;
        return;
    case FH_DEFAULT_NOW:
        out->is_null = false;
        out->as.integer = column->type == FH_TYPE_DATE ? fh_days_of_us(now_us) : now_us;
        return;
    case FH_DEFAULT_UUID:
        out->is_null = false;
        out->as.uuid = fh_uuid_v7(now_us);
        return;
    }
}

static enum fh_code column_error(struct fh_error *error, enum fh_code code,
                                 const struct fh_column *column, const char *what)
{
    char field[FH_IDENTIFIER_MAX + 1] = "";
    size_t len = column->name.len < FH_IDENTIFIER_MAX ? column->name.len : FH_IDENTIFIER_MAX;
    memcpy(field, column->name.data, len);
    return fh_error_field(error, code, field, "%s: %s", field, what);
}

static bool is_integer(enum fh_type type)
{
    return type == FH_TYPE_INT16 || type == FH_TYPE_INT32 || type == FH_TYPE_INT64 ||
           type == FH_TYPE_NUMERIC;
}

static bool is_real(enum fh_type type)
{
    return type == FH_TYPE_FLOAT32 || type == FH_TYPE_FLOAT64;
}

static enum fh_code increment(struct fh_value *value, const struct fh_value *by,
                              const struct fh_column *column, struct fh_error *error)
{
    if (is_integer(column->type)) {
        int64_t base = value->is_null ? 0 : value->as.integer;
        int64_t sum = 0;
        if (__builtin_add_overflow(base, by->as.integer, &sum) ||
            !fh_integer_in_range(sum, column)) {
            return column_error(error, FH_RANGE, column, "the sum is out of the type's range");
        }
        value->as.integer = sum;
    } else if (is_real(column->type)) {
        double sum = (value->is_null ? 0.0 : value->as.real) + by->as.real;
        if (!fh_real_normalize(&sum, column->type)) {
            return column_error(error, FH_RANGE, column, "the sum is out of the type's range");
        }
        value->as.real = sum;
    } else {
        return column_error(error, FH_INVALID, column, "only numbers can be incremented");
    }
    value->is_null = false;
    return FH_OK;
}

static enum fh_code extreme(struct fh_value *value, const struct fh_assignment *assignment,
                            const struct fh_column *column, struct fh_error *error)
{
    if (!is_integer(column->type) && !is_real(column->type) && column->type != FH_TYPE_TIMESTAMP &&
        column->type != FH_TYPE_DATE) {
        return column_error(error, FH_INVALID, column, "only numbers and times have an extreme");
    }
    int order = fh_value_compare(&assignment->value, value);
    if (value->is_null || (assignment->transform == FH_TRANSFORM_MIN ? order < 0 : order > 0)) {
        *value = assignment->value;
    }
    return FH_OK;
}

/* The caller's bytes are the caller's: a result outlives the request. */
static enum fh_code keep(const struct fh_value *in, struct fh_arena *arena, struct fh_value *out,
                         struct fh_error *error)
{
    enum fh_code code = fh_value_copy(in, arena, out);
    return code == FH_OK ? FH_OK : fh_error_set(error, code, "%s", fh_code_text(code));
}

static enum fh_code assign(const struct fh_write *write, const struct fh_assignment *assignment,
                           int64_t now_us, struct fh_arena *arena, struct fh_row *row,
                           struct fh_error *error)
{
    const struct fh_table *table = row->table;
    if (assignment->column >= table->column_count) {
        return fh_error_set(error, FH_INVALID, "unknown column");
    }
    const struct fh_column *column = &table->columns[assignment->column];
    struct fh_value *value = &row->values[assignment->column];
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == assignment->column) {
            return column_error(error, FH_INVALID, column, "a key column cannot be assigned");
        }
    }
    if (column->generated != NULL) {
        return column_error(error, FH_INVALID, column, "a generated column cannot be assigned");
    }
    if (assignment->transform == FH_TRANSFORM_SERVER_TIME) {
        if (column->type != FH_TYPE_TIMESTAMP) {
            return column_error(error, FH_INVALID, column, "not a timestamp");
        }
        *value = (struct fh_value){.type = column->type, .as.integer = now_us};
        return FH_OK;
    }
    if (assignment->value.type != column->type) {
        return column_error(error, FH_INVALID, column, "a value of another type");
    }
    if (assignment->transform == FH_TRANSFORM_SET) {
        return keep(&assignment->value, arena, value, error);
    }
    if (write->op != FH_WRITE_UPDATE) {
        return column_error(error, FH_INVALID, column, "this transform needs an update");
    }
    if (assignment->value.is_null) {
        return column_error(error, FH_INVALID, column, "the operand is null");
    }
    switch (assignment->transform) {
    case FH_TRANSFORM_INCREMENT:
        return increment(value, &assignment->value, column, error);
    case FH_TRANSFORM_MIN:
    case FH_TRANSFORM_MAX:
        return extreme(value, assignment, column, error);
    case FH_TRANSFORM_SET:
    case FH_TRANSFORM_SERVER_TIME:
        break;
    }
    return column_error(error, FH_INVALID, column, "unknown transform");
}

/* The columns of the row before assignments: the old ones, or the key and defaults. */
static enum fh_code fill_base(const struct fh_write *write, const struct fh_row *before,
                              int64_t now_us, struct fh_arena *arena, struct fh_row *row,
                              struct fh_error *error)
{
    const struct fh_table *table = row->table;
    if (makes_anew(write, before)) {
        for (uint16_t i = 0; i < table->column_count; i++) {
            fh_write_default(&table->columns[i], now_us, &row->values[i]);
        }
        for (uint16_t i = 0; i < table->key_count; i++) {
            enum fh_code code =
                keep(&write->key.values[i], arena, &row->values[table->key[i]], error);
            if (code != FH_OK) {
                return code;
            }
        }
        return FH_OK;
    }
    FH_ASSERT(before->table->column_count == table->column_count);
    memcpy(row->values, before->values, table->column_count * sizeof(*row->values));
    return FH_OK;
}

static enum fh_code fill_generated(struct fh_arena *arena, struct fh_row *row,
                                   struct fh_error *error)
{
    const struct fh_table *table = row->table;
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_column *column = &table->columns[i];
        if (column->generated == NULL) {
            continue;
        }
        struct fh_value value;
        enum fh_code code = fh_column_generate(column, row, arena, &value, NULL);
        if (code == FH_OK) {
            /* It may borrow from the row before, like what was not assigned. */
            row->values[i] = value;
        } else if (code == FH_RANGE) {
            return column_error(error, code, column, "what it is generated to does not fit");
        } else {
            return fh_error_set(error, code, "%s", fh_code_text(code));
        }
    }
    return FH_OK;
}

/* The column that the check reads, when it is one; else NULL. */
static const struct fh_column *check_column(const struct fh_table *table,
                                            const struct fh_check *check)
{
    const struct fh_column *only = NULL;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (!fh_expr_uses(check->expr, i)) {
            continue;
        }
        if (only != NULL) {
            return NULL;
        }
        only = &table->columns[i];
    }
    return only;
}

static enum fh_code check_failed(const struct fh_table *table, const struct fh_check *check,
                                 enum fh_code code, struct fh_error *error)
{
    char field[FH_IDENTIFIER_MAX + 1] = "";
    const struct fh_column *column = check_column(table, check);
    if (column != NULL) {
        size_t len = column->name.len < FH_IDENTIFIER_MAX ? column->name.len : FH_IDENTIFIER_MAX;
        memcpy(field, column->name.data, len);
    }
    return fh_error_field(error, code, field, "check %.*s %s", FH_STR_ARG(check->name),
                          code == FH_RANGE ? "leaves the range of its numbers" : "does not hold");
}

static enum fh_code check_constraints(const struct fh_row *row, struct fh_arena *arena,
                                      struct fh_error *error)
{
    const struct fh_table *table = row->table;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].not_null && row->values[i].is_null) {
            return column_error(error, FH_CHECK_VIOLATION, &table->columns[i], "must not be null");
        }
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        bool passes = false;
        enum fh_code code = fh_check_evaluate(&table->checks[i], row, arena, &passes, NULL);
        if (code == FH_OK && !passes) {
            code = FH_CHECK_VIOLATION;
        }
        if (code == FH_CHECK_VIOLATION || code == FH_RANGE) {
            return check_failed(table, &table->checks[i], code, error);
        }
        if (code != FH_OK) {
            return fh_error_set(error, code, "%s", fh_code_text(code));
        }
    }
    return FH_OK;
}

enum fh_code fh_write_evaluate(const struct fh_write *write, const struct fh_row *before,
                               const struct fh_uuid *tenant, int64_t now_us, struct fh_arena *arena,
                               struct fh_row **after, struct fh_error *error)
{
    *after = NULL;
    enum fh_code code = check_preconditions(write, before, error);
    if (code != FH_OK || write->op == FH_WRITE_PURGE) {
        return code;
    }
    const struct fh_table *table = write->key.table;
    struct fh_row *row = fh_row_create(table, arena);
    if (row == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    code = fill_base(write, before, now_us, arena, row, error);
    if (code != FH_OK) {
        return code;
    }
    row->tenant = *tenant;
    row->created_at_us = before != NULL ? before->created_at_us : now_us;
    row->updated_at_us = now_us;
    row->deleted_at_us = write->op == FH_WRITE_DELETE ? now_us : 0;
    row->version = before != NULL ? before->version + 1 : 1;
    bool assigns = write->op == FH_WRITE_INSERT || write->op == FH_WRITE_UPSERT ||
                   write->op == FH_WRITE_UPDATE;
    if (!assigns && write->assignment_count > 0) {
        return fh_error_set(error, FH_INVALID, "this operation takes no columns");
    }
    for (uint16_t i = 0; i < write->assignment_count; i++) {
        code = assign(write, &write->assignments[i], now_us, arena, row, error);
        if (code != FH_OK) {
            return code;
        }
    }
    code = fill_generated(arena, row, error);
    if (code == FH_OK) {
        code = check_constraints(row, arena, error);
    }
    if (code == FH_OK) {
        *after = row;
    }
    return code;
}

char fh_write_op_letter(enum fh_write_op op)
{
    static const char letters[] = "isudnp";
    FH_ASSERT((size_t)op < sizeof(letters) - 1);
    return letters[op];
}

/* One key part as a JSON string; goes through a scratch buffer, for the form may need escapes. */
static void add_key_part(const struct fh_value *value, const struct fh_column *column,
                         struct fh_buf *scratch, struct fh_buf *out)
{
    fh_buf_clear(scratch);
    fh_value_format(value, column, scratch);
    if (fh_buf_code(scratch) != FH_OK && fh_buf_code(out) == FH_OK) {
        out->code = fh_buf_code(scratch);
        return;
    }
    fh_buf_add_text(out, ",\"");
    fh_buf_add_json(out, fh_buf_str(scratch));
    fh_buf_add_char(out, '"');
}

void fh_changes_encode(const struct fh_write *writes, size_t count, struct fh_buf *out)
{
    struct fh_buf scratch;
    fh_buf_init(&scratch, FH_VALUE_BYTES_MAX / 3 * 4 + 4);
    fh_buf_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        const struct fh_key *key = &writes[i].key;
        fh_buf_add_text(out, i > 0 ? ",[\"" : "[\"");
        fh_buf_add_char(out, fh_write_op_letter(writes[i].op));
        fh_buf_add_text(out, "\",\"");
        fh_buf_add_str(out, key->table->name); /* identifiers need no escapes */
        fh_buf_add_char(out, '"');
        for (uint16_t k = 0; k < key->table->key_count; k++) {
            add_key_part(&key->values[k], &key->table->columns[key->table->key[k]], &scratch, out);
        }
        fh_buf_add_char(out, ']');
    }
    fh_buf_add_char(out, ']');
    fh_buf_close(&scratch);
}

static int compare_order(const void *a, const void *b, void *arg)
{
    const struct fh_write *writes = arg;
    uint16_t left = *(const uint16_t *)a;
    uint16_t right = *(const uint16_t *)b;
    int order = fh_key_compare(&writes[left].key, &writes[right].key);
    /* Stable, so that the order is the same everywhere. */
    return order != 0 ? order : (int)left - (int)right;
}

void fh_writes_lock_order(const struct fh_write *writes, size_t count, uint16_t *order)
{
    FH_ASSERT(count <= FH_COMMIT_WRITES_MAX);
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint16_t)i;
    }
    qsort_r(order, count, sizeof(*order), compare_order, (void *)(uintptr_t)writes);
}
