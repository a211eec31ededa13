/* Happy path: pure rules, the same for every implementation of the catalog.
 *
 * Failures: a request out of bounds is refused before an implementation sees it, so that text that
 * would be stored for ever is looked at in one place.
 */
#include "router/catalog.h"

#include "router/rollout_rules.h"

#define FH_SLUG_MIN 3
#define TEXT_BYTES_MAX 1024 /* display names, plans, reasons, locations */
#define LABEL_BYTES_MAX 256
#define SQL_BYTES_MAX ((size_t)256 * 1024)
#define PAUSE_US_MIN INT64_C(1000)
#define PAUSE_US_MAX INT64_C(60000000)

const char *fh_tenant_state_name(enum fh_tenant_state state)
{
    switch (state) {
    case FH_TENANT_PROVISIONING:
        return "provisioning";
    case FH_TENANT_ACTIVE:
        return "active";
    case FH_TENANT_SUSPENDED:
        return "suspended";
    case FH_TENANT_DELETING:
        return "deleting";
    case FH_TENANT_DELETED:
        return "deleted";
    }
    return "unknown";
}

/* a-z 0-9 -, and a letter first. */
static bool is_name(struct fh_str text)
{
    if (text.len == 0 || text.data[0] < 'a' || text.data[0] > 'z') {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-') {
            return false;
        }
    }
    return true;
}

bool fh_slug_is_valid(struct fh_str slug)
{
    return slug.len >= FH_SLUG_MIN && slug.len <= FH_SLUG_MAX && is_name(slug) &&
           slug.data[slug.len - 1] != '-';
}

bool fh_store_name_is_valid(struct fh_str name)
{
    return name.len <= FH_STORE_NAME_MAX && is_name(name);
}

static bool is_bounded(struct fh_str text, size_t len_max)
{
    return text.len <= len_max && fh_str_is_text(text);
}

