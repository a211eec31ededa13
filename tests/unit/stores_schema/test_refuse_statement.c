/* Refused whole statements and errors of syntax. Each with its exact place. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct kit_refusal rows[] = {
    {"create view v as select 1", "1:1: CREATE VIEW is not supported"},
    {"create or replace view v as select 1", "1:1: CREATE VIEW is not supported"},
    {"create materialized view v as select 1", "1:1: CREATE MATERIALIZED VIEW is not supported"},
    {"create function f() returns int language sql as 'select 1'",
     "1:1: CREATE FUNCTION is not supported"},
    {"create or replace function f() returns int language sql begin atomic select 1; end",
     "1:1: CREATE FUNCTION is not supported"},
    {"create trigger x before insert on t execute function f()",
     "1:1: CREATE TRIGGER is not supported"},
    {"create constraint trigger x after insert on t for each row execute function f()",
     "1:1: CREATE TRIGGER is not supported"},
    {"create type mood as enum ('sad')", "1:1: CREATE TYPE is not supported"},
    {"create domain d as int", "1:1: CREATE DOMAIN is not supported"},
    {"create sequence s", "1:1: CREATE SEQUENCE is not supported"},
    {"create schema s", "1:1: CREATE SCHEMA is not supported"},
    {"create extension pgcrypto", "1:1: CREATE EXTENSION is not supported"},
    {"create role r", "1:1: CREATE ROLE is not supported"},
    {"create policy p on t", "1:1: CREATE POLICY is not supported"},
    {"create table t as select 1", "1:1: CREATE TABLE is not supported"},
    {"create foreign table t (id int) server s", "1:1: CREATE FOREIGN TABLE is not supported"},
    {"alter index i rename to j", "1:1: renaming an index or a constraint is not supported"},
    {"alter view v rename to w", "1:1: ALTER VIEW is not supported"},
    {"drop view v", "1:1: DROP VIEW is not supported"},
    {"drop schema s", "1:1: DROP SCHEMA is not supported"},
    {"truncate t", "1:1: TRUNCATE is not supported"},
    {"insert into t values (1)", "1:1: INSERT is not supported"},
    {"update t set a = 1", "1:1: UPDATE is not supported"},
    {"delete from t", "1:1: DELETE is not supported"},
    {"merge into t using u on true when matched then delete", "1:1: MERGE is not supported"},
    {"select 1", "1:1: SELECT is not supported"},
    {"(select 1)", "1:1: SELECT is not supported"},
    {"with a as (select 1) select * from a", "1:1: WITH is not supported"},
    {"values (1)", "1:1: VALUES is not supported"},
    {"copy t from stdin", "1:1: COPY is not supported"},
    {"grant select on t to public", "1:1: GRANT is not supported"},
    {"revoke all on t from public", "1:1: REVOKE is not supported"},
    {"comment on index i is 'x'", "1:1: COMMENT is not supported"},
    {"set search_path = x", "1:1: SET is not supported"},
    {"set local role x", "1:1: SET is not supported"},
    {"reset all", "1:1: RESET is not supported"},
    {"begin", "1:1: BEGIN is not supported"},
    {"commit", "1:1: COMMIT is not supported"},
    {"rollback", "1:1: ROLLBACK is not supported"},
    {"do $$ begin null; end $$", "1:1: DO is not supported"},
    {"do $do$ begin; create table t (id int primary key); end $do$", "1:1: DO is not supported"},
    {"explain select 1", "1:1: EXPLAIN is not supported"},
    {"vacuum", "1:1: VACUUM is not supported"},
    {"analyze", "1:1: ANALYZE is not supported"},
    {"lock table t", "1:1: LOCK is not supported"},
    {"listen x", "1:1: LISTEN is not supported"},
    {"notify x", "1:1: NOTIFY is not supported"},
    {"prepare p as select 1", "1:1: PREPARE is not supported"},
    {"execute p", "1:1: EXECUTE is not supported"},
    {"call p()", "1:1: CALL is not supported"},
    {"refresh materialized view v", "1:1: REFRESH is not supported"},
    {"reindex table t", "1:1: REINDEX is not supported"},
    {"security label on table t is 'x'", "1:1: SECURITY is not supported"},
    {"create tabel t (id int)", "1:8: syntax error at or near \"tabel\""},
    {"selec 1", "1:1: syntax error at or near \"selec\""},
    {"\\i other.sql", "1:1: syntax error at or near \"\\\""},
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
