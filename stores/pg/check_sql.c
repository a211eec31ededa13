/* Statements only; what each looks for is said by its answers. They know homes by `h`: the
 * namespace, the role its tables are granted to, and the tenant it belongs to (null: a shared one).
 */
#include "stores/pg/check_sql.h"

#include <stdio.h>

#include "stores/pg/admin_sql.h"
#include "stores/pg/ddl.h"
#include "stores/pg/template.h"

#define HOME "'^t_[0-9a-f]{32}$'"
#define OURS "'^t_[0-9a-f]{32}(_|$)'"
#define READER "'^t_[0-9a-f]{32}(_db)?_ro$'"
#define LOGIN "'^t_[0-9a-f]{32}_db$'"
/* Both parameters are used by every statement, so that one list serves them all. */
#define PARAMS "with p as (select $1::text as home, $2::text as expression) "
#define HOMES                                                                                     \
    "with p as (select $1::text as home, $2::text as expression), h as (select n.oid, n.nspname " \
    "as home, n.nspacl, case when n.nspname ~ " HOME " then n.nspname else current_user end as "  \
    "who, case when n.nspname ~ " HOME " then substr(n.nspname, 3)::uuid when "                   \
    "current_database() ~ " HOME " then substr(current_database(), 3)::uuid end as tenant, "      \
    "p.expression from pg_namespace n, p where n.nspname = p.home or (p.home = 'fh_shared' and "  \
    "n.nspname ~ " HOME ")) "
#define ME "(select oid from pg_roles where rolname = current_user)"
#define WHO "(select oid from pg_roles where rolname = h.who)"
#define TABLES "from h join pg_class c on c.relnamespace = h.oid and c.relkind in ('r', 'p') "
#define RIGHTS                                                                             \
    "case when c.relkind = 'v' then array['SELECT', 'UPDATE'] when c.relname = 'fh_meta' " \
    "then array['SELECT'] when c.relname = 'fh_commit' then array['SELECT', 'INSERT', "    \
    "'DELETE'] else array['SELECT', 'INSERT', 'UPDATE', 'DELETE'] end"
#define GRANTABLE \
    "from h join pg_class c on c.relnamespace = h.oid and c.relkind in ('r', 'p', 'v') "
#define NAME_OF(oid) "coalesce((select rolname from pg_roles where oid = " oid "), 'PUBLIC')"
#define QUOTED(oid) \
    "coalesce((select quote_ident(rolname) from pg_roles where oid = " oid "), 'public')"
#define IS_READER                                                                        \
    "exists (select from pg_roles r where r.oid = a.grantee and r.rolname in (h.who || " \
    "'_ro', current_database() || '_db_ro'))"

