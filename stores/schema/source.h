/* One migration file under parsing: its text, its tokens, and errors that point into it.
 *
 * Offsets are bytes from the start of the text, as PostgreSQL's parser gives them; a negative
 * offset (the parser knows none) means the place of the statement and is replaced by the caller.
 * Lines and columns count characters. One thread. Text, tokens and error are borrowed.
 */
#ifndef FH_STORES_SCHEMA_SOURCE_H
#define FH_STORES_SCHEMA_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/str.h"
#include "stores/expr.h"
#include "stores/schema/parse.h"

/* Open parentheses and brackets: an expression of the greatest depth, each operation in its own, in
 * a check of a table. */
#define FH_DDL_NESTING_MAX (FH_EXPR_DEPTH_MAX + 4)
/* Tokens that can lie above one another in the syntax tree. PostgreSQL's parser writes the tree out
 * by recursion and takes up to 1.8 KiB of stack a token: 500 tokens broke a stack of 768 KiB. A
 * column of ours has some 20. */
#define FH_DDL_CHAIN_MAX 250
#define FH_DDL_SET_OPERATIONS_MAX 100 /* UNION and its kin nest across commas */

/* Comments are not kept. */
struct fh_ddl_token {
    uint32_t start;
    uint32_t end;
    int kind; /* enum _PgQuery__Token; a character's code for punctuation */
};

struct fh_ddl_source {
    struct fh_str name; /* of the file, safe to print */
    const char *text;   /* NUL-terminated, valid UTF-8 */
    size_t len;
    const struct fh_ddl_token *tokens;
    size_t token_count;
    struct fh_parse_error *error; /* may be NULL */
};

/* Checks size, encoding and name, copies the text into `scratch`. No tokens yet. */
FH_MUST_CHECK enum fh_code fh_ddl_source_open(struct fh_ddl_source *source,
                                              const struct fh_migration *migration,
                                              struct fh_arena *scratch,
                                              struct fh_parse_error *error);
/* Bounds nesting by the tokens, before the parser sees the text. */
FH_MUST_CHECK enum fh_code fh_ddl_source_check_nesting(const struct fh_ddl_source *source);

/* Fills the error with "file:line:column: ..." and answers `code`. */
enum fh_code fh_ddl_fail(const struct fh_ddl_source *source, enum fh_code code, int64_t offset,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));
enum fh_code fh_ddl_nomem(const struct fh_ddl_source *source);

/* Where the `characters`th character (from 0) begins. */
size_t fh_ddl_offset_of_character(const struct fh_ddl_source *source, size_t characters);
/* Index of the first token that starts at `offset` or later; token_count at the end. */
size_t fh_ddl_token_at(const struct fh_ddl_source *source, int64_t offset);
struct fh_str fh_ddl_token_text(const struct fh_ddl_source *source, size_t index);
/* A bare word, either case: not a quoted identifier. */
bool fh_ddl_token_is(const struct fh_ddl_source *source, size_t index, const char *word);
/* Start of the first of `words` (NULL-terminated) outside parentheses from `from` to the
 * statement's end; `from` when there is none. */
int64_t fh_ddl_find_word(const struct fh_ddl_source *source, int64_t from,
                         const char *const *words);
/* Start of item `n` (from 0) of the first parenthesised list behind `from`; `from` when there is
 * none. */
int64_t fh_ddl_list_item(const struct fh_ddl_source *source, int64_t from, size_t n);

#endif
