/* Refused in CREATE TABLE: keys, unique, references and what hangs on them. Each with its exact
 * place. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct kit_refusal rows[] = {
    {"create table t (id int primary key, exclude using gist (id with =))",
     "1:37: EXCLUDE is not supported"},
    {"create table t (id int primary key, a int null not null)",
     "1:48: column a is both NULL and NOT NULL"},
    {"create table t (id int primary key, a int not null null)",
     "1:52: column a is both NULL and NOT NULL"},
    {"create table t (id int null primary key)", "1:29: column id is NULL, but in the primary key"},
    {"create table t (id int primary key null)", "1:36: column id is both NULL and NOT NULL"},
    {"create table t (id int null, primary key (id))",
     "1:24: column id is NULL, but in the primary key"},
    {"create table t (id int primary key, primary key (id))", "1:37: table t has two primary keys"},
    {"create table t (id int, primary key (id, nope))", "1:42: table t has no column nope"},
    {"create table t (id int, primary key (id, id))", "1:42: column id is named twice"},
    {"create table t (id real primary key)",
     "1:25: column id: real cannot be in a primary key: equality of floating point is not "
     "reliable: use numeric(p,s) or bigint"},
    {"create table t (id double precision primary key)",
     "1:37: column id: double precision cannot be in a primary key: equality of floating point is "
     "not reliable: use numeric(p,s) or bigint"},
    {"create table t (id jsonb primary key)", "1:26: column id: jsonb cannot be in a primary key: "
                                              "a document is not an identity: use text or uuid"},
    {"create table t (a int, id bytea, primary key (a, id))",
     "1:50: column id: bytea cannot be in a primary key: a key must be readable in a resource "
     "name: use text or uuid"},
    {"create table t (a int, b int, c int, d int, e int, f int, g int, h int, i int, primary key "
     "(a,b,c,d,e,f,g,h,i))",
     "1:109: more than 8 columns"},
    {"create table t (id int primary key deferrable)", "1:36: DEFERRABLE is not supported"},
    {"create table t (id int, primary key (id) deferrable)", "1:42: DEFERRABLE is not supported"},
    {"create table t (id int, primary key (id) initially deferred)",
     "1:42: DEFERRABLE is not supported"},
    {"create table t (id int, a int, primary key (id) include (a))",
     "1:49: INCLUDE is not supported"},
    {"create table t (id int, primary key (id) with (fillfactor = 50))",
     "1:42: WITH (...) is not supported"},
    {"create table t (id int, primary key (id) using index tablespace fast)",
     "1:42: USING INDEX is not supported"},
    {"create table t (id int primary key, a int unique nulls not distinct)",
     "1:50: NULLS NOT DISTINCT is not supported"},
    {"create table t (id int primary key, a int, unique nulls not distinct (a))",
     "1:51: NULLS NOT DISTINCT is not supported"},
    {"create table t (id int primary key, a int unique, unique (a))",
     "1:51: these columns are unique already: leave the second constraint out"},
    {"create table t (id int primary key unique)",
     "1:36: these columns are unique already: leave the second constraint out"},
    {"create table t (id int primary key, a jsonb unique)",
     "1:45: column a: jsonb cannot be indexed: engines order it differently; index a column of its "
     "own"},
    {"create table t (id int primary key, a int, unique (a, b))", "1:55: table t has no column b"},
    {"create table t (id int primary key, a int, constraint \"X\" unique (a))",
     "1:55: a name must be letters a to z, digits and underscores, not beginning with a digit"},
    {"create table t (id int primary key, a int, constraint fh_x unique (a))",
     "1:55: fh_x: names beginning with fh_ are reserved: choose another"},
    {"create table t (id int primary key, a int, constraint t unique (a))",
     "1:55: t already names a table, an index or a constraint"},
    {"create table t (id int primary key, a int constraint x unique, b int constraint x unique)",
     "1:81: x already names a table, an index or a constraint"},
    {"create table t (id int primary key, a int unique not deferrable)",
     "1:50: NOT DEFERRABLE is not supported"},
    {"create table t (id int primary key, a int unique initially immediate)",
     "1:50: INITIALLY IMMEDIATE is not supported"},
    {"create table t (id int primary key, a int references nope)",
     "1:54: no table nope: create it before the table that references it"},
    {"create table t (id int primary key, a bigint references t)",
     "1:46: column a is bigint, but t.id is integer: the types must be the same"},
    {"create table t (id int primary key, a int references t on delete set default)",
     "1:56: ON DELETE SET DEFAULT is not supported"},
    {"create table t (id int primary key, a int references t on delete set null (a))",
     "1:56: ON DELETE SET NULL (columns) is not supported"},
    {"create table t (id int primary key, a int not null references t on delete set null)",
     "1:52: column a is NOT NULL, but ON DELETE SET NULL sets it to null"},
    {"create table t (id int primary key, a int not null,"
     " foreign key (a) references t on delete set null)",
     "1:66: column a is NOT NULL, but ON DELETE SET NULL sets it to null"},
    {"create table t (id int primary key, a int, b int generated always as (a) stored"
     " references t on delete set null)",
     "1:81: column b is generated, but ON DELETE SET NULL sets it to null"},
    {"create table t (id int primary key, a int references t on update set default)",
     "1:56: ON UPDATE SET DEFAULT is not supported"},
    {"create table t (id int primary key, a int references t on delete restrict on update cascade)",
     "1:75: ON UPDATE CASCADE is not supported"},
    {"create table t (id int primary key, a int references t match full)",
     "1:56: MATCH FULL is not supported"},
    {"create table t (id int primary key, a int references t deferrable initially deferred)",
     "1:56: DEFERRABLE is not supported"},
    {"create table t (id int primary key, a int, foreign key (a) references t initially deferred)",
     "1:73: DEFERRABLE is not supported"},
    {"create table t (id int primary key, a int unique, b int references t (a))",
     "1:68: a foreign key must reference the whole primary key of t: leave the columns out"},
    {"create table t (id int primary key, b int references t (nope))",
     "1:57: table t has no column nope"},
    {"create table t (id int primary key, b int references other.t)",
     "1:54: a schema in front of t is not supported"},
    {"create table t (id int primary key, b int references u); create table u (id int primary key)",
     "1:54: no table u: create it before the table that references it"},
    {"create table t (x int, y text, primary key (x, y), a int references t)",
     "1:69: a foreign key must reference the whole primary key of t, 2 columns; this one has 1"},
    {"create table t (x int, y text, a int, b text, primary key (x, y), foreign key (a, b) "
     "references t (y, x))",
     "1:83: column b is text, but t.x is integer: the types must be the same"},
    {"create table t (x int, y text, a int, b text, primary key (x, y), foreign key (a, b) "
     "references t (x, x))",
     "1:103: column x is named twice"},
    {"create table t (x int, y text, a int, b text, primary key (x, y), foreign key (a, a) "
     "references t)",
     "1:83: column a is named twice"},
    {"create table t (x numeric(5,2) primary key, a numeric(5,1) references t)",
     "1:60: column a is numeric, but t.x is numeric: the types must be the same, to precision and "
     "scale"},
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
