/* Refused in CREATE INDEX. Each with its exact place. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct kit_refusal rows[] = {
    {"create index on t (a)", "1:17: no table t: create it before its index"},
    {"create table t (id int primary key, a int); create index on t (nope)",
     "1:64: table t has no column nope"},
    {"create table t (id int primary key, a int); create index on t (a, a)",
     "1:67: column a is named twice"},
    {"create table t (id int primary key, a int); create index on t (a desc)",
     "1:64: DESC is not supported"},
    {"create table t (id int primary key, a int); create index on t (id, a nulls first)",
     "1:68: NULLS FIRST is not supported"},
    {"create table t (id int primary key, a text); create index on t (lower(a))",
     "1:65: an index on an expression is not supported"},
    {"create table t (id int primary key, a text); create index on t (id, (a || 'x'))",
     "1:69: an index on an expression is not supported"},
    {"create table t (id int primary key, a text); create index on t (a collate \"C\")",
     "1:65: COLLATE is not supported"},
    {"create table t (id int primary key, a text); create index on t (a text_pattern_ops)",
     "1:65: an operator class is not supported"},
    {"create table t (id int primary key, a jsonb); create index on t (a)",
     "1:66: column a: jsonb cannot be indexed: engines order it differently; index a column of its "
     "own"},
    {"create table t (id int primary key, a int); create index on t (a) where a > 0",
     "1:67: WHERE (a partial index) is not supported"},
    {"create table t (id int primary key, a int); create index on t (a) include (id)",
     "1:67: INCLUDE is not supported"},
    {"create table t (id int primary key, a int); create index on t using gin (a)",
     "1:63: USING method is not supported"},
    {"create table t (id int primary key, a int); create index if not exists i on t (a)",
     "1:58: IF NOT EXISTS is not supported"},
    {"create table t (id int primary key, a int); create index on only t (a)",
     "1:61: ONLY is not supported"},
    {"create table t (id int primary key, a int); create index on public.t (a)",
     "1:61: a schema in front of t is not supported"},
    {"create table t (id int primary key, a int); create index on t (a) with (fillfactor = 70)",
     "1:67: WITH (...) is not supported"},
    {"create table t (id int primary key, a int); create index on t (a) tablespace fast",
     "1:67: TABLESPACE is not supported"},
    {"create table t (id int primary key, a int); create unique index on t (a) nulls not distinct",
     "1:74: NULLS NOT DISTINCT is not supported"},
    {"create table t (id int primary key, a int); create index t on t (a)",
     "1:58: t already names a table, an index or a constraint"},
    {"create table t (id int primary key, a int); create index i on t (a); create index i on t "
     "(id)",
     "1:83: i already names a table, an index or a constraint"},
    {"create table t (id int primary key, a int); create index \"I\" on t (a)",
     "1:58: a name must be letters a to z, digits and underscores, not beginning with a digit"},
    {"create table t (id int primary key, a int); create index fh_i on t (a)",
     "1:58: fh_i: names beginning with fh_ are reserved: choose another"},
    {"create table t (id int primary key, a int); create index pg_i on t (a)",
     "1:58: pg_i: names beginning with pg_ are reserved: choose another"},
};

static void test_refused_at_its_place(void **state)
{
    (void)state;
    kit_expect_refused(rows, sizeof(rows) / sizeof(rows[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_at_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
