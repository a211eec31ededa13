/* One store and tier:
 *
 *   canaries listed -> (made, listed again) -> both fences read -> own records read -> (written)
 *   -> the probes, one by one
 *
 * Failures: whatever keeps a pair from being probed is one line of the report, UNKNOWN. A home that
 * moved or changed (FH_MOVED, FH_HELD, FH_STALE_SCHEMA) sends the pair back to the list. A table
 * that refuses the canaries' records is passed over. Where a canary could not be made, the runs of
 * the prober's own do not try again: each try leaves a row in the catalog.
 */
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "prober/internal.h"

#define PAIR_TRIES_MAX 4
#define MAKE_TRIES_MAX 6 /* of a pair: two canaries, each perhaps by its second name */
#define REQUEST_TIMEOUT_US (10LL * 1000000)
#define CHECK_TIMEOUT_US (60LL * 1000000) /* looks at every table of every home */
#define MAKE_TIMEOUT_US (60LL * 1000000)
#define STORE_IN_SLUG_MAX 30
#define LABEL "fh_canary"

static void list(struct fh_prober *prober);
static void look(struct fh_prober *prober, unsigned which);
static void visit(struct fh_prober *prober, unsigned which);
static void shoot(struct fh_prober *prober);

/* The pair cannot be probed (any further). */
static void give_up(struct fh_prober *prober, enum fh_probe_verdict verdict, const char *what,
                    const char *why)
{
    struct fh_probe_result *result = fh_prober_add_result(prober, "canaries", "");
    if (result != NULL) {
        result->verdict = verdict;
        (void)snprintf(result->text, sizeof(result->text), "%s%s%s", what,
                       why[0] != '\0' ? ": " : "", why);
    }
    fh_prober_end_pair(prober);
}

static const char *why_of(const struct fh_error *error, enum fh_code code)
{
    return error->code != FH_OK ? fh_error_text(error) : fh_code_text(code);
}

static bool is_passing(enum fh_code code)
{
    return code == FH_MOVED || code == FH_HELD || code == FH_STALE_SCHEMA || code == FH_CONFLICT;
}

/* Once more from the list on, or not at all. Nothing of the tries before is read again: a store
 * with many findings must not fill the arena with the same ones over and over. */
static void start_over(struct fh_prober *prober)
{
    if (++prober->pair.tries > PAIR_TRIES_MAX) {
        give_up(prober, FH_PROBE_UNKNOWN, "the canaries' homes did not stand still", "");
        return;
    }
    fh_arena_reset(&prober->arena);
    list(prober);
}

/* -- The probes ---------------------------------------------------------------------------------
 */

/* False: to be tried again with the homes looked at anew. */
static bool note(struct fh_prober *prober, enum fh_code code)
{
    struct fh_probe_pair *pair = &prober->pair;
    struct fh_probe_result verdict = {0};
    bool last = pair->tries >= PAIR_TRIES_MAX;
    if (!fh_probe_judge(pair->probe_at, &pair->ground, &prober->request, code, last, &verdict)) {
        return false;
    }
    struct fh_probe_result *result = fh_prober_add_result(prober, fh_probe_name(pair->probe_at),
                                                          fh_probe_expected(pair->probe_at));
    if (result != NULL) {
        result->seen = verdict.seen;
        result->verdict = verdict.verdict;
        result->gone = verdict.gone;
        memcpy(result->text, verdict.text, sizeof(result->text));
    }
    if (verdict.verdict >= FH_PROBE_BROKEN) {
        FH_LOG(prober->parts.env->log, ERROR, "probe.broken",
               FH_KV_TEXT("store", fh_prober_here(prober)->store),
               FH_KV_TEXT("tier", fh_tier_name(fh_prober_here(prober)->tier)),
               FH_KV_TEXT("probe", fh_probe_name(pair->probe_at)),
               FH_KV_TEXT("what", verdict.text));
    }
    pair->probe_at++;
    return true;
}

