/* Happy path: a tenant is a row of tenants, one of placements and some of labels; reading joins the
 * first two and fetches the labels of each.
 *
 * Failures: a slug or a request id that was ever used is met by the unique constraints, so two
 * creations cannot both win; the compare-and-set of a state answers the tenant as it is.
 */
#include <stdio.h>

#include "router/catalog_sqlite/ops.h"
#include "router/move_rules.h"

static enum fh_code corrupt(struct fh_catalog_request *request)
{
    return fh_error_set(&request->error, FH_CORRUPT,
                        "the catalog's file holds a tenant that cannot be read: restore it from a "
                        "backup");
}

/* An arena that is full, told as such: the caller may ask for less. */
static enum fh_code no_room(struct fh_catalog_request *request, enum fh_code code)
{
    if (code == FH_CORRUPT) {
        return corrupt(request);
    }
    return fh_error_set(&request->error, code, "%s",
                        code == FH_TOO_LARGE ? "the answer is too large; ask for a smaller page"
                                             : fh_code_text(code));
}

static enum fh_code read_labels(const struct fh_catalog_txn *txn,
                                struct fh_catalog_request *request, struct fh_tenant *tenant)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_LABELS, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &tenant->uuid);
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        if (tenant->label_count == FH_LABELS_MAX) {
            code = corrupt(request);
            break;
        }
        if (tenant->labels == NULL) {
            tenant->labels = FH_ARENA_ARRAY(request->arena, struct fh_label, FH_LABELS_MAX);
        }
        if (tenant->labels == NULL) {
            code = no_room(request, FH_NOMEM);
            break;
        }
        struct fh_label *label = &tenant->labels[tenant->label_count];
        code = fh_catalog_column_text(statement, 0, request->arena, &label->key);
        if (code == FH_OK) {
            code = fh_catalog_column_text(statement, 1, request->arena, &label->value);
        }
        if (code != FH_OK) {
            code = no_room(request, code);
            break;
        }
        tenant->label_count++;
    }
    fh_catalog_db_end(statement);
    return code;
}

static bool read_fixed(sqlite3_stmt *statement, struct fh_tenant *out)
{
    struct fh_placement *placement = &out->placement;
    int64_t state = sqlite3_column_int64(statement, 4);
    int64_t tier = sqlite3_column_int64(statement, 8);
    int64_t epoch = sqlite3_column_int64(statement, 10);
    int64_t generation = sqlite3_column_int64(statement, 11);
    if (state < FH_TENANT_PROVISIONING || state > FH_TENANT_DELETED || tier < FH_TIER_SHARED ||
        tier > FH_TIER_DATABASE || epoch < 1 || generation < 1) {
        return false;
    }
    out->state = (enum fh_tenant_state)state;
    out->created_at_us = sqlite3_column_int64(statement, 5);
    out->updated_at_us = sqlite3_column_int64(statement, 6);
    placement->home.tier = (enum fh_tier)tier;
    placement->epoch = (uint64_t)epoch;
    placement->generation = (uint64_t)generation;
    return fh_catalog_column_bytes(statement, 0, out->uuid.bytes, sizeof(out->uuid.bytes)) &&
           fh_catalog_column_name(statement, 7, placement->store, sizeof(placement->store)) &&
           fh_catalog_column_name(statement, 9, placement->home.name, sizeof(placement->home.name));
}

/* The row the statement stands on. */
static enum fh_code read_tenant(const struct fh_catalog_txn *txn, sqlite3_stmt *statement,
                                struct fh_catalog_request *request, struct fh_tenant *out)
{
    struct fh_tenant tenant = {0};
    if (!read_fixed(statement, &tenant)) {
        return corrupt(request);
    }
    enum fh_code code = fh_catalog_column_text(statement, 1, request->arena, &tenant.slug);
    if (code == FH_OK) {
        code = fh_catalog_column_text(statement, 2, request->arena, &tenant.display_name);
    }
    if (code == FH_OK) {
        code = fh_catalog_column_text(statement, 3, request->arena, &tenant.plan);
    }
    if (code != FH_OK) {
        return no_room(request, code);
    }
    code = read_labels(txn, request, &tenant);
    if (code == FH_OK) {
        *out = tenant;
    }
    return code;
}

