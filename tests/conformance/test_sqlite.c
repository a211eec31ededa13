/* The suite over SQLite: a directory of its own for every test. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stores/sqlite/sqlite.h"
#include "tests/conformance/suite.h"

static char directory[256];

static int remove_cb(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_directory(void)
{
    if (directory[0] != '\0') {
        (void)nftw(directory, remove_cb, 16, FTW_DEPTH | FTW_PHYS);
        directory[0] = '\0';
    }
}

static int new_directory(void)
{
    const char *base = getenv("TMPDIR");
    remove_directory();
    (void)snprintf(directory, sizeof(directory), "%s/freehold-conformance-XXXXXX",
                   base != NULL ? base : P_tmpdir);
    if (mkdtemp(directory) == NULL) {
        directory[0] = '\0';
        return -1;
    }
    return 0;
}

static void configure(bool skips_enforcement, struct fh_store_config *config)
{
    (void)skips_enforcement;
    config->location = directory;
}

static enum fh_code open_sqlite(const struct fh_env *env, const struct fh_store_config *config,
                                struct fh_store **out, struct fh_error *error)
{
    return fh_store_sqlite_ops.open(env, config, out, error);
}

int main(int argc, char **argv)
{
    static const struct suite_engine engine = {.name = "sqlite",
                                               .durable = true,
                                               .reset = new_directory,
                                               .configure = configure,
                                               .open = open_sqlite,
                                               .cleanup = remove_directory};
    return fh_conformance_main(&engine, argc, argv);
}