static void shot_cb(struct fh_request *request)
{
    struct fh_prober *prober = request->arg;
    if (fh_prober_is_over(prober)) {
        return;
    }
    if (note(prober, request->code)) {
        shoot(prober);
    } else {
        start_over(prober);
    }
}

static void prepare(struct fh_prober *prober, fh_request_done_cb *done_cb)
{
    prober->request = (struct fh_request){
        .deadline_us = fh_prober_deadline_in(prober, REQUEST_TIMEOUT_US),
        .arena = &prober->arena,
        .done_cb = done_cb,
        .arg = prober,
    };
}

/* Some are refused at once: those answers are as good. */
static void shoot(struct fh_prober *prober)
{
    struct fh_probe_pair *pair = &prober->pair;
    pair->probing = true;
    while (pair->probe_at < fh_probe_count()) {
        const char *why = NULL;
        prepare(prober, shot_cb);
        enum fh_code code = fh_probe_aim(pair->probe_at, &pair->ground, &prober->arena,
                                         &prober->shot, &prober->request, &why);
        if (prober->request.op == FH_OP_CHECK) {
            prober->request.deadline_us = fh_prober_deadline_in(prober, CHECK_TIMEOUT_US);
        }
        if (code == FH_UNIMPLEMENTED) {
            struct fh_probe_result *result =
                why != NULL ? fh_prober_add_result(prober, fh_probe_name(pair->probe_at),
                                                   fh_probe_expected(pair->probe_at))
                            : NULL;
            if (result != NULL) {
                result->verdict = FH_PROBE_SKIPPED;
                (void)snprintf(result->text, sizeof(result->text), "%s", why);
            }
            pair->probe_at++;
            continue;
        }
        if (code == FH_OK) {
            code = fh_store_submit(pair->store, &prober->request);
            if (code == FH_OK) {
                return;
            }
        }
        if (!note(prober, code)) {
            start_over(prober);
            return;
        }
    }
    fh_prober_end_pair(prober);
}

/* -- The canaries' records ----------------------------------------------------------------------
 */

/* The next table that takes them, from table_at on. */
static void seek_table(struct fh_prober *prober)
{
    struct fh_probe_pair *pair = &prober->pair;
    struct fh_probe_ground *ground = &pair->ground;
    for (; pair->table_at < ground->schemas[0]->table_count; pair->table_at++) {
        const struct fh_table *table = ground->schemas[0]->tables[pair->table_at];
        bool fits = true;
        for (unsigned which = 0; which < 2 && fits; which++) {
            const struct fh_table *own = fh_schema_table_by_id(ground->schemas[which], table->id);
            fits = own != NULL && fh_canary_writes(own, &ground->pair, which, &prober->arena,
                                                   prober->writes) == FH_OK;
        }
        if (fits) {
            ground->table_id = table->id;
            visit(prober, 0);
            return;
        }
    }
    give_up(prober, FH_PROBE_SKIPPED, "the schema has no table that canaries can fill", "");
}

static void settled(struct fh_prober *prober, unsigned which)
{
    if (which == 0) {
        visit(prober, 1);
    } else {
        shoot(prober);
    }
}

static void written(struct fh_prober *prober, enum fh_code code)
{
    switch (code) {
    case FH_OK:
        settled(prober, prober->pair.which);
        return;
    case FH_CHECK_VIOLATION:
    case FH_UNIQUE_VIOLATION:
    case FH_REFERENCE_VIOLATION:
    case FH_INVALID:
    case FH_RANGE:
        prober->pair.table_at++;
        seek_table(prober);
        return;
    default:
        if (is_passing(code)) {
            start_over(prober);
            return;
        }
        give_up(prober, FH_PROBE_UNKNOWN, "a canary's records could not be written",
                why_of(&prober->request.error, code));
    }
}

static void written_cb(struct fh_request *request)
{
    struct fh_prober *prober = request->arg;
    if (!fh_prober_is_over(prober)) {
        written(prober, request->code);
    }
}

