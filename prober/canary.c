/* Happy path: every required column gets a value by its type, then fh_write_evaluate() says whether
 * the table takes the row. Where a check does not, columns that it compares with constants get one
 * of those.
 *
 * Failures: tables whose required columns reference others, whose keys cannot tell the records
 * apart, or that take neither form are FH_INVALID: the caller tries the next.
 */
#include "prober/canary.h"

#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "stores/expr.h"

#define FORMS 2 /* values by type; constants of the checks where there are any */

/* FNV-1a over the seed and what the value is for. */
static uint64_t mix(const struct fh_uuid *seed, uint16_t column, unsigned salt)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < sizeof(seed->bytes); i++) {
        hash = (hash ^ seed->bytes[i]) * 1099511628211u;
    }
    hash = (hash ^ column) * 1099511628211u;
    hash = (hash ^ salt) * 1099511628211u;
    return hash ^ hash >> 29;
}

static uint64_t power_of_ten(uint8_t digits)
{
    uint64_t power = 1;
    for (uint8_t i = 0; i < digits && i < 18; i++) {
        power *= 10;
    }
    return power;
}

static enum fh_code text_of(const struct fh_column *column, uint64_t bits, struct fh_arena *arena,
                            struct fh_str *out)
{
    char hex[17];
    (void)snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)bits);
    const char *text = NULL;
    if (column->type == FH_TYPE_JSON) {
        text = fh_arena_printf(arena, "{\"canary\":\"%s\"}", hex);
    } else {
        text = fh_arena_printf(arena, "canary-%s", hex);
    }
    if (text == NULL) {
        return FH_NOMEM;
    }
    *out = fh_str_of(text);
    if (column->type == FH_TYPE_TEXT && column->length_max > 0 && column->length_max < out->len) {
        out->data += out->len - column->length_max; /* the end tells most */
        out->len = column->length_max;
    }
    return FH_OK;
}

static enum fh_code value_of(const struct fh_column *column, const struct fh_uuid *seed,
                             unsigned salt, struct fh_arena *arena, struct fh_value *out)
{
    uint64_t bits = mix(seed, column->id, salt);
    *out = (struct fh_value){.type = column->type};
    switch (column->type) {
    case FH_TYPE_BOOL:
        out->as.boolean = (bits & 1) != 0;
        return FH_OK;
    case FH_TYPE_INT16:
        out->as.integer = (int64_t)(bits & 0x7fff);
        return FH_OK;
    case FH_TYPE_INT32:
        out->as.integer = (int64_t)(bits & 0x7fffffff);
        return FH_OK;
    case FH_TYPE_INT64:
        out->as.integer = (int64_t)(bits & (((uint64_t)1 << 53) - 1));
        return FH_OK;
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        out->as.real = (double)(bits & 0xffffff);
        return FH_OK;
    case FH_TYPE_NUMERIC:
        out->as.integer = (int64_t)(bits % power_of_ten(column->precision));
        return FH_OK;
    case FH_TYPE_TIMESTAMP:
        out->as.integer = 1600000000000000 + (int64_t)(bits & 0xffffffffffff) / 10;
        return FH_OK;
    case FH_TYPE_DATE:
        out->as.integer = 18000 + (int64_t)(bits % 3000);
        return FH_OK;
    case FH_TYPE_UUID:
        out->as.uuid = *seed; /* a canary's form */
        memcpy(out->as.uuid.bytes + 9, &bits, 7);
        return FH_OK;
    case FH_TYPE_TEXT:
    case FH_TYPE_BYTES:
    case FH_TYPE_JSON:
        return text_of(column, bits, arena, &out->as.bytes);
    }
    return FH_INVALID;
}

/* A constant that the expression compares the column with; NULL: none. */
static const struct fh_value *constant_for(const struct fh_expr *expr, uint16_t column)
{
    bool is_compared = (expr->kind >= FH_EXPR_EQ && expr->kind <= FH_EXPR_IN);
    if (is_compared && expr->args[0]->kind == FH_EXPR_COLUMN && expr->args[0]->column == column &&
        expr->args[1]->kind == FH_EXPR_CONSTANT) {
        return &expr->args[1]->constant;
    }
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        const struct fh_value *found = constant_for(expr->args[i], column);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* Put where the column's own type is that of the constant, but for a widened number. */
static void take_constant(const struct fh_table *table, const struct fh_column *column,
                          struct fh_value *value)
{
    for (uint16_t i = 0; i < table->check_count; i++) {
        const struct fh_value *constant = constant_for(table->checks[i].expr, column->position);
        bool is_integer = column->type == FH_TYPE_INT16 || column->type == FH_TYPE_INT32;
        if (constant != NULL &&
            (constant->type == column->type || (is_integer && constant->type == FH_TYPE_INT64))) {
            *value = *constant;
            value->type = column->type;
            return;
        }
    }
}

static bool is_reference(const struct fh_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        const struct fh_foreign_key *fk = &table->foreign_keys[i];
        for (uint16_t k = 0; k < fk->column_count; k++) {
            if (fk->columns[k] == column) {
                return true;
            }
        }
    }
    return false;
}

