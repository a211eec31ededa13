-- Roles of dedicated tenants; as superuser, in the store's database.
begin;
create schema if not exists fh_admin;
revoke all on schema fh_admin from public;
grant usage on schema fh_admin to "freehold_owner";
do $fh_admin$ begin
  execute format('revoke temporary on database %I from public', current_database());
end $fh_admin$;
revoke execute on function pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid),
  pg_catalog.lo_from_bytea(oid, bytea) from public;
create or replace function fh_admin.serving() returns text
  language sql security definer set search_path = pg_catalog, pg_temp as $fh_admin$select 'freehold_app'::text$fh_admin$;
revoke all on function fh_admin.serving() from public;
grant execute on function fh_admin.serving() to "freehold_owner";
create or replace function fh_admin.role_name(tenant uuid, kind text) returns text
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $fh_admin$
declare suffix text := case kind when 'schema' then '' when 'database' then '_db'
  when 'schema_reader' then '_ro' when 'database_reader' then '_db_ro' end;
begin
  if tenant is null or suffix is null then
    raise exception 'no such kind of role' using errcode = '22023';
  end if;
  return 't_' || replace(tenant::text, '-', '') || suffix;
end
$fh_admin$;
revoke all on function fh_admin.role_name(tenant uuid, kind text) from public;
grant execute on function fh_admin.role_name(tenant uuid, kind text) to "freehold_owner";
create or replace function fh_admin.make_role(tenant uuid, kind text, verifier text) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $fh_admin$
declare
  name text := fh_admin.role_name(tenant, kind);
  reader bool := kind in ('schema_reader', 'database_reader');
  setting text;
begin
  if verifier is not null and (kind = 'schema' or verifier !~ '^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$') then
    raise exception 'not a verifier' using errcode = '22023';
  end if;
  if not exists (select from pg_roles where rolname = name) then
    execute format('create role %I', name);
  end if;
  execute format('alter role %I noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit %s %s password %L', name, case kind when 'schema' then 0 when 'database' then 32 else 4 end, case kind when 'schema' then 'nologin' else 'login' end, verifier);
  if kind = 'schema' then
    execute format('grant %I to %I', name, fh_admin.serving());
    return;
  end if;
  foreach setting in array array['log_error_verbosity = terse', 'log_min_error_statement = panic', 'log_statement = none', 'log_min_duration_statement = -1', 'log_min_duration_sample = -1', 'log_transaction_sample_rate = 0', 'log_parameter_max_length_on_error = 0'] loop
    execute format('alter role %I set ' || setting, name);
  end loop;
  if kind = 'database' then
    execute format('grant set on parameter session_replication_role to %I', name);
  else
    execute format('alter role %I set fh.tenant = %L', name, tenant);
    execute format('alter role %I set search_path = %I', name, case kind when 'schema_reader' then fh_admin.role_name(tenant, 'schema') else 'app' end);
    foreach setting in array array['default_transaction_read_only = on', 'statement_timeout = 30000', 'lock_timeout = 3000', 'idle_in_transaction_session_timeout = 60000'] loop
      execute format('alter role %I set ' || setting, name);
    end loop;
  end if;
end
$fh_admin$;
revoke all on function fh_admin.make_role(tenant uuid, kind text, verifier text) from public;
grant execute on function fh_admin.make_role(tenant uuid, kind text, verifier text) to "freehold_owner";
create or replace function fh_admin.close_role(tenant uuid, kind text) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $fh_admin$
declare name text := fh_admin.role_name(tenant, kind);
begin
  if exists (select from pg_roles where rolname = name) then
    execute format('alter role %I nologin password null', name);
  end if;
end
$fh_admin$;
revoke all on function fh_admin.close_role(tenant uuid, kind text) from public;
grant execute on function fh_admin.close_role(tenant uuid, kind text) to "freehold_owner";
create or replace function fh_admin.end_sessions(tenant uuid, kind text) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $fh_admin$
begin
  return (select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
    where usename = fh_admin.role_name(tenant, kind));
end
$fh_admin$;
revoke all on function fh_admin.end_sessions(tenant uuid, kind text) from public;
grant execute on function fh_admin.end_sessions(tenant uuid, kind text) to "freehold_owner";
create or replace function fh_admin.drop_role(tenant uuid, kind text) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $fh_admin$
declare name text := fh_admin.role_name(tenant, kind);
begin
  if not exists (select from pg_roles where rolname = name) then
    return true;
  end if;
  begin
    execute format('drop owned by %I', name);
    execute format('revoke set on parameter session_replication_role from %I', name);
    execute format('drop role %I', name);
  exception when dependent_objects_still_exist then
    return false;
  end;
  return true;
end
$fh_admin$;
revoke all on function fh_admin.drop_role(tenant uuid, kind text) from public;
grant execute on function fh_admin.drop_role(tenant uuid, kind text) to "freehold_owner";
do $fh_admin$ declare f regprocedure; begin
  for f in select oid from pg_catalog.pg_proc where pronamespace =
    'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$' loop
    execute format('revoke execute on function %s from public', f);
    execute format('grant execute on function %s to pg_database_owner, %I, %I', f, 'freehold_owner', 'freehold_app');
  end loop;
end $fh_admin$;
commit;