/* Steps a prepared and bound statement that gives one tenant at most, and ends it. */
static enum fh_code read_one(const struct fh_catalog_txn *txn, sqlite3_stmt *statement,
                             struct fh_catalog_request *request, struct fh_tenant *out, bool *found)
{
    enum fh_code code = fh_catalog_db_step(txn->db, statement, found, &request->error);
    if (code == FH_OK && *found) {
        code = read_tenant(txn, statement, request, out);
    }
    fh_catalog_db_end(statement);
    return code;
}

enum fh_code fh_catalog_tenant_find(const struct fh_catalog_txn *txn,
                                    struct fh_catalog_request *request, const struct fh_uuid *uuid,
                                    struct fh_tenant *out, bool *found)
{
    sqlite3_stmt *statement = NULL;
    *found = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_TENANT_BY_UUID, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, uuid);
    return read_one(txn, statement, request, out, found);
}

static enum fh_code find_by_text(const struct fh_catalog_txn *txn,
                                 struct fh_catalog_request *request,
                                 enum fh_catalog_statement which, struct fh_str text,
                                 struct fh_tenant *out, bool *found)
{
    sqlite3_stmt *statement = NULL;
    *found = false;
    enum fh_code code = fh_catalog_db_get(txn->db, which, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_text(statement, 1, text);
    return read_one(txn, statement, request, out, found);
}

enum fh_code fh_catalog_store_registered(const struct fh_catalog_txn *txn,
                                         struct fh_catalog_request *request, const char *name)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_STORE_EXISTS, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_text(statement, 1, fh_str_of(name));
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    if (code == FH_OK && !row) {
        return fh_error_set(&request->error, FH_PRECONDITION, "store %s is not registered", name);
    }
    return code;
}

/* The uuid or the slug was met: which, and is it this very creation's? */
static enum fh_code already_there(struct fh_catalog_request *request)
{
    return fh_error_field(&request->error, FH_EXISTS, "slug",
                          "the slug %.*s is taken; slugs are never reused",
                          FH_STR_ARG(request->as.tenant.slug));
}

static enum fh_code insert_tenant(const struct fh_catalog_txn *txn,
                                  struct fh_catalog_request *request)
{
    const struct fh_tenant *tenant = &request->as.tenant;
    sqlite3_stmt *statement = NULL;
    bool inserted = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_TENANT_INSERT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &tenant->uuid);
    fh_catalog_bind_text(statement, 2, tenant->slug);
    fh_catalog_bind_text(statement, 3, tenant->display_name);
    fh_catalog_bind_text(statement, 4, tenant->plan);
    fh_catalog_bind_text_or_null(statement, 5, request->audit.request_id);
    fh_catalog_bind_int(statement, 6, txn->now_us);
    code = fh_catalog_db_step(txn->db, statement, &inserted, &request->error);
    fh_catalog_db_end(statement);
    return code == FH_OK && !inserted ? already_there(request) : code;
}

static enum fh_code insert_placement(const struct fh_catalog_txn *txn,
                                     struct fh_catalog_request *request)
{
    const struct fh_placement *placement = &request->as.tenant.placement;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_PLACEMENT_INSERT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &request->as.tenant.uuid);
    fh_catalog_bind_text(statement, 2, fh_str_of(placement->store));
    fh_catalog_bind_int(statement, 3, placement->home.tier);
    fh_catalog_bind_text(statement, 4, fh_str_of(placement->home.name));
    fh_catalog_bind_int(statement, 5, (int64_t)placement->epoch);
    fh_catalog_bind_int(statement, 6, (int64_t)placement->generation);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code insert_labels(const struct fh_catalog_txn *txn,
                                  struct fh_catalog_request *request)
{
    const struct fh_tenant *tenant = &request->as.tenant;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < tenant->label_count && code == FH_OK; i++) {
        sqlite3_stmt *statement = NULL;
        bool inserted = false;
        code = fh_catalog_db_get(txn->db, FH_CATALOG_SQL_LABEL_INSERT, &statement, &request->error);
        if (code != FH_OK) {
            return code;
        }
        fh_catalog_bind_uuid(statement, 1, &tenant->uuid);
        fh_catalog_bind_text(statement, 2, tenant->labels[i].key);
        fh_catalog_bind_text(statement, 3, tenant->labels[i].value);
        code = fh_catalog_db_step(txn->db, statement, &inserted, &request->error);
        fh_catalog_db_end(statement);
        if (code == FH_OK && !inserted) {
            code = fh_error_field(&request->error, FH_INVALID, "labels",
                                  "a label's key is given twice");
        }
    }
    return code;
}

