/* For the tests of stores/schema: apply text, expect a place and a message. */
#ifndef TESTS_UNIT_STORES_SCHEMA_KIT_H
#define TESTS_UNIT_STORES_SCHEMA_KIT_H

#include "stores/schema/parse.h"

#define KIT_ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct kit_refusal {
    const char *sql;
    const char *message; /* what the error begins with, after the file's name: "1:14: CHECK is" */
};

/* Applies to nothing; every row must be refused as FH_INVALID at its place. */
void kit_expect_refused(const struct kit_refusal *rows, size_t count);
/* The schema, or a failed test. */
const struct fh_schema *kit_apply(const struct fh_schema *base, const char *sql,
                                  struct fh_arena *arena);
/* The refusal's message without the file's name, in a static buffer; or a failed test. */
const char *kit_refuse(const struct fh_schema *base, const char *sql);

#endif
