#include "tests/unit/stores_pg/tiers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct fh_uuid tiers_tenant(unsigned n)
{
    return uuid_of(7, (uint8_t)(0xa0 + n));
}

void tiers_call(struct call *call, struct fixture *f, enum fh_tier tier, unsigned n)
{
    call_init(call, f);
    call->request.scope.tenant = tiers_tenant(n);
    fh_home_of(tier, &call->request.scope.tenant, &call->request.scope.home);
}

static enum fh_code run_home(struct fixture *f, enum fh_op op, enum fh_tier tier, unsigned n,
                             uint64_t generation)
{
    struct call call;
    tiers_call(&call, f, tier, n);
    call.request.op = op;
    call.request.as.home.fence =
        (struct fh_fence){.epoch = 1, .generation = generation, .mode = FH_FENCE_OPEN};
    enum fh_code code = call_run(&call, 30000);
    call_close(&call);
    return code;
}

enum fh_code tiers_create(struct fixture *f, enum fh_tier tier, unsigned n, uint64_t generation)
{
    return run_home(f, FH_OP_HOME_CREATE, tier, n, generation);
}

enum fh_code tiers_erase(struct fixture *f, enum fh_tier tier, unsigned n, uint64_t generation)
{
    return run_home(f, FH_OP_HOME_ERASE, tier, n, generation);
}

void tiers_make(struct fixture *f, enum fh_tier tier, unsigned n)
{
    struct call call;
    assert_int_equal(tiers_create(f, tier, n, 1), FH_OK);
    tiers_call(&call, f, tier, n);
    call_insert(&call, 1, "");
    assert_int_equal(call_run(&call, 10000), FH_OK);
    call_close(&call);
}

enum fh_code tiers_get(struct fixture *f, enum fh_tier tier, unsigned n)
{
    struct call call;
    tiers_call(&call, f, tier, n);
    call_get(&call, key_author(1));
    enum fh_code code = call_run(&call, 10000);
    if (code == FH_OK && call.request.as.get.rows[0] == NULL) {
        code = FH_NOT_FOUND;
    }
    call_close(&call);
    return code;
}

void tiers_reopen(struct fixture *f, const struct fh_store_config *over)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_store_config config = *over;
    config.name = "tiers";
    config.location = f->location;
    config.owner_location = fh_pgtest_dsn(f->pg, FH_PGTEST_OWNER, FH_PGTEST_UNIX);
    if (f->store != NULL) {
        fixture_close(f);
    }
    assert_int_equal(fh_store_pg_ops.open(&f->env, &config, &f->store, &error), FH_OK);
}

void tiers_traces(struct fixture *f, char out[TRACES_SIZE])
{
    assert_true(fh_pgtest_value(
        f->pg, FH_PGTEST_SUPERUSER,
        "select string_agg(x, E'\\n' order by x) from (select 'role ' || rolname as x from "
        "pg_roles "
        "union all select 'database ' || datname from pg_database where datname !~ '^fh_template_' "
        "union all select 'schema ' || "
        "nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp' union all select 'member ' "
        "|| roleid::regrole || ' ' || member::regrole from pg_auth_members union all select "
        "'parameter ' || parname || ' ' || paracl::text from pg_parameter_acl union all select "
        "'setting ' || setrole::regrole || array_to_string(setconfig, ',') from "
        "pg_db_role_setting union all select 'shared ' || coalesce(datacl, acldefault('d', "
        "datdba))::text from "
        "pg_database where datname !~ '^fh_template_') s",
        out, TRACES_SIZE));
}

const char *tiers_sql(struct fixture *f, const char *database, const char *user,
                      const char *password, const char *sql)
{
    return fh_pgtest_try(f->pg, database, user, password, sql);
}

pid_t tiers_stopped(struct fixture *f, const char *point, enum fh_op op, enum fh_tier tier)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture child = *f;
        (void)setenv("FREEHOLD_STOP_AT", point, 1);
        if (uv_loop_init(&child.loop) != 0 || uv_timer_init(&child.loop, &child.watchdog) != 0) {
            _exit(99);
        }
        child.env.loop = &child.loop;
        fixture_open(&child, 1);
        _exit((int)(op == FH_OP_HOME_CREATE ? tiers_create(&child, tier, 0, 1)
                                            : tiers_erase(&child, tier, 0, 1)));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

enum fh_code tiers_go_on(pid_t pid)
{
    int status = 0;
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return (enum fh_code)WEXITSTATUS(status);
}
