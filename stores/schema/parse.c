/* A migration file to the next version of the schema.
 *
 * Happy path: check the text, scan it, bound its nesting, parse it, then read one statement after
 * the other into drafts over the base schema; at the end the drafts become the result.
 *
 * Failures: the first one ends the file, with its place; nothing of the file takes effect, the base
 * schema is untouched.
 */
#include "stores/schema/parse.h"

#include "stores/schema/build.h"
#include "stores/schema/pg_parser.h"

/* Tree of the longest file: about 130 bytes for a byte of text at worst ("a int," is 800 bytes of
 * nodes). */
#define SCRATCH_BYTES_MAX ((size_t)64 * 1024 * 1024)

static enum fh_code read_statement(struct fh_ddl_build *build, const PgQuery__RawStmt *raw)
{
    const struct fh_ddl_source *source = &build->source;
    /* The parser's place includes blanks and comments before the first word. */
    size_t first = fh_ddl_token_at(source, raw->stmt_location);
    build->statement = first < source->token_count ? source->tokens[first].start : 0;
    if (raw->stmt == NULL) {
        return fh_ddl_refuse_statement(build);
    }
    switch (raw->stmt->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT:
        return fh_ddl_create_table(build, raw->stmt->create_stmt);
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        return fh_ddl_create_index(build, raw->stmt->index_stmt);
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        return fh_ddl_alter_table(build, raw->stmt->alter_table_stmt);
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        return fh_ddl_rename(build, raw->stmt->rename_stmt);
    case PG_QUERY__NODE__NODE_DROP_STMT:
        return fh_ddl_drop(build, raw->stmt->drop_stmt);
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
        return fh_ddl_comment(build, raw->stmt->comment_stmt);
    default:
        return fh_ddl_refuse_statement(build);
    }
}

static enum fh_code read_file(struct fh_ddl_build *build, const struct fh_migration *migration,
                              struct fh_parse_error *error, const struct fh_schema **out)
{
    struct fh_ddl_source *source = &build->source;
    enum fh_code code = fh_ddl_source_open(source, migration, build->scratch, error);
    if (code != FH_OK) {
        return code;
    }
    if (build->base != NULL && build->base->version >= FH_MIGRATIONS_MAX) {
        return fh_ddl_fail(source, FH_INVALID, 0, "more than %d migrations", FH_MIGRATIONS_MAX);
    }
    code = fh_pg_parser_scan(source, build->scratch);
    if (code == FH_OK) {
        code = fh_ddl_source_check_nesting(source);
    }
    const PgQuery__ParseResult *tree = NULL;
    if (code == FH_OK) {
        code = fh_pg_parser_parse(source, build->scratch, &tree);
    }
    if (code == FH_OK) {
        code = fh_ddl_build_open(build);
    }
    for (size_t i = 0; code == FH_OK && i < tree->n_stmts; i++) {
        code = read_statement(build, tree->stmts[i]);
    }
    return code == FH_OK ? fh_ddl_build_finish(build, out) : code;
}

enum fh_code fh_schema_apply_migration(const struct fh_schema *base,
                                       const struct fh_migration *migration, struct fh_arena *arena,
                                       const struct fh_schema **out, struct fh_parse_error *error)
{
    struct fh_arena scratch;
    struct fh_ddl_build build = {.base = base, .arena = arena, .scratch = &scratch};
    if (error != NULL) {
        *error = (struct fh_parse_error){.error = FH_ERROR_INIT};
    }
    *out = NULL;
    fh_arena_init(&scratch, SCRATCH_BYTES_MAX);
    enum fh_code code = read_file(&build, migration, error, out);
    fh_ddl_build_close(&build);
    fh_arena_close(&scratch);
    return code;
}
