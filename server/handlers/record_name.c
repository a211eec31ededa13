/* Parsing cuts the name at its slashes, decodes the key parts into the arena and lets the column's
 * type read them. */
#include "server/handlers/record_name.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/fault_point.h"
#include "stores/value.h"

#define TENANTS FH_STR("tenants/")
#define TABLES FH_STR("tables/")
#define RECORDS FH_STR("/records/")
#define SHOWN_BYTES_MAX 64

struct fh_str fh_name_shown(struct fh_str name)
{
    if (name.len > SHOWN_BYTES_MAX) {
        name.len = SHOWN_BYTES_MAX;
        while (name.len > 0 && ((unsigned char)name.data[name.len] & 0xC0) == 0x80) {
            name.len--;
        }
    }
    return name;
}

/* Takes `prefix` off; false if it is not there. */
static bool take_prefix(struct fh_str *rest, struct fh_str prefix)
{
    if (!fh_str_starts_with(*rest, prefix)) {
        return false;
    }
    rest->data += prefix.len;
    rest->len -= prefix.len;
    return true;
}

/* Everything up to `stop` (or the end); `rest` then starts at `stop`. */
static struct fh_str take_until(struct fh_str *rest, char stop)
{
    const char *at = rest->len > 0 ? memchr(rest->data, stop, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->data) : rest->len;
    struct fh_str part = {.data = rest->data, .len = len};
    rest->data += len;
    rest->len -= len;
    return part;
}

static enum fh_code parse_tenant(struct fh_str *rest, const char *field,
                                 const struct fh_uuid *tenant, struct fh_error *error)
{
    if (!take_prefix(rest, TENANTS)) {
        return FH_OK;
    }
    struct fh_uuid named;
    struct fh_str text = take_until(rest, '/');
    if (!fh_uuid_parse(text, &named) ||
        (!fh_uuid_eq(&named, tenant) && !fh_fault_seeded("name_of_any_tenant"))) {
        return fh_error_field(error, FH_NOT_FOUND, field, "no such record");
    }
    if (!take_prefix(rest, FH_STR("/"))) {
        return fh_error_field(error, FH_INVALID, field, "%s ends after the tenant", field);
    }
    return FH_OK;
}

static enum fh_code parse_table(struct fh_str *rest, const char *field,
                                const struct fh_uuid *tenant, const struct fh_schema *schema,
                                const struct fh_table **out, struct fh_error *error)
{
    if (rest->len > FH_RECORD_NAME_MAX) {
        return fh_error_field(error, FH_INVALID, field, "%s is longer than %d bytes", field,
                              FH_RECORD_NAME_MAX);
    }
    enum fh_code code = parse_tenant(rest, field, tenant, error);
    if (code != FH_OK) {
        return code;
    }
    if (!take_prefix(rest, TABLES)) {
        return fh_error_field(error, FH_INVALID, field,
                              "%s must start with tables/{table}, optionally after "
                              "tenants/{tenant}/",
                              field);
    }
    struct fh_str name = take_until(rest, '/');
    *out = schema != NULL ? fh_schema_table(schema, name) : NULL;
    if (*out == NULL) {
        name = fh_name_shown(name);
        return fh_error_field(error, FH_INVALID, field, "no table '%.*s' in schema version %u",
                              FH_STR_ARG(name), schema != NULL ? schema->version : 0);
    }
    return FH_OK;
}

