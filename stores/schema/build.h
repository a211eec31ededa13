/* The next version of a schema, under construction.
 *
 * Every table of the base schema has a draft; a draft borrows its old table's lists until
 * fh_ddl_build_own() copies them. The result has a new table for every draft that is left, sharing
 * the lists that did not change. Foreign keys hold places of drafts until fh_ddl_build_finish()
 * writes the pointers. One thread. The drafts live in `scratch`, what the result keeps in `arena`.
 */
#ifndef FH_STORES_SCHEMA_BUILD_H
#define FH_STORES_SCHEMA_BUILD_H

#include "pg_query/pg_query.pb-c.h"

#include "base/map.h"
#include "stores/model.h"
#include "stores/schema/source.h"

#define FH_DDL_DRAFTS_MAX (2 * FH_TABLES_MAX) /* tables of the base, and those of one file */
#define FH_DDL_ID_MAX (UINT16_MAX - 1)        /* UINT16_MAX stands for none elsewhere */

struct fh_ddl_foreign_key {
    struct fh_foreign_key key; /* target is NULL until the end */
    uint32_t target;           /* place of the draft */
};

struct fh_ddl_table {
    const struct fh_table *old; /* in the base schema; NULL: new */
    bool dropped;
    bool owned; /* the lists below are this draft's, with room for the most there may be */
    bool has_rowid;
    struct fh_str name;
    struct fh_str pkey_name; /* of the primary key's constraint */
    struct fh_str comment;
    uint16_t id;
    uint16_t next_id;
    uint16_t column_count;
    uint16_t key_count;
    uint16_t index_count;
    uint16_t foreign_key_count;
    uint16_t check_count;
    uint16_t key[FH_KEY_COLUMNS_MAX];
    /* Borrowed from `old` and not written unless `owned`. */
    struct fh_column *columns;
    struct fh_index *indexes;
    struct fh_check *checks;
    struct fh_ddl_foreign_key *foreign_keys; /* NULL unless `owned`: see fh_ddl_build_target() */
};

struct fh_ddl_build {
    struct fh_ddl_source source;
    const struct fh_schema *base; /* may be NULL */
    struct fh_arena *arena;
    struct fh_arena *scratch;
    struct fh_map names;         /* of tables, indexes and constraints: one space */
    struct fh_ddl_table *tables; /* FH_DDL_DRAFTS_MAX */
    uint32_t table_count;        /* dropped ones, too */
    uint16_t next_id;            /* of tables */
    int64_t statement;           /* where the current one begins: for nodes without a place */
};

/* build.c */
FH_MUST_CHECK enum fh_code fh_ddl_build_open(struct fh_ddl_build *build);
void fh_ddl_build_close(struct fh_ddl_build *build);
FH_MUST_CHECK enum fh_code fh_ddl_build_finish(struct fh_ddl_build *build,
                                               const struct fh_schema **out);
/* A table that is not dropped. */
struct fh_ddl_table *fh_ddl_build_table(const struct fh_ddl_build *build, struct fh_str name);
uint32_t fh_ddl_build_live_tables(const struct fh_ddl_build *build);
/* Makes the draft's lists writable. */
FH_MUST_CHECK enum fh_code fh_ddl_build_own(struct fh_ddl_build *build, struct fh_ddl_table *table);
/* The draft that foreign key `i` of the draft references. */
uint32_t fh_ddl_build_target(const struct fh_ddl_table *table, uint16_t i);
/* The next id of the table's things; refuses when they are used up. */
FH_MUST_CHECK enum fh_code fh_ddl_build_id(const struct fh_ddl_build *build,
                                           struct fh_ddl_table *table, int64_t offset,
                                           uint16_t *out);
/* Each gives the new thing its id; refuses one too many. */
FH_MUST_CHECK enum fh_code fh_ddl_build_add_index(struct fh_ddl_build *build,
                                                  struct fh_ddl_table *table, int64_t offset,
                                                  const struct fh_index *index);
FH_MUST_CHECK enum fh_code fh_ddl_build_add_foreign_key(struct fh_ddl_build *build,
                                                        struct fh_ddl_table *table, int64_t offset,
                                                        const struct fh_ddl_foreign_key *key);
FH_MUST_CHECK enum fh_code fh_ddl_build_add_check(struct fh_ddl_build *build,
                                                  struct fh_ddl_table *table, int64_t offset,
                                                  const struct fh_check *check);

