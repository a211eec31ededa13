/* Every text the catalog sends to PostgreSQL. All are fixed; values are parameters. */
#ifndef FH_ROUTER_CATALOG_PG_SQL_H
#define FH_ROUTER_CATALOG_PG_SQL_H

#define FH_CATALOG_PG_FORMAT 2 /* of the tables; the embedded catalog counts alike */
#define FH_CATALOG_PG_CHANNEL "freehold_catalog"

enum fh_catalog_pg_statement {
    FH_CATALOG_PG_SQL_BEGIN,
    FH_CATALOG_PG_SQL_SETUP_WAIT,
    FH_CATALOG_PG_SQL_SETUP_LOCK,
    FH_CATALOG_PG_SQL_COMMIT,
    FH_CATALOG_PG_SQL_ROLLBACK,
    FH_CATALOG_PG_SQL_LISTEN,
    FH_CATALOG_PG_SQL_NOTIFY,
    FH_CATALOG_PG_SQL_EVENT_INSERT,
    FH_CATALOG_PG_SQL_EVENTS,
    FH_CATALOG_PG_SQL_EVENTS_OF,
    FH_CATALOG_PG_SQL_TENANT_INSERT,
    FH_CATALOG_PG_SQL_PLACEMENT_INSERT,
    FH_CATALOG_PG_SQL_LABEL_INSERT,
    FH_CATALOG_PG_SQL_PLACEMENT_LOCK,
    FH_CATALOG_PG_SQL_TENANT_BY_UUID,
    FH_CATALOG_PG_SQL_TENANT_BY_SLUG,
    FH_CATALOG_PG_SQL_TENANT_BY_REQUEST_ID,
    FH_CATALOG_PG_SQL_TENANTS,
    FH_CATALOG_PG_SQL_TENANTS_UNFINISHED,
    FH_CATALOG_PG_SQL_TENANT_ADVANCE,
    FH_CATALOG_PG_SQL_PLACEMENT_SET,
    FH_CATALOG_PG_SQL_STORE_INSERT,
    FH_CATALOG_PG_SQL_STORE_EXISTS,
    FH_CATALOG_PG_SQL_STORES,
    FH_CATALOG_PG_SQL_MIGRATION_NEWEST,
    FH_CATALOG_PG_SQL_MIGRATION_INSERT,
    FH_CATALOG_PG_SQL_MIGRATIONS,
    FH_CATALOG_PG_SQL_PAGE_KEY_INSERT,
    FH_CATALOG_PG_SQL_PAGE_KEYS,
    FH_CATALOG_PG_SQL_COUNT
};

const char *fh_catalog_pg_sql(enum fh_catalog_pg_statement which);

/* Of the set-up, see schema.c; sent as texts. */
extern const char fh_catalog_pg_sql_look[];          /* whether there is a schema, and our table */
extern const char fh_catalog_pg_sql_format[];        /* of a catalog that is there */
extern const char *const fh_catalog_pg_sql_create[]; /* ends with NULL */

#endif
