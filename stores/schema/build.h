/* The next version of a schema, under construction.
 *
 * Tables of the base schema are shared until an index is added to them or to a table they
 * reference; then the result has a copy. Foreign keys hold positions of tables until
 * fh_ddl_build_finish() writes the pointers. One thread. The drafts live in `scratch`, what the
 * result keeps in `arena`.
 */
#ifndef FH_STORES_SCHEMA_BUILD_H
#define FH_STORES_SCHEMA_BUILD_H

#include "pg_query/pg_query.pb-c.h"

#include "base/map.h"
#include "stores/model.h"
#include "stores/schema/source.h"

struct fh_ddl_foreign_key {
    struct fh_foreign_key key; /* target is NULL until the end */
    uint32_t target;           /* position of the table */
};

struct fh_ddl_table {
    const struct fh_table *old; /* in the base schema; NULL: new */
    bool changed;               /* new, or given an index */
    struct fh_str name;
    struct fh_column *columns; /* new tables; borrowed from `old` and not written otherwise */
    uint16_t column_count;
    uint16_t key_count;
    uint16_t key[FH_KEY_COLUMNS_MAX];
    uint16_t index_count;
    uint16_t foreign_key_count;
    struct fh_index *indexes; /* FH_TABLE_INDEXES_MAX; NULL until the first, or unchanged */
    struct fh_ddl_foreign_key *foreign_keys; /* FH_TABLE_FOREIGN_KEYS_MAX; likewise */
};

struct fh_ddl_build {
    struct fh_ddl_source source;
    const struct fh_schema *base; /* may be NULL */
    struct fh_arena *arena;
    struct fh_arena *scratch;
    struct fh_map names;         /* of tables, indexes and constraints: one space */
    struct fh_ddl_table *tables; /* FH_TABLES_MAX */
    uint32_t table_count;
    int64_t statement; /* where the current one begins: for nodes without a place */
};

/* build.c */
FH_MUST_CHECK enum fh_code fh_ddl_build_open(struct fh_ddl_build *build);
void fh_ddl_build_close(struct fh_ddl_build *build);
FH_MUST_CHECK enum fh_code fh_ddl_build_finish(struct fh_ddl_build *build,
                                               const struct fh_schema **out);
struct fh_ddl_table *fh_ddl_build_table(const struct fh_ddl_build *build, struct fh_str name);
/* Room for one more index; copies those of an old table first. */
FH_MUST_CHECK enum fh_code fh_ddl_build_add_index(struct fh_ddl_build *build,
                                                  struct fh_ddl_table *table, int64_t offset,
                                                  const struct fh_index *index);

/* names.c */
enum fh_ddl_name_kind { FH_DDL_NAME_TABLE, FH_DDL_NAME_COLUMN, FH_DDL_NAME_OTHER };
FH_MUST_CHECK enum fh_code fh_ddl_name_check(const struct fh_ddl_build *build, const char *name,
                                             enum fh_ddl_name_kind kind, int64_t offset);
/* Takes the name; refuses one that is taken. `*out` lives in the result's arena. */
FH_MUST_CHECK enum fh_code fh_ddl_name_take(struct fh_ddl_build *build, const char *name,
                                            int64_t offset, struct fh_str *out);
/* Takes "table_column_column_label", shortened and numbered as PostgreSQL does. */
FH_MUST_CHECK enum fh_code fh_ddl_name_make(struct fh_ddl_build *build,
                                            const struct fh_ddl_table *table,
                                            const uint16_t *columns, size_t column_count,
                                            const char *label, struct fh_str *out);

/* column.c */
FH_MUST_CHECK enum fh_code fh_ddl_column(struct fh_ddl_build *build, const PgQuery__ColumnDef *def,
                                         struct fh_column *column);
/* types.c: type, precision, scale and length_max of `column`. */
FH_MUST_CHECK enum fh_code fh_ddl_type(const struct fh_ddl_build *build,
                                       const PgQuery__TypeName *name, int64_t offset,
                                       struct fh_column *column);
/* default.c */
FH_MUST_CHECK enum fh_code fh_ddl_default(struct fh_ddl_build *build,
                                          const PgQuery__Constraint *constraint,
                                          struct fh_column *column);
/* constraint.c: PRIMARY KEY, UNIQUE, FOREIGN KEY. `column` is the column it is written at, or -1.
 */
FH_MUST_CHECK enum fh_code fh_ddl_primary_key(struct fh_ddl_build *build,
                                              struct fh_ddl_table *table,
                                              const PgQuery__Constraint *constraint, int column);
FH_MUST_CHECK enum fh_code fh_ddl_unique(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                         const PgQuery__Constraint *constraint, int column);
FH_MUST_CHECK enum fh_code fh_ddl_foreign_key(struct fh_ddl_build *build,
                                              struct fh_ddl_table *table,
                                              const PgQuery__Constraint *constraint, int column);
/* Column `name` of the table; -1 when it has none. */
int fh_ddl_table_column(const struct fh_ddl_table *table, const char *name);
/* Appends the position of column `name` to a list of at most `max`; refuses strangers and repeats.
 */
FH_MUST_CHECK enum fh_code fh_ddl_list_add(const struct fh_ddl_build *build,
                                           const struct fh_ddl_table *table, const char *name,
                                           int64_t offset, uint16_t *list, uint16_t *count,
                                           uint16_t max);
FH_MUST_CHECK enum fh_code fh_ddl_index_type_check(const struct fh_ddl_build *build,
                                                   const struct fh_column *column, int64_t offset);
/* table.c, index.c, refuse.c: one statement each. */
FH_MUST_CHECK enum fh_code fh_ddl_create_table(struct fh_ddl_build *build,
                                               const PgQuery__CreateStmt *statement);
FH_MUST_CHECK enum fh_code fh_ddl_create_index(struct fh_ddl_build *build,
                                               const PgQuery__IndexStmt *statement);
enum fh_code fh_ddl_refuse_statement(const struct fh_ddl_build *build);
/* The text of a String node, "" for any other. */
const char *fh_ddl_string(const PgQuery__Node *node);
/* Clauses that hang on a table's name: schema, ONLY, TEMP and so on. */
FH_MUST_CHECK enum fh_code fh_ddl_relation_check(const struct fh_ddl_build *build,
                                                 const PgQuery__RangeVar *relation);

#endif