static void scope_of(struct fh_prober *prober, unsigned which)
{
    const struct fh_probe_ground *ground = &prober->pair.ground;
    prober->pair.which = which;
    prober->request.scope = (struct fh_scope){.tenant = ground->pair.uuids[which],
                                              .epoch = ground->epochs[which],
                                              .home = ground->homes[which],
                                              .schema = ground->schemas[which]};
}

static void write_records(struct fh_prober *prober, unsigned which)
{
    struct fh_probe_ground *ground = &prober->pair.ground;
    const struct fh_table *table = fh_schema_table_by_id(ground->schemas[which], ground->table_id);
    prepare(prober, written_cb);
    scope_of(prober, which);
    prober->request.op = FH_OP_COMMIT;
    prober->request.as.commit = (struct fh_op_commit){
        .writes = prober->writes,
        .count = FH_CANARY_RECORDS,
        .actor = FH_STR("freehold-prober"),
        .address = FH_STR("local"),
    };
    enum fh_code code =
        fh_canary_writes(table, &ground->pair, which, &prober->arena, prober->writes);
    if (code == FH_OK) {
        code = fh_store_submit(prober->pair.store, &prober->request);
    }
    if (code != FH_OK) {
        written(prober, code);
    }
}

static void visited(struct fh_prober *prober, enum fh_code code)
{
    const struct fh_op_get *get = &prober->request.as.get;
    if (is_passing(code)) {
        start_over(prober);
        return;
    }
    if (code != FH_OK) {
        give_up(prober, FH_PROBE_UNKNOWN, "a canary could not read its own records",
                why_of(&prober->request.error, code));
        return;
    }
    for (size_t i = 0; i < get->count; i++) {
        if (get->rows[i] == NULL) {
            write_records(prober, prober->pair.which);
            return;
        }
    }
    settled(prober, prober->pair.which);
}

static void visited_cb(struct fh_request *request)
{
    struct fh_prober *prober = request->arg;
    if (!fh_prober_is_over(prober)) {
        visited(prober, request->code);
    }
}

/* Reads its own records, the ordinary way. */
static void visit(struct fh_prober *prober, unsigned which)
{
    const struct fh_probe_ground *ground = &prober->pair.ground;
    const struct fh_table *table = fh_schema_table_by_id(ground->schemas[which], ground->table_id);
    enum fh_code code = FH_OK;
    prepare(prober, visited_cb);
    scope_of(prober, which);
    for (unsigned i = 0; i < FH_CANARY_RECORDS && code == FH_OK; i++) {
        code = fh_canary_key(table, &ground->pair, which, (enum fh_canary_record)i, &prober->arena,
                             &prober->keys[i]);
    }
    prober->request.op = FH_OP_GET;
    prober->request.as.get = (struct fh_op_get){.keys = prober->keys, .count = FH_CANARY_RECORDS};
    if (code == FH_OK) {
        code = fh_store_submit(prober->pair.store, &prober->request);
    }
    if (code != FH_OK) {
        visited(prober, code);
    }
}

/* -- Homes and canaries -------------------------------------------------------------------------
 */

static void looked(struct fh_prober *prober, enum fh_code code)
{
    struct fh_probe_pair *pair = &prober->pair;
    const struct fh_op_fence *fence = &prober->request.as.fence;
    if (code != FH_OK) {
        give_up(prober, FH_PROBE_UNKNOWN, "a canary's fence could not be read",
                why_of(&prober->request.error, code));
        return;
    }
    const struct fh_schema *schema =
        fh_schema_at(fh_router_schema(prober->parts.router), fence->schema_version);
    if (schema == NULL) {
        fh_router_want_schema(prober->parts.router, fence->schema_version);
        give_up(prober, FH_PROBE_UNKNOWN, "the home is at a schema version not known here yet", "");
        return;
    }
    pair->ground.epochs[pair->which] = fence->seen.epoch;
    pair->ground.schemas[pair->which] = schema;
    if (pair->which == 0) {
        look(prober, 1);
    } else if (pair->probing) {
        shoot(prober);
    } else {
        seek_table(prober);
    }
}

static void looked_cb(struct fh_request *request)
{
    struct fh_prober *prober = request->arg;
    if (!fh_prober_is_over(prober)) {
        looked(prober, request->code);
    }
}

