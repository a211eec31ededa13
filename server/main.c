/* freeholdd: the server, with the engines it offers. */
#include "server/app.h"
#include "stores/pg/pg.h"
#include "stores/sqlite/sqlite.h"

static const struct fh_store_ops *const engines[] = {&fh_store_sqlite_ops, &fh_store_pg_ops};

int main(int argc, char **argv)
{
    return fh_app_main(FH_APP_SERVER, argc, argv, engines, sizeof(engines) / sizeof(engines[0]));
}
