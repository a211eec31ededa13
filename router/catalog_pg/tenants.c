/* Happy path: a tenant is a row of tenants, one of placements and some of labels, read in one
 * statement. The placement's row is what a change of the tenant locks first.
 *
 * Failures: a slug or a request id that was ever used is met by the unique constraints, so of two
 * servers one waits for the other and then sees what it made; the compare-and-set of a state
 * answers the tenant as it is.
 */
#include <stdio.h>

#include "router/catalog_pg/ops.h"
#include "router/move_rules.h"

#define RESOURCE_SIZE 64

static enum fh_code no_tenant(const struct fh_catalog_pg_txn *txn)
{
    return fh_error_set(&txn->request->error, FH_NO_TENANT, "%s", fh_code_text(FH_NO_TENANT));
}

static enum fh_code read_labels(const PGresult *result, int row, struct fh_arena *arena,
                                struct fh_tenant *out)
{
    struct fh_str *texts = NULL; /* key, value, key, ... */
    size_t count = 0;
    enum fh_code code =
        fh_catalog_pg_texts(result, row, 12, (size_t)2 * FH_LABELS_MAX, arena, &texts, &count);
    if (code != FH_OK || count == 0) {
        return code;
    }
    if (count % 2 != 0) {
        return FH_CORRUPT;
    }
    out->labels = FH_ARENA_ARRAY(arena, struct fh_label, count / 2);
    if (out->labels == NULL) {
        return FH_TOO_LARGE;
    }
    for (size_t i = 0; i < count / 2; i++) {
        out->labels[i] = (struct fh_label){.key = texts[2 * i], .value = texts[2 * i + 1]};
    }
    out->label_count = count / 2;
    return FH_OK;
}

enum fh_code fh_catalog_pg_tenant_read(const PGresult *result, int row, struct fh_arena *arena,
                                       struct fh_tenant *out)
{
    struct fh_tenant tenant = {.label_count = 0};
    struct fh_str *texts[] = {&tenant.slug, &tenant.display_name, &tenant.plan};
    int64_t state = 0;
    enum fh_code code = fh_catalog_pg_uuid(result, row, 0, &tenant.uuid);
    for (int i = 0; i < 3 && code == FH_OK; i++) {
        code = fh_catalog_pg_text(result, row, i + 1, arena, texts[i]);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_int(result, row, 4, FH_TENANT_PROVISIONING, FH_TENANT_DELETED, &state);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_int(result, row, 5, INT64_MIN, INT64_MAX, &tenant.created_at_us);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_int(result, row, 6, INT64_MIN, INT64_MAX, &tenant.updated_at_us);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_placement_read(result, row, 7, &tenant.placement);
    }
    if (code == FH_OK) {
        code = read_labels(result, row, arena, &tenant);
    }
    if (code == FH_OK) {
        tenant.state = (enum fh_tenant_state)state;
        *out = tenant;
    }
    return code;
}

/* The one row of the group's i-th statement. */
static enum fh_code read_one(const struct fh_catalog_pg_txn *txn, size_t index,
                             struct fh_tenant *out)
{
    return fh_catalog_pg_unread(
        txn, fh_catalog_pg_tenant_read(fh_catalog_pg_link_result(txn->link, index), 0,
                                       txn->request->arena, out));
}