static void tenant_resource(const struct fh_uuid *uuid, char out[64])
{
    char text[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(uuid, text);
    (void)snprintf(out, 64, "tenants/%s", text);
}

/* An earlier creation with the same request id answers; another slug shows that it is not a
 * repetition. */
static enum fh_code replay(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                           bool *found)
{
    struct fh_tenant stored = {0};
    *found = false;
    if (request->audit.request_id.len == 0) {
        return FH_OK;
    }
    enum fh_code code = find_by_text(txn, request, FH_CATALOG_SQL_TENANT_BY_REQUEST_ID,
                                     request->audit.request_id, &stored, found);
    if (code != FH_OK || !*found) {
        return code;
    }
    if (!fh_str_eq(stored.slug, request->as.tenant.slug)) {
        return fh_error_set(&request->error, FH_REQUEST_ID_REUSED,
                            "this request_id created another tenant");
    }
    request->as.tenant = stored;
    return FH_OK;
}

enum fh_code fh_catalog_tenant_create(const struct fh_catalog_txn *txn,
                                      struct fh_catalog_request *request)
{
    struct fh_uuid uuid = request->as.tenant.uuid;
    bool replayed = false;
    enum fh_code code = replay(txn, request, &replayed);
    if (code != FH_OK || replayed) {
        return code;
    }
    code = fh_catalog_store_registered(txn, request, request->as.tenant.placement.store);
    if (code == FH_OK) {
        code = insert_tenant(txn, request);
    }
    if (code == FH_OK) {
        code = insert_placement(txn, request);
    }
    if (code == FH_OK) {
        code = insert_labels(txn, request);
    }
    if (code == FH_OK) {
        char resource[64];
        char detail[FH_SLUG_MAX + FH_STORE_NAME_MAX + 32];
        tenant_resource(&uuid, resource);
        (void)snprintf(detail, sizeof(detail), "slug %.*s store %s",
                       FH_STR_ARG(request->as.tenant.slug), request->as.tenant.placement.store);
        code = fh_catalog_event(txn, request, "tenant.create", resource, detail);
    }
    if (code != FH_OK) {
        return code;
    }
    bool found = false;
    struct fh_tenant stored = {0};
    code = fh_catalog_tenant_find(txn, request, &uuid, &stored, &found);
    if (code == FH_OK && !found) {
        code = corrupt(request);
    }
    if (code == FH_OK) {
        request->as.tenant = stored;
    }
    return code;
}

static enum fh_code no_tenant(struct fh_catalog_request *request)
{
    return fh_error_set(&request->error, FH_NO_TENANT, "%s", fh_code_text(FH_NO_TENANT));
}

enum fh_code fh_catalog_tenant_get(const struct fh_catalog_txn *txn,
                                   struct fh_catalog_request *request)
{
    bool found = false;
    enum fh_code code = FH_OK;
    if (fh_uuid_is_nil(&request->as.get.uuid)) {
        code = find_by_text(txn, request, FH_CATALOG_SQL_TENANT_BY_SLUG, request->as.get.slug,
                            &request->as.get.tenant, &found);
    } else {
        code = fh_catalog_tenant_find(txn, request, &request->as.get.uuid, &request->as.get.tenant,
                                      &found);
    }
    return code == FH_OK && !found ? no_tenant(request) : code;
}

enum fh_code fh_catalog_tenant_list(const struct fh_catalog_txn *txn,
                                    struct fh_catalog_request *request)
{
    const uint32_t all = 31u << FH_TENANT_PROVISIONING;
    const uint32_t unfinished = 1u << FH_TENANT_PROVISIONING | 1u << FH_TENANT_DELETING;
    uint32_t states = request->as.list.states;
    if (states == 0) {
        states = all & ~(1u << FH_TENANT_DELETED);
    }
    request->as.list.count = 0;
    request->as.list.more = false;
    request->as.list.tenants =
        FH_ARENA_ARRAY(request->arena, struct fh_tenant, request->as.list.limit);
    if (request->as.list.tenants == NULL) {
        return no_room(request, FH_TOO_LARGE);
    }
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code = fh_catalog_db_get(
        txn->db,
        (states & ~unfinished) == 0 ? FH_CATALOG_SQL_TENANTS_UNFINISHED : FH_CATALOG_SQL_TENANTS,
        &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &request->as.list.after);
    fh_catalog_bind_int(statement, 2, states);
    fh_catalog_bind_int(statement, 3, request->as.list.updated_before_us);
    fh_catalog_bind_int(statement, 4, (int64_t)request->as.list.limit + 1);
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        if (request->as.list.count == request->as.list.limit) {
            request->as.list.more = true;
            break;
        }
        code =
            read_tenant(txn, statement, request, &request->as.list.tenants[request->as.list.count]);
        if (code != FH_OK) {
            break;
        }
        request->as.list.count++;
    }
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code set_state(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_TENANT_ADVANCE, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &request->as.advance.uuid);
    fh_catalog_bind_int(statement, 2, request->as.advance.to);
    fh_catalog_bind_int(statement, 3, txn->now_us);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code set_generation(const struct fh_catalog_txn *txn,
                                   struct fh_catalog_request *request, uint64_t generation)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_GENERATION_SET, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &request->as.advance.uuid);
    fh_catalog_bind_int(statement, 2, (int64_t)generation);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

