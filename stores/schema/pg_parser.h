/* PostgreSQL's parser, through libpg_query: text to tokens and to a syntax tree.
 *
 * Tree and tokens live in the scratch arena and die with it. Thread-safe for distinct sources.
 */
#ifndef FH_STORES_SCHEMA_PG_PARSER_H
#define FH_STORES_SCHEMA_PG_PARSER_H

#include "pg_query/pg_query.pb-c.h"

#include "base/arena.h"
#include "base/code.h"
#include "stores/schema/source.h"

/* Sets source->tokens. */
FH_MUST_CHECK enum fh_code fh_pg_parser_scan(struct fh_ddl_source *source,
                                             struct fh_arena *scratch);
/* Only after fh_ddl_source_check_nesting(): the parser's recursion has no bound of its own. */
FH_MUST_CHECK enum fh_code fh_pg_parser_parse(const struct fh_ddl_source *source,
                                              struct fh_arena *scratch,
                                              const PgQuery__ParseResult **out);

#endif