static void tenant_resource(const struct fh_uuid *uuid, char out[RESOURCE_SIZE])
{
    char text[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(uuid, text);
    (void)snprintf(out, RESOURCE_SIZE, "tenants/%s", text);
}

/* An earlier creation with the same request id answers; another slug shows that it is not a
 * repetition. */
static enum fh_code replay(const struct fh_catalog_pg_txn *txn, size_t index)
{
    struct fh_tenant stored = {.label_count = 0};
    enum fh_code code = read_one(txn, index, &stored);
    if (code != FH_OK) {
        return code;
    }
    if (!fh_str_eq(stored.slug, txn->request->as.tenant.slug)) {
        return fh_error_set(&txn->request->error, FH_REQUEST_ID_REUSED,
                            "this request_id created another tenant");
    }
    txn->request->as.tenant = stored;
    return FH_OK;
}

/* Whether it is a repetition: `*replayed`, and the code is the answer. Else whether it may go on.
 */
static enum fh_code look_before(const struct fh_catalog_pg_txn *txn, bool *replayed)
{
    struct fh_str request_id = txn->request->audit.request_id;
    const char *store = txn->request->as.tenant.placement.store;
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_by_text_add(txn, FH_CATALOG_PG_SQL_TENANT_BY_REQUEST_ID, request_id);
    fh_catalog_pg_by_text_add(txn, FH_CATALOG_PG_SQL_STORE_EXISTS, fh_str_of(store));
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    *replayed = request_id.len > 0 && fh_catalog_pg_rows(txn, 1) > 0;
    if (*replayed) {
        return replay(txn, 1);
    }
    return fh_catalog_pg_rows(txn, 2) > 0 ? FH_OK
                                          : fh_error_set(&txn->request->error, FH_PRECONDITION,
                                                         "store %s is not registered", store);
}

/* The uuid, the slug or the request id was met; behind a creation that ran meanwhile, too. */
static enum fh_code already_there(const struct fh_catalog_pg_txn *txn, bool *replayed)
{
    if (txn->request->audit.request_id.len > 0) {
        fh_catalog_pg_by_text_add(txn, FH_CATALOG_PG_SQL_TENANT_BY_REQUEST_ID,
                                  txn->request->audit.request_id);
        enum fh_code code = fh_catalog_pg_run(txn);
        if (code != FH_OK) {
            return code;
        }
        if (fh_catalog_pg_rows(txn, 0) > 0) {
            *replayed = true;
            return replay(txn, 0);
        }
    }
    return fh_error_field(&txn->request->error, FH_EXISTS, "slug",
                          "the slug %.*s is taken; slugs are never reused",
                          FH_STR_ARG(txn->request->as.tenant.slug));
}

static enum fh_code insert_tenant(const struct fh_catalog_pg_txn *txn, bool *replayed)
{
    const struct fh_tenant *tenant = &txn->request->as.tenant;
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_uuid(&params, &tenant->uuid);
    fh_catalog_pg_param_text(&params, tenant->slug);
    fh_catalog_pg_param_text(&params, tenant->display_name);
    fh_catalog_pg_param_text(&params, tenant->plan);
    fh_catalog_pg_param_text_or_null(&params, txn->request->audit.request_id);
    fh_catalog_pg_param_int(&params, txn->now_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_TENANT_INSERT, &params);
    enum fh_code code = fh_catalog_pg_run(txn);
    return code == FH_OK && fh_catalog_pg_rows(txn, 0) == 0 ? already_there(txn, replayed) : code;
}

static enum fh_code check_labels(const struct fh_catalog_pg_txn *txn)
{
    const struct fh_tenant *tenant = &txn->request->as.tenant;
    for (size_t i = 0; i < tenant->label_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (fh_str_eq(tenant->labels[i].key, tenant->labels[j].key)) {
                return fh_error_field(&txn->request->error, FH_INVALID, "labels",
                                      "a label's key is given twice");
            }
        }
    }
    return FH_OK;
}

/* Placement and labels, and the tenant as it is then. */
static enum fh_code insert_rest(const struct fh_catalog_pg_txn *txn, struct fh_tenant *stored)
{
    const struct fh_tenant *tenant = &txn->request->as.tenant;
    fh_catalog_pg_placement_add(txn, FH_CATALOG_PG_SQL_PLACEMENT_INSERT, &tenant->uuid,
                                &tenant->placement);
    for (size_t i = 0; i < tenant->label_count; i++) {
        struct fh_catalog_pg_params params = {.count = 0};
        fh_catalog_pg_param_uuid(&params, &tenant->uuid);
        fh_catalog_pg_param_text(&params, tenant->labels[i].key);
        fh_catalog_pg_param_text(&params, tenant->labels[i].value);
        fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_LABEL_INSERT, &params);
    }
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_TENANT_BY_UUID, &tenant->uuid);
    enum fh_code code = fh_catalog_pg_run(txn);
    return code == FH_OK ? read_one(txn, tenant->label_count + 1, stored) : code;
}

enum fh_code fh_catalog_pg_tenant_create(const struct fh_catalog_pg_txn *txn)
{
    struct fh_tenant stored = {.label_count = 0};
    bool replayed = false;
    enum fh_code code = look_before(txn, &replayed);
    if (code == FH_OK && !replayed) {
        code = insert_tenant(txn, &replayed);
    }
    if (code != FH_OK || replayed) {
        return code;
    }
    code = check_labels(txn);
    if (code == FH_OK) {
        code = insert_rest(txn, &stored);
    }
    if (code == FH_OK) {
        char resource[RESOURCE_SIZE];
        char detail[FH_SLUG_MAX + FH_STORE_NAME_MAX + 32];
        tenant_resource(&stored.uuid, resource);
        (void)snprintf(detail, sizeof(detail), "slug %.*s store %s", FH_STR_ARG(stored.slug),
                       stored.placement.store);
        fh_catalog_pg_event_add(txn, "tenant.create", resource, fh_str_of(detail));
        code = fh_catalog_pg_commit(txn);
    }
    if (code == FH_OK) {
        txn->request->as.tenant = stored;
    }
    return code;
}

