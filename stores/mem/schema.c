/* Happy path: version by version, every tenant's rows are made anew beside the old ones, all tables
 * are exchanged, what is demanded newly is looked for, the old rows are freed.
 *
 * Failures: rows that cannot be made (FH_RANGE, FH_DISK_FULL, FH_NOMEM), and rows that do not hold
 * what the new version demands (FH_CHECK_VIOLATION, FH_UNIQUE_VIOLATION, FH_REFERENCE_VIOLATION):
 * the tables are exchanged back, the new rows freed. Steps that were done stay done.
 */
#include "stores/mem/schema.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/expr.h"
#include "stores/mem/commit.h"
#include "stores/mem/home.h"
#include "stores/schema_change.h"
#include "stores/write.h"

#define SCRATCH_BYTES_MAX ((size_t)256 << 20) /* one row, with room */
#define PREVIEW_BYTES_MAX ((size_t)64 << 20)
#define STATEMENT_BYTES_MAX 4096

/* One tenant's tables of the other version than the one in its place. */
struct other {
    struct fh_mem_tenant *tenant;
    struct fh_mem_table *tables;
    size_t table_count;
};

struct step {
    struct fh_mem_data *data;
    struct fh_mem_home *home;
    const struct fh_schema *to;
    int64_t now_us;
    struct fh_error *error;
    struct fh_arena scratch;
    struct other *others;
    size_t count;
};

static void exchange(struct other *other)
{
    struct fh_mem_tenant *tenant = other->tenant;
    const struct other was = *other;
    other->tables = tenant->tables;
    other->table_count = tenant->table_count;
    tenant->tables = was.tables;
    tenant->table_count = was.table_count;
}

static void free_tables(struct fh_mem_data *data, struct other *other)
{
    for (size_t t = 0; t < other->table_count; t++) {
        for (size_t i = 0; i < other->tables[t].count; i++) {
            fh_mem_row_free(data, other->tables[t].rows[i]);
        }
        fh_free(other->tables[t].rows);
    }
    fh_free(other->tables);
}

/* The stored row as a row of `table`, in the scratch arena. */
static enum fh_code convert(struct step *step, const struct fh_row *stored,
                            const struct fh_table *was, const struct fh_table *table,
                            struct fh_row **out)
{
    struct fh_row *row = fh_row_create(table, &step->scratch);
    if (row == NULL) {
        return FH_NOMEM;
    }
    struct fh_value *values = row->values;
    *row = *stored;
    row->table = table;
    row->values = values;
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_column *old = fh_table_column_by_id(was, table->columns[i].id);
        if (old != NULL) {
            values[i] = stored->values[old->position];
        } else {
            fh_write_default(&table->columns[i], step->now_us, &values[i]);
        }
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_column *column = &table->columns[i];
        if (column->generated == NULL || fh_table_column_by_id(was, column->id) != NULL) {
            continue;
        }
        enum fh_code code =
            fh_column_generate(column, row, &step->scratch, &values[i], step->error);
        if (code != FH_OK) {
            return code;
        }
    }
    *out = row;
    return FH_OK;
}

static enum fh_code convert_table(struct step *step, const struct fh_mem_table *from,
                                  const struct fh_table *was, const struct fh_table *table,
                                  struct fh_mem_table *to)
{
    to->rows = fh_calloc(from->count, sizeof(struct fh_mem_row *));
    if (to->rows == NULL) {
        return FH_NOMEM;
    }
    to->capacity = from->count;
    for (size_t i = 0; i < from->count; i++) {
        struct fh_row *row = NULL;
        fh_arena_reset(&step->scratch);
        enum fh_code code = convert(step, &from->rows[i]->row, was, table, &row);
        if (code == FH_OK) {
            code = fh_mem_row_store(step->data, row, &to->rows[i]);
        }
        if (code != FH_OK) {
            return code;
        }
        to->count++;
    }
    return FH_OK;
}

