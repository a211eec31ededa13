/* The part of a store that no engine may get wrong: what may enter, and what may leave.
 *
 * Happy path: fh_store_submit() checks the request against the stated bounds and hands it to the
 * engine; the engine ends it with fh_request_complete(), which compares the tenant of everything
 * that is returned with the scope's, counts, and calls back.
 *
 * Failures: a request out of bounds is refused and its callback never fires. A foreign row turns
 * the whole answer into FH_FOREIGN_ROW, with nothing in it, and an event in the log. Completing
 * twice, or within submit, is a broken invariant: abort.
 */
#include "stores/store.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"

void fh_store_init(struct fh_store *store, const struct fh_store_ops *ops, const struct fh_env *env,
                   const struct fh_store_config *config)
{
    memset(store, 0, sizeof(*store));
    store->ops = ops;
    store->env = env;
    (void)snprintf(store->name, sizeof(store->name), "%s", config->name);
#ifdef FREEHOLD_FAULTS
    store->faults = config->faults;
#endif
}

static enum fh_code invalid(struct fh_request *request, const char *what)
{
    return fh_error_set(&request->error, FH_INVALID, "%s", what);
}

bool fh_request_knows_table(const struct fh_request *request, const struct fh_table *table)
{
    const struct fh_schema *schema = request->scope.schema;
    return table != NULL && table->position < schema->table_count &&
           schema->tables[table->position] == table;
}

enum fh_code fh_request_check_key(struct fh_request *request, const struct fh_key *key)
{
    if (!fh_request_knows_table(request, key->table)) {
        return invalid(request, "the table is not of the request's schema");
    }
    for (uint16_t i = 0; i < key->table->key_count; i++) {
        if (key->values[i].is_null ||
            key->values[i].type != key->table->columns[key->table->key[i]].type) {
            return invalid(request, "a key value is null or of another type");
        }
    }
    return FH_OK;
}

