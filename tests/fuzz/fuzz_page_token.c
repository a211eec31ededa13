/* Page tokens. An input that begins with 't' is a token of a caller, to be opened: only what was
 * sealed here may. Else the first bytes cut the rest into method, query and payload: sealed, they
 * open again to the same, and not under another scope, nor with a bit changed.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "server/handlers/page_token.h"

#define INPUT_MAX 4096
#define ARENA_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fh_page_keys keys = {
    .keys = {{.id = 0x01020304, .key = {7}}, {.id = 9, .key = {8}}}, .count = 2};

static void open_any(struct fh_str token, struct fh_arena *arena)
{
    const struct fh_page_scope scope = {.method = FH_STR("ListRecords"),
                                        .query = FH_STR("items/0")};
    struct fh_str payload;
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_page_token_open(&keys, &scope, token, arena, &payload, &error);
    FH_ASSERT(code == FH_INVALID && error.code == FH_INVALID);
    FH_ASSERT(strcmp(error.field, "page_token") == 0);
}

static void expect_refused(const struct fh_page_scope *scope, struct fh_str token,
                           struct fh_arena *arena)
{
    struct fh_str payload;
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_page_token_open(&keys, scope, token, arena, &payload, &error);
    FH_ASSERT(code == FH_INVALID);
}

static void round_trip(const struct fh_page_scope *scope, struct fh_str payload, uint8_t where,
                       struct fh_arena *arena)
{
    struct fh_str token;
    struct fh_str opened;
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_page_token_seal(&keys, scope, payload, arena, &token);
    if (code == FH_TOO_LARGE) {
        FH_ASSERT(payload.len > FH_PAGE_TOKEN_MAX / 2);
        return;
    }
    FH_ASSERT(code == FH_OK && token.len <= FH_PAGE_TOKEN_MAX && token.data[token.len] == '\0');
    code = fh_page_token_open(&keys, scope, token, arena, &opened, &error);
    FH_ASSERT(code == FH_OK && fh_str_eq(opened, payload));
    struct fh_page_scope other = *scope;
    other.tenant.bytes[where % 16] ^= 1;
    expect_refused(&other, token, arena);
    other = *scope;
    other.query = scope->method; /* the same bytes, cut elsewhere */
    other.method = scope->query;
    if (!fh_str_eq(scope->method, scope->query)) {
        expect_refused(&other, token, arena);
    }
    char *changed = fh_arena_copy(arena, token.data, token.len);
    FH_ASSERT(changed != NULL);
    size_t at = where * token.len / 256;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    expect_refused(scope, (struct fh_str){.data = changed, .len = token.len}, arena);
    expect_refused(scope, (struct fh_str){.data = token.data, .len = token.len - 1}, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fh_arena arena;
    struct fh_str rest = {.data = (const char *)data, .len = size};
    if (size < 4 || size > INPUT_MAX) {
        return 0;
    }
    fh_arena_init(&arena, ARENA_BYTES_MAX);
    if (data[0] == 't') {
        open_any((struct fh_str){.data = rest.data + 1, .len = rest.len - 1}, &arena);
    } else {
        size_t left = size - 4;
        size_t method_len = data[1] < left ? data[1] : left;
        size_t query_len = data[2] < left - method_len ? data[2] : left - method_len;
        struct fh_page_scope scope = {.tenant = {{data[0]}},
                                      .method = {rest.data + 4, method_len},
                                      .query = {rest.data + 4 + method_len, query_len}};
        struct fh_str payload = {.data = scope.query.data + query_len,
                                 .len = left - method_len - query_len};
        round_trip(&scope, payload, data[3], &arena);
    }
    fh_arena_close(&arena);
    return 0;
}
