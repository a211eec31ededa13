/* Text, tokens, places.
 *
 * Failures: fh_ddl_fail() turns a byte offset into line and column by walking the text once; it
 * runs once a file, for the error that ends it.
 */
#include "stores/schema/source.h"

#include "pg_query/pg_query.pb-c.h"
#include <stdio.h>
#include <strings.h>

#define NAME_BYTES_MAX 255

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static void place_of(const struct fh_ddl_source *source, size_t offset, uint32_t *line,
                     uint32_t *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < offset && i < source->len; i++) {
        if (source->text[i] == '\n') {
            (*line)++;
            *column = 1;
        } else if (!is_continuation(source->text[i])) {
            (*column)++;
        }
    }
}

enum fh_code fh_ddl_fail(const struct fh_ddl_source *source, enum fh_code code, int64_t offset,
                         const char *format, ...)
{
    if (source->error == NULL) {
        return code;
    }
    char text[FH_ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (written < 0) {
        text[0] = '\0';
    }
    uint32_t line = 0;
    uint32_t column = 0;
    place_of(source, offset > 0 ? (size_t)offset : 0, &line, &column);
    source->error->line = line;
    source->error->column = column;
    return fh_error_set(&source->error->error, code, "%.*s:%u:%u: %s", FH_STR_ARG(source->name),
                        line, column, text);
}

enum fh_code fh_ddl_nomem(const struct fh_ddl_source *source)
{
    return fh_ddl_fail(source, FH_NOMEM, 0, "out of memory");
}

/* The name goes into messages: a hostile one must not forge lines of a log or terminal. */
static bool name_is_printable(struct fh_str name)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX || !fh_str_is_text(name)) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Length of the valid start of `text`, for pointing at the first bad byte. */
static size_t valid_prefix(struct fh_str text)
{
    size_t at = 0;
    while (at < text.len) {
        size_t width = 1;
        while (at + width < text.len && width < 4 && is_continuation(text.data[at + width])) {
            width++;
        }
        if (!fh_str_is_text((struct fh_str){.data = text.data + at, .len = width})) {
            return at;
        }
        at += width;
    }
    return at;
}

enum fh_code fh_ddl_source_open(struct fh_ddl_source *source, const struct fh_migration *migration,
                                struct fh_arena *scratch, struct fh_parse_error *error)
{
    *source = (struct fh_ddl_source){.name = FH_STR("migration"), .text = "", .error = error};
    if (!name_is_printable(migration->name)) {
        return fh_ddl_fail(source, FH_INVALID, 0,
                           "the file's name must be 1 to %d bytes of printable UTF-8",
                           NAME_BYTES_MAX);
    }
    source->name = migration->name;
    struct fh_str sql = migration->sql;
    if (sql.len > FH_MIGRATION_BYTES_MAX) {
        return fh_ddl_fail(source, FH_TOO_LARGE, 0,
                           "the file has %zu bytes, the limit is %d: split it", sql.len,
                           FH_MIGRATION_BYTES_MAX);
    }
    char *copy = fh_arena_copy(scratch, sql.len > 0 ? sql.data : "", sql.len);
    if (copy == NULL) {
        return fh_ddl_nomem(source);
    }
    source->text = copy;
    source->len = sql.len;
    if (!fh_str_is_text(sql)) {
        size_t bad = valid_prefix(sql);
        return fh_ddl_fail(source, FH_INVALID, (int64_t)bad,
                           bad < sql.len && sql.data[bad] == '\0'
                               ? "a NUL byte: save the file as plain UTF-8 text"
                               : "not valid UTF-8: save the file as UTF-8");
    }
    if (fh_str_starts_with(sql, FH_STR("\xef\xbb\xbf"))) {
        return fh_ddl_fail(source, FH_INVALID, 0,
                           "the file begins with a byte order mark: save it as UTF-8 without one");
    }
    return FH_OK;
}

static bool is_set_operation(int kind)
{
    return kind == PG_QUERY__TOKEN__UNION || kind == PG_QUERY__TOKEN__INTERSECT ||
           kind == PG_QUERY__TOKEN__EXCEPT;
}

/* What can make the tree deep: brackets, and a run of tokens at one level of brackets. A comma
 * starts a new run, since it makes a flat list everywhere but between the arms of a set operation;
 * those are counted a statement. */
