/* Tests of schema changes: schemas from migration files, rows as text.
 *
 * Columns are written "name=value;name=value" in fh_value_parse()'s form, ~ for null; the parts of
 * a key are separated by /. What is not lab_try_*() expects FH_OK. Everything is in the suite's
 * arena.
 */
#ifndef FH_TESTS_CONFORMANCE_LAB_H
#define FH_TESTS_CONFORMANCE_LAB_H

#include "tests/conformance/mover.h"

#define LAB_TEST(function) \
    cmocka_unit_test_setup_teardown(function, suite_setup_bare, suite_teardown)

/* The schema behind `base` (NULL: nothing) with one more file. */
const struct fh_schema *lab_parse(struct suite *s, const struct fh_schema *base, const char *sql);
/* An empty store gets the first file, and both tenants their homes. */
void lab_begin(struct suite *s, const char *sql);
/* One more file, in both homes. */
void lab_change(struct suite *s, const char *sql);
/* One more file that the stored rows of a do not hold: nothing has changed behind it. */
void lab_refuse(struct suite *s, const char *sql, enum fh_code code);

struct fh_key lab_key(struct suite *s, const char *table, const char *key);
struct fh_write *lab_write(struct suite *s, enum fh_write_op op, const char *table, const char *key,
                           const char *columns);
/* Of tenant a, in a commit of its own. */
enum fh_code lab_try(struct suite *s, enum fh_write_op op, const char *table, const char *key,
                     const char *columns);
void lab_put(struct suite *s, enum fh_write_op op, const char *table, const char *key,
             const char *columns);
struct fh_row *lab_row(struct suite *s, const char *table, const char *key);
/* The row is there, deleted or not, and has these values. */
#define lab_expect(s, table, key, columns) \
    lab_expect_at((s), (table), (key), (columns), __FILE__, __LINE__)
void lab_expect_at(struct suite *s, const char *table, const char *key, const char *columns,
                   const char *file, int line);
size_t lab_count(struct suite *s, const char *table);

#endif