static enum fh_code convert_tenant(struct step *step, struct other *other)
{
    const struct fh_schema *from = step->home->schema;
    size_t table_count = 1;
    for (uint32_t t = 0; t < step->to->table_count; t++) {
        size_t id = step->to->tables[t]->id;
        table_count = id < table_count ? table_count : id + 1;
    }
    other->tables = fh_calloc(table_count, sizeof(struct fh_mem_table));
    if (other->tables == NULL) {
        return FH_NOMEM;
    }
    other->table_count = table_count;
    for (uint32_t t = 0; t < step->to->table_count; t++) {
        const struct fh_table *table = step->to->tables[t];
        const struct fh_table *was = fh_schema_table_by_id(from, table->id);
        const struct fh_mem_table *stored = fh_mem_table_at(other->tenant, table->id);
        if (was == NULL || stored == NULL || stored->count == 0) {
            continue;
        }
        enum fh_code code = convert_table(step, stored, was, table, &other->tables[table->id]);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static bool has_check(const struct fh_table *table, uint16_t id)
{
    for (uint16_t i = 0; i < table->check_count; i++) {
        if (table->checks[i].id == id) {
            return true;
        }
    }
    return false;
}

static bool has_reference(const struct fh_table *table, uint16_t id)
{
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        if (table->foreign_keys[i].id == id) {
            return true;
        }
    }
    return false;
}

static enum fh_code violated(struct fh_error *error, enum fh_code code,
                             const struct fh_table *table, struct fh_str what)
{
    return fh_error_set(error, code, "%.*s: records do not hold %.*s", FH_STR_ARG(table->name),
                        FH_STR_ARG(what));
}

enum fh_code fh_mem_check_row(const struct fh_row *row, const struct fh_table *was,
                              struct fh_arena *scratch, struct fh_error *error)
{
    const struct fh_table *table = row->table;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].not_null && row->values[i].is_null) {
            return violated(error, FH_CHECK_VIOLATION, table, table->columns[i].name);
        }
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        const struct fh_check *check = &table->checks[i];
        bool passes = false;
        if (was != NULL && has_check(was, check->id)) {
            continue;
        }
        fh_arena_reset(scratch);
        enum fh_code code = fh_check_evaluate(check, row, scratch, &passes, error);
        if (code != FH_OK) {
            return code;
        }
        if (!passes) {
            return violated(error, FH_CHECK_VIOLATION, table, check->name);
        }
    }
    return FH_OK;
}

static enum fh_code look_at_references(struct step *step, const struct fh_mem_tenant *tenant,
                                       const struct fh_row *row, const struct fh_table *was)
{
    for (uint16_t i = 0; i < row->table->foreign_key_count; i++) {
        const struct fh_foreign_key *reference = &row->table->foreign_keys[i];
        if (!has_reference(was, reference->id) &&
            fh_mem_reference_broken(tenant, row, reference, true)) {
            return violated(step->error, FH_REFERENCE_VIOLATION, row->table, reference->name);
        }
    }
    return FH_OK;
}

/* The tenant has the new tables already. */
static enum fh_code look_at_tenant(struct step *step, const struct fh_mem_tenant *tenant)
{
    for (uint32_t t = 0; t < step->to->table_count; t++) {
        const struct fh_table *table = step->to->tables[t];
        const struct fh_table *was = fh_schema_table_by_id(step->home->schema, table->id);
        const struct fh_mem_table *stored = fh_mem_table_at(tenant, table->id);
        for (size_t i = 0; was != NULL && i < stored->count; i++) {
            const struct fh_row *row = &stored->rows[i]->row;
            enum fh_code code = fh_mem_check_row(row, was, &step->scratch, step->error);
            if (code == FH_OK && row->deleted_at_us == 0) {
                code = look_at_references(step, tenant, row, was);
            }
            if (code != FH_OK) {
                return code;
            }
        }
        if (fh_mem_check_unique(tenant, table) != FH_OK) {
            return violated(step->error, FH_UNIQUE_VIOLATION, table, FH_STR("its unique indexes"));
        }
    }
    return FH_OK;
}

