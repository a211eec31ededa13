/* Happy path: look; a catalog of our format is there. Else: begin, take the lock that every server
 * takes for this, look again, make everything, commit.
 *
 * Failures: the transaction is rolled back, so there is a whole catalog or none. Whoever waited for
 * the lock finds the catalog of the one who had it.
 */
#include "router/catalog_pg/schema.h"

/* `there`: and of a format that this program knows. */
static enum fh_code look(struct fh_catalog_pg_link *link, bool locked, bool *there,
                         struct fh_error *error)
{
    bool schema = false;
    int64_t format = 0;
    *there = false;
    if (locked) {
        fh_catalog_pg_link_add(link, FH_CATALOG_PG_SQL_BEGIN, NULL);
        fh_catalog_pg_link_add(link, FH_CATALOG_PG_SQL_SETUP_WAIT, NULL);
        fh_catalog_pg_link_add(link, FH_CATALOG_PG_SQL_SETUP_LOCK, NULL);
    }
    fh_catalog_pg_link_add_text(link, fh_catalog_pg_sql_look);
    enum fh_code code = fh_catalog_pg_link_run(link, error);
    if (code != FH_OK) {
        return code;
    }
    const PGresult *result = fh_catalog_pg_link_result(link, locked ? 3 : 0);
    if (fh_catalog_pg_bool(result, 0, 0, &schema) != FH_OK ||
        fh_catalog_pg_bool(result, 0, 1, there) != FH_OK) {
        return fh_error_set(error, FH_CORRUPT, "the server's own tables cannot be read");
    }
    if (schema && !*there) {
        return fh_error_set(error, FH_INVALID,
                            "schema freehold_catalog of this database is not a catalog of "
                            "Freehold; name another database");
    }
    if (!*there) {
        return FH_OK;
    }
    fh_catalog_pg_link_add_text(link, fh_catalog_pg_sql_format);
    code = fh_catalog_pg_link_run(link, error);
    if (code != FH_OK) {
        return code;
    }
    if (fh_catalog_pg_int(fh_catalog_pg_link_result(link, 0), 0, 0, 1, INT64_MAX, &format) !=
        FH_OK) {
        return fh_error_set(error, FH_CORRUPT, "the catalog does not say its format");
    }
    if (format > FH_CATALOG_PG_FORMAT) {
        return fh_error_set(error, FH_PRECONDITION,
                            "the catalog has format %lld, made by a newer Freehold; this one knows "
                            "%d: use the newer program",
                            (long long)format, FH_CATALOG_PG_FORMAT);
    }
    return FH_OK;
}

enum fh_code fh_catalog_pg_schema_ensure(struct fh_catalog_pg_link *link, struct fh_error *error)
{
    bool there = false;
    enum fh_code code = look(link, false, &there, error);
    if (code != FH_OK || there) {
        return code;
    }
    code = look(link, true, &there, error);
    if (code == FH_OK && !there) {
        for (size_t i = 0; fh_catalog_pg_sql_create[i] != NULL; i++) {
            fh_catalog_pg_link_add_text(link, fh_catalog_pg_sql_create[i]);
        }
        code = fh_catalog_pg_link_commit(link, error);
    }
    if (code == FH_PERMISSION) {
        code = fh_error_set(error, code,
                            "the catalog's role may not make schema freehold_catalog: grant it "
                            "CREATE on the database");
    }
    fh_catalog_pg_link_rollback(link);
    return code;
}
