/* What `store check` looks at. Each question is one statement, asked on a serving connection, that
 * answers with a row (subject, what is off and how to mend it) for each fault, and no row when all
 * is well.
 */
#include <stdio.h>
#include <string.h>

#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/rows.h"

struct question {
    const char *subject; /* of the good answer */
    const char *text;    /* of the good answer */
    const char *sql;     /* $1: the namespace as text, $2: the policy's expression */
};

/* Both parameters are used by every statement, so that one list serves them all. */
#define PARAMS "with p as (select $1::text as home, $2::text as expression) "
#define ME "(select oid from pg_roles where rolname = current_user)"
#define TABLES                                                                                    \
    "from p join pg_namespace n on n.nspname = p.home join pg_class c on c.relnamespace = n.oid " \
    "and c.relkind in ('r', 'p') "

static const struct question questions[] = {
    {"server", "PostgreSQL 15 or newer",
     PARAMS "select 'server', 'PostgreSQL ' || current_setting('server_version') || ' is too old; "
            "15 or newer is needed' from p where current_setting('server_version_num')::int < "
            "150000"},
    {"durability", "fsync, full_page_writes and synchronous_commit are on",
     PARAMS "select 'setting ' || name, 'is ' || setting || ', so an acknowledged commit may be "
            "lost; set it to on' from pg_settings, p where (name in ('fsync', 'full_page_writes') "
            "and setting <> 'on') or (name = 'synchronous_commit' and setting in ('off'))"},
    {"role", "the serving role is no superuser and is bound by the policies",
     PARAMS "select 'role ' || rolname, 'has ' || case when rolsuper then 'SUPERUSER' else "
            "'BYPASSRLS' end || ': policies do not bind it; alter role ' || "
            "quote_ident(rolname) || ' nosuperuser nobypassrls' from pg_roles, p where rolname = "
            "current_user and (rolsuper or rolbypassrls)"},
    {"role", "the serving role cannot make roles or databases",
     PARAMS "select 'role ' || rolname, 'may create roles or databases; alter role ' || "
            "quote_ident(rolname) || ' nocreaterole nocreatedb' from pg_roles, p where rolname = "
            "current_user and (rolcreaterole or rolcreatedb)"},
    {"role", "the serving role owns nothing",
     PARAMS "select 'role ' || current_user, 'owns ' || o.what || '; give it to the owning role: "
            "reassign owned by ' || quote_ident(current_user) || ' to <owner>' from p, (select "
            "'table ' || relname as what, relowner as owner from pg_class union all select "
            "'schema ' || nspname, nspowner from pg_namespace union all select 'database ' || "
            "datname, datdba from pg_database union all select 'function ' || proname, proowner "
            "from pg_proc) o where o.owner = " ME},
    {"role", "the serving role is a member of no other",
     PARAMS "select 'role ' || current_user, 'is a member of ' || r.rolname || '; revoke ' || "
            "quote_ident(r.rolname) || ' from ' || quote_ident(current_user) from p, "
            "pg_auth_members m join pg_roles r on r.oid = m.roleid where m.member = " ME},
    {"namespace", "the namespace exists",
     PARAMS "select 'namespace ' || p.home, 'does not exist; run `freehold schema apply`' from p "
            "where not exists (select from pg_namespace n where n.nspname = p.home)"},
    {"row level security", "enabled and forced on every table",
     PARAMS
     "select 'table ' || p.home || '.' || c.relname, 'row level security is not enabled and "
     "forced; as owner: alter table ' || quote_ident(p.home) || '.' || "
     "quote_ident(c.relname) || ' enable row level security, force row level security' " TABLES
     "where not (c.relrowsecurity and c.relforcerowsecurity)"},
    {"policy", "every table has the one policy",
     PARAMS "select 'policy ' || p.home || '.' || c.relname, 'is not the one policy " FH_PG_POLICY
            "; as owner: drop what is there, then create policy " FH_PG_POLICY " on ' || "
            "quote_ident(p.home) || '.' || quote_ident(c.relname) || ' using ' || p.expression || "
            "' with check ' || p.expression " TABLES
            "where (select count(*) from pg_policy y where y.polrelid = c.oid) <> 1 or not exists "
            "(select from pg_policy y where y.polrelid = c.oid and y.polname = '" FH_PG_POLICY
            "' and y.polpermissive and y.polcmd = '*' and y.polroles = array[0]::oid[] and "
            "pg_get_expr(y.polqual, y.polrelid) = p.expression and pg_get_expr(y.polwithcheck, "
            "y.polrelid) = p.expression)"},
    {"grants", "the serving role has exactly the rights it needs, PUBLIC none",
     PARAMS "select 'grant ' || p.home || '.' || c.relname, case when a.grantee = 0 then 'PUBLIC "
            "has ' else current_user || ' has ' end || a.privilege_type || '; as owner: revoke ' "
            "|| a.privilege_type || ' on ' || quote_ident(p.home) || '.' || quote_ident(c.relname) "
            "|| ' from ' || case when a.grantee = 0 then 'public' else quote_ident(current_user) "
            "end " TABLES ", lateral aclexplode(c.relacl) a where (a.grantee = 0 or a.grantee = " ME
            ") and not (a.grantee <> 0 and a.privilege_type = any (case c.relname when 'fh_meta' "
            "then array['SELECT'] when 'fh_commit' then array['SELECT', 'INSERT', 'DELETE'] else "
            "array['SELECT', 'INSERT', 'UPDATE', 'DELETE'] end))"},
    {"grants", "no right is missing",
     PARAMS "select 'grant ' || p.home || '.' || c.relname, current_user || ' lacks ' || w || '; "
            "as owner: grant ' || w || ' on ' || quote_ident(p.home) || '.' || "
            "quote_ident(c.relname) || ' to ' || quote_ident(current_user) " TABLES
            ", lateral unnest(case c.relname when 'fh_meta' then array['SELECT'] when 'fh_commit' "
            "then array['SELECT', 'INSERT', 'DELETE'] else array['SELECT', 'INSERT', 'UPDATE', "
            "'DELETE'] end) w where not has_table_privilege(c.oid, w)"},
    {"role", "the serving role may apply moves where records reference others",
     PARAMS
     "select 'role ' || current_user, 'cannot apply a move to ' || p.home || ', where records "
     "reference others; as superuser: grant set on parameter session_replication_role to ' "
     "|| quote_ident(current_user) from p where exists (select from pg_constraint k join "
     "pg_namespace n on n.oid = k.connamespace where n.nspname = p.home and k.contype = 'f') "
     "and not has_parameter_privilege('session_replication_role', 'SET')"},
    {"server log", "holds neither statements nor values of ours",
     PARAMS "select 'setting ' || s.name, 'is ' || s.setting || ' for our sessions, so the "
            "server''s log may hold tenants'' keys or statements; as superuser: alter role ' || "
            "quote_ident(current_user) || ' set ' || s.name || ' = ' || w.good from p, (values "
            "('log_error_verbosity', 'terse'), ('log_min_error_statement', 'panic'), "
            "('log_statement', 'none'), ('log_min_duration_statement', '-1'), "
            "('log_min_duration_sample', '-1'), ('log_transaction_sample_rate', '0'), "
            "('log_parameter_max_length_on_error', '0')) w (name, good) join pg_settings s on "
            "s.name = w.name where s.setting <> w.good"},
};