static enum fh_code check_get(struct fh_request *request)
{
    const struct fh_op_get *get = &request->as.get;
    if (get->count < 1 || get->count > FH_GET_KEYS_MAX) {
        return invalid(request, "a read takes 1 to 100 keys");
    }
    for (size_t i = 0; i < get->count; i++) {
        enum fh_code code = fh_request_check_key(request, &get->keys[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code check_list(struct fh_request *request)
{
    const struct fh_op_list *list = &request->as.list;
    if (list->limit < 1 || list->limit > FH_LIST_ROWS_MAX) {
        return invalid(request, "a page holds 1 to 1000 rows");
    }
    if (!fh_request_knows_table(request, list->table)) {
        return invalid(request, "the table is not of the request's schema");
    }
    if (list->after == NULL) {
        return FH_OK;
    }
    if (list->after->table != list->table) {
        return invalid(request, "the page starts in another table");
    }
    return fh_request_check_key(request, list->after);
}

static bool is_visible_ascii(struct fh_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x21 || text.data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static enum fh_code check_writes(struct fh_request *request)
{
    const struct fh_op_commit *commit = &request->as.commit;
    for (size_t i = 0; i < commit->count; i++) {
        const struct fh_write *write = &commit->writes[i];
        request->as.commit.failed_write = i;
        enum fh_code code = fh_request_check_key(request, &write->key);
        if (code != FH_OK) {
            return code;
        }
        if ((unsigned)write->op > FH_WRITE_PURGE || (unsigned)write->expect > FH_EXPECT_ABSENT ||
            write->expect_version < 0 || write->assignment_count > FH_COLUMNS_MAX ||
            (write->insert_if_missing && write->op != FH_WRITE_UPDATE)) {
            return invalid(request, "a write is out of bounds");
        }
    }
    uint16_t order[FH_COMMIT_WRITES_MAX];
    fh_writes_lock_order(commit->writes, commit->count, order);
    for (size_t i = 1; i < commit->count; i++) {
        if (fh_key_compare(&commit->writes[order[i - 1]].key, &commit->writes[order[i]].key) == 0) {
            request->as.commit.failed_write = order[i];
            return invalid(request, "two writes of one commit name the same record");
        }
    }
    request->as.commit.failed_write = SIZE_MAX;
    return FH_OK;
}

static enum fh_code check_commit(struct fh_request *request)
{
    const struct fh_op_commit *commit = &request->as.commit;
    if (commit->count < 1 || commit->count > FH_COMMIT_WRITES_MAX) {
        return invalid(request, "a commit takes 1 to 500 writes");
    }
    if (commit->request_id.len > FH_REQUEST_ID_MAX || !is_visible_ascii(commit->request_id)) {
        return invalid(request, "a request id is at most 64 characters of visible ASCII");
    }
    if (commit->actor.len > FH_ACTOR_MAX || commit->address.len > FH_ADDRESS_MAX ||
        !fh_str_is_text(commit->actor) || !fh_str_is_text(commit->address)) {
        return invalid(request, "actor or address is too long or not text");
    }
    return check_writes(request);
}

static bool fence_valid(const struct fh_fence *fence)
{
    return fence->mode >= FH_FENCE_OPEN && fence->mode <= FH_FENCE_INCOMING &&
           fence->epoch <= INT64_MAX && fence->generation <= INT64_MAX; /* engines keep int64 */
}

static enum fh_code check_credential(struct fh_request *request)
{
    const struct fh_op_credential *credential = &request->as.credential;
    if (!fh_home_is_dedicated(&request->scope.home)) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "only a dedicated tenant can have credentials of its own");
    }
    if ((unsigned)credential->action > FH_CREDENTIAL_REVOKE ||
        credential->table_count > FH_CREDENTIAL_TABLES_MAX) {
        return invalid(request, "credentials name at most 64 tables");
    }
    for (size_t i = 0; i < credential->table_count; i++) {
        if (!fh_request_knows_table(request, credential->tables[i])) {
            return invalid(request, "a table is not of the request's schema");
        }
    }
    return FH_OK;
}

static enum fh_code check_schema(struct fh_request *request)
{
    if (request->as.schema.target == NULL) {
        return invalid(request, "no target schema");
    }
    return fh_home_is_dedicated(&request->scope.home)
               ? fh_move_guard_check(request, &request->as.schema.guard)
               : FH_OK;
}

static enum fh_code check_op(struct fh_request *request)
{
    switch (request->op) {
    case FH_OP_GET:
        return check_get(request);
    case FH_OP_LIST:
        return check_list(request);
    case FH_OP_COMMIT:
        return check_commit(request);
    case FH_OP_EVENTS:
        if (request->as.events.limit < 1 || request->as.events.limit > FH_EVENTS_MAX) {
            return invalid(request, "a page holds 1 to 1000 records");
        }
        return FH_OK;
    case FH_OP_HOME_CREATE:
        return fence_valid(&request->as.home.fence) ? FH_OK : invalid(request, "not a fence");
    case FH_OP_FENCE_SET:
        if (!fence_valid(&request->as.fence.expected) || !fence_valid(&request->as.fence.desired)) {
            return invalid(request, "not a fence");
        }
        return FH_OK;
    case FH_OP_SCHEMA_APPLY:
        return check_schema(request);
    case FH_OP_CREDENTIAL:
        return check_credential(request);
    case FH_OP_HOME_ERASE:
    case FH_OP_FENCE_READ:
    case FH_OP_CHECK:
        return FH_OK;
    default:
        return fh_move_op_check(request);
    }
}

static enum fh_code check_scope(struct fh_request *request)
{
    const struct fh_scope *scope = &request->scope;
    bool dedicated = fh_home_is_dedicated(&scope->home);
    bool tenantless =
        (request->op == FH_OP_SCHEMA_APPLY && !dedicated) || request->op == FH_OP_CHECK;
    if (tenantless != fh_uuid_is_nil(&scope->tenant)) {
        return invalid(request, tenantless ? "this operation is on behalf of no tenant"
                                           : "the request names no tenant");
    }
    if (request->op != FH_OP_CHECK && !fh_home_is_valid(&scope->home)) {
        return invalid(request, "the request names no home");
    }
    struct fh_uuid owner;
    if (!tenantless && dedicated &&
        !(fh_home_tenant(&scope->home, &owner) && fh_uuid_eq(&owner, &scope->tenant))) {
        return invalid(request, "the home is not the tenant's");
    }
    if (scope->epoch > INT64_MAX) {
        return invalid(request, "the epoch is out of range");
    }
    bool needs_schema = request->op == FH_OP_GET || request->op == FH_OP_LIST ||
                        request->op == FH_OP_COMMIT || request->op == FH_OP_EVENTS ||
                        request->op == FH_OP_HOME_ERASE || request->op == FH_OP_CREDENTIAL ||
                        (request->op == FH_OP_HOME_CREATE && dedicated) ||
                        request->op >= FH_OP_SNAPSHOT_OPEN;
    if (needs_schema && scope->schema == NULL) {
        return invalid(request, "the request has no schema");
    }
    return FH_OK;
}

static enum fh_code check_probe(struct fh_request *request)
{
    const struct fh_probe *probe = request->probe;
    if (probe == NULL) {
        return FH_OK;
    }
    bool placed = !fh_uuid_is_nil(&probe->place);
    if (request->op != FH_OP_GET || !fh_uuid_is_canary(&request->scope.tenant) ||
        !fh_uuid_is_canary(&probe->context) || (placed && !fh_uuid_is_canary(&probe->place)) ||
        placed != fh_home_is_dedicated(&request->scope.home)) {
        return invalid(request, "a probe is a read of one canary with another");
    }
    return FH_OK;
}

/* Takes away whatever holds rows. */
static void withhold(struct fh_request *request)
{
    switch (request->op) {
    case FH_OP_GET:
        request->as.get.rows = NULL;
        return;
    case FH_OP_LIST:
        request->as.list.rows = NULL;
        request->as.list.count = 0;
        request->as.list.more = false;
        return;
    case FH_OP_COMMIT:
        request->as.commit.rows = NULL;
        request->as.commit.seq = 0;
        request->as.commit.at_us = 0;
        request->as.commit.replayed = false;
        return;
    case FH_OP_EVENTS:
        request->as.events.records = NULL;
        request->as.events.count = 0;
        request->as.events.more = false;
        return;
    case FH_OP_CHECK:
        request->as.check.findings = NULL;
        request->as.check.count = 0;
        return;
    case FH_OP_CREDENTIAL:
        request->as.credential.user = FH_STR("");
        request->as.credential.secret = FH_STR("");
        request->as.credential.database = FH_STR("");
        request->as.credential.host = FH_STR("");
        request->as.credential.port = FH_STR("");
        request->as.credential.namespace = FH_STR("");
        return;
    case FH_OP_HOME_CREATE:
    case FH_OP_HOME_ERASE:
    case FH_OP_FENCE_READ:
    case FH_OP_FENCE_SET:
    case FH_OP_SCHEMA_APPLY:
        return;
    default:
        fh_move_op_withhold(request);
    }
}

static void clear_results(struct fh_request *request)
{
    withhold(request);
    request->code = FH_OK;
    memset(&request->error, 0, sizeof(request->error));
    request->epoch_seen = 0;
    request->mode_seen = 0;
    request->version_seen = 0;
    request->engine = NULL;
    fh_list_init(&request->node);
    if (request->op == FH_OP_COMMIT) {
        request->as.commit.failed_write = SIZE_MAX;
    } else if (request->op == FH_OP_HOME_CREATE || request->op == FH_OP_HOME_ERASE) {
        request->as.home.rows_erased = 0;
    } else if (request->op == FH_OP_FENCE_READ || request->op == FH_OP_FENCE_SET) {
        memset(&request->as.fence.seen, 0, sizeof(request->as.fence.seen));
        request->as.fence.schema_version = 0;
    } else if (request->op == FH_OP_SCHEMA_APPLY) {
        request->as.schema.version_seen = 0;
    }
}

#ifdef FREEHOLD_FAULTS
/* The requests that see or change rows through their home alone. */
static bool can_go_astray(const struct fh_request *request)
{
    return fh_home_is_dedicated(&request->scope.home) &&
           (request->op <= FH_OP_EVENTS || request->op >= FH_OP_SNAPSHOT_OPEN) &&
           request->op != FH_OP_SNAPSHOT_CLOSE && request->op != FH_OP_COPY_WITHIN;
}
#endif

static bool is_sent_elsewhere(const struct fh_request *request)
{
    return request->probe != NULL && fh_home_is_dedicated(&request->scope.home);
}

/* A mistake that no test of a store's own can make: the request ends up in another tenant's
 * dedicated home. come_back() undoes it before its caller looks. */
static void go_astray(const struct fh_store *store, struct fh_request *request)
{
    if (is_sent_elsewhere(request) && !store->passes_on) {
        fh_home_of(request->scope.home.tier, &request->probe->place, &request->scope.home);
        return;
    }
#ifdef FREEHOLD_FAULTS
    const struct fh_isolation_faults *faults = store->faults;
    if (faults != NULL && faults->wrong_home_every != 0 && !store->passes_on &&
        (store->counters.submitted + 1) % faults->wrong_home_every == 0 && can_go_astray(request)) {
        fh_home_of(request->scope.home.tier, &faults->wrong_tenant, &request->scope.home);
    }
#else
    (void)store;
    (void)request;
#endif
}

static void come_back(struct fh_request *request)
{
    bool back = is_sent_elsewhere(request);
#ifdef FREEHOLD_FAULTS
    back = back || can_go_astray(request);
#endif
    if (back) {
        fh_home_of(request->scope.home.tier, &request->scope.tenant, &request->scope.home);
    }
}

enum fh_code fh_store_submit(struct fh_store *store, struct fh_request *request)
{
    FH_ASSERT(request->phase == FH_REQUEST_IDLE);
    FH_ASSERT(request->arena != NULL && request->done_cb != NULL);
    clear_results(request);
    if (store->closing) {
        return fh_error_set(&request->error, FH_SHUTTING_DOWN, "the store is closing");
    }
    enum fh_code code = check_scope(request);
    if (code == FH_OK) {
        code = check_op(request);
    }
    if (code == FH_OK) {
        code = check_probe(request);
    }
    if (code != FH_OK) {
        return code;
    }
    if (request->deadline_us <= fh_clock_monotonic_us(store->env->clock)) {
        return fh_error_set(&request->error, FH_DEADLINE, "the deadline passed");
    }
    request->store = store;
    request->phase = FH_REQUEST_SUBMITTING;
    go_astray(store, request);
    code = store->ops->submit(store, request);
    if (code != FH_OK) {
        request->phase = FH_REQUEST_IDLE;
        come_back(request);
        return code;
    }
    request->phase = FH_REQUEST_IN_FLIGHT;
    store->counters.submitted++;
    store->counters.in_flight++;
    return FH_OK;
}

static bool row_owned(const struct fh_row *row, const struct fh_uuid *tenant)
{
    return row == NULL || fh_uuid_eq(&row->tenant, tenant);
}

static bool rows_owned(struct fh_row *const *rows, size_t count, const struct fh_uuid *tenant)
{
    if (rows == NULL) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (!row_owned(rows[i], tenant)) {
            return false;
        }
    }
    return true;
}

static bool records_owned(const struct fh_op_events *events, const struct fh_uuid *tenant)
{
    for (size_t i = 0; i < events->count; i++) {
        const struct fh_commit_record *record = &events->records[i];
        if (!fh_uuid_eq(&record->tenant, tenant)) {
            return false;
        }
        for (size_t k = 0; k < record->change_count; k++) {
            if (!row_owned(record->changes[k].before, tenant) ||
                !row_owned(record->changes[k].after, tenant)) {
                return false;
            }
        }
    }
    return true;
}

/* Layer three: whatever the statement, the policy and the engine did, only the scope's own rows
 * leave. */
static bool results_owned(const struct fh_request *request)
{
    const struct fh_uuid *tenant = &request->scope.tenant;
    switch (request->op) {
    case FH_OP_GET:
        return rows_owned(request->as.get.rows, request->as.get.count, tenant);
    case FH_OP_LIST:
        return rows_owned(request->as.list.rows, request->as.list.count, tenant);
    case FH_OP_COMMIT:
        return rows_owned(request->as.commit.rows, request->as.commit.count, tenant);
    case FH_OP_EVENTS:
        return records_owned(&request->as.events, tenant);
    case FH_OP_HOME_CREATE:
    case FH_OP_HOME_ERASE:
    case FH_OP_FENCE_READ:
    case FH_OP_FENCE_SET:
    case FH_OP_SCHEMA_APPLY:
    case FH_OP_CHECK:
    case FH_OP_CREDENTIAL:
        return true;
    default:
        return fh_move_op_owned(request);
    }
}

static bool skips_ownership_check(const struct fh_store *store)
{
#ifdef FREEHOLD_FAULTS
    return store->faults != NULL && store->faults->skip_ownership_check;
#else
    (void)store;
    return false;
#endif
}

/* Ours or the store's fault, as against an answer that the caller earned. */
static bool counts_as_failed(enum fh_code code)
{
    switch (code) {
    case FH_OUTCOME_UNKNOWN:
    case FH_DEADLINE:
    case FH_FULL:
    case FH_NOMEM:
    case FH_DISK_FULL:
    case FH_INTERNAL:
    case FH_FOREIGN_ROW:
    case FH_UNAVAILABLE:
    case FH_CORRUPT:
        return true;
    default:
        return false;
    }
}

void fh_request_complete(struct fh_request *request, enum fh_code code)
{
    /* Exactly once, and not before submit returned. */
    FH_ASSERT(request->phase == FH_REQUEST_IN_FLIGHT);
    struct fh_store *store = request->store;
    come_back(request);
    if (code == FH_OK && !skips_ownership_check(store) && !results_owned(request)) {
        code = fh_error_set(&request->error, FH_FOREIGN_ROW, "%s", fh_code_text(FH_FOREIGN_ROW));
        if (request->probe ==
            NULL) { /* the prober provokes it, and reports what it should not see */
            FH_LOG(store->env->log, ERROR, "store.foreign_row", FH_KV_TEXT("store", store->name),
                   FH_KV_UUID("tenant", request->scope.tenant), FH_KV_INT("op", request->op));
        }
    }
    if (code != FH_OK) {
        withhold(request);
    }
    FH_ASSERT(store->counters.in_flight > 0);
    store->counters.in_flight--;
    store->counters.completed++;
    if (counts_as_failed(code) && request->probe == NULL) {
        store->counters.failed++;
    }
    request->code = code;
    request->phase = FH_REQUEST_IDLE;
    /* The callback may free the request or submit it again: nothing of it is touched behind this
     * line. */
    request->done_cb(request);
}