/* The comparison of compare-and-set; the transaction holds the file's write lock. */
static enum fh_code may_advance(struct fh_catalog_request *request, const struct fh_tenant *present)
{
    if ((request->as.advance.from_states >> present->state & 1u) == 0) {
        return fh_error_set(&request->error, FH_PRECONDITION, "the tenant is %s",
                            fh_tenant_state_name(present->state));
    }
    if (request->as.advance.generation != 0 &&
        request->as.advance.generation != present->placement.generation) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "somebody else took the tenant over: its generation is %llu now",
                            (unsigned long long)present->placement.generation);
    }
    return FH_OK;
}

/* A move under way holds fences in two stores, which a deletion would not know. */
static enum fh_code may_delete(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    bool moving = false;
    struct fh_move move;
    enum fh_tenant_state to = request->as.advance.to;
    if (to != FH_TENANT_DELETING && to != FH_TENANT_DELETED) {
        return FH_OK;
    }
    enum fh_code code =
        fh_catalog_move_unfinished(txn, request, &request->as.advance.uuid, &move, &moving);
    if (code == FH_OK && moving) {
        return fh_error_set(&request->error, FH_PRECONDITION, "%s", FH_MOVE_BLOCKS_DELETION);
    }
    return code;
}

enum fh_code fh_catalog_tenant_advance(const struct fh_catalog_txn *txn,
                                       struct fh_catalog_request *request)
{
    struct fh_tenant *tenant = &request->as.advance.tenant;
    bool found = false;
    enum fh_code code =
        fh_catalog_tenant_find(txn, request, &request->as.advance.uuid, tenant, &found);
    if (code == FH_OK && !found) {
        return no_tenant(request);
    }
    if (code == FH_OK) {
        code = may_advance(request, tenant);
    }
    if (code == FH_OK) {
        code = may_delete(txn, request);
    }
    if (code != FH_OK) {
        return code;
    }
    enum fh_tenant_state before = tenant->state;
    code = set_state(txn, request);
    if (code == FH_OK && request->as.advance.bump_generation) {
        tenant->placement.generation++;
        code = set_generation(txn, request, tenant->placement.generation);
    }
    tenant->state = request->as.advance.to;
    tenant->updated_at_us = txn->now_us;
    if (code == FH_OK) {
        char resource[64];
        char detail[96];
        tenant_resource(&tenant->uuid, resource);
        (void)snprintf(detail, sizeof(detail), "%s -> %s, generation %llu",
                       fh_tenant_state_name(before), fh_tenant_state_name(tenant->state),
                       (unsigned long long)tenant->placement.generation);
        code = fh_catalog_event(txn, request, "tenant.state", resource, detail);
    }
    return code;
}