const struct fh_pg_question fh_pg_questions[] = {
    {"server", "PostgreSQL 15 or newer",
     PARAMS "select 'server', 'PostgreSQL ' || current_setting('server_version') || ' is too old; "
            "15 or newer is needed' from p where current_setting('server_version_num')::int < "
            "150000",
     false, 0},
    {"durability", "fsync, full_page_writes and synchronous_commit are on",
     PARAMS "select 'setting ' || name, 'is ' || setting || ', so an acknowledged commit may be "
            "lost; set it to on' from pg_settings, p where (name in ('fsync', 'full_page_writes') "
            "and setting <> 'on') or (name = 'synchronous_commit' and setting in ('off'))",
     false, 0},
    {"role", "the serving role is no superuser and is bound by the policies",
     PARAMS "select 'role ' || rolname, 'has ' || case when rolsuper then 'SUPERUSER' else "
            "'BYPASSRLS' end || ': policies do not bind it; alter role ' || "
            "quote_ident(rolname) || ' nosuperuser nobypassrls' from pg_roles, p where rolname = "
            "current_user and (rolsuper or rolbypassrls)",
     false, FH_FINDING_ENFORCEMENT},
    {"role", "the serving role cannot make roles or databases",
     PARAMS "select 'role ' || rolname, 'may create roles or databases; alter role ' || "
            "quote_ident(rolname) || ' nocreaterole nocreatedb' from pg_roles, p where rolname = "
            "current_user and (rolcreaterole or rolcreatedb)",
     false, FH_FINDING_BORDER},
    {"role", "the serving role owns nothing",
     PARAMS "select 'role ' || current_user, 'owns ' || o.what || '; give it to the owning role: "
            "reassign owned by ' || quote_ident(current_user) || ' to <owner>' from p, (select "
            "'table ' || relname as what, relowner as owner from pg_class union all select "
            "'schema ' || nspname, nspowner from pg_namespace union all select 'database ' || "
            "datname, datdba from pg_database union all select 'function ' || proname, proowner "
            "from pg_proc) o where o.owner = " ME,
     false, FH_FINDING_ENFORCEMENT},
    {"role", "the serving role is a member of no role but tenants'",
     PARAMS "select 'role ' || current_user, 'is a member of ' || r.rolname || '; revoke ' || "
            "quote_ident(r.rolname) || ' from ' || quote_ident(current_user) from p, "
            "pg_auth_members m join pg_roles r on r.oid = m.roleid where m.member = " ME
            " and not (r.rolname ~ " HOME " and current_user !~ '^t_' and not m.admin_option)",
     false, FH_FINDING_BORDER},
    {"role", "the serving role takes nobody's rights without asking",
     PARAMS "select 'role ' || current_user, 'inherits the rights of tenants'' roles; alter role ' "
            "|| quote_ident(current_user) || ' noinherit' from p where exists (select from "
            "pg_roles where rolname = current_user and rolinherit) and exists (select from "
            "pg_auth_members where member = " ME ")",
     false, FH_FINDING_BORDER},
    {"namespace", "the namespace exists",
     PARAMS "select 'namespace ' || p.home, 'does not exist; run `freehold schema apply`' from p "
            "where not exists (select from pg_namespace n where n.nspname = p.home)",
     false, 0},
    {"namespace", "nobody else may use a namespace",
     HOMES "select 'namespace ' || h.home, " NAME_OF(
         "a.grantee") " || ' has ' || "
                      "a.privilege_type || ' on it; as owner: revoke ' || a.privilege_type || ' on "
                      "schema ' "
                      "|| quote_ident(h.home) || ' from ' || " QUOTED(
                          "a.grantee") " from h join pg_namespace "
                                       "n on n.oid = h.oid, lateral aclexplode(h.nspacl) a where "
                                       "a.grantee <> n.nspowner and "
                                       "not (a.privilege_type = 'USAGE' and (a.grantee = " WHO
                                       " or (h.tenant is not null and " IS_READER
                                       "))) and (h.tenant is not null or a.grantee = 0 or "
                                       "a.grantee = " WHO ")",
     false, FH_FINDING_BORDER},
    {"namespace", "every namespace is its role's to use",
     HOMES "select 'namespace ' || h.home, h.who || ' lacks USAGE; as owner: grant usage on schema "
           "' || quote_ident(h.home) || ' to ' || quote_ident(h.who) from h where exists (select "
           "from pg_roles where rolname = h.who) and not has_schema_privilege(h.who, h.oid, "
           "'USAGE')",
     false, 0},
    {"row level security", "enabled and forced on every table",
     HOMES
     "select 'table ' || h.home || '.' || c.relname, 'row level security is not enabled and "
     "forced; as owner: alter table ' || quote_ident(h.home) || '.' || "
     "quote_ident(c.relname) || ' enable row level security, force row level security' " TABLES
     "where not (c.relrowsecurity and c.relforcerowsecurity)",
     false, FH_FINDING_ENFORCEMENT},
    {"policy", "every table has the one policy",
     HOMES "select 'policy ' || h.home || '.' || c.relname, 'is not the one policy " FH_PG_POLICY
           "; as owner: drop what is there, then create policy " FH_PG_POLICY " on ' || "
           "quote_ident(h.home) || '.' || quote_ident(c.relname) || ' using ' || h.expression || "
           "' with check ' || h.expression " TABLES
           "where (select count(*) from pg_policy y where y.polrelid = c.oid) <> 1 or not exists "
           "(select from pg_policy y where y.polrelid = c.oid and " FH_PG_IS_POLICY(
               "h.expression") " and pg_get_expr(y.polwithcheck, y.polrelid) = h.expression)",
     false, FH_FINDING_ENFORCEMENT},
    {"tenant", "every table of a dedicated home holds its tenant's rows only",
     HOMES "select 'table ' || h.home || '.' || c.relname, 'has no check that names its tenant; as "
           "owner: alter table ' || quote_ident(h.home) || '.' || quote_ident(c.relname) || ' add "
           "check (tenant_id = ' || quote_literal(h.tenant) || ')' " TABLES
           "where h.tenant is not null and c.relname <> 'fh_meta' and not exists (select from "
           "pg_constraint k where k.conrelid = c.oid and k.contype = 'c' and k.convalidated and "
           "pg_get_expr(k.conbin, k.conrelid) = '(tenant_id = ' || quote_literal(h.tenant) || "
           "'::uuid)')",
     false, FH_FINDING_ENFORCEMENT},
    {"fence", "views ask with the rights of who asks",
     HOMES
     "select 'view ' || h.home || '.' || c.relname, 'asks with its owner''s rights; as owner: "
     "alter view ' || quote_ident(h.home) || '.' || quote_ident(c.relname) || ' set "
     "(security_invoker = true)' from h join pg_class c on c.relnamespace = h.oid and "
     "c.relkind in ('v', 'm') where not coalesce('security_invoker=true' = "
     "any(c.reloptions), false)",
     false, FH_FINDING_ENFORCEMENT},
    {"grants", "each role has exactly the rights it needs, PUBLIC none",
     HOMES "select 'grant ' || h.home || '.' || c.relname, " NAME_OF(
         "a.grantee") " || ' has ' || a.privilege_type || '; as owner: revoke ' || "
                      "a.privilege_type || ' on ' "
                      "|| quote_ident(h.home) || '.' || quote_ident(c.relname) || ' from ' "
                      "|| " QUOTED(
                          "a.grantee") " " GRANTABLE
                                       ", lateral aclexplode(c.relacl) a where a.grantee <> "
                                       "c.relowner and (a.grantee = 0 or "
                                       "a.grantee = " WHO
                                       " or h.tenant is not null) and not (a.grantee = " WHO
                                       " and not "
                                       "a.is_grantable and a.privilege_type = any (" RIGHTS
                                       ")) and not (h.tenant is not null "
                                       "and a.privilege_type = 'SELECT' and c.relname !~ '^fh_' "
                                       "and " IS_READER ")",
     false, FH_FINDING_BORDER},
    {"grants", "no right is missing",
     HOMES "select 'grant ' || h.home || '.' || c.relname, h.who || ' lacks ' || w || '; as owner: "
           "grant ' || w || ' on ' || quote_ident(h.home) || '.' || quote_ident(c.relname) || ' to "
           "' || quote_ident(h.who) " GRANTABLE ", lateral unnest(" RIGHTS
           ") w where exists (select from pg_roles where rolname = h.who) and not "
           "has_table_privilege(h.who, c.oid, w)",
     false, 0},
    {"role", "every dedicated namespace has its role, and the serving role may take it",
     HOMES "select 'role ' || h.home, case when r.oid is null then 'does not exist' else "
           "'cannot be taken by ' || current_user end || '; as owner: select "
           "fh_admin.make_role(''' || h.tenant || ''', ''schema'', null)' from h left join "
           "pg_roles r on r.rolname = h.home where h.home ~ " HOME " and (r.oid is null or not "
           "pg_has_role(current_user, r.oid, 'MEMBER'))",
     true, 0},
    {"role", "tenants' roles are what they should be",
     PARAMS
     "select 'role ' || r.rolname, 'has more rights than it should; as superuser: alter role "
     "' || quote_ident(r.rolname) || ' nosuperuser nobypassrls nocreaterole nocreatedb "
     "noreplication noinherit' || case when r.rolname ~ " HOME " then ' nologin' else '' end "
     "from p, pg_roles r where r.rolname ~ " OURS " and (r.rolsuper or "
     "r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication or "
     "r.rolinherit or (r.rolname ~ " HOME " and r.rolcanlogin))",
     true, FH_FINDING_BORDER},
    {"role", "tenants' roles have no members but the serving role, and are members of none",
     PARAMS
     "select 'role ' || r.rolname, 'has the member ' || u.rolname || '; as superuser: revoke "
     "' || quote_ident(r.rolname) || ' from ' || quote_ident(u.rolname) from p, "
     "pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = "
     "m.member where (r.rolname ~ " OURS " and (u.rolname <> current_user or "
     "r.rolname !~ " HOME ")) or u.rolname ~ " OURS,
     true, FH_FINDING_BORDER},
    {"role", "tenants' roles own nothing and have rights in their own home only",
     PARAMS "select 'role ' || r.rolname, case d.deptype when 'o' then 'owns ' else 'has rights on "
            "' end || pg_describe_object(d.classid, d.objid, 0) || '; as superuser: ' || case "
            "d.deptype when 'o' then 'reassign owned by ' || quote_ident(r.rolname) || ' to "
            "<owner>' else 'revoke them from ' || quote_ident(r.rolname) end from p, pg_shdepend "
            "d join pg_roles r on d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid "
            "where r.rolname ~ " OURS " and d.dbid = (select oid from pg_database where datname = "
            "current_database()) and (d.deptype = 'o' or (d.deptype = 'a' and coalesce((select "
            "n.nspname from pg_namespace n where n.oid = case d.classid when "
            "'pg_namespace'::regclass then d.objid when 'pg_class'::regclass then (select "
            "relnamespace from pg_class where oid = d.objid) end), '') <> substr(r.rolname, 1, "
            "34)))",
     true, FH_FINDING_BORDER},
    {"credentials", "readers can only read",
     PARAMS "select 'role ' || r.rolname, 'is no read-only login with bounds any more; issue the "
            "credential anew' from p, pg_roles r where r.rolname ~ " READER
            " and (r.rolconnlimit not between 0 and 4 or not coalesce(r.rolconfig @> "
            "array['default_transaction_read_only=on'] and array_to_string(r.rolconfig, ',') ~ "
            "'statement_timeout=[1-9]' and array_to_string(r.rolconfig, ',') ~ ('fh.tenant=' || "
            "substr(r.rolname, 3, 32)::uuid::text), false))",
     true, FH_FINDING_BORDER},
    {"databases", "a tenant's own database lets its own logins in alone",
     PARAMS "select 'database ' || d.datname, " NAME_OF(
         "a.grantee") " || ' has ' || "
                      "a.privilege_type || ' on it; as owner: revoke ' || a.privilege_type || ' on "
                      "database "
                      "' || quote_ident(d.datname) || ' from ' || " QUOTED(
                          "a.grantee") " from p, pg_database d, lateral "
                                       "aclexplode(coalesce(d.datacl, acldefault('d', "
                                       "d.datdba))) a where d.datname ~ " HOME
                                       " and a.grantee <> d.datdba and not (a.privilege_type = "
                                       "'CONNECT' and exists (select "
                                       "from pg_roles r where r.oid = a.grantee and r.rolname in "
                                       "(d.datname || '_db', "
                                       "d.datname || '_db_ro')))",
     true, FH_FINDING_BORDER},
    {"databases", "readers can leave nothing in the store's database",
     PARAMS "select 'database ' || d.datname, " NAME_OF(
         "a.grantee") " || ' may make temporary tables in it, and so may readers; as superuser: "
                      "revoke temporary on database ' || quote_ident(d.datname) || ' from ' "
                      "|| " QUOTED(
                          "a.grantee") " from p, pg_database d, lateral "
                                       "aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) "
                                       "a where "
                                       "d.datname = current_database() and a.privilege_type = "
                                       "'TEMPORARY' and "
                                       "(a.grantee = 0 or a.grantee in (select oid from pg_roles "
                                       "where rolname ~ " OURS
                                       ")) and exists (select from pg_roles where rolname ~ " READER
                                       ")",
     true, 0},
    {"templates", "nobody can connect to a template",
     PARAMS "select 'database ' || d.datname, 'lets logins in; as owner: alter database ' || "
            "quote_ident(d.datname) || ' allow_connections false' from p, pg_database d where "
            "d.datname ~ ('^" FH_PG_TEMPLATE_PREFIX "' || (select oid from pg_database where "
            "datname = current_database()) || '_v') and d.datallowconn and "
            "shobj_description(d.oid, 'pg_database') ~ '^freehold template'",
     true, 0},
    {"templates", "none is left over of a store that is gone",
     PARAMS "select 'database ' || d.datname, 'is of a store whose database is not there any more; "
            "as its owner: drop database ' || quote_ident(d.datname) from p, pg_database d where "
            "d.datname ~ '^" FH_PG_TEMPLATE_PREFIX "[0-9]+_v[0-9]+_[0-9a-f]{16}$' and not exists "
            "(select from pg_database o where o.oid::text = split_part(d.datname, '_', 3))",
     true, 0},
    {"databases", "none is left half made or half dropped by a store that is gone",
     PARAMS "select 'database ' || d.datname, 'is of a store whose database is not there any more; "
            "as its owner: drop database ' || quote_ident(d.datname) from p, pg_database d where "
            "d.datname ~ '^" FH_PG_WORKSHOP_PREFIX "[0-9]+_t_[0-9a-f]{32}$' and not exists (select "
            "from pg_database o where o.oid::text = split_part(d.datname, '_', 3))",
     true, 0},
    {"locks", "readers can hold up nobody's writes in the store's database",
     PARAMS "select distinct 'advisory locks', " NAME_OF(
         "a.grantee") " || ' may take them, and so hold up tenants'' writes; as superuser: run the "
                      "script of `freehold store prepare` in the store''s database' from p, "
                      "pg_proc f, lateral aclexplode(coalesce(f.proacl, acldefault('f', "
                      "f.proowner))) a where f.pronamespace = 'pg_catalog'::regnamespace and "
                      "f.proname ~ " FH_PG_LOCK_FUNCTIONS
                      " and (a.grantee = 0 or a.grantee in (select oid from pg_roles where rolname "
                      "~ " OURS ")) and exists (select from pg_roles where rolname ~ " READER ")",
     true, 0},
    {"locks", "the serving role can take its locks",
     PARAMS "select distinct 'advisory locks', current_user || ' may not take them all, so nothing "
            "can be written; as superuser: run the script of `freehold store prepare` in the "
            "store''s database' from p, pg_proc f where f.pronamespace = "
            "'pg_catalog'::regnamespace and f.proname ~ " FH_PG_LOCK_FUNCTIONS
            " and not has_function_privilege(f.oid, 'EXECUTE')",
     true, 0},
    {"databases", "every tenant's own database has its login",
     PARAMS "select 'database ' || d.datname, case when r.oid is null then 'its login ' || "
            "d.datname || '_db does not exist' else 'its login cannot connect' end || '; as owner: "
            "select fh_admin.make_role(''' || substr(d.datname, 3)::uuid || ''', ''database'', "
            "<verifier>); grant connect on database ' || quote_ident(d.datname) || ' to ' || "
            "quote_ident(d.datname || '_db') from p, pg_database d left join pg_roles r on "
            "r.rolname = d.datname || '_db' where d.datname ~ " HOME
            " and (r.oid is null or not r.rolcanlogin or not has_database_privilege(r.oid, d.oid, "
            "'CONNECT'))",
     true, 0},
    {"databases", "no login is left over",
     PARAMS "select 'role ' || r.rolname, 'serves no database any more; as owner: select "
            "fh_admin.drop_role(''' || substr(r.rolname, 3, 32)::uuid || ''', ''database'')' from "
            "p, pg_roles r where r.rolname ~ " LOGIN
            " and not exists (select from pg_database d where d.datname = substr(r.rolname, 1, "
            "34))",
     true, 0},
    {"role", "the serving role may apply moves where records reference others",
     PARAMS
     "select 'role ' || current_user, 'cannot apply a move to ' || p.home || ', where records "
     "reference others; as superuser: grant set on parameter session_replication_role to ' "
     "|| quote_ident(current_user) from p where exists (select from pg_constraint k join "
     "pg_namespace n on n.oid = k.connamespace where n.nspname = p.home and k.contype = 'f') "
     "and not has_parameter_privilege('session_replication_role', 'SET')",
     false, 0},
    {"server log", "holds neither statements nor values of ours",
     PARAMS "select 'setting ' || s.name, 'is ' || s.setting || ' for our sessions, so the "
            "server''s log may hold tenants'' keys or statements; as superuser: alter role ' || "
            "quote_ident(current_user) || ' set ' || s.name || ' = ' || w.good from p, (values "
            "('log_error_verbosity', 'terse'), ('log_min_error_statement', 'panic'), "
            "('log_statement', 'none'), ('log_min_duration_statement', '-1'), "
            "('log_min_duration_sample', '-1'), ('log_transaction_sample_rate', '0'), "
            "('log_parameter_max_length_on_error', '0')) w (name, good) join pg_settings s on "
            "s.name = w.name where s.setting <> w.good",
     false, 0},
};
const size_t fh_pg_question_count = sizeof(fh_pg_questions) / sizeof(fh_pg_questions[0]);

