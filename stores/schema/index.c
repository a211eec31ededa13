/* CREATE [UNIQUE] INDEX: plain columns, ascending, on a table of this file or of an earlier one.
 * CONCURRENTLY is taken and means nothing: the server decides how an index is built. */
#include "stores/schema/build.h"

static enum fh_code check_clauses(const struct fh_ddl_build *build,
                                  const PgQuery__IndexStmt *statement)
{
    int64_t start = build->statement;
    int64_t at = statement->relation->location;
    if (statement->if_not_exists) {
        return fh_ddl_refuse_clause(build, start, "if", NULL, "IF NOT EXISTS",
                                    "a migration is applied exactly once");
    }
    if (!statement->relation->inh) {
        return fh_ddl_refuse_clause(build, start, "only", NULL, "ONLY", "leave it out");
    }
    if (strcmp(statement->access_method, "btree") != 0) {
        return fh_ddl_refuse_clause(build, at + 1, "using", NULL, "USING method",
                                    "indexes are btree");
    }
    if (statement->n_index_including_params > 0) {
        return fh_ddl_refuse_clause(build, at + 1, "include", NULL, "INCLUDE", "leave it out");
    }
    if (statement->nulls_not_distinct) {
        return fh_ddl_refuse_clause(build, at + 1, "nulls", NULL, "NULLS NOT DISTINCT",
                                    "make the column NOT NULL");
    }
    if (statement->n_options > 0) {
        return fh_ddl_refuse_clause(build, at + 1, "with", NULL, "WITH (...)",
                                    "storage is the server's matter");
    }
    if (statement->table_space[0] != '\0') {
        return fh_ddl_refuse_clause(build, at + 1, "tablespace", NULL, "TABLESPACE",
                                    "storage is the server's matter");
    }
    if (statement->where_clause != NULL) {
        return fh_ddl_refuse_clause(build, at + 1, "where", NULL, "WHERE (a partial index)",
                                    "index all rows");
    }
    return fh_ddl_relation_check(build, statement->relation);
}

static enum fh_code check_element(const struct fh_ddl_build *build,
                                  const PgQuery__IndexElem *element, int64_t at)
{
    const char *what = NULL;
    const char *advice = "leave it out";
    if (element->expr != NULL || element->name[0] == '\0') {
        what = "an index on an expression";
        advice = "store the value in a column and index that";
    } else if (element->n_collation > 0) {
        what = "COLLATE";
        advice = "text is ordered by its bytes on every engine";
    } else if (element->n_opclass > 0 || element->n_opclassopts > 0) {
        what = "an operator class";
    } else if (element->ordering == PG_QUERY__SORT_BY_DIR__SORTBY_DESC) {
        what = "DESC";
        advice = "an ascending index is read in both directions";
    } else if (element->nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST) {
        what = "NULLS FIRST";
        advice = "nulls come last everywhere";
    } else {
        return FH_OK;
    }
    return fh_ddl_fail(&build->source, FH_INVALID, at, "%s is not supported: %s", what, advice);
}

static enum fh_code read_columns(const struct fh_ddl_build *build,
                                 const PgQuery__IndexStmt *statement,
                                 const struct fh_ddl_table *table, struct fh_index *index)
{
    for (size_t i = 0; i < statement->n_index_params; i++) {
        int64_t at = fh_ddl_list_item(&build->source, statement->relation->location, i);
        if (statement->index_params[i]->node_case != PG_QUERY__NODE__NODE_INDEX_ELEM) {
            return fh_ddl_fail(&build->source, FH_INVALID, at, "only columns can be indexed");
        }
        const PgQuery__IndexElem *element = statement->index_params[i]->index_elem;
        enum fh_code code = check_element(build, element, at);
        if (code == FH_OK) {
            code = fh_ddl_list_add(build, table, element->name, at, index->columns,
                                   &index->column_count, FH_INDEX_COLUMNS_MAX);
        }
        if (code == FH_OK) {
            uint16_t position = index->columns[index->column_count - 1];
            code = fh_ddl_index_type_check(build, &table->columns[position], at);
        }
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code name_index(struct fh_ddl_build *build, const PgQuery__IndexStmt *statement,
                               const struct fh_ddl_table *table, struct fh_index *index)
{
    const struct fh_ddl_source *source = &build->source;
    if (statement->idxname[0] == '\0') {
        return fh_ddl_name_make(build, table, index->columns, index->column_count, "idx",
                                &index->name);
    }
    /* The name is the word before ON. */
    const char *const words[] = {"on", NULL};
    size_t on = fh_ddl_token_at(source, fh_ddl_find_word(source, build->statement, words));
    int64_t at = on > 0 ? source->tokens[on - 1].start : build->statement;
    enum fh_code code = fh_ddl_name_check(build, statement->idxname, FH_DDL_NAME_OTHER, at);
    return code == FH_OK ? fh_ddl_name_take(build, statement->idxname, at, &index->name) : code;
}

enum fh_code fh_ddl_create_index(struct fh_ddl_build *build, const PgQuery__IndexStmt *statement)
{
    int64_t at = statement->relation->location;
    enum fh_code code = check_clauses(build, statement);
    if (code != FH_OK) {
        return code;
    }
    struct fh_ddl_table *table = fh_ddl_build_table(build, fh_str_of(statement->relation->relname));
    if (table == NULL) {
        return fh_ddl_fail(&build->source, FH_INVALID, at,
                           "no table %.64s: create it before its index",
                           statement->relation->relname);
    }
    struct fh_index index = {.unique = statement->unique != 0};
    code = read_columns(build, statement, table, &index);
    if (code == FH_OK) {
        code = name_index(build, statement, table, &index);
    }
    return code == FH_OK ? fh_ddl_build_add_index(build, table, at, &index) : code;
}
