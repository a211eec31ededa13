/* The only place that names the catalog's implementations. */
#include "router/catalog_pg/catalog_pg.h"
#include "router/catalog_sqlite/catalog_sqlite.h"
#include "server/app.h"

enum fh_code fh_app_open_catalog(struct fh_app *app, struct fh_error *error)
{
    if (app->config.catalog[0] != '\0') {
        return fh_catalog_pg_open(&app->env, app->config.catalog, &app->catalog, error);
    }
    const char *path = fh_arena_printf(&app->arena, "%s/catalog.db", app->config.data_dir);
    if (path == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    return fh_catalog_sqlite_open(&app->env, path, &app->catalog, error);
}
