/* Names of the statements we do not take, from their first words, and what to do instead. */
#include "stores/schema/build.h"

#include <ctype.h>

#define NAME_WORDS_MAX 8 /* looked at, not shown */
#define NAME_BYTES_MAX 48

/* Words between the verb and the kind of object. */
static const char *const modifiers[] = {"or",         "replace",   "temp",      "temporary",
                                        "unlogged",   "global",    "local",     "trusted",
                                        "procedural", "recursive", "constraint"};
/* First words of kinds that need a second. */
static const char *const two_words[] = {"materialized", "foreign", "event",    "text",
                                        "user",         "access",  "operator", "default"};

static const struct {
    const char *start;
    const char *advice;
} advised[] = {
    {"CREATE TABLE", "CREATE TABLE AS copies data: list the columns"},
    {"CREATE TYPE", "use text with CHECK (column IN (...))"},
    {"CREATE DOMAIN", "use the type beneath it"},
    {"CREATE SEQUENCE", "use uuid with DEFAULT gen_random_uuid(), or supply the numbers"},
    {"CREATE TRIGGER", "react in the application; every write is recorded already"},
    {"CREATE FUNCTION", "code runs in the application"},
    {"CREATE PROCEDURE", "code runs in the application"},
    {"CREATE EXTENSION", "nothing of an engine's own is used"},
    {"CREATE SCHEMA", "every tenant's home is made by the server"},
    {"CREATE POLICY", "tenants are kept apart by the server"},
    {"CREATE ROLE", "principals come from tokens"},
    {"CREATE USER", "principals come from tokens"},
    {"ALTER", "a migration alters tables only"},
    {"DROP", "a migration drops tables and indexes only, and what ALTER TABLE drops"},
    {"TRUNCATE", "delete records through the data service"},
    {"INSERT", "write records through the data service"},
    {"UPDATE", "write records through the data service"},
    {"DELETE", "write records through the data service"},
    {"MERGE", "write records through the data service"},
    {"COPY", "use freehold data import"},
    {"GRANT", "roles are in the token"},
    {"REVOKE", "roles are in the token"},
    {"COMMENT", "tables and columns can be commented on"},
    {"SET", "sessions are the server's matter"},
    {"RESET", "sessions are the server's matter"},
    {"BEGIN", "a file is applied as a whole: leave it out"},
    {"START", "a file is applied as a whole: leave it out"},
    {"COMMIT", "a file is applied as a whole: leave it out"},
    {"END", "a file is applied as a whole: leave it out"},
    {"ROLLBACK", "a file is applied as a whole: leave it out"},
};

static bool is_one_of(const struct fh_ddl_source *source, size_t index, const char *const *list,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fh_ddl_token_is(source, index, list[i])) {
            return true;
        }
    }
    return false;
}

static void add_word(const struct fh_ddl_source *source, size_t index, char *out, size_t *len)
{
    struct fh_str word = fh_ddl_token_text(source, index);
    if (word.len == 0 || *len + word.len + 2 > NAME_BYTES_MAX ||
        isalpha((unsigned char)word.data[0]) == 0) {
        return;
    }
    if (*len > 0) {
        out[(*len)++] = ' ';
    }
    for (size_t i = 0; i < word.len; i++) {
        out[(*len)++] = (char)toupper((unsigned char)word.data[i]);
    }
    out[*len] = '\0';
}

static void name_statement(const struct fh_ddl_build *build, char out[NAME_BYTES_MAX])
{
    const struct fh_ddl_source *source = &build->source;
    size_t index = fh_ddl_token_at(source, build->statement);
    size_t len = 0;
    out[0] = '\0';
    bool object = fh_ddl_token_is(source, index, "create") ||
                  fh_ddl_token_is(source, index, "alter") || fh_ddl_token_is(source, index, "drop");
    while (source->token_count > index && source->tokens[index].kind == '(') {
        index++; /* (SELECT ...) */
    }
    add_word(source, index++, out, &len);
    if (!object) {
        return;
    }
    for (size_t i = 0; i < NAME_WORDS_MAX; i++, index++) {
        if (!is_one_of(source, index, modifiers, sizeof(modifiers) / sizeof(modifiers[0]))) {
            break;
        }
    }
    bool more = is_one_of(source, index, two_words, sizeof(two_words) / sizeof(two_words[0]));
    add_word(source, index++, out, &len);
    if (more) {
        add_word(source, index, out, &len);
    }
}

enum fh_code fh_ddl_refuse_statement(const struct fh_ddl_build *build)
{
    char name[NAME_BYTES_MAX];
    name_statement(build, name);
    const char *advice = "a migration creates, alters and drops tables and indexes";
    for (size_t i = 0; i < sizeof(advised) / sizeof(advised[0]); i++) {
        if (strncmp(name, advised[i].start, strlen(advised[i].start)) == 0) {
            advice = advised[i].advice;
            break;
        }
    }
    return fh_ddl_fail(&build->source, FH_INVALID, build->statement, "%s is not supported: %s",
                       name[0] != '\0' ? name : "this statement", advice);
}
