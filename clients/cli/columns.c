/* Happy path: GetSchema, the table's columns copied. Failures: no operator access leaves everything
 * open; a refusal there is told and does the same, since the server checks every value anyway. */
#include "clients/cli/columns.h"

#include <string.h>

#include "clients/cli/args.h"
#include "freehold/v1/schema.pb-c.h"

#define ARENA_BYTES_MAX (4u << 20)

static char *copy(struct fh_columns *columns, const char *text)
{
    return fh_arena_copy(&columns->arena, text, strlen(text));
}

static enum fh_code take_table(struct fh_columns *columns, const Freehold__V1__Table *table)
{
    if (table->n_columns > FH_COLUMNS_MAX) {
        return FH_TOO_LARGE;
    }
    for (size_t i = 0; i < table->n_columns; i++) {
        struct fh_known_column *column = &columns->items[columns->count];
        char *name = copy(columns, table->columns[i]->name);
        if (name == NULL) {
            return FH_NOMEM;
        }
        column->name = fh_str_of(name);
        column->kind = FH_KIND_SYNTAX;
        (void)fh_kind_of_type(fh_str_of(table->columns[i]->type), &column->kind);
        columns->count++;
    }
    columns->key = FH_ARENA_ARRAY(&columns->arena, const char *, table->n_primary_key);
    if (columns->key == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < table->n_primary_key; i++) {
        columns->key[i] = copy(columns, table->primary_key[i]);
        if (columns->key[i] == NULL) {
            return FH_NOMEM;
        }
    }
    columns->key_count = table->n_primary_key;
    columns->complete = true;
    return FH_OK;
}

static int no_table(struct fh_session *session, const char *table,
                    const Freehold__V1__Schema *schema)
{
    const char *near = NULL;
    size_t best = 3;
    for (size_t i = 0; i < schema->n_tables; i++) {
        const size_t distance = fh_args_distance(table, schema->tables[i]->name);
        if (distance < best) {
            best = distance;
            near = schema->tables[i]->name;
        }
    }
    return fh_session_fail(session, FH_EXIT_REFUSED,
                           "no table '%.64s' in schema version %u%s%.64s%s (see freehold schema "
                           "status)",
                           table, schema->version, near != NULL ? "; did you mean '" : "",
                           near != NULL ? near : "", near != NULL ? "'?" : "");
}

static int take_schema(struct fh_columns *columns, struct fh_session *session,
                       const Freehold__V1__Schema *schema)
{
    for (size_t i = 0; i < schema->n_tables; i++) {
        if (strcmp(schema->tables[i]->name, columns->table) == 0) {
            return take_table(columns, schema->tables[i]) == FH_OK
                       ? FH_EXIT_OK
                       : fh_session_fail(session, FH_EXIT_LOCAL,
                                         "the table does not fit in memory");
        }
    }
    return no_table(session, columns->table, schema);
}

int fh_columns_open(struct fh_columns *columns, struct fh_session *session, const char *table)
{
    Freehold__V1__GetSchemaRequest request = FREEHOLD__V1__GET_SCHEMA_REQUEST__INIT;
    struct fh_client *client = NULL;
    struct fh_client_status status;
    ProtobufCMessage *message = NULL;
    memset(columns, 0, sizeof(*columns));
    fh_arena_init(&columns->arena, ARENA_BYTES_MAX);
    columns->table = table;
    columns->items = FH_ARENA_ARRAY(&columns->arena, struct fh_known_column, FH_COLUMNS_MAX);
    if (columns->items == NULL) {
        return fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    }
    if (!fh_session_has_operators(session)) {
        return FH_EXIT_OK;
    }
    int exit_code = fh_session_operators(session, &client);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    if (!fh_client_invoke(client, &freehold__v1__schema_service__descriptor, "GetSchema",
                          &request.base, &message, &status)) {
        fh_session_note(session,
                        "freehold: the schema cannot be read (%s): values are sent by what they "
                        "look like",
                        fh_client_grpc_name(status.grpc));
        return FH_EXIT_OK;
    }
    exit_code = take_schema(columns, session, (const Freehold__V1__Schema *)message);
    fh_client_message_free(message);
    return exit_code;
}

void fh_columns_close(struct fh_columns *columns)
{
    fh_arena_close(&columns->arena);
}

static struct fh_known_column *find(const struct fh_columns *columns, struct fh_str name)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (fh_str_eq(columns->items[i].name, name)) {
            return &columns->items[i];
        }
    }
    return NULL;
}

const struct fh_known_column *fh_columns_find(const struct fh_columns *columns, struct fh_str name)
{
    return find(columns, name);
}

enum fh_kind fh_columns_kind(const struct fh_columns *columns, struct fh_str name)
{
    const struct fh_known_column *column = find(columns, name);
    return column != NULL ? column->kind : FH_KIND_SYNTAX;
}

static enum fh_code set_type(struct fh_columns *columns, struct fh_str item, struct fh_error *error)
{
    enum fh_kind kind;
    const char *equals = item.len > 0 ? memchr(item.data, '=', item.len) : NULL;
    if (equals == NULL) {
        return fh_error_set(error, FH_INVALID, "--types is like size=bigint,name=text");
    }
    struct fh_str name = {.data = item.data, .len = (size_t)(equals - item.data)};
    struct fh_str type = {.data = equals + 1, .len = item.len - name.len - 1};
    if (!fh_kind_of_type(type, &kind)) {
        return fh_error_set(error, FH_INVALID, "--types: no type '%.*s'",
                            (int)(type.len > 64 ? 64 : type.len), type.data);
    }
    struct fh_known_column *column = find(columns, name);
    if (column == NULL && (columns->complete || columns->count == FH_COLUMNS_MAX)) {
        return fh_error_set(error, FH_INVALID, "--types: table %s has no column '%.*s'",
                            columns->table, (int)(name.len > 64 ? 64 : name.len), name.data);
    }
    if (column == NULL) {
        column = &columns->items[columns->count];
        if (fh_arena_str(&columns->arena, name, &column->name) != FH_OK) {
            return fh_error_set(error, FH_NOMEM, "out of memory");
        }
        columns->count++;
    }
    column->kind = kind;
    return FH_OK;
}

/* The next part of a list with commas; false at the end. */
static bool next_part(const char **at, struct fh_str *out)
{
    if (**at == '\0') {
        return false;
    }
    const size_t len = strcspn(*at, ",");
    *out = (struct fh_str){.data = *at, .len = len};
    *at += len;
    if (**at == ',') {
        (*at)++;
    }
    return true;
}

enum fh_code fh_columns_set_types(struct fh_columns *columns, const char *types,
                                  struct fh_error *error)
{
    struct fh_str item;
    while (next_part(&types, &item)) {
        const enum fh_code code = set_type(columns, item, error);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

enum fh_code fh_columns_set_key(struct fh_columns *columns, const char *names,
                                struct fh_error *error)
{
    struct fh_str item;
    size_t count = 0;
    const char **key = FH_ARENA_ARRAY(&columns->arena, const char *, strlen(names) + 1);
    while (key != NULL && next_part(&names, &item)) {
        struct fh_str name;
        if (item.len == 0 || fh_arena_str(&columns->arena, item, &name) != FH_OK) {
            return fh_error_set(error, FH_INVALID, "--key is like id or tenant,id");
        }
        key[count++] = name.data;
    }
    if (key == NULL || count == 0) {
        return fh_error_set(error, FH_INVALID, "--key is like id or region,id");
    }
    columns->key = key;
    columns->key_count = count;
    return FH_OK;
}
