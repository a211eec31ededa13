/* The bodies are constants, so that the check can compare what is installed with what should be;
 * the one thing that differs between stores, the serving login's name, is a function of its own.
 */
#include "stores/pg/admin_sql.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES_MAX 63

/* Settings of whatever logs in for a tenant: the server's log must hold neither statements nor
 * values of its sessions. Only a superuser may set these. */
#define QUIET                                                                            \
    "  foreach setting in array array['log_error_verbosity = terse', "                   \
    "'log_min_error_statement = panic', 'log_statement = none', "                        \
    "'log_min_duration_statement = -1', 'log_min_duration_sample = -1', "                \
    "'log_transaction_sample_rate = 0', 'log_parameter_max_length_on_error = 0'] loop\n" \
    "    execute format('alter role %I set ' || setting, name);\n"                       \
    "  end loop;\n"

#define ATTRIBUTES \
    "noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit "

/* A tenant's read-only login may begin a transaction that writes, and PUBLIC may leave things in
 * any database, as much as the disk holds. */
#define NO_LITTER                                                                           \
    "do $fh_admin$ begin\n"                                                                 \
    "  execute format('revoke temporary on database %I from public', "                      \
    "current_database());\n"                                                                \
    "end $fh_admin$;\n"                                                                     \
    "revoke execute on function pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid),\n" \
    "  pg_catalog.lo_from_bytea(oid, bytea) from public;\n"

/* PUBLIC may take advisory locks, and with them a reader could hold up any tenant's writes: gates
 * and request ids are such locks. Owner and serving login come between. */
#define NO_LOCKS_BEGIN                                                             \
    "do $fh_admin$ declare f regprocedure; begin\n"                                \
    "  for f in select oid from pg_catalog.pg_proc where pronamespace =\n"         \
    "    'pg_catalog'::regnamespace and proname ~ " FH_PG_LOCK_FUNCTIONS " loop\n" \
    "    execute format('revoke execute on function %s from public', f);\n"        \
    "    execute format('grant execute on function %s to pg_database_owner, %I, %I', f, "
#define NO_LOCKS_END "  end loop;\nend $fh_admin$;\n"

const struct fh_pg_admin_function fh_pg_admin_functions[] = {
    {"role_name", "tenant uuid, kind text", "text", "plpgsql",
     "\n"
     "declare suffix text := case kind when 'schema' then '' when 'database' then '_db'\n"
     "  when 'schema_reader' then '_ro' when 'database_reader' then '_db_ro' end;\n"
     "begin\n"
     "  if tenant is null or suffix is null then\n"
     "    raise exception 'no such kind of role' using errcode = '22023';\n"
     "  end if;\n"
     "  return 't_' || replace(tenant::text, '-', '') || suffix;\n"
     "end\n"},
    /* Makes it, or makes it right again. `verifier`: SCRAM, made by the client; null: no password.
     */
    {"make_role", "tenant uuid, kind text, verifier text", "void", "plpgsql",
     "\n"
     "declare\n"
     "  name text := fh_admin.role_name(tenant, kind);\n"
     "  reader bool := kind in ('schema_reader', 'database_reader');\n"
     "  setting text;\n"
     "begin\n"
     "  if verifier is not null and (kind = 'schema' or verifier !~ '^SCRAM-SHA-256\\$[0-9]+:"
     "[A-Za-z0-9+/=]+\\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$') then\n"
     "    raise exception 'not a verifier' using errcode = '22023';\n"
     "  end if;\n"
     "  if not exists (select from pg_roles where rolname = name) then\n"
     "    execute format('create role %I', name);\n"
     "  end if;\n"
     "  execute format('alter role %I " ATTRIBUTES
     "%s %s password %L', name, case kind when 'schema' then 0 when 'database' then 32 else 4 "
     "end, case kind when 'schema' then 'nologin' else 'login' end, verifier);\n"
     "  if kind = 'schema' then\n"
     "    execute format('grant %I to %I', name, fh_admin.serving());\n"
     "    return;\n"
     "  end if;\n" QUIET "  if kind = 'database' then\n"
     "    execute format('grant set on parameter session_replication_role to %I', name);\n"
     "  else\n"
     "    execute format('alter role %I set fh.tenant = %L', name, tenant);\n"
     "    execute format('alter role %I set search_path = %I', name, case kind when "
     "'schema_reader' then fh_admin.role_name(tenant, 'schema') else 'app' end);\n"
     "    foreach setting in array array['default_transaction_read_only = on', "
     "'statement_timeout = 30000', 'lock_timeout = 3000', "
     "'idle_in_transaction_session_timeout = 60000'] loop\n"
     "      execute format('alter role %I set ' || setting, name);\n"
     "    end loop;\n"
     "  end if;\n"
     "end\n"},
    /* Nobody logs in any more. */
    {"close_role", "tenant uuid, kind text", "void", "plpgsql",
     "\n"
     "declare name text := fh_admin.role_name(tenant, kind);\n"
     "begin\n"
     "  if exists (select from pg_roles where rolname = name) then\n"
     "    execute format('alter role %I nologin password null', name);\n"
     "  end if;\n"
     "end\n"},
    /* Those who are in go. */
    {"end_sessions", "tenant uuid, kind text", "bigint", "plpgsql",
     "\n"
     "begin\n"
     "  return (select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity\n"
     "    where usename = fh_admin.role_name(tenant, kind));\n"
     "end\n"},
    /* False: another database of the server needs it still, and it stays as it is. */
    {"drop_role", "tenant uuid, kind text", "boolean", "plpgsql",
     "\n"
     "declare name text := fh_admin.role_name(tenant, kind);\n"
     "begin\n"
     "  if not exists (select from pg_roles where rolname = name) then\n"
     "    return true;\n"
     "  end if;\n"
     "  begin\n"
     "    execute format('drop owned by %I', name);\n"
     "    execute format('revoke set on parameter session_replication_role from %I', name);\n"
     "    execute format('drop role %I', name);\n"
     "  exception when dependent_objects_still_exist then\n"
     "    return false;\n"
     "  end;\n"
     "  return true;\n"
     "end\n"},
};
const size_t fh_pg_admin_function_count =
    sizeof(fh_pg_admin_functions) / sizeof(fh_pg_admin_functions[0]);