/* drop.c: what stands in a draft is taken out; the names are free again. */
void fh_ddl_drop_index_at(struct fh_ddl_build *build, struct fh_ddl_table *table, uint16_t i);
FH_MUST_CHECK enum fh_code fh_ddl_drop_constraint(struct fh_ddl_build *build,
                                                  struct fh_ddl_table *table, const char *name,
                                                  int64_t offset);
/* Refused, and told by what, while anything uses the column. */
FH_MUST_CHECK enum fh_code fh_ddl_drop_column(struct fh_ddl_build *build,
                                              struct fh_ddl_table *table, const char *name,
                                              int64_t offset);
/* DROP TABLE, DROP INDEX. */
FH_MUST_CHECK enum fh_code fh_ddl_drop(struct fh_ddl_build *build,
                                       const PgQuery__DropStmt *statement);

/* names.c */
enum fh_ddl_name_kind { FH_DDL_NAME_TABLE, FH_DDL_NAME_COLUMN, FH_DDL_NAME_OTHER };
FH_MUST_CHECK enum fh_code fh_ddl_name_check(const struct fh_ddl_build *build, const char *name,
                                             enum fh_ddl_name_kind kind, int64_t offset);
/* Takes the name; refuses one that is taken. `*out` lives in the result's arena. */
FH_MUST_CHECK enum fh_code fh_ddl_name_take(struct fh_ddl_build *build, const char *name,
                                            int64_t offset, struct fh_str *out);
/* The name may be taken again. */
void fh_ddl_name_free(struct fh_ddl_build *build, struct fh_str name);
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
/* constant.c */
enum fh_ddl_constant_kind {
    FH_DDL_CONSTANT_NUMBER,
    FH_DDL_CONSTANT_STRING,
    FH_DDL_CONSTANT_BOOLEAN,
    FH_DDL_CONSTANT_NULL,
};

struct fh_ddl_constant {
    enum fh_ddl_constant_kind kind;
    struct fh_str text; /* in scratch, NUL behind it */
    int64_t offset;
};

/* `where` is "DEFAULT" or "an expression": for messages. */
FH_MUST_CHECK enum fh_code fh_ddl_constant_read(struct fh_ddl_build *build,
                                                const PgQuery__AConst *node, int64_t offset,
                                                const char *where, struct fh_ddl_constant *out);
/* A minus in front of a number. */
FH_MUST_CHECK enum fh_code fh_ddl_constant_negate(struct fh_ddl_build *build,
                                                  struct fh_ddl_constant *constant);
/* Exactly the column's value: nothing is rounded, cut or converted. Not for null. */
FH_MUST_CHECK enum fh_code fh_ddl_constant_value(struct fh_ddl_build *build,
                                                 struct fh_ddl_constant *constant,
                                                 const struct fh_column *column, const char *where,
                                                 struct fh_value *out);
bool fh_ddl_is_minus(const PgQuery__AExpr *expression);
/* `location`, or `fallback` where the parser has none. */
int64_t fh_ddl_place(int64_t location, int64_t fallback);
/* What a node of an expression is called: "a subquery". */
const char *fh_ddl_construct_name(const PgQuery__Node *node);
int64_t fh_ddl_expression_place(const PgQuery__Node *node, int64_t fallback);

/* default.c: `offset` is where the expression begins. Replaces the default. */
FH_MUST_CHECK enum fh_code fh_ddl_default(struct fh_ddl_build *build, const PgQuery__Node *node,
                                          int64_t offset, struct fh_column *column);
/* expression.c: the tree is in the arena. Columns are the draft's, by position. */
FH_MUST_CHECK enum fh_code fh_ddl_check_expr(struct fh_ddl_build *build,
                                             const struct fh_ddl_table *table,
                                             const PgQuery__Node *node, int64_t offset,
                                             const struct fh_expr **out);
/* GENERATED ALWAYS AS: of the column's type, reads no generated column. */
FH_MUST_CHECK enum fh_code fh_ddl_generated_expr(struct fh_ddl_build *build,
                                                 const struct fh_ddl_table *table,
                                                 const struct fh_column *column,
                                                 const PgQuery__Node *node, int64_t offset,
                                                 const struct fh_expr **out);
