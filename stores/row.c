#include "stores/row.h"

#include "base/assert.h"

struct fh_row *fh_row_create(const struct fh_table *table, struct fh_arena *arena)
{
    struct fh_row *row = FH_ARENA_NEW(arena, struct fh_row);
    if (row == NULL) {
        return NULL;
    }
    row->table = table;
    row->values = FH_ARENA_ARRAY(arena, struct fh_value, table->column_count);
    if (row->values == NULL) {
        return NULL;
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        row->values[i].type = table->columns[i].type;
        row->values[i].is_null = true;
    }
    return row;
}

struct fh_row *fh_row_copy(const struct fh_row *row, struct fh_arena *arena)
{
    struct fh_row *copy = fh_row_create(row->table, arena);
    if (copy == NULL) {
        return NULL;
    }
    struct fh_value *values = copy->values;
    *copy = *row;
    copy->values = values;
    for (uint16_t i = 0; i < row->table->column_count; i++) {
        if (fh_value_copy(&row->values[i], arena, &values[i]) != FH_OK) {
            return NULL;
        }
    }
    return copy;
}

void fh_key_of_row(const struct fh_row *row, struct fh_key *out)
{
    out->table = row->table;
    for (uint16_t i = 0; i < row->table->key_count; i++) {
        out->values[i] = row->values[row->table->key[i]];
    }
}

int fh_key_compare(const struct fh_key *a, const struct fh_key *b)
{
    if (a->table->position != b->table->position) {
        return a->table->position < b->table->position ? -1 : 1;
    }
    FH_ASSERT(a->table->key_count == b->table->key_count);
    for (uint16_t i = 0; i < a->table->key_count; i++) {
        int order = fh_value_compare(&a->values[i], &b->values[i]);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

bool fh_row_equal(const struct fh_row *a, const struct fh_row *b)
{
    if (a->table->position != b->table->position ||
        a->table->column_count != b->table->column_count || !fh_uuid_eq(&a->tenant, &b->tenant) ||
        a->created_at_us != b->created_at_us || a->updated_at_us != b->updated_at_us ||
        a->deleted_at_us != b->deleted_at_us || a->version != b->version) {
        return false;
    }
    for (uint16_t i = 0; i < a->table->column_count; i++) {
        if (!fh_value_equal(&a->values[i], &b->values[i])) {
            return false;
        }
    }
    return true;
}
