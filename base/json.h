/* JSON, parsed with one set of rules: no name twice, no NUL, nothing lost when memory runs out.
 *
 * Linking this file gives jansson Freehold's heap for the whole program, before main() runs: so
 * that no value can be made by one allocator and freed by another, and so that tests can make its
 * nth allocation fail. Thread-safe. The caller owns the value and gives it back with json_decref().
 */
#ifndef FH_BASE_JSON_H
#define FH_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/str.h"

/* Any value at the top. FH_OK, FH_NOMEM, or FH_INVALID with the place in `where`; its text quotes
 * the input, so it is not to be shown. */
FH_MUST_CHECK enum fh_code fh_json_parse(struct fh_str text, json_t **out, json_error_t *where);

/* The same with an object at the top. FH_OK, FH_NOMEM, or FH_INVALID with `*why` a static text that
 * follows a noun: "is not JSON". */
FH_MUST_CHECK enum fh_code fh_json_parse_object(struct fh_str text, json_t **out, const char **why);

/* Compact text of any value, in the arena and with a NUL behind it. Takes the reference; NULL is
 * memory that ran out while the value was built. FH_OK or FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_json_dump(json_t *value, struct fh_arena *arena, struct fh_str *out);

/* The string member, or an empty one when it is missing or of another type. Borrowed from `object`.
 */
struct fh_str fh_json_text(const json_t *object, const char *name);
bool fh_json_text_is(const json_t *value, const char *text);

#endif