static bool is_name(const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;
    if (len == 0 || len > NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '$') {
            return false;
        }
    }
    return fh_str_is_text(fh_str_of(name));
}

static void quoted(struct fh_buf *out, const char *text, char quote)
{
    fh_buf_add_char(out, quote);
    for (; *text != '\0'; text++) {
        if (*text == quote) {
            fh_buf_add_char(out, quote);
        }
        fh_buf_add_char(out, *text);
    }
    fh_buf_add_char(out, quote);
}

static void add_function(struct fh_buf *out, const struct fh_pg_admin_function *function,
                         const char *owner)
{
    fh_buf_printf(out,
                  "create or replace function " FH_PG_ADMIN_SCHEMA ".%s(%s) returns %s\n"
                  "  language %s security definer set search_path = pg_catalog, pg_temp as "
                  "$fh_admin$%s$fh_admin$;\n"
                  "revoke all on function " FH_PG_ADMIN_SCHEMA ".%s(%s) from public;\n"
                  "grant execute on function " FH_PG_ADMIN_SCHEMA ".%s(%s) to ",
                  function->name, function->arguments, function->returns, function->language,
                  function->body, function->name, function->arguments, function->name,
                  function->arguments);
    quoted(out, owner, '"');
    fh_buf_add_text(out, ";\n");
}

enum fh_code fh_pg_admin_script(const char *owner, const char *serving, struct fh_buf *out)
{
    if (!is_name(owner) || !is_name(serving)) {
        return FH_INVALID;
    }
    fh_buf_add_text(out, "-- Roles of dedicated tenants; as superuser, in the store's database.\n"
                         "begin;\n"
                         "create schema if not exists " FH_PG_ADMIN_SCHEMA ";\n"
                         "revoke all on schema " FH_PG_ADMIN_SCHEMA " from public;\n"
                         "grant usage on schema " FH_PG_ADMIN_SCHEMA " to ");
    quoted(out, owner, '"');
    fh_buf_add_text(out, ";\n" NO_LITTER);
    struct fh_buf body;
    fh_buf_init(&body, 4 * NAME_BYTES_MAX);
    fh_buf_add_text(&body, "select ");
    quoted(&body, serving, '\'');
    fh_buf_add_text(&body, "::text");
    enum fh_code code = fh_buf_code(&body);
    if (code == FH_OK) {
        const struct fh_pg_admin_function function = {"serving", "", "text", "sql", body.data};
        add_function(out, &function, owner);
    }
    fh_buf_close(&body);
    for (size_t i = 0; i < fh_pg_admin_function_count && code == FH_OK; i++) {
        add_function(out, &fh_pg_admin_functions[i], owner);
    }
    fh_buf_add_text(out, NO_LOCKS_BEGIN);
    quoted(out, owner, '\'');
    fh_buf_add_text(out, ", ");
    quoted(out, serving, '\'');
    fh_buf_add_text(out, ");\n" NO_LOCKS_END "commit;\n");
    return code == FH_OK ? fh_buf_code(out) : code;
}

const char *fh_pg_admin_kind(const struct fh_home *home, bool reader)
{
    if (home->tier == FH_TIER_DATABASE) {
        return reader ? "database_reader" : "database";
    }
    return reader ? "schema_reader" : "schema";
}

void fh_pg_admin_role(const struct fh_home *home, bool reader, char out[FH_PG_ROLE_SIZE])
{
    (void)snprintf(out, FH_PG_ROLE_SIZE, "%s%s%s", home->name,
                   home->tier == FH_TIER_DATABASE ? "_db" : "", reader ? "_ro" : "");
}