#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

static enum fh_code check_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_op_check *check = &op->request->as.check;
    const char *home = op->request->scope.home.name;
    check->count = 0;
    check->findings = FH_ARENA_ARRAY(op->request->arena, struct fh_finding, FH_CHECK_FINDINGS_MAX);
    enum fh_code code = check->findings != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; i < QUESTIONS && code == FH_OK; i++) {
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_bytes(params, fh_str_of(home[0] != '\0' ? home : FH_HOME_SHARED));
        fh_pg_add_bytes(params, FH_STR(FH_PG_POLICY_EXPRESSION));
        code = fh_pg_conn_send_text(conn, questions[i].sql, params);
    }
    return code;
}

static enum fh_code check_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_check *check = &op->request->as.check;
    int rows = PQntuples(result);
    if (rows == 0 && check->count < FH_CHECK_FINDINGS_MAX) {
        check->findings[check->count++] =
            (struct fh_finding){.ok = true,
                                .subject = fh_str_of(questions[index].subject),
                                .text = fh_str_of(questions[index].text)};
    }
    for (int i = 0; i < rows && check->count < FH_CHECK_FINDINGS_MAX; i++) {
        struct fh_finding *finding = &check->findings[check->count];
        enum fh_code code = fh_pg_field_copy(result, i, 0, op->request->arena, &finding->subject);
        if (code == FH_OK) {
            code = fh_pg_field_copy(result, i, 1, op->request->arena, &finding->text);
        }
        if (code != FH_OK) {
            return code;
        }
        check->count++;
    }
    return FH_OK;
}

static void check_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (strcmp(op->failure.sqlstate, "42883") == 0) { /* has_parameter_privilege() came with 15 */
        op->failure.code = fh_error_set(&op->request->error, FH_PRECONDITION,
                                        "the server is too old; PostgreSQL 15 or newer is needed");
    }
}

const struct fh_pg_op_kind fh_pg_check_kind = {
    .send = check_send, .result = check_result, .failed = check_failed};
