/* jansson does not always tell when memory ran out: parsing answers NULL as for malformed text, or,
 * when the buffer of a string could not grow, goes on with bytes missing. So the allocator here
 * remembers a refusal, and a value that was made in spite of one is thrown away: a text that lost
 * its middle must not become a subject or a key. */
#include "base/json.h"

#include <stdbool.h>

#include "base/alloc.h"

static _Thread_local bool starved;

static void *counted_malloc(size_t size)
{
    void *memory = fh_malloc(size);
    if (memory == NULL) {
        starved = true;
    }
    return memory;
}

/* A constructor, because jansson's allocator must not change while a value lives. */
__attribute__((constructor)) static void adopt_heap(void)
{
    json_set_alloc_funcs(counted_malloc, fh_free);
}

enum fh_code fh_json_parse(struct fh_str text, json_t **out, json_error_t *where)
{
    *out = NULL;
    starved = false;
    json_t *value = json_loadb(text.len > 0 ? text.data : "", text.len,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, where);
    if (starved) {
        json_decref(value);
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
