/* Homes: where in a store a tenant's rows are.
 *
 * What a home's name means to an engine:
 *
 *   tier      name              PostgreSQL                       SQLite
 *   shared    fh_shared         schema fh_shared                 shared.db
 *   schema    t_<32 hex>        schema t_<32 hex>                tables t_<32 hex>__* of a bridge
 * file database  t_<32 hex>        database t_<32 hex>, schema app  a file of its own
 *
 * A dedicated home (schema, database) belongs to one tenant and is made and dropped with it; its
 * tables carry CHECK (tenant_id = ...) besides all that shared ones have.
 */
#ifndef FH_STORES_HOME_H
#define FH_STORES_HOME_H

#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "base/uuid.h"

enum fh_tier { FH_TIER_SHARED = 1, FH_TIER_SCHEMA, FH_TIER_DATABASE };

#define FH_HOME_NAME_MAX 40
#define FH_HOME_SHARED "fh_shared"

struct fh_home {
    enum fh_tier tier;
    char name[FH_HOME_NAME_MAX]; /* see above; padded with zeros */
};

/* The tenant's home of that tier. */
void fh_home_of(enum fh_tier tier, const struct fh_uuid *tenant, struct fh_home *out);
/* Whose dedicated home it is; false: a shared one, or no home's name. */
bool fh_home_tenant(const struct fh_home *home, struct fh_uuid *tenant);
/* Whether it may stand in a statement. Homes are made by us alone, but their names end up there: so
 * store.c asks once for every engine. */
bool fh_home_is_valid(const struct fh_home *home);
static inline bool fh_home_is_dedicated(const struct fh_home *home)
{
    return home->tier != FH_TIER_SHARED;
}
static inline bool fh_home_equal(const struct fh_home *a, const struct fh_home *b)
{
    return a->tier == b->tier && strncmp(a->name, b->name, sizeof(a->name)) == 0;
}
const char *fh_tier_name(enum fh_tier tier); /* "shared", "schema", "database" */
/* False: none of the three. */
bool fh_tier_of_name(struct fh_str name, enum fh_tier *out);

#endif
