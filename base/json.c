/* jansson does not always tell when memory ran out: parsing answers NULL as for malformed text, or,
 * when the buffer of a string could not grow, goes on with bytes missing. So the allocator here
 * remembers a refusal, and a value that was made in spite of one is thrown away: a text that lost
 * its middle must not become a subject or a key.
 *
 * Nor may bytes be missing while it parses: without its closing quote a string is read beyond its
 * end. So the first refusal is made good from a reserve that holds any such buffer, and the text,
 * which jansson gets byte by byte, ends there. */
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/alloc.h"

/* 17 digits tell any two doubles apart. */
#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17))
#define RESERVE_BYTES 4096 /* of small texts, without a heap */

static _Thread_local bool starved;
static _Thread_local _Alignas(max_align_t) char small_reserve[RESERVE_BYTES];
static _Thread_local char *reserve; /* NULL: none, or taken */
static _Thread_local size_t reserve_bytes;
static _Thread_local void *reserved; /* what was taken */

static void *counted_malloc(size_t size)
{
    void *memory = fh_malloc(size);
    if (memory == NULL) {
        starved = true;
        if (reserve != NULL && size <= reserve_bytes) {
            memory = reserve;
            reserved = memory;
        }
        reserve = NULL;
    }
    return memory;
}

static void counted_free(void *memory)
{
    if (memory != reserved) {
        fh_free(memory);
    }
}

static size_t next_byte(void *buffer, size_t size, void *arg)
{
    struct fh_str *rest = arg;
    if (starved || rest->len == 0 || size == 0) {
        return 0;
    }
    *(char *)buffer = rest->data[0];
    rest->data++;
    rest->len--;
    return 1;
}

/* A constructor, because jansson's allocator must not change while a value lives. */
__attribute__((constructor)) static void adopt_heap(void)
{
    json_set_alloc_funcs(counted_malloc, counted_free);
}

enum fh_code fh_json_parse(struct fh_str text, json_t **out, json_error_t *where)
{
    /* jansson doubles a buffer, from 16 bytes on. */
    const size_t wanted = 2 * text.len + 64;
    char *large_reserve = wanted > sizeof(small_reserve) ? fh_malloc(wanted) : NULL;
    struct fh_str rest = text;
    *out = NULL;
    if (wanted > sizeof(small_reserve) && large_reserve == NULL) {
        return FH_NOMEM;
    }
    starved = false;
    reserve = large_reserve != NULL ? large_reserve : small_reserve;
    reserve_bytes = wanted;
    json_t *value =
        json_load_callback(next_byte, &rest, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, where);
    reserve = NULL;
    if (starved) {
        json_decref(value);
    }
    reserved = NULL; /* the parser's buffers are gone, and with a refusal the value, too */
    fh_free(large_reserve);
    if (starved) {
        return FH_NOMEM;
    }
    *out = value;
    return value != NULL ? FH_OK : FH_INVALID;
}

enum fh_code fh_json_parse_object(struct fh_str text, json_t **out, const char **why)
{
    json_error_t where;
    enum fh_code code = fh_json_parse(text, out, &where);
    if (code == FH_INVALID) {
        *why = json_error_code(&where) == json_error_duplicate_key ? "names a member twice"
                                                                   : "is not JSON";
    } else if (code == FH_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        *why = "is not a JSON object";
        code = FH_INVALID;
    }
    return code;
}

enum fh_code fh_json_dump(json_t *value, struct fh_arena *arena, struct fh_str *out)
{
    if (value == NULL) {
        return FH_NOMEM;
    }
    size_t size = json_dumpb(value, NULL, 0, DUMP_FLAGS);
    char *text = size > 0 ? fh_arena_alloc(arena, size + 1) : NULL;
    /* Dumping allocates, too, and says 0 when it cannot. */
    bool whole = text != NULL && json_dumpb(value, text, size, DUMP_FLAGS) == size;
    json_decref(value);
    if (!whole) {
        return FH_NOMEM;
    }
    text[size] = '\0';
    *out = (struct fh_str){.data = text, .len = size};
    return FH_OK;
}

struct fh_str fh_json_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return (struct fh_str){.data = json_string_value(value), .len = json_string_length(value)};
}

bool fh_json_text_is(const json_t *value, const char *text)
{
    const struct fh_str s = {.data = json_string_value(value), .len = json_string_length(value)};
    return json_is_string(value) && fh_str_eq(s, fh_str_of(text));
}
