/* The suite over a real server; the schema goes before every test. */
#include "router/catalog_pg/catalog_pg.h"
#include "tests/conformance/catalog/suite.h"
#include "tests/lib/postgres.h"

static struct fh_pgtest *server;

static int start(void)
{
    const struct fh_pgtest_options options = {.fsync_off = true};
    return fh_pgtest_start(&options, &server) == FH_OK ? 0 : -1;
}

static void stop(void)
{
    fh_pgtest_stop(server);
}

static int drop_schema(void)
{
    return fh_pgtest_exec(server, FH_PGTEST_OWNER, "DROP SCHEMA IF EXISTS freehold_catalog CASCADE")
               ? 0
               : -1;
}

static enum fh_code open_pg(const struct fh_env *env, struct fh_catalog **out,
                            struct fh_error *error)
{
    return fh_catalog_pg_open(env, fh_pgtest_dsn(server, FH_PGTEST_OWNER, FH_PGTEST_UNIX), out,
                              error);
}

int main(int argc, char **argv)
{
    static const struct catalog_engine engine = {.name = "postgresql",
                                                 .shared = true,
                                                 .start = start,
                                                 .stop = stop,
                                                 .reset = drop_schema,
                                                 .open = open_pg};
    return catalog_conformance_main(&engine, argc, argv);
}
