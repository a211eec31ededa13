/* Columns of a list come from the schema where it can be seen, else from the records of the first
 * page, by name. */
#include "clients/cli/record.h"

#include <stdlib.h>
#include <string.h>

#include "clients/cli/columns.h"
#include "clients/cli/listing.h"
#include "clients/cli/text.h"

#define CELL_BYTES_MAX (2u << 20)
#define MASK_MAX 64
#define PARENT_MAX 256

static void cell_value(struct fh_grid *grid, const Freehold__V1__Value *value)
{
    struct fh_buf text;
    fh_buf_init(&text, CELL_BYTES_MAX);
    if (value != NULL) {
        fh_convert_to_text(&text, value);
    }
    if (fh_buf_code(&text) == FH_OK) {
        fh_grid_cell(grid, fh_buf_str(&text));
    } else {
        fh_grid_text(grid, "(too large to show)");
    }
    fh_buf_close(&text);
}

static void cell_time(struct fh_grid *grid, const Google__Protobuf__Timestamp *time)
{
    struct fh_buf text;
    fh_buf_init(&text, 64);
    if (time != NULL) {
        fh_text_add_time(&text, time->seconds, time->nanos);
    }
    fh_grid_cell(grid, fh_buf_str(&text));
    fh_buf_close(&text);
}

static int by_key(const void *a, const void *b)
{
    const Freehold__V1__Record__FieldsEntry *const *left = a;
    const Freehold__V1__Record__FieldsEntry *const *right = b;
    return strcmp((*left)->key, (*right)->key);
}

static void add_facts(struct fh_grid *grid, const Freehold__V1__Record *record)
{
    fh_grid_text(grid, "etag");
    fh_grid_text(grid, record->etag);
    fh_grid_text(grid, "created");
    cell_time(grid, record->create_time);
    fh_grid_text(grid, "updated");
    cell_time(grid, record->update_time);
    if (record->delete_time != NULL) {
        fh_grid_text(grid, "deleted");
        cell_time(grid, record->delete_time);
    }
}

int fh_record_print(struct fh_session *session, const Freehold__V1__Record *record)
{
    struct fh_grid grid;
    struct fh_buf out;
    fh_grid_init(&grid, 0);
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    if (record->n_fields > 0) { /* the message is ours; its order means nothing */
        qsort(record->fields, record->n_fields, sizeof(void *), by_key);
    }
    fh_grid_column(&grid, "name", false);
    fh_grid_column(&grid, record->name, false);
    for (size_t i = 0; i < record->n_fields; i++) {
        struct fh_buf label;
        fh_buf_init(&label, 1024);
        fh_buf_printf(&label, "  %s", record->fields[i]->key);
        fh_grid_cell(&grid, fh_buf_str(&label));
        cell_value(&grid, record->fields[i]->value);
        fh_buf_close(&label);
    }
    add_facts(&grid, record);
    const enum fh_code code = fh_grid_flush(&grid, &out);
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    fh_grid_close(&grid);
    return exit_code;
}

/* -- Lists --------------------------------------------------------------------------------------
 */

struct list {
    struct fh_columns columns;
    Google__Protobuf__FieldMask mask;
    char *paths[MASK_MAX];
    const char *names[FH_GRID_COLUMNS_MAX];
    size_t name_count;
    bool key; /* a column for the key, which the fields may lack */
    bool deleted;
};