/* The same tree once column `dropped` is gone. NULL: no memory. */
FH_MUST_CHECK const struct fh_expr *fh_ddl_expr_without(const struct fh_expr *expr,
                                                        uint16_t dropped, struct fh_arena *arena);
/* constraint.c, reference.c, check.c: PRIMARY KEY, UNIQUE, FOREIGN KEY, CHECK. `column` is the
 * column it is written at, or -1.
 */
FH_MUST_CHECK enum fh_code fh_ddl_primary_key(struct fh_ddl_build *build,
                                              struct fh_ddl_table *table,
                                              const PgQuery__Constraint *constraint, int column);
FH_MUST_CHECK enum fh_code fh_ddl_unique(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                         const PgQuery__Constraint *constraint, int column);
FH_MUST_CHECK enum fh_code fh_ddl_foreign_key(struct fh_ddl_build *build,
                                              struct fh_ddl_table *table,
                                              const PgQuery__Constraint *constraint, int column);
FH_MUST_CHECK enum fh_code fh_ddl_check(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                        const PgQuery__Constraint *constraint, int column);
/* For them: clauses that we refuse, the name, the columns. */
FH_MUST_CHECK enum fh_code fh_ddl_constraint_clauses(const struct fh_ddl_build *build,
                                                     const PgQuery__Constraint *constraint);
FH_MUST_CHECK enum fh_code fh_ddl_constraint_name_check(const struct fh_ddl_build *build,
                                                        const PgQuery__Constraint *constraint);
FH_MUST_CHECK enum fh_code fh_ddl_constraint_name(struct fh_ddl_build *build,
                                                  const struct fh_ddl_table *table,
                                                  const PgQuery__Constraint *constraint,
                                                  const uint16_t *columns, size_t count,
                                                  const char *label, struct fh_str *out);
FH_MUST_CHECK enum fh_code fh_ddl_constraint_columns(const struct fh_ddl_build *build,
                                                     const struct fh_ddl_table *table,
                                                     PgQuery__Node *const *names, size_t name_count,
                                                     int64_t offset, int column, uint16_t *list,
                                                     uint16_t *count, uint16_t max);
/* Where to point for column `i` of the constraint. */
int64_t fh_ddl_constraint_column_place(const struct fh_ddl_build *build,
                                       const PgQuery__Constraint *constraint, int column,
                                       uint16_t i);
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
/* table.c, alter.c, index.c, comment.c, refuse.c: one statement each. */
FH_MUST_CHECK enum fh_code fh_ddl_alter_table(struct fh_ddl_build *build,
                                              const PgQuery__AlterTableStmt *statement);
FH_MUST_CHECK enum fh_code fh_ddl_rename(struct fh_ddl_build *build,
                                         const PgQuery__RenameStmt *statement);
FH_MUST_CHECK enum fh_code fh_ddl_comment(struct fh_ddl_build *build,
                                          const PgQuery__CommentStmt *statement);
/* Refused when the column reads a generated one. */
FH_MUST_CHECK enum fh_code fh_ddl_generated_check(const struct fh_ddl_build *build,
                                                  const struct fh_ddl_table *table,
                                                  uint16_t position, int64_t offset);
/* The column's expression, if it is generated: once all columns are known. */
FH_MUST_CHECK enum fh_code fh_ddl_column_generated(struct fh_ddl_build *build,
                                                   struct fh_ddl_table *table,
                                                   const PgQuery__ColumnDef *def);
FH_MUST_CHECK enum fh_code fh_ddl_create_table(struct fh_ddl_build *build,
                                               const PgQuery__CreateStmt *statement);
FH_MUST_CHECK enum fh_code fh_ddl_create_index(struct fh_ddl_build *build,
                                               const PgQuery__IndexStmt *statement);
enum fh_code fh_ddl_refuse_statement(const struct fh_ddl_build *build);
/* "what is not supported: advice" at the first of `word`, `other` (may be NULL) from `from`. */
enum fh_code fh_ddl_refuse_clause(const struct fh_ddl_build *build, int64_t from, const char *word,
                                  const char *other, const char *what, const char *advice);
/* The text of a String node, "" for any other. */
const char *fh_ddl_string(const PgQuery__Node *node);
/* Clauses that hang on a table's name: schema, ONLY, TEMP and so on. */
FH_MUST_CHECK enum fh_code fh_ddl_relation_check(const struct fh_ddl_build *build,
                                                 const PgQuery__RangeVar *relation);

#endif
