/* The suite over PostgreSQL: one throw-away cluster for the program, emptied before every test, and
 * a second one from the first test on that wants another store. */
#include "stores/pg/pg.h"
#include "tests/conformance/suite.h"
#include "tests/lib/postgres.h"

static struct fh_pgtest *cluster;
static struct fh_pgtest *other;

static int start(void)
{
    const struct fh_pgtest_options options = {.fsync_off = true};
    return fh_pgtest_start(&options, &cluster) == FH_OK ? 0 : -1;
}

static void stop(void)
{
    fh_pgtest_stop(cluster);
    fh_pgtest_stop(other);
}

static int reset(void)
{
    return fh_pgtest_reset_homes(cluster) ? 0 : -1;
}

static void configure(bool skips_enforcement, struct fh_store_config *config)
{
    config->location = fh_pgtest_dsn(cluster, skips_enforcement ? FH_PGTEST_BYPASS : FH_PGTEST_APP,
                                     FH_PGTEST_UNIX);
    config->owner_location = fh_pgtest_dsn(cluster, FH_PGTEST_OWNER, FH_PGTEST_UNIX);
}

static bool configure_other(struct fh_store_config *config)
{
    const struct fh_pgtest_options options = {.fsync_off = true};
    if (other == NULL && fh_pgtest_start(&options, &other) != FH_OK) {
        return false;
    }
    config->location = fh_pgtest_dsn(other, FH_PGTEST_APP, FH_PGTEST_UNIX);
    config->owner_location = fh_pgtest_dsn(other, FH_PGTEST_OWNER, FH_PGTEST_UNIX);
    return fh_pgtest_reset_homes(other);
}

static enum fh_code open_pg(const struct fh_env *env, const struct fh_store_config *config,
                            struct fh_store **out, struct fh_error *error)
{
    return fh_store_pg_ops.open(env, config, out, error);
}

int main(int argc, char **argv)
{
    static const struct suite_engine engine = {.name = "postgresql",
                                               .durable = true,
                                               .start = start,
                                               .stop = stop,
                                               .reset = reset,
                                               .configure = configure,
                                               .configure_other = configure_other,
                                               .open = open_pg};
    return fh_conformance_main(&engine, argc, argv);
}