static bool is_key(const struct fh_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == column) {
            return true;
        }
    }
    return false;
}

enum fh_code fh_canary_key(const struct fh_table *table, const struct fh_canary_pair *pair,
                           unsigned which, enum fh_canary_record record, struct fh_arena *arena,
                           struct fh_key *out)
{
    /* Both have the common key: it is made of the first one's UUID. */
    const struct fh_uuid *seed = record == FH_CANARY_COMMON ? &pair->uuids[0] : &pair->uuids[which];
    *out = (struct fh_key){.table = table};
    for (uint16_t i = 0; i < table->key_count; i++) {
        const struct fh_column *column = &table->columns[table->key[i]];
        if (is_reference(table, column->position) || column->generated != NULL) {
            return FH_INVALID;
        }
        enum fh_code code = value_of(column, seed, (unsigned)record, arena, &out->values[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code assign(const struct fh_table *table, const struct fh_uuid *seed, unsigned salt,
                           unsigned form, struct fh_arena *arena, struct fh_write *write)
{
    struct fh_assignment *assignments =
        FH_ARENA_ARRAY(arena, struct fh_assignment, table->column_count);
    if (assignments == NULL) {
        return FH_NOMEM;
    }
    write->assignments = assignments;
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_column *column = &table->columns[i];
        if (is_key(table, i) || column->generated != NULL || !column->not_null ||
            column->default_kind != FH_DEFAULT_NONE) {
            continue;
        }
        if (is_reference(table, i)) {
            return FH_INVALID;
        }
        struct fh_assignment *assignment = &assignments[write->assignment_count++];
        *assignment = (struct fh_assignment){.column = i, .transform = FH_TRANSFORM_SET};
        enum fh_code code = value_of(column, seed, salt, arena, &assignment->value);
        if (code != FH_OK) {
            return code;
        }
        if (form > 0) {
            take_constant(table, column, &assignment->value);
        }
    }
    return FH_OK;
}

static enum fh_code write_of(const struct fh_table *table, const struct fh_canary_pair *pair,
                             unsigned which, enum fh_canary_record record, unsigned form,
                             struct fh_arena *arena, struct fh_write *out)
{
    struct fh_row *row = NULL;
    *out = (struct fh_write){.op = FH_WRITE_UPSERT};
    enum fh_code code = fh_canary_key(table, pair, which, record, arena, &out->key);
    if (code == FH_OK) {
        code = assign(table, &pair->uuids[which], (unsigned)record, form, arena, out);
    }
    if (code == FH_OK) {
        code = fh_write_evaluate(out, NULL, &pair->uuids[which], 1, arena, &row, NULL);
    }
    return code == FH_OK || code == FH_NOMEM ? code : FH_INVALID;
}

enum fh_code fh_canary_writes(const struct fh_table *table, const struct fh_canary_pair *pair,
                              unsigned which, struct fh_arena *arena,
                              struct fh_write out[FH_CANARY_RECORDS])
{
    struct fh_key other;
    enum fh_code code = FH_INVALID;
    for (unsigned form = 0; form < FORMS && code == FH_INVALID; form++) {
        code = FH_OK;
        for (unsigned i = 0; i < FH_CANARY_RECORDS && code == FH_OK; i++) {
            code = write_of(table, pair, which, (enum fh_canary_record)i, form, arena, &out[i]);
        }
    }
    if (code == FH_OK) {
        code = fh_canary_key(table, pair, 1 - which, FH_CANARY_OWN, arena, &other);
    }
    if (code == FH_OK &&
        (fh_key_compare(&out[0].key, &out[1].key) == 0 ||
         fh_key_compare(&out[0].key, &other) == 0 || fh_key_compare(&out[1].key, &other) == 0)) {
        return FH_INVALID; /* a key of a boolean, say */
    }
    return code;
}