enum fh_code fh_catalog_pg_tenant_get(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    if (fh_uuid_is_nil(&request->as.get.uuid)) {
        fh_catalog_pg_by_text_add(txn, FH_CATALOG_PG_SQL_TENANT_BY_SLUG, request->as.get.slug);
    } else {
        fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_TENANT_BY_UUID, &request->as.get.uuid);
    }
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK && fh_catalog_pg_rows(txn, 0) == 0) {
        return no_tenant(txn);
    }
    return code == FH_OK ? read_one(txn, 0, &request->as.get.tenant) : code;
}

static void list_add(const struct fh_catalog_pg_txn *txn)
{
    const uint32_t all = 31u << FH_TENANT_PROVISIONING;
    const uint32_t unfinished = 1u << FH_TENANT_PROVISIONING | 1u << FH_TENANT_DELETING;
    const struct fh_catalog_request *request = txn->request;
    uint32_t states = request->as.list.states;
    if (states == 0) {
        states = all & ~(1u << FH_TENANT_DELETED);
    }
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_uuid(&params, &request->as.list.after);
    fh_catalog_pg_param_int(&params, states);
    fh_catalog_pg_param_int(&params, request->as.list.updated_before_us);
    fh_catalog_pg_param_int(&params, (int64_t)request->as.list.limit + 1);
    fh_catalog_pg_link_add(txn->link,
                           (states & ~unfinished) == 0 ? FH_CATALOG_PG_SQL_TENANTS_UNFINISHED
                                                       : FH_CATALOG_PG_SQL_TENANTS,
                           &params);
}

enum fh_code fh_catalog_pg_tenant_list(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    size_t limit = request->as.list.limit;
    request->as.list.count = 0;
    request->as.list.more = false;
    request->as.list.tenants = FH_ARENA_ARRAY(request->arena, struct fh_tenant, limit);
    if (request->as.list.tenants == NULL) {
        return fh_catalog_pg_unread(txn, FH_TOO_LARGE);
    }
    list_add(txn);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    size_t rows = (size_t)fh_catalog_pg_rows(txn, 0);
    const PGresult *result = fh_catalog_pg_link_result(txn->link, 0);
    request->as.list.more = rows > limit;
    for (size_t i = 0; i < rows && i < limit; i++) {
        code =
            fh_catalog_pg_tenant_read(result, (int)i, request->arena, &request->as.list.tenants[i]);
        if (code != FH_OK) {
            return fh_catalog_pg_unread(txn, code);
        }
        request->as.list.count++;
    }
    return FH_OK;
}

/* The comparison of compare-and-set; the transaction holds the placement's lock. */
static enum fh_code may_advance(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    const struct fh_tenant *present = &request->as.advance.tenant;
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

static enum fh_code lock_and_compare(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    const struct fh_uuid *uuid = &request->as.advance.uuid;
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_PLACEMENT_LOCK, uuid);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_TENANT_BY_UUID, uuid);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_MOVE_UNFINISHED_OF_TENANT, uuid);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK && fh_catalog_pg_rows(txn, 2) == 0) {
        return no_tenant(txn);
    }
    if (code == FH_OK) {
        code = read_one(txn, 2, &request->as.advance.tenant);
    }
    if (code == FH_OK) {
        code = may_advance(txn);
    }
    /* A move under way holds fences in two stores, which a deletion would not know. */
    enum fh_tenant_state to = request->as.advance.to;
    if (code == FH_OK && (to == FH_TENANT_DELETING || to == FH_TENANT_DELETED) &&
        fh_catalog_pg_rows(txn, 3) > 0) {
        return fh_error_set(&request->error, FH_PRECONDITION, "%s", FH_MOVE_BLOCKS_DELETION);
    }
    return code;
}

enum fh_code fh_catalog_pg_tenant_advance(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_tenant *tenant = &request->as.advance.tenant;
    enum fh_code code = lock_and_compare(txn);
    if (code != FH_OK) {
        return code;
    }
    enum fh_tenant_state before = tenant->state;
    tenant->state = request->as.advance.to;
    tenant->updated_at_us = txn->now_us;
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_uuid(&params, &tenant->uuid);
    fh_catalog_pg_param_int(&params, tenant->state);
    fh_catalog_pg_param_int(&params, txn->now_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_TENANT_ADVANCE, &params);
    if (request->as.advance.bump_generation) {
        tenant->placement.generation++;
        fh_catalog_pg_placement_add(txn, FH_CATALOG_PG_SQL_PLACEMENT_SET, &tenant->uuid,
                                    &tenant->placement);
    }
    char resource[RESOURCE_SIZE];
    char detail[96];
    tenant_resource(&tenant->uuid, resource);
    (void)snprintf(detail, sizeof(detail), "%s -> %s, generation %llu",
                   fh_tenant_state_name(before), fh_tenant_state_name(tenant->state),
                   (unsigned long long)tenant->placement.generation);
    fh_catalog_pg_event_add(txn, "tenant.state", resource, fh_str_of(detail));
    return fh_catalog_pg_commit(txn);
}