static bool has_name(const struct list *list, const char *name)
{
    for (size_t i = 0; i < list->name_count; i++) {
        if (strcmp(list->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Two columns are kept: for the key and the time of deletion. */
static void add_name(struct list *list, const char *name)
{
    if (list->name_count + 2 < FH_GRID_COLUMNS_MAX && !has_name(list, name)) {
        char *copy = fh_arena_copy(&list->columns.arena, name, strlen(name));
        if (copy != NULL) {
            list->names[list->name_count++] = copy;
        }
    }
}

static int by_name(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

static void record_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count,
                        void *arg)
{
    struct list *list = arg;
    for (size_t i = 0; i < list->mask.n_paths; i++) {
        add_name(list, list->paths[i]);
    }
    if (list->mask.n_paths == 0 && list->columns.complete) {
        for (size_t i = 0; i < list->columns.count; i++) {
            add_name(list, list->columns.items[i].name.data);
        }
    } else if (list->mask.n_paths == 0) {
        for (size_t i = 0; i < count; i++) {
            const Freehold__V1__Record *record = (const Freehold__V1__Record *)items[i];
            for (size_t k = 0; k < record->n_fields; k++) {
                add_name(list, record->fields[k]->key);
            }
        }
        qsort(list->names, list->name_count, sizeof(list->names[0]), by_name);
    }
    list->key = list->name_count == 0 || list->mask.n_paths > 0;
    if (list->key) {
        fh_grid_column(grid, "(key)", false);
    }
    for (size_t i = 0; i < list->name_count; i++) {
        const enum fh_kind kind = fh_columns_kind(&list->columns, fh_str_of(list->names[i]));
        fh_grid_column(grid, list->names[i],
                       kind == FH_KIND_INTEGER || kind == FH_KIND_REAL || kind == FH_KIND_NUMERIC);
    }
    if (list->deleted) {
        fh_grid_column(grid, "(deleted)", false);
    }
}

static const Freehold__V1__Value *field(const Freehold__V1__Record *record, const char *name)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        if (strcmp(record->fields[i]->key, name) == 0) {
            return record->fields[i]->value;
        }
    }
    return NULL;
}

static void record_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const struct list *list = arg;
    const Freehold__V1__Record *record = (const Freehold__V1__Record *)item;
    if (list->key) {
        struct fh_buf key;
        fh_buf_init(&key, CELL_BYTES_MAX);
        fh_text_add_record_key(&key, record->name);
        fh_grid_cell(grid, fh_buf_str(&key));
        fh_buf_close(&key);
    }
    for (size_t i = 0; i < list->name_count; i++) {
        cell_value(grid, field(record, list->names[i]));
    }
    if (list->deleted) {
        cell_time(grid, record->delete_time);
    }
}

static int read_mask(struct fh_session *session, struct list *list)
{
    const char *fields = fh_args_value(session->args, "fields");
    google__protobuf__field_mask__init(&list->mask);
    list->mask.paths = list->paths;
    while (fields != NULL && *fields != '\0') {
        const size_t len = strcspn(fields, ",");
        if (len == 0 || list->mask.n_paths == MASK_MAX) {
            return fh_session_fail(session, FH_EXIT_USAGE, "--fields is like a,b,c, at most %d",
                                   MASK_MAX);
        }
        char *name = fh_arena_copy(&list->columns.arena, fields, len);
        if (name == NULL) {
            return fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
        }
        list->paths[list->mask.n_paths++] = name;
        fields += len + (fields[len] == ',' ? 1 : 0);
    }
    return FH_EXIT_OK;
}

static int parent_of(struct fh_session *session, char out[PARENT_MAX])
{
    struct fh_buf parent;
    const char *table = session->args->arguments[0];
    const char *tenant = fh_session_tenant_prefix(session);
    fh_buf_init(&parent, PARENT_MAX - 1);
    if (strchr(table, '/') == NULL) {
        fh_buf_printf(&parent, "%s%s%stables/", tenant != NULL ? "tenants/" : "",
                      tenant != NULL ? tenant : "", tenant != NULL ? "/" : "");
    }
    fh_buf_add_text(&parent, table);
    const bool fits = fh_buf_code(&parent) == FH_OK;
    if (fits) {
        memcpy(out, parent.data, parent.len + 1);
    }
    fh_buf_close(&parent);
    return fits ? FH_EXIT_OK
                : fh_session_fail(session, FH_EXIT_USAGE, "the table's name is too long");
}

int fh_record_list_run(struct fh_session *session)
{
    struct list list = {.deleted = fh_args_has(session->args, "deleted")};
    Freehold__V1__ListRecordsRequest request = FREEHOLD__V1__LIST_RECORDS_REQUEST__INIT;
    char parent[PARENT_MAX];
    const char *table = session->args->arguments[0];
    struct fh_listing listing = {
        .service = &freehold__v1__data_service__descriptor,
        .method = "ListRecords",
        .request = &request.base,
        .head = record_head,
        .row = record_row,
        .arg = &list,
    };
    int exit_code = fh_session_tenant(session, &listing.client);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    if (session->output == FH_OUTPUT_TABLE && strchr(table, '/') == NULL) {
        exit_code = fh_columns_open(&list.columns, session, table);
    } else {
        fh_arena_init(&list.columns.arena, CELL_BYTES_MAX);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = read_mask(session, &list);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = parent_of(session, parent);
    }
    if (exit_code == FH_EXIT_OK) {
        request.parent = parent;
        request.show_deleted = list.deleted;
        request.read_mask = list.mask.n_paths > 0 ? &list.mask : NULL;
        exit_code = fh_listing_run(session, &listing);
    }
    fh_columns_close(&list.columns);
    return exit_code;
}

const struct fh_option fh_record_list_options[] = {
    FH_LISTING_OPTIONS,
    {"fields", 0, "A,B", "these fields only"},
    {"deleted", 0, NULL, "deleted records, too"},
    {0},
};
