/* Refused in DEFAULT. Each with its exact place. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct kit_refusal rows[] = {
    {"create table t (id int primary key, a int default 'x')",
     "1:51: this DEFAULT does not fit the column: a: expected a decimal integer"},
    {"create table t (id int primary key, a int default 1.5)",
     "1:51: this DEFAULT does not fit the column: a: expected a decimal integer"},
    {"create table t (id int primary key, a int default 2147483648)",
     "1:51: this DEFAULT does not fit the column: a: out of the type's range"},
    {"create table t (id int primary key, a smallint default -32769)",
     "1:56: this DEFAULT does not fit the column: a: out of the type's range"},
    {"create table t (id int primary key, a bigint default 9223372036854775808)",
     "1:54: this DEFAULT does not fit the column: a: expected a decimal integer"},
    {"create table t (id int primary key, a int default true)",
     "1:51: this DEFAULT is not a constant of the column's type, integer"},
    {"create table t (id int primary key, a text default 5)",
     "1:52: this DEFAULT is not a constant of the column's type, text"},
    {"create table t (id int primary key, a boolean default 1)",
     "1:55: this DEFAULT is not a constant of the column's type, boolean"},
    {"create table t (id int primary key, a boolean default 'maybe')",
     "1:55: this DEFAULT does not fit the column: a: expected true or false"},
    {"create table t (id int primary key, a numeric(5,2) default 1.005)",
     "1:60: this DEFAULT does not fit the column: a: expected a decimal with at most 2 digits "
     "behind the point"},
    {"create table t (id int primary key, a numeric(5,2) default 1000)",
     "1:60: this DEFAULT does not fit the column: a: out of the type's range"},
    {"create table t (id int primary key, a varchar(3) default 'abcd')",
     "1:58: this DEFAULT does not fit the column: a: longer than 3 characters"},
    {"create table t (id int primary key, a varchar(3) default 'abcd'::varchar(2))",
     "1:66: a cast in DEFAULT must be to the column's own type, text"},
    {"create table t (id int primary key, a uuid default 'x')",
     "1:52: this DEFAULT does not fit the column: a: expected a UUID of 36 characters"},
    {"create table t (id int primary key, a date default '2026-02-30')",
     "1:52: this DEFAULT does not fit the column: a: expected a date as YYYY-MM-DD"},
    {"create table t (id int primary key, a date default current_date)",
     "1:52: DEFAULT with current_date is not supported"},
    {"create table t (id int primary key, a date default now())",
     "1:52: this DEFAULT gives timestamp with time zone, but the column is date"},
    {"create table t (id int primary key, a timestamptz default 'now')",
     "1:59: this DEFAULT does not fit the column: a: expected an RFC 3339 time with at most "
     "microseconds"},
    {"create table t (id int primary key, a timestamptz default current_timestamp(3))",
     "1:59: DEFAULT with current_timestamp is not supported"},
    {"create table t (id int primary key, a timestamptz default localtimestamp)",
     "1:59: DEFAULT with localtimestamp is not supported"},
    {"create table t (id int primary key, a timestamptz default clock_timestamp())",
     "1:59: DEFAULT with function clock_timestamp() is not supported"},
    {"create table t (id int primary key, a text default current_user)",
     "1:52: DEFAULT with current_user is not supported"},
    {"create table t (id int primary key, a text default set_config('fh.tenant', 'x', true))",
     "1:52: DEFAULT with function set_config() is not supported"},
    {"create table t (id int primary key, a uuid default uuid_generate_v4())",
     "1:52: DEFAULT with function uuid_generate_v4() is not supported"},
    {"create table t (id int primary key, a uuid default public.gen_random_uuid())",
     "1:52: DEFAULT with function gen_random_uuid() is not supported"},
    {"create table t (id int primary key, a text default gen_random_uuid())",
     "1:52: this DEFAULT gives uuid, but the column is text"},
    {"create table t (id int primary key, a timestamptz default now() + interval '1 day')",
     "1:65: DEFAULT with operator + is not supported"},
    {"create table t (id int primary key, a timestamptz default now()::timestamptz)",
     "1:59: DEFAULT with a function inside an expression is not supported"},
    {"create table t (id int primary key, a int default 1 + 1)",
     "1:53: DEFAULT with operator + is not supported"},
    {"create table t (id int primary key, a int default +1)",
     "1:51: DEFAULT with operator + is not supported"},
    {"create table t (id int primary key, a int default nextval('s'))",
     "1:51: DEFAULT with function nextval() is not supported"},
    {"create table t (id int primary key, a int default (select 1))",
     "1:51: DEFAULT with a subquery is not supported"},
    {"create table t (id int primary key, a int default other)",
     "1:51: DEFAULT with a column or an unquoted word is not supported"},
    {"create table t (id int primary key, a int default case when true then 1 end)",
     "1:51: DEFAULT with CASE is not supported"},
    {"create table t (id int primary key, a int default coalesce(1, 2))",
     "1:51: DEFAULT with COALESCE is not supported"},
    {"create table t (id int primary key, a int default '1'::bigint)",
     "1:56: a cast in DEFAULT must be to the column's own type, integer"},
    {"create table t (id int primary key, a int default array[1])",
     "1:51: DEFAULT with ARRAY is not supported"},
    {"create table t (id int primary key, a text default b'101')",
     "1:52: DEFAULT with a bit string is not supported"},
    {"create table t (id int primary key, a text default 'a' || 'b')",
     "1:56: DEFAULT with operator || is not supported"},
    {"create table t (id int primary key, a text default 'a' collate \"C\")",
     "1:56: COLLATE is not supported"},
    {"create table t (id int primary key, a jsonb default '{')",
     "1:53: this DEFAULT does not fit the column: JSON is not valid at line 1, column 1"},
    {"create table t (id int primary key, a jsonb default '{}'::json)",
     "1:59: type json is not supported"},
    {"create table t (id int primary key, a bytea default 'abc')",
     "1:53: DEFAULT: a bytea constant must be hexadecimal: '\\x00ff'"},
    {"create table t (id int primary key, a bytea default '\\x0g')",
     "1:53: DEFAULT: a bytea constant must be hexadecimal: '\\x00ff'"},
    {"create table t (id int primary key, a boolean default not true)",
     "1:55: syntax error at or near \"not\""},
    {"create table t (id int primary key, a int default 1 default 2)",
     "1:53: column a has two defaults"},
    {"create table t (id int primary key, a double precision default 'NaN')",
     "1:64: this DEFAULT does not fit the column: a: expected a decimal number"},
    {"create table t (id int primary key, a real default 1e300)",
     "1:52: this DEFAULT does not fit the column: a: not a finite number of the type's range"},
    {"create table t (id int primary key, a text default $1)",
     "1:52: DEFAULT with a parameter is not supported"},
    {"create table t (id int primary key, a text default 'x)",
     "1:52: unterminated quoted string at or near \"'x)\""},
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