static enum fh_code make_others(struct step *step)
{
    step->others = fh_calloc(step->home->tenants.count + 1, sizeof(struct other));
    if (step->others == NULL) {
        return FH_NOMEM;
    }
    size_t cursor = 0;
    struct fh_mem_tenant *tenant = NULL;
    while ((tenant = fh_map_next(&step->home->tenants, &cursor)) != NULL) {
        struct other *other = &step->others[step->count++];
        other->tenant = tenant;
        enum fh_code code = convert_tenant(step, other);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

/* From the home's version to the next. */
static enum fh_code run_step(struct step *step)
{
    fh_arena_init(&step->scratch, SCRATCH_BYTES_MAX);
    enum fh_code code = make_others(step);
    if (code != FH_OK) {
        goto out;
    }
    for (size_t i = 0; i < step->count; i++) {
        exchange(&step->others[i]);
    }
    for (size_t i = 0; code == FH_OK && i < step->count; i++) {
        code = look_at_tenant(step, step->others[i].tenant);
    }
    if (code == FH_OK) {
        step->home->schema = step->to;
        goto out;
    }
    for (size_t i = 0; i < step->count; i++) {
        exchange(&step->others[i]);
    }
out:
    for (size_t i = 0; i < step->count; i++) {
        free_tables(step->data, &step->others[i]);
    }
    fh_free(step->others);
    fh_arena_close(&step->scratch);
    return code;
}

/* Version by version, from what the home has. */
static enum fh_code climb(struct fh_mem_data *data, struct fh_mem_home *home,
                          struct fh_request *request, int64_t now_us)
{
    struct fh_op_schema *op = &request->as.schema;
    enum fh_code code = FH_OK;
    while (code == FH_OK && home->schema->version < op->target->version) {
        struct step step = {.data = data,
                            .home = home,
                            .to = fh_schema_at(op->target, home->schema->version + 1),
                            .now_us = now_us,
                            .error = &request->error};
        code = step.to != NULL ? run_step(&step)
                               : fh_error_set(&request->error, FH_PRECONDITION,
                                              "the way to the schema's version is not known");
        op->version_seen = home->schema->version;
    }
    return code;
}

enum fh_code fh_mem_schema_apply(struct fh_mem_data *data, struct fh_request *request,
                                 int64_t now_us)
{
    struct fh_op_schema *op = &request->as.schema;
    const struct fh_scope *scope = &request->scope;
    struct fh_mem_home *home = fh_mem_home_find(data, &scope->home);
    op->version_seen = home != NULL ? home->schema->version : 0;
    if (fh_home_is_dedicated(&scope->home)) {
        const struct fh_mem_tenant *tenant =
            home != NULL ? fh_mem_tenant_find(home, &scope->tenant) : NULL;
        if (tenant == NULL) {
            return FH_NO_TENANT;
        }
        enum fh_code code = fh_mem_check_guard(request, &tenant->fence, &op->guard);
        if (code != FH_OK) {
            return code;
        }
    } else if (home == NULL) {
        /* There are no rows yet: all versions at once. */
        enum fh_code code = fh_mem_home_create(data, &scope->home, op->target, &home);
        op->version_seen = code == FH_OK ? op->target->version : 0;
        return code;
    }
    if (op->target->version < home->schema->version) {
        return fh_error_set(&request->error, FH_PRECONDITION, "a schema never goes back");
    }
    return climb(data, home, request, now_us);
}

static enum fh_code preview_step(const struct fh_schema *from, const struct fh_schema *to,
                                 struct fh_arena *arena, fh_ddl_cb *cb, void *arg,
                                 struct fh_error *error)
{
    struct fh_schema_change *changes = NULL;
    size_t count = 0;
    enum fh_code code = fh_schema_changes(from, to, arena, &changes, &count);
    struct fh_buf text;
    fh_buf_init(&text, STATEMENT_BYTES_MAX);
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        fh_buf_clear(&text);
        fh_schema_change_describe(&changes[i], &text);
        fh_buf_add_char(&text, '\0');
        code = fh_buf_code(&text);
        if (code == FH_OK) {
            /* Whatever it is, it is done between two requests. */
            const struct fh_ddl_statement statement = {
                .sql = text.data, .lock = FH_DDL_LOCK_ALL, .scans = true};
            code = cb(arg, &statement);
        }
    }
    fh_buf_close(&text);
    return code == FH_NOMEM ? fh_error_set(error, FH_NOMEM, "out of memory") : code;
}

enum fh_code fh_mem_schema_preview(const struct fh_schema *from, const struct fh_schema *to,
                                   const struct fh_home *home, fh_ddl_cb *cb, void *arg,
                                   struct fh_error *error)
{
    (void)home; /* the same in all */
    if (from != NULL && from->version > to->version) {
        return fh_error_set(error, FH_PRECONDITION, "a schema never goes back");
    }
    struct fh_arena arena;
    fh_arena_init(&arena, PREVIEW_BYTES_MAX);
    enum fh_code code = FH_OK;
    for (uint32_t v = (from != NULL ? from->version : 0) + 1; code == FH_OK && v <= to->version;
         v++) {
        const struct fh_schema *next = fh_schema_at(to, v);
        code = next != NULL ? preview_step(fh_schema_at(to, v - 1), next, &arena, cb, arg, error)
                            : fh_error_set(error, FH_PRECONDITION,
                                           "the way to the schema's version is not known");
    }
    fh_arena_close(&arena);
    return code;
}