/* Not installed at all is no fault of a store without homes of their own. Who has the functions
 * besides the owner, and the owner of the functions, and whoever else may make some there. */
#define FUNCTIONS                                                                                  \
    ") select 'function fh_admin.' || coalesce(w.name, f.proname), case when f.oid is null then "  \
    "'does not exist' when w.name is null then 'is none of ours' else 'is not what it should "     \
    "be, or others may execute or change it' end || '; as superuser: run the script of "           \
    "`freehold store prepare` in the store''s database' || case when w.name is null then ' after " \
    "drop function ' || f.oid::regprocedure else '' end from p, w full join (select y.* from "     \
    "pg_proc y join pg_namespace n on n.oid = y.pronamespace where n.nspname = 'fh_admin') f on "  \
    "f.proname = w.name and pg_get_function_identity_arguments(f.oid) = w.arguments where "        \
    "(exists (select from pg_namespace where nspname = 'fh_admin' or nspname ~ " HOME              \
    ") or exists (select from pg_database where datname ~ " HOME                                   \
    ")) and (f.oid is null or w.name is null or f.prosrc <> w.body or not f.prosecdef or "         \
    "f.proconfig is distinct from array['search_path=pg_catalog, pg_temp'] or not exists "         \
    "(select from pg_roles r where r.oid = f.proowner and r.rolsuper) or exists (select from "     \
    "aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a where a.grantee = 0 or "        \
    "a.is_grantable or (a.grantee <> f.proowner and (a.grantee = " ME                              \
    " or a.grantee in (select oid from pg_roles where rolname ~ " OURS                             \
    ")))) or exists (select from pg_namespace n, lateral aclexplode(coalesce(n.nspacl, "           \
    "acldefault('n', n.nspowner))) a where n.oid = f.pronamespace and (a.grantee = 0 or "          \
    "(a.privilege_type = 'CREATE' and a.grantee <> n.nspowner))))"

void fh_pg_check_functions_sql(struct fh_buf *out)
{
    fh_buf_add_text(out, "with p as (select $1::text as home, $2::text as expression), w (name, "
                         "arguments, body) as (values ('serving', '', 'select ' || "
                         "quote_literal(current_user) || '::text')");
    for (size_t i = 0; i < fh_pg_admin_function_count; i++) {
        const struct fh_pg_admin_function *function = &fh_pg_admin_functions[i];
        fh_buf_printf(out, ", ('%s', '%s', $fh_body$%s$fh_body$)", function->name,
                      function->arguments, function->body);
    }
    fh_buf_add_text(out, FUNCTIONS);
}
