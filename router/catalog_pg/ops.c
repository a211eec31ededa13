/* Happy path: what the operations share: the end of a change, and the forms several of them read.
 *
 * The hint goes out in the change's transaction, so that it is told if and only if the change was
 * made; servers hear it once they can read the change.
 */
#include "router/catalog_pg/ops.h"

#include <stdio.h>

void fh_catalog_pg_event_add(const struct fh_catalog_pg_txn *txn, const char *action,
                             const char *resource, struct fh_str detail)
{
    const struct fh_audit_context *audit = &txn->request->audit;
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_int(&params, txn->now_us);
    fh_catalog_pg_param_text(&params, audit->actor);
    fh_catalog_pg_param_text(&params, audit->address);
    fh_catalog_pg_param_text(&params, fh_str_of(action));
    fh_catalog_pg_param_text(&params, fh_str_of(resource));
    fh_catalog_pg_param_text(&params, audit->reason);
    fh_catalog_pg_param_text(&params, detail);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_EVENT_INSERT, &params);
}

enum fh_code fh_catalog_pg_event_alone(const struct fh_catalog_pg_txn *txn)
{
    const struct fh_catalog_request *request = txn->request;
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_event_add(txn, request->as.event_add.action, request->as.event_add.resource,
                            fh_str_of(request->as.event_add.detail));
    return fh_catalog_pg_commit(txn);
}

static void notify_add(const struct fh_catalog_pg_txn *txn)
{
    static const char *const kinds[] = {
        [FH_CATALOG_HINT_TENANT] = "tenant:",   [FH_CATALOG_HINT_MOVE] = "move:",
        [FH_CATALOG_HINT_STORES] = "stores",    [FH_CATALOG_HINT_SCHEMA] = "schema",
        [FH_CATALOG_HINT_ROLLOUT] = "rollout:",
    };
    struct fh_catalog_pg_params params = {.count = 0};
    enum fh_catalog_hint hint = FH_CATALOG_HINT_TENANT;
    struct fh_uuid uuid;
    char payload[64];
    if (!fh_catalog_hint_of(txn->request, &hint, &uuid)) {
        return;
    }
    char text[FH_UUID_TEXT_LEN + 1] = "";
    if (hint == FH_CATALOG_HINT_TENANT || hint == FH_CATALOG_HINT_MOVE ||
        hint == FH_CATALOG_HINT_ROLLOUT) {
        fh_uuid_format(&uuid, text);
    }
    (void)snprintf(payload, sizeof(payload), "%s%s", kinds[hint], text);
    fh_catalog_pg_param_text(&params, fh_str_of(payload));
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_NOTIFY, &params);
}

enum fh_code fh_catalog_pg_commit(const struct fh_catalog_pg_txn *txn)
{
    notify_add(txn);
    return fh_catalog_pg_link_commit(txn->link, &txn->request->error);
}

enum fh_code fh_catalog_pg_unread(const struct fh_catalog_pg_txn *txn, enum fh_code code)
{
    switch (code) {
    case FH_OK:
        return FH_OK;
    case FH_CORRUPT:
        return fh_error_set(&txn->request->error, code,
                            "the catalog holds a record that cannot be read: restore it from a "
                            "backup");
    case FH_TOO_LARGE:
        return fh_error_set(&txn->request->error, code,
                            "the answer is too large; ask for a smaller page");
    default:
        return fh_error_set(&txn->request->error, code, "%s", fh_code_text(code));
    }
}

enum fh_code fh_catalog_pg_placement_read(const PGresult *result, int row, int column,
                                          struct fh_placement *out)
{
    struct fh_placement placement = {.epoch = 0};
    int64_t tier = 0;
    int64_t epoch = 0;
    int64_t generation = 0;
    if (fh_catalog_pg_name(result, row, column, placement.store, sizeof(placement.store)) !=
            FH_OK ||
        fh_catalog_pg_int(result, row, column + 1, FH_TIER_SHARED, FH_TIER_DATABASE, &tier) !=
            FH_OK ||
        fh_catalog_pg_name(result, row, column + 2, placement.home.name,
                           sizeof(placement.home.name)) != FH_OK ||
        fh_catalog_pg_int(result, row, column + 3, 1, INT64_MAX, &epoch) != FH_OK ||
        fh_catalog_pg_int(result, row, column + 4, 1, INT64_MAX, &generation) != FH_OK) {
        return FH_CORRUPT;
    }
    placement.home.tier = (enum fh_tier)tier;
    placement.epoch = (uint64_t)epoch;
    placement.generation = (uint64_t)generation;
    *out = placement;
    return FH_OK;
}

void fh_catalog_pg_placement_add(const struct fh_catalog_pg_txn *txn,
                                 enum fh_catalog_pg_statement which, const struct fh_uuid *tenant,
                                 const struct fh_placement *placement)
{
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_uuid(&params, tenant);
    fh_catalog_pg_param_text(&params, fh_str_of(placement->store));
    fh_catalog_pg_param_int(&params, placement->home.tier);
    fh_catalog_pg_param_text(&params, fh_str_of(placement->home.name));
    fh_catalog_pg_param_int(&params, (int64_t)placement->epoch);
    fh_catalog_pg_param_int(&params, (int64_t)placement->generation);
    fh_catalog_pg_link_add(txn->link, which, &params);
}

void fh_catalog_pg_by_uuid_add(const struct fh_catalog_pg_txn *txn,
                               enum fh_catalog_pg_statement which, const struct fh_uuid *uuid)
{
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_uuid(&params, uuid);
    fh_catalog_pg_link_add(txn->link, which, &params);
}

void fh_catalog_pg_by_text_add(const struct fh_catalog_pg_txn *txn,
                               enum fh_catalog_pg_statement which, struct fh_str text)
{
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_text(&params, text);
    fh_catalog_pg_link_add(txn->link, which, &params);
}

int fh_catalog_pg_rows(const struct fh_catalog_pg_txn *txn, size_t index)
{
    return PQntuples(fh_catalog_pg_link_result(txn->link, index));
}