enum fh_code fh_ddl_source_check_nesting(const struct fh_ddl_source *source)
{
    size_t runs[FH_DDL_NESTING_MAX + 1] = {0};
    size_t depth = 0;
    size_t chain = 0; /* sum of runs[0..depth] */
    size_t set_operations = 0;
    for (size_t i = 0; i < source->token_count; i++) {
        const struct fh_ddl_token *token = &source->tokens[i];
        runs[depth]++;
        chain++;
        if (token->kind == '(' || token->kind == '[') {
            if (depth == FH_DDL_NESTING_MAX) {
                return fh_ddl_fail(source, FH_INVALID, token->start,
                                   "more than %d open parentheses: nothing supported needs them",
                                   FH_DDL_NESTING_MAX);
            }
            runs[++depth] = 0;
        } else if ((token->kind == ')' || token->kind == ']') && depth > 0) {
            chain -= runs[depth--];
        } else if (token->kind == ',' || (token->kind == ';' && depth == 0)) {
            chain -= runs[depth];
            runs[depth] = 0;
            set_operations = token->kind == ';' ? 0 : set_operations;
        } else if (is_set_operation(token->kind) && ++set_operations > FH_DDL_SET_OPERATIONS_MAX) {
            return fh_ddl_fail(source, FH_INVALID, token->start,
                               "SELECT is not supported: a migration declares tables");
        }
        if (chain > FH_DDL_CHAIN_MAX) {
            return fh_ddl_fail(source, FH_INVALID, token->start,
                               "an expression of more than %d words: nothing supported needs it",
                               FH_DDL_CHAIN_MAX);
        }
    }
    return FH_OK;
}

size_t fh_ddl_offset_of_character(const struct fh_ddl_source *source, size_t characters)
{
    size_t at = 0;
    for (; at < source->len; at++) {
        if (is_continuation(source->text[at])) {
            continue;
        }
        if (characters == 0) {
            break;
        }
        characters--;
    }
    return at;
}

size_t fh_ddl_token_at(const struct fh_ddl_source *source, int64_t offset)
{
    size_t low = 0;
    size_t high = source->token_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((int64_t)source->tokens[middle].start < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct fh_str fh_ddl_token_text(const struct fh_ddl_source *source, size_t index)
{
    if (index >= source->token_count) {
        return (struct fh_str){.data = "", .len = 0};
    }
    const struct fh_ddl_token *token = &source->tokens[index];
    return (struct fh_str){.data = source->text + token->start, .len = token->end - token->start};
}

bool fh_ddl_token_is(const struct fh_ddl_source *source, size_t index, const char *word)
{
    struct fh_str text = fh_ddl_token_text(source, index);
    return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

int64_t fh_ddl_find_word(const struct fh_ddl_source *source, int64_t from, const char *const *words)
{
    size_t depth = 0;
    for (size_t i = fh_ddl_token_at(source, from); i < source->token_count; i++) {
        int kind = source->tokens[i].kind;
        if (kind == '(') {
            depth++;
        } else if (kind == ')' && depth > 0) {
            depth--;
        } else if (kind == ')' || (kind == ';' && depth == 0)) {
            break; /* the end of the list we began in, or of the statement */
        } else if (depth == 0) {
            for (size_t w = 0; words[w] != NULL; w++) {
                if (fh_ddl_token_is(source, i, words[w])) {
                    return source->tokens[i].start;
                }
            }
        }
    }
    return from;
}

int64_t fh_ddl_list_item(const struct fh_ddl_source *source, int64_t from, size_t n)
{
    size_t depth = 0;
    bool first = false; /* the next token begins item n */
    for (size_t i = fh_ddl_token_at(source, from); i < source->token_count; i++) {
        if (first) {
            return source->tokens[i].start;
        }
        int kind = source->tokens[i].kind;
        if (kind == '(') {
            depth++;
            first = depth == 1 && n == 0;
        } else if (kind == ')') {
            if (depth <= 1) {
                break;
            }
            depth--;
        } else if (kind == ',' && depth == 1) {
            n--; /* n > 0: else `first` had returned */
            first = n == 0;
        } else if (kind == ';' && depth == 0) {
            break;
        }
    }
    return from;
}
