/* libpg_query and its protobuf.
 *
 * Happy path: the text is scanned (real tokens of PostgreSQL), then parsed; both answers come as a
 * protobuf in malloc'd memory, are unpacked into the scratch arena and freed at once.
 *
 * Whose protobuf-c: libpg_query brings a copy (1.4.0). The build hides it inside one object
 * (CMakeLists.txt here), so that neither side ever runs the other's. We unpack with the hidden
 * copy, the one that packed, through pg_query__*__unpack; only the header is shared.
 * ProtobufCAllocator and the generated structs have been the same in every 1.x since 1.3, which the
 * check below holds. Nothing else of protobuf-c is called on these messages.
 *
 * Threads: libpg_query keeps all state thread-local (its only process-wide variable is a pthread
 * key whose destructor is the same for all threads) and frees it when a thread ends. A thread that
 * parsed once keeps 24 KiB until then. pg_query_exit() is not called: it frees without noting
 * so, and the next use in that thread would read freed memory.
 *
 * Failures: an error of the parser is reported at its place. Memory: the arena bounds the tree
 * (about 130 bytes for a byte of text at worst); the library's own memory is linear in the text,
 * which is bounded.
 */
#include "stores/schema/pg_parser.h"

#include <pg_query.h>

#if PROTOBUF_C_VERSION_NUMBER < 1003000 || PROTOBUF_C_VERSION_NUMBER >= 2000000
#error "libpg_query's copy of protobuf-c has the structs of 1.3 to 1.x"
#endif

#define MESSAGE_BYTES_MAX 160

struct unpack_memory {
    struct fh_arena *arena;
    bool over; /* the bound, not the heap, refused */
};

static void *unpack_alloc_cb(void *data, size_t size)
{
    struct unpack_memory *memory = data;
    if (size > memory->arena->bytes_max - memory->arena->bytes_used) {
        memory->over = true;
        return NULL;
    }
    return fh_arena_alloc(memory->arena, size);
}

static void unpack_free_cb(void *data, void *pointer)
{
    (void)data; /* all at once, with the arena */
    (void)pointer;
}

static enum fh_code unpack_failed(const struct fh_ddl_source *source,
                                  const struct unpack_memory *memory)
{
    if (memory->over) {
        return fh_ddl_fail(source, FH_TOO_LARGE, 0, "the file is too complex: split it");
    }
    return fh_ddl_nomem(source);
}

/* PostgreSQL's message, one line, cut at a character. Its position counts characters from 1. */
static enum fh_code parser_failed(const struct fh_ddl_source *source, const PgQueryError *error)
{
    char text[MESSAGE_BYTES_MAX + 1];
    const char *message = error->message != NULL ? error->message : "syntax error";
    size_t len = strnlen(message, MESSAGE_BYTES_MAX);
    while (len > 0 && ((unsigned char)message[len] & 0xc0) == 0x80) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        bool control = (unsigned char)message[i] < 0x20 || message[i] == 0x7f;
        text[i] = control ? ' ' : message[i];
    }
    text[len] = '\0';
    size_t offset = 0;
    if (error->cursorpos > 0) {
        offset = fh_ddl_offset_of_character(source, (size_t)error->cursorpos - 1);
    }
    return fh_ddl_fail(source, FH_INVALID, (int64_t)offset, "%s", text);
}

static enum fh_code keep_tokens(struct fh_ddl_source *source, const PgQuery__ScanResult *scan,
                                struct fh_arena *scratch)
{
    struct fh_ddl_token *tokens = FH_ARENA_ARRAY(scratch, struct fh_ddl_token, scan->n_tokens + 1);
    if (tokens == NULL) {
        return fh_ddl_nomem(source);
    }
    size_t count = 0;
    for (size_t i = 0; i < scan->n_tokens; i++) {
        const PgQuery__ScanToken *token = scan->tokens[i];
        if (token->token == PG_QUERY__TOKEN__SQL_COMMENT ||
            token->token == PG_QUERY__TOKEN__C_COMMENT) {
            continue;
        }
        tokens[count++] = (struct fh_ddl_token){.start = (uint32_t)token->start,
                                                .end = (uint32_t)token->end,
                                                .kind = (int)token->token};
    }
    source->tokens = tokens;
    source->token_count = count;
    return FH_OK;
}

enum fh_code fh_pg_parser_scan(struct fh_ddl_source *source, struct fh_arena *scratch)
{
    PgQueryScanResult result = pg_query_scan(source->text);
    enum fh_code code = FH_OK;
    /* An arena of its own: the scan's messages are the larger part and are not needed once copied.
     */
    struct fh_arena arena;
    fh_arena_init(&arena, scratch->bytes_max);
    struct unpack_memory memory = {.arena = &arena};
    ProtobufCAllocator allocator = {
        .alloc = unpack_alloc_cb, .free = unpack_free_cb, .allocator_data = &memory};
    if (result.error != NULL) {
        code = parser_failed(source, result.error);
        goto done;
    }
    const PgQuery__ScanResult *scan = pg_query__scan_result__unpack(
        &allocator, result.pbuf.len, (const uint8_t *)result.pbuf.data);
    if (scan == NULL) {
        code = unpack_failed(source, &memory);
        goto done;
    }
    code = keep_tokens(source, scan, scratch);
done:
    fh_arena_close(&arena);
    pg_query_free_scan_result(result);
    return code;
}

enum fh_code fh_pg_parser_parse(const struct fh_ddl_source *source, struct fh_arena *scratch,
                                const PgQuery__ParseResult **out)
{
    PgQueryProtobufParseResult result = pg_query_parse_protobuf(source->text);
    enum fh_code code = FH_OK;
    if (result.error != NULL) {
        code = parser_failed(source, result.error);
        goto done;
    }
    struct unpack_memory memory = {.arena = scratch};
    ProtobufCAllocator allocator = {
        .alloc = unpack_alloc_cb, .free = unpack_free_cb, .allocator_data = &memory};
    *out = pg_query__parse_result__unpack(&allocator, result.parse_tree.len,
                                          (const uint8_t *)result.parse_tree.data);
    if (*out == NULL) {
        code = unpack_failed(source, &memory);
    }
done:
    pg_query_free_protobuf_parse_result(result);
    return code;
}