struct fh_str fh_record_name_table(struct fh_str name)
{
    if (take_prefix(&name, TENANTS)) {
        (void)take_until(&name, '/');
        (void)take_prefix(&name, FH_STR("/"));
    }
    return take_prefix(&name, TABLES) ? take_until(&name, '/') : FH_STR("");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum fh_code percent_decode(struct fh_str in, const char *field, struct fh_arena *arena,
                                   struct fh_str *out, struct fh_error *error)
{
    char *decoded = fh_arena_alloc(arena, in.len + 1);
    if (decoded == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (in.data[i] != '%') {
            decoded[len++] = in.data[i];
            continue;
        }
        int high = -1;
        int low = -1;
        if (in.len - i > 2) {
            high = hex_digit(in.data[i + 1]);
            low = hex_digit(in.data[i + 2]);
        }
        if (high < 0 || low < 0) {
            return fh_error_field(error, FH_INVALID, field,
                                  "%s has a %% without two hex digits behind it", field);
        }
        decoded[len++] = (char)(high * 16 + low);
        i += 2;
    }
    decoded[len] = '\0';
    *out = (struct fh_str){.data = decoded, .len = len};
    return FH_OK;
}

static enum fh_code parse_key(struct fh_str rest, const char *field, const struct fh_table *table,
                              struct fh_arena *arena, struct fh_key *out, struct fh_error *error)
{
    size_t text_bytes = 0;
    out->table = table;
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (i > 0 && !take_prefix(&rest, FH_STR(","))) {
            return fh_error_field(error, FH_INVALID, field,
                                  "the key of %s has %u parts joined by commas, %s has %u",
                                  table->name.data, table->key_count, field, i);
        }
        struct fh_str text = {0};
        enum fh_code code = percent_decode(take_until(&rest, ','), field, arena, &text, error);
        if (code != FH_OK) {
            return code;
        }
        const struct fh_column *column = &table->columns[table->key[i]];
        text_bytes += text.len;
        if (text_bytes > FH_KEY_TEXT_MAX) {
            return fh_error_field(error, FH_INVALID, field, "the key in %s is longer than %d bytes",
                                  field, FH_KEY_TEXT_MAX);
        }
        code = fh_value_parse(text, column, arena, &out->values[i], error);
        if (code != FH_OK) {
            if (error == NULL || code != FH_INVALID) {
                return code;
            }
            struct fh_error cause = *error; /* the message is rewritten from itself */
            return fh_error_field(error, FH_INVALID, field, "key column %s: %s", column->name.data,
                                  fh_error_text(&cause));
        }
    }
    if (rest.len > 0) {
        return fh_error_field(error, FH_INVALID, field, "the key of %s has %u parts, %s has more",
                              table->name.data, table->key_count, field);
    }
    return FH_OK;
}

enum fh_code fh_record_name_parse(struct fh_str name, const char *field,
                                  const struct fh_uuid *tenant, const struct fh_schema *schema,
                                  struct fh_arena *arena, struct fh_key *out,
                                  struct fh_error *error)
{
    struct fh_str rest = name;
    const struct fh_table *table = NULL;
    enum fh_code code = parse_table(&rest, field, tenant, schema, &table, error);
    if (code != FH_OK) {
        return code;
    }
    FH_ASSERT(table != NULL);
    if (!take_prefix(&rest, RECORDS)) {
        return fh_error_field(error, FH_INVALID, field,
                              "%s must go on with /records/{key} after the table", field);
    }
    return parse_key(rest, field, table, arena, out, error);
}

enum fh_code fh_table_name_parse(struct fh_str name, const char *field,
                                 const struct fh_uuid *tenant, const struct fh_schema *schema,
                                 const struct fh_table **out, struct fh_error *error)
{
    struct fh_str rest = name;
    enum fh_code code = parse_table(&rest, field, tenant, schema, out, error);
    if (code == FH_OK && rest.len > 0) {
        return fh_error_field(error, FH_INVALID, field, "%s must end after the table", field);
    }
    return code;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static void add_percent_encoded(struct fh_buf *out, struct fh_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t plain_from = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (is_unreserved(text.data[i])) {
            continue;
        }
        unsigned char byte = (unsigned char)text.data[i];
        char escaped[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        fh_buf_add(out, text.data + plain_from, i - plain_from);
        fh_buf_add(out, escaped, sizeof(escaped));
        plain_from = i + 1;
    }
    fh_buf_add(out, text.data + plain_from, text.len - plain_from);
}

void fh_record_name_format(const struct fh_key *key, struct fh_buf *out)
{
    const struct fh_table *table = key->table;
    fh_buf_add_str(out, TABLES);
    fh_buf_add_str(out, table->name);
    fh_buf_add_str(out, RECORDS);
    for (uint16_t i = 0; i < table->key_count; i++) {
        const struct fh_column *column = &table->columns[table->key[i]];
        if (i > 0) {
            fh_buf_add_char(out, ',');
        }
        if (column->type == FH_TYPE_TEXT) {
            add_percent_encoded(out, key->values[i].as.bytes);
            continue;
        }
        struct fh_buf text;
        fh_buf_init(&text, FH_RECORD_NAME_MAX);
        fh_value_format(&key->values[i], column, &text);
        if (fh_buf_code(&text) != FH_OK) {
            out->code = fh_buf_code(&text);
        } else {
            add_percent_encoded(out, fh_buf_str(&text));
        }
        fh_buf_close(&text);
    }
}

char *fh_record_name_text(const struct fh_key *key, struct fh_arena *arena)
{
    struct fh_buf buf;
    char *text = NULL;
    fh_buf_init(&buf, 2 * FH_RECORD_NAME_MAX); /* FH_KEY_TEXT_MAX, every byte escaped, and more */
    fh_record_name_format(key, &buf);
    if (fh_buf_code(&buf) == FH_OK) {
        text = fh_arena_copy(arena, buf.data, buf.len);
    }
    fh_buf_close(&buf);
    return text;
}