static void look(struct fh_prober *prober, unsigned which)
{
    prepare(prober, looked_cb);
    scope_of(prober, which);
    prober->request.op = FH_OP_FENCE_READ;
    prober->request.scope.epoch = 0;
    prober->request.scope.schema = fh_router_schema(prober->parts.router);
    memset(&prober->request.as.fence, 0, sizeof(prober->request.as.fence));
    enum fh_code code = fh_store_submit(prober->pair.store, &prober->request);
    if (code != FH_OK) {
        looked(prober, code);
    }
}

static bool has_given_up(const struct fh_prober *prober, const struct fh_probe_place *place)
{
    for (size_t i = 0; i < prober->gave_up_count; i++) {
        if (prober->gave_up[i].tier == place->tier &&
            strcmp(prober->gave_up[i].store, place->store) == 0) {
            return true;
        }
    }
    return false;
}

static void made(struct fh_prober *prober, enum fh_code code, const struct fh_error *error)
{
    if (code == FH_OK || code == FH_EXISTS) { /* by somebody else, or the name is used up */
        list(prober);
        return;
    }
    if (prober->gave_up_count < FH_PROBER_GAVE_UP_MAX &&
        !has_given_up(prober, fh_prober_here(prober))) {
        prober->gave_up[prober->gave_up_count++] = *fh_prober_here(prober);
    }
    give_up(prober, FH_PROBE_UNKNOWN, "a canary could not be made", why_of(error, code));
}

static void made_cb(const struct fh_saga_result *result, void *arg)
{
    struct fh_prober *prober = arg;
    if (!fh_prober_is_over(prober)) {
        made(prober, result->code, &result->error);
    }
}

static void make(struct fh_prober *prober, unsigned which)
{
    struct fh_probe_pair *pair = &prober->pair;
    const struct fh_probe_place *place = fh_prober_here(prober);
    struct fh_label label = {.key = FH_STR(LABEL), .value = which == 0 ? FH_STR("a") : FH_STR("b")};
    struct fh_uuid uuid = fh_uuid_canary();
    char suffix[8] = "";
    char slug[FH_SLUG_MAX + 1];
    if (pair->makes++ >= MAKE_TRIES_MAX) {
        give_up(prober, FH_PROBE_UNKNOWN, "canaries could not be made", "");
        return;
    }
    if (prober->run.own && has_given_up(prober, place)) {
        give_up(prober, FH_PROBE_UNKNOWN,
                "a canary could not be made earlier; mend that, then run freehold probe", "");
        return;
    }
    if (pair->named[which]) { /* that name is used up: slugs are never used again */
        suffix[0] = '-';
        fh_hex_encode(uuid.bytes + 12, 3, suffix + 1);
    }
    pair->named[which] = true;
    (void)snprintf(slug, sizeof(slug), "fh-canary-%.*s-%s-%c%s", STORE_IN_SLUG_MAX, place->store,
                   fh_tier_name(place->tier), which == 0 ? 'a' : 'b', suffix);
    struct fh_tenant tenant = {.uuid = uuid,
                               .slug = fh_str_of(slug),
                               .display_name = FH_STR("Canary of the prober"),
                               .labels = &label,
                               .label_count = 1};
    memcpy(tenant.placement.store, place->store, sizeof(tenant.placement.store));
    tenant.placement.home.tier = place->tier;
    const struct fh_audit_context audit = {
        .actor = FH_STR("freehold-prober"), .address = FH_STR("local"), .reason = FH_STR("canary")};
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_tenant_provision(prober->parts.provisioner, &tenant, &audit,
                                            fh_prober_deadline_in(prober, MAKE_TIMEOUT_US), made_cb,
                                            prober, &error);
    if (code != FH_OK) {
        made(prober, code, &error);
    }
}