static bool is_terminated(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static enum fh_code invalid(struct fh_catalog_request *request, const char *what)
{
    return fh_error_set(&request->error, FH_INVALID, "%s", what);
}

static enum fh_code check_tenant(struct fh_catalog_request *request)
{
    const struct fh_tenant *tenant = &request->as.tenant;
    const struct fh_placement *placement = &tenant->placement;
    if (fh_uuid_is_nil(&tenant->uuid)) {
        return invalid(request, "a tenant needs a uuid");
    }
    if (!fh_slug_is_valid(tenant->slug)) {
        return invalid(request,
                       "a slug is 3 to 63 of a-z, 0-9 and -, starts with a letter and does "
                       "not end with -");
    }
    if (!is_bounded(tenant->display_name, TEXT_BYTES_MAX) ||
        !is_bounded(tenant->plan, TEXT_BYTES_MAX)) {
        return invalid(request, "display name or plan is longer than 1024 bytes or not text");
    }
    if (tenant->label_count > FH_LABELS_MAX) {
        return invalid(request, "a tenant has at most 32 labels");
    }
    for (size_t i = 0; i < tenant->label_count; i++) {
        const struct fh_label *label = &tenant->labels[i];
        if (label->key.len == 0 || !is_bounded(label->key, LABEL_BYTES_MAX) ||
            !is_bounded(label->value, LABEL_BYTES_MAX)) {
            return invalid(request, "a label's key or value is empty, longer than 256 bytes or "
                                    "not text");
        }
    }
    if (!is_terminated(placement->store, sizeof(placement->store)) ||
        !fh_store_name_is_valid(fh_str_of(placement->store)) ||
        !is_terminated(placement->home.name, sizeof(placement->home.name)) ||
        placement->home.tier < FH_TIER_SHARED || placement->home.tier > FH_TIER_DATABASE ||
        placement->epoch < 1 || placement->epoch > INT64_MAX || placement->generation < 1 ||
        placement->generation > INT64_MAX) {
        return invalid(request, "not a placement");
    }
    return FH_OK;
}

static enum fh_code check_store(struct fh_catalog_request *request)
{
    const struct fh_store_record *store = &request->as.store;
    if (!is_terminated(store->name, sizeof(store->name)) ||
        !fh_store_name_is_valid(fh_str_of(store->name))) {
        return invalid(request, "a store's name is 1 to 40 of a-z, 0-9 and -, starting with a "
                                "letter");
    }
    if (store->engine.len == 0 || !is_bounded(store->engine, LABEL_BYTES_MAX) ||
        !is_bounded(store->location, 4 * TEXT_BYTES_MAX) ||
        !is_bounded(store->owner_location, 4 * TEXT_BYTES_MAX) ||
        !is_bounded(store->region, LABEL_BYTES_MAX)) {
        return invalid(request, "a store's engine, location or region is too long or not text");
    }
    return FH_OK;
}

static enum fh_code check_advance(struct fh_catalog_request *request)
{
    if (fh_uuid_is_nil(&request->as.advance.uuid) || request->as.advance.from_states == 0 ||
        request->as.advance.to < FH_TENANT_PROVISIONING ||
        request->as.advance.to > FH_TENANT_DELETED) {
        return invalid(request, "not a change of a tenant's state");
    }
    return FH_OK;
}

static enum fh_code check_migration(struct fh_catalog_request *request)
{
    const struct fh_migration_record *migration = &request->as.migration;
    if (migration->version < 1 || migration->name.len == 0 ||
        !is_bounded(migration->name, LABEL_BYTES_MAX) ||
        !is_bounded(migration->sql, SQL_BYTES_MAX)) {
        return invalid(request, "a migration's name or text is empty, too long or not text");
    }
    return FH_OK;
}

static enum fh_code check_audit(struct fh_catalog_request *request)
{
    const struct fh_audit_context *audit = &request->audit;
    if (!is_bounded(audit->actor, TEXT_BYTES_MAX) || !is_bounded(audit->address, LABEL_BYTES_MAX) ||
        !is_bounded(audit->reason, TEXT_BYTES_MAX) ||
        !is_bounded(audit->request_id, FH_REQUEST_ID_MAX)) {
        return invalid(request, "actor, address, reason or request id is too long or not text");
    }
    return FH_OK;
}

static enum fh_code check_move(struct fh_catalog_request *request)
{
    struct fh_move *move = &request->as.move;
    struct fh_move_settings defaults;
    fh_move_settings_init(&defaults);
    if (fh_uuid_is_nil(&move->uuid) || fh_uuid_is_nil(&move->tenant)) {
        return invalid(request, "a move needs a uuid and a tenant");
    }
    if (!is_terminated(move->target_store, sizeof(move->target_store)) ||
        !fh_store_name_is_valid(fh_str_of(move->target_store)) ||
        !is_terminated(move->target_home.name, sizeof(move->target_home.name)) ||
        move->target_home.name[0] == '\0' || !fh_str_is_text(fh_str_of(move->target_home.name)) ||
        move->target_home.tier < FH_TIER_SHARED || move->target_home.tier > FH_TIER_DATABASE) {
        return invalid(request, "not a target of a move");
    }
    if (move->settings.max_pause_us == 0) {
        move->settings.max_pause_us = defaults.max_pause_us;
    }
    if (move->settings.duty_percent == 0) {
        move->settings.duty_percent = defaults.duty_percent;
    }
    if (move->settings.max_pause_us < PAUSE_US_MIN || move->settings.max_pause_us > PAUSE_US_MAX) {
        return fh_error_field(&request->error, FH_INVALID, "settings.max_pause",
                              "the longest pause is 1 ms to 60 s");
    }
    if (move->settings.duty_percent > 100) {
        return fh_error_field(&request->error, FH_INVALID, "settings.duty_percent",
                              "the duty is 1 to 100 percent");
    }
    return FH_OK;
}

static bool is_counter(uint64_t value)
{
    return value >= 1 && value <= INT64_MAX;
}

/* The answers that a refusal fills must not be those of an earlier use of the request. */
static void clear_moves(struct fh_catalog_request *request)
{
    const struct fh_move none = {.phase = FH_MOVE_NONE};
    const struct fh_placement nowhere = {.epoch = 0};
    switch (request->op) {
    case FH_CATALOG_MOVE_GET:
        request->as.move_get.move = none;
        break;
    case FH_CATALOG_MOVE_LIST:
        request->as.move_list.moves = NULL;
        request->as.move_list.count = 0;
        request->as.move_list.more = false;
        break;
    case FH_CATALOG_MOVE_CLAIM:
        request->as.move_claim.move = none;
        request->as.move_claim.placement = nowhere;
        break;
    case FH_CATALOG_MOVE_ADVANCE:
        request->as.move_advance.move = none;
        break;
    case FH_CATALOG_MOVE_SWITCH:
        request->as.move_switch.move = none;
        request->as.move_switch.placement = nowhere;
        break;
    case FH_CATALOG_MOVE_WISH:
        request->as.move_wish.move = none;
        break;
    case FH_CATALOG_EVENTS:
        request->as.events.events = NULL;
        request->as.events.count = 0;
        request->as.events.more = false;
        break;
    default:
        break;
    }
}

static enum fh_code check_move_advance(struct fh_catalog_request *request)
{
    enum fh_move_phase from = request->as.move_advance.from;
    enum fh_move_phase to = request->as.move_advance.to;
    bool settles = from == FH_MOVE_SWITCHING && to == FH_MOVE_SETTLED; /* the switch's alone */
    if (fh_uuid_is_nil(&request->as.move_advance.uuid) ||
        !is_counter(request->as.move_advance.generation)) {
        return invalid(request, "not a change of a move");
    }
    if (from < FH_MOVE_PLANNED || from > FH_MOVE_FAILED || fh_move_is_finished(from) || settles ||
        (from != to && !fh_move_may_follow(from, to))) {
        return fh_error_set(&request->error, FH_INVALID, "a move is not advanced from %s to %s",
                            fh_move_phase_name(from), fh_move_phase_name(to));
    }
    if (!is_bounded(request->as.move_advance.message, FH_MOVE_MESSAGE_MAX)) {
        return invalid(request, "a move's message is longer than 512 bytes or not text");
    }
    return FH_OK;
}

static enum fh_code check_moves(struct fh_catalog_request *request)
{
    clear_moves(request);
    switch (request->op) {
    case FH_CATALOG_MOVE_CREATE:
        return check_move(request);
    case FH_CATALOG_MOVE_GET:
        return fh_uuid_is_nil(&request->as.move_get.uuid) ? invalid(request, "which move?") : FH_OK;
    case FH_CATALOG_MOVE_LIST:
        return request->as.move_list.limit >= 1 && request->as.move_list.limit <= FH_PAGE_MAX
                   ? FH_OK
                   : invalid(request, "a page holds 1 to 1000 moves");
    case FH_CATALOG_MOVE_CLAIM:
        return fh_uuid_is_nil(&request->as.move_claim.uuid) ||
                       fh_uuid_is_nil(&request->as.move_claim.worker) ||
                       request->as.move_claim.beat > INT64_MAX
                   ? invalid(request, "a claim needs a move and a worker")
                   : FH_OK;
    case FH_CATALOG_MOVE_ADVANCE:
        return check_move_advance(request);
    case FH_CATALOG_MOVE_SWITCH:
        return fh_uuid_is_nil(&request->as.move_switch.uuid) ||
                       !is_counter(request->as.move_switch.generation) ||
                       !is_counter(request->as.move_switch.epoch)
                   ? invalid(request, "a switch needs a move, a generation and an epoch")
                   : FH_OK;
    case FH_CATALOG_MOVE_WISH:
        return fh_uuid_is_nil(&request->as.move_wish.uuid) ||
                       request->as.move_wish.wish < FH_MOVE_WISH_RUN ||
                       request->as.move_wish.wish > FH_MOVE_WISH_CANCEL
                   ? invalid(request, "not a wish for a move")
                   : FH_OK;
    case FH_CATALOG_EVENTS:
        return request->as.events.limit >= 1 && request->as.events.limit <= FH_PAGE_MAX &&
                       request->as.events.after_id <= INT64_MAX &&
                       is_bounded(request->as.events.resource, LABEL_BYTES_MAX)
                   ? FH_OK
                   : invalid(request, "a page holds 1 to 1000 events of one resource");
    case FH_CATALOG_EVENT_ADD:
        return request->as.event_add.action[0] != '\0' &&
                       is_bounded(fh_str_of(request->as.event_add.action), LABEL_BYTES_MAX) &&
                       is_bounded(fh_str_of(request->as.event_add.resource), LABEL_BYTES_MAX) &&
                       is_bounded(fh_str_of(request->as.event_add.detail), FH_EVENT_DETAIL_MAX)
                   ? FH_OK
                   : invalid(request, "not an event");
    default:
        return fh_rollout_rule_check(request);
    }
}

enum fh_code fh_catalog_check(struct fh_catalog_request *request)
{
    request->code = FH_OK;
    memset(&request->error, 0, sizeof(request->error));
    enum fh_code code = check_audit(request);
    if (code != FH_OK) {
        return code;
    }
    switch (request->op) {
    case FH_CATALOG_TENANT_CREATE:
        return check_tenant(request);
    case FH_CATALOG_TENANT_GET:
        if (fh_uuid_is_nil(&request->as.get.uuid) && !fh_slug_is_valid(request->as.get.slug)) {
            return fh_error_set(&request->error, FH_NO_TENANT, "no tenant has such a slug");
        }
        return FH_OK;
    case FH_CATALOG_TENANT_LIST:
        return request->as.list.limit >= 1 && request->as.list.limit <= FH_PAGE_MAX
                   ? FH_OK
                   : invalid(request, "a page holds 1 to 1000 tenants");
    case FH_CATALOG_TENANT_ADVANCE:
        return check_advance(request);
    case FH_CATALOG_STORE_CREATE:
        return check_store(request);
    case FH_CATALOG_MIGRATION_ADD:
        return check_migration(request);
    case FH_CATALOG_STORE_LIST:
    case FH_CATALOG_MIGRATION_LIST:
    case FH_CATALOG_PAGE_KEYS:
        return FH_OK;
    default:
        return check_moves(request);
    }
}

void fh_catalog_init(struct fh_catalog *catalog, const struct fh_catalog_ops *ops, bool shared)
{
    catalog->ops = ops;
    catalog->shared = shared;
    fh_list_init(&catalog->watchers);
}

void fh_catalog_tell(struct fh_catalog *catalog, enum fh_catalog_hint hint,
                     const struct fh_uuid *uuid)
{
    struct fh_list *next = NULL;
    for (struct fh_list *node = catalog->watchers.next; node != &catalog->watchers; node = next) {
        struct fh_catalog_watcher *watcher = FH_CONTAINER_OF(node, struct fh_catalog_watcher, node);
        next = node->next;
        watcher->hint_cb(watcher->arg, hint, uuid);
    }
}

bool fh_catalog_hint_of(const struct fh_catalog_request *request, enum fh_catalog_hint *hint,
                        struct fh_uuid *uuid)
{
    *uuid = (struct fh_uuid){0};
    switch (request->op) {
    case FH_CATALOG_TENANT_ADVANCE:
        *hint = FH_CATALOG_HINT_TENANT;
        *uuid = request->as.advance.uuid;
        return true;
    case FH_CATALOG_STORE_CREATE:
        *hint = FH_CATALOG_HINT_STORES;
        return true;
    case FH_CATALOG_MIGRATION_ADD:
        *hint = FH_CATALOG_HINT_SCHEMA;
        return true;
    case FH_CATALOG_MOVE_CREATE:
        *hint = FH_CATALOG_HINT_MOVE;
        *uuid = request->as.move.uuid;
        return true;
    case FH_CATALOG_MOVE_CLAIM:
        *hint = FH_CATALOG_HINT_MOVE;
        *uuid = request->as.move_claim.uuid;
        return true;
    case FH_CATALOG_MOVE_ADVANCE:
        *hint = FH_CATALOG_HINT_MOVE;
        *uuid = request->as.move_advance.uuid;
        return true;
    case FH_CATALOG_MOVE_SWITCH: /* the tenant's; whoever watches the move sees the next advance */
        *hint = FH_CATALOG_HINT_TENANT;
        *uuid = request->as.move_switch.move.tenant;
        return true;
    case FH_CATALOG_MOVE_WISH:
        *hint = FH_CATALOG_HINT_MOVE;
        *uuid = request->as.move_wish.uuid;
        return true;
    case FH_CATALOG_ROLLOUT_CREATE:
        *hint = FH_CATALOG_HINT_SCHEMA;
        return true;
    case FH_CATALOG_ROLLOUT_CLAIM:
        *hint = FH_CATALOG_HINT_ROLLOUT;
        *uuid = request->as.rollout_claim.uuid;
        return true;
    case FH_CATALOG_ROLLOUT_ADVANCE:
        *hint = FH_CATALOG_HINT_ROLLOUT;
        *uuid = request->as.rollout_advance.uuid;
        return true;
    case FH_CATALOG_ROLLOUT_WISH:
        *hint = FH_CATALOG_HINT_ROLLOUT;
        *uuid = request->as.rollout_wish.uuid;
        return true;
    default:
        return false;
    }
}
