/* COMMENT ON TABLE, COMMENT ON COLUMN: kept with the schema, for people and generated types. */
#include "stores/schema/build.h"

/* The text behind IS. */
static int64_t text_place(const struct fh_ddl_build *build)
{
    const char *const words[] = {"is", NULL};
    const struct fh_ddl_source *source = &build->source;
    size_t is = fh_ddl_token_at(source, fh_ddl_find_word(source, build->statement, words)) + 1;
    return is < source->token_count ? source->tokens[is].start : build->statement;
}

/* COMMENT ON TABLE name: the fourth word. */
static int64_t name_place(const struct fh_ddl_build *build)
{
    size_t name = fh_ddl_token_at(&build->source, build->statement) + 3;
    return name < build->source.token_count ? build->source.tokens[name].start : build->statement;
}

static enum fh_code set_comment(const struct fh_ddl_build *build, const char *text,
                                struct fh_str *out)
{
    struct fh_str comment = fh_str_of(text);
    if (comment.len > FH_COMMENT_MAX || !fh_str_is_text(comment)) {
        return fh_ddl_fail(&build->source, FH_INVALID, text_place(build),
                           "a comment is UTF-8 text of at most %d bytes", FH_COMMENT_MAX);
    }
    *out = (struct fh_str){0};
    if (comment.len > 0 && fh_arena_str(build->arena, comment, out) != FH_OK) {
        return fh_ddl_nomem(&build->source);
    }
    return FH_OK;
}

enum fh_code fh_ddl_comment(struct fh_ddl_build *build, const PgQuery__CommentStmt *statement)
{
    bool column = statement->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
    if (!column && statement->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE) {
        return fh_ddl_refuse_statement(build);
    }
    const PgQuery__Node *object = statement->object;
    int64_t at = name_place(build);
    size_t names = column ? 2 : 1;
    if (object == NULL || object->node_case != PG_QUERY__NODE__NODE_LIST ||
        object->list->n_items != names) {
        return fh_ddl_fail(&build->source, FH_INVALID, at, "write %s",
                           column ? "COMMENT ON COLUMN table.column"
                                  : "COMMENT ON TABLE table, without a schema");
    }
    const char *name = fh_ddl_string(object->list->items[0]);
    struct fh_ddl_table *table = fh_ddl_build_table(build, fh_str_of(name));
    if (table == NULL) {
        return fh_ddl_fail(&build->source, FH_INVALID, at, "no table %.64s", name);
    }
    if (!column) {
        return set_comment(build, statement->comment, &table->comment);
    }
    const char *column_name = fh_ddl_string(object->list->items[1]);
    int position = fh_ddl_table_column(table, column_name);
    if (position < 0) {
        return fh_ddl_fail(&build->source, FH_INVALID, at, "table %.*s has no column %.64s",
                           FH_STR_ARG(table->name), column_name);
    }
    enum fh_code code = fh_ddl_build_own(build, table);
    return code == FH_OK ? set_comment(build, statement->comment, &table->columns[position].comment)
                         : code;
}
