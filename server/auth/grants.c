/* Happy path: the claim becomes a text once, when the token is verified; each request looks through
 * it. Failures: a claim of another shape refuses the token, since a restriction that is not
 * understood must not be taken for none. */
#include "server/auth/grants.h"

#include "base/buf.h"

#define TABLE_BYTES_MAX 48 /* FH_IDENTIFIER_MAX */
#define TEXT_BYTES_MAX ((size_t)FH_GRANTS_TABLES_MAX * (TABLE_BYTES_MAX + 3))
#define SHOWN_BYTES_MAX 64

static bool is_table(struct fh_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
            return false;
        }
    }
    return name.len > 0 && name.len <= TABLE_BYTES_MAX;
}

static enum fh_code add(const char *name, const json_t *value, struct fh_buf *out,
                        struct fh_error *error)
{
    struct fh_str table = fh_str_of(name);
    struct fh_str access = json_is_string(value) ? (struct fh_str){.data = json_string_value(value),
                                                                   .len = json_string_length(value)}
                                                 : FH_STR("");
    bool write = fh_str_eq(access, FH_STR("write"));
    if (!is_table(table) || (!write && !fh_str_eq(access, FH_STR("read")))) {
        return fh_error_set(
            error, FH_UNAUTHENTICATED,
            "the token's tables are not names of tables with \"read\" or \"write\"");
    }
    if (out->len > 0) {
        fh_buf_add_char(out, ',');
    }
    fh_buf_add_str(out, table);
    fh_buf_add_char(out, ':');
    fh_buf_add_char(out, write ? FH_GRANT_WRITE : FH_GRANT_READ);
    return FH_OK;
}

enum fh_code fh_grants_read(const json_t *claims, struct fh_arena *arena, struct fh_grants *out,
                            struct fh_error *error)
{
    json_t *tables = json_object_get(claims, "tables");
    *out = (struct fh_grants){.restricted = tables != NULL, .tables = FH_STR("")};
    if (tables == NULL) {
        return FH_OK;
    }
    if (!json_is_object(tables) || json_object_size(tables) > FH_GRANTS_TABLES_MAX) {
        return fh_error_set(error, FH_UNAUTHENTICATED,
                            "the token's tables are not an object of up to %d members",
                            FH_GRANTS_TABLES_MAX);
    }
    struct fh_buf text;
    fh_buf_init(&text, TEXT_BYTES_MAX);
    enum fh_code code = FH_OK;
    for (void *at = json_object_iter(tables); at != NULL && code == FH_OK;
         at = json_object_iter_next(tables, at)) {
        code = add(json_object_iter_key(at), json_object_iter_value(at), &text, error);
    }
    if (code == FH_OK) {
        code = fh_buf_code(&text);
    }
    if (code == FH_OK) {
        code = fh_arena_str(arena, fh_buf_str(&text), &out->tables);
    }
    fh_buf_close(&text);
    return code;
}

static bool grants(struct fh_str tables, struct fh_str table, enum fh_grant access)
{
    size_t at = 0;
    while (at < tables.len) {
        size_t end = at;
        while (tables.data[end] != ':') {
            end++;
        }
        struct fh_str name = {.data = tables.data + at, .len = end - at};
        if (fh_str_eq(name, table)) {
            return access == FH_GRANT_READ || tables.data[end + 1] == FH_GRANT_WRITE;
        }
        at = end + 3;
    }
    return false;
}

enum fh_code fh_grants_check(const struct fh_grants *grants_of, struct fh_str table,
                             enum fh_grant access, struct fh_error *error)
{
    if (!grants_of->restricted || grants(grants_of->tables, table, access)) {
        return FH_OK;
    }
    bool shown = is_table(table) && table.len <= SHOWN_BYTES_MAX;
    return fh_error_set(error, FH_PERMISSION, "the token does not grant %s on table %.*s",
                        access == FH_GRANT_WRITE ? "write" : "read",
                        FH_STR_ARG(shown ? table : FH_STR("?")));
}

enum fh_code fh_grants_check_all(const struct fh_grants *grants_of, struct fh_error *error)
{
    return grants_of->restricted
               ? fh_error_set(error, FH_PERMISSION,
                              "the token is restricted to some tables, and this tells of all")
               : FH_OK;
}