static void take(struct fh_prober *prober, const struct fh_tenant *tenant)
{
    struct fh_probe_pair *pair = &prober->pair;
    const struct fh_probe_place *place = fh_prober_here(prober);
    if (!fh_uuid_is_canary(&tenant->uuid) || tenant->placement.home.tier != place->tier ||
        strcmp(tenant->placement.store, place->store) != 0) {
        return;
    }
    for (size_t i = 0; i < tenant->label_count; i++) {
        bool is_a = fh_str_eq(tenant->labels[i].value, FH_STR("a"));
        unsigned which = is_a ? 0 : 1;
        if (!fh_str_eq(tenant->labels[i].key, FH_STR(LABEL)) || pair->found[which]) {
            continue;
        }
        if (tenant->state == FH_TENANT_ACTIVE) {
            pair->found[which] = true;
            pair->ground.pair.uuids[which] = tenant->uuid;
            pair->ground.homes[which] = tenant->placement.home;
        } else if (tenant->state == FH_TENANT_PROVISIONING) {
            pair->being_made = true;
        }
    }
}

static void list_from(struct fh_prober *prober, struct fh_uuid after);

static void listed(struct fh_prober *prober, enum fh_code code)
{
    struct fh_catalog_request *request = &prober->catalog_request;
    struct fh_probe_pair *pair = &prober->pair;
    if (code != FH_OK) {
        give_up(prober, FH_PROBE_UNKNOWN, "the catalog could not be asked",
                why_of(&request->error, code));
        return;
    }
    for (size_t i = 0; i < request->as.list.count; i++) {
        take(prober, &request->as.list.tenants[i]);
    }
    if (request->as.list.more && request->as.list.count > 0) {
        list_from(prober, request->as.list.tenants[request->as.list.count - 1].uuid);
    } else if (pair->found[0] && pair->found[1]) {
        look(prober, 0);
    } else if (pair->being_made) {
        give_up(prober, FH_PROBE_UNKNOWN, "a canary is just being made", "");
    } else {
        make(prober, pair->found[0] ? 1 : 0);
    }
}

static void listed_cb(struct fh_catalog_request *request)
{
    struct fh_prober *prober = request->arg;
    if (!fh_prober_is_over(prober)) {
        listed(prober, request->code);
    }
}

static void list_from(struct fh_prober *prober, struct fh_uuid after)
{
    prober->catalog_request = (struct fh_catalog_request){
        .op = FH_CATALOG_TENANT_LIST,
        .deadline_us = fh_prober_deadline_in(prober, REQUEST_TIMEOUT_US),
        .arena = &prober->arena,
        .done_cb = listed_cb,
        .arg = prober,
    };
    prober->catalog_request.as.list.after = after;
    prober->catalog_request.as.list.limit = FH_PAGE_MAX;
    enum fh_code code = fh_catalog_submit(prober->parts.catalog, &prober->catalog_request);
    if (code != FH_OK) {
        listed(prober, code);
    }
}

/* Canaries come behind all others in the order of UUIDs: those before them need not be read. */
static void list(struct fh_prober *prober)
{
    struct fh_uuid after = fh_uuid_canary();
    memset(after.bytes + 6, 0, sizeof(after.bytes) - 6);
    prober->pair.found[0] = false;
    prober->pair.found[1] = false;
    prober->pair.being_made = false;
    list_from(prober, after);
}

void fh_prober_begin_pair(struct fh_prober *prober)
{
    const struct fh_schema *schema = fh_router_schema(prober->parts.router);
    memset(&prober->pair, 0, sizeof(prober->pair));
    fh_arena_reset(&prober->arena);
    prober->pair.store =
        fh_router_store(prober->parts.router, fh_str_of(fh_prober_here(prober)->store));
    if (prober->pair.store == NULL) {
        give_up(prober, FH_PROBE_UNKNOWN, "the store is not open any more", "");
        return;
    }
    if (schema == NULL || schema->table_count == 0) {
        give_up(prober, FH_PROBE_SKIPPED, "there is no schema yet", "");
        return;
    }
    prober->pair.ground.tier = fh_prober_here(prober)->tier;
    prober->pair.ground.capabilities = prober->pair.store->ops->capabilities;
    list(prober);
}
