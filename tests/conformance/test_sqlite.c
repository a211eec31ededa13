/* The suite over SQLite: a directory of its own for every store of every test. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stores/sqlite/sqlite.h"
#include "tests/conformance/suite.h"

static char directories[2][256]; /* of the store and of the other */

static int remove_cb(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_directories(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (directories[i][0] != '\0') {
            (void)nftw(directories[i], remove_cb, 16, FTW_DEPTH | FTW_PHYS);
            directories[i][0] = '\0';
        }
    }
}

static bool make_directory(size_t i)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(directories[i], sizeof(directories[i]), "%s/freehold-conformance-XXXXXX",
                   base != NULL ? base : P_tmpdir);
    if (mkdtemp(directories[i]) == NULL) {
        directories[i][0] = '\0';
        return false;
    }
    return true;
}

static int new_directory(void)
{
    remove_directories();
    return make_directory(0) ? 0 : -1;
}

static void configure(bool skips_enforcement, struct fh_store_config *config)
{
    (void)skips_enforcement;
    config->location = directories[0];
}

static bool configure_other(struct fh_store_config *config)
{
    config->location = directories[1];
    return make_directory(1);
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
                                               .configure_other = configure_other,
                                               .open = open_sqlite,
                                               .cleanup = remove_directories};
    return fh_conformance_main(&engine, argc, argv);
}
