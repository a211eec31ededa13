/* The suite over SQLite: a file of its own for every test. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "router/catalog_sqlite/catalog_sqlite.h"
#include "tests/conformance/catalog/suite.h"

static char directory[128];
static char path[160];

static void remove_directory(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[192];
    if (directory[0] == '\0') {
        return;
    }
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    (void)rmdir(directory);
    directory[0] = '\0';
}

static int new_directory(void)
{
    const char *base = getenv("TMPDIR");
    remove_directory();
    (void)snprintf(directory, sizeof(directory), "%.80s/freehold-catalog-XXXXXX",
                   base != NULL ? base : P_tmpdir);
    if (mkdtemp(directory) == NULL) {
        directory[0] = '\0';
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/catalog.db", directory);
    return 0;
}

static enum fh_code open_sqlite(const struct fh_env *env, struct fh_catalog **out,
                                struct fh_error *error)
{
    return fh_catalog_sqlite_open(env, path, out, error);
}

int main(int argc, char **argv)
{
    static const struct catalog_engine engine = {.name = "sqlite",
                                                 .shared = false,
                                                 .reset = new_directory,
                                                 .open = open_sqlite,
                                                 .cleanup = remove_directory};
    return catalog_conformance_main(&engine, argc, argv);
}
