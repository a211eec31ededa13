/* freehold-migrator: carries out the moves of a shared catalog, beside the servers or with --once.
 * The same engine runs inside freeholdd; settings are freeholdd's. */
#include "server/app.h"
#include "stores/pg/pg.h"
#include "stores/sqlite/sqlite.h"

static const struct fh_store_ops *const engines[] = {&fh_store_sqlite_ops, &fh_store_pg_ops};

int main(int argc, char **argv)
{
    return fh_app_main(FH_APP_MIGRATOR, argc, argv, engines, sizeof(engines) / sizeof(engines[0]));
}
