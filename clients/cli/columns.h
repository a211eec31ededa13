/* What is known of a table's columns: from the schema, where an operator's access is configured,
 * and from --types and --key. Without either, values go by what they look like. One thread.
 */
#ifndef FH_CLIENTS_CLI_COLUMNS_H
#define FH_CLIENTS_CLI_COLUMNS_H

#include "base/arena.h"
#include "base/str.h"
#include "clients/cli/convert.h"
#include "clients/cli/session.h"

#define FH_COLUMNS_MAX 1600

struct fh_known_column {
    struct fh_str name; /* NUL-terminated */
    enum fh_kind kind;
};

struct fh_columns {
    struct fh_arena arena;
    const char *table; /* borrowed */
    struct fh_known_column *items;
    size_t count;
    const char **key; /* names, in order; NULL: not known */
    size_t key_count;
    bool complete; /* from the schema: a name that is not here does not exist */
};

/* Answers an exit code. The table must exist when the schema can be seen. */
int fh_columns_open(struct fh_columns *columns, struct fh_session *session, const char *table);
void fh_columns_close(struct fh_columns *columns);
/* NULL when not known. */
const struct fh_known_column *fh_columns_find(const struct fh_columns *columns, struct fh_str name);
enum fh_kind fh_columns_kind(const struct fh_columns *columns, struct fh_str name);
/* "name=type,name=type" over what is known. */
FH_MUST_CHECK enum fh_code fh_columns_set_types(struct fh_columns *columns, const char *types,
                                                struct fh_error *error);
/* "a,b": the key's columns. */
FH_MUST_CHECK enum fh_code fh_columns_set_key(struct fh_columns *columns, const char *names,
                                              struct fh_error *error);

#endif
