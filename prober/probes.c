/* Happy path: a probe takes layers away from one read, the others stop it, and which of them did
 * is told by the answer: nothing found (a layer before the last one), FH_FOREIGN_ROW (the last).
 *
 * What each answer means is in the judges below; an answer that none of them knows is UNKNOWN, and
 * says the code. The last probe reads nothing of anybody's: it asks the engine about the rights and
 * policies of all tables of all homes, of which the others see only the canaries'. */
#include "prober/probes.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define BIT(layer) (1u << (layer))
#define RIGHTS "rights and policies"

/* An answer, as far as isolation is concerned. */
enum outcome {
    NO_ROW, /* nothing there, or no home */
    OWN_ROW,
    FOREIGN_ROW, /* it got out */
    WITHHELD,
    IN_MOTION, /* the home was moved or changed, or its fence is not the one expected */
    OTHER,
};

struct kind;
typedef void judge_fn(const struct kind *kind, enum outcome outcome, enum fh_code code,
                      struct fh_probe_result *out);
typedef enum fh_code aim_fn(const struct fh_probe_ground *ground, struct fh_probe_shot *shot,
                            struct fh_request *request, const char **why);

struct kind {
    const char *name;
    const char *expected;
    judge_fn *judge;
    enum fh_probe_layer layer;
    enum fh_code code; /* expected; admission only */
    bool astray;       /* sent with struct fh_probe, to the other's home in dedicated tiers */
    bool other_context;
    bool skips_predicate;
    bool own_role;
    bool others_key; /* which only the other has; else the common one */
    aim_fn *aim;     /* what else is to be done; NULL: nothing */
};

static void say(struct fh_probe_result *out, enum fh_probe_verdict verdict, uint32_t gone,
                const char *text)
{
    out->verdict = verdict;
    out->gone = gone;
    (void)snprintf(out->text, sizeof(out->text), "%s", text);
}

static void say_gone(struct fh_probe_result *out, enum fh_probe_layer layer, const char *held)
{
    char text[FH_PROBE_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%s is gone; %s", fh_probe_layer_text(layer), held);
    say(out, FH_PROBE_BROKEN, BIT(layer), text);
}

#define WITHHELD_BY_3 "layer 3 withheld the row"

/* The other's row came: the probe's own layer let it pass, and so did the last one. */
static void say_passed(const struct kind *kind, struct fh_probe_result *out)
{
    char text[FH_PROBE_TEXT_MAX];
    uint32_t gone = BIT(FH_PROBE_LAYER_OWNERSHIP);
    switch (kind->layer) {
    case FH_PROBE_LAYER_NONE: /* with nothing taken away */
        say(out, FH_PROBE_LEAKED,
            gone | BIT(FH_PROBE_LAYER_PREDICATE) | BIT(FH_PROBE_LAYER_ENFORCEMENT),
            "all three layers are gone: an ordinary read answered the other canary's row");
        return;
    case FH_PROBE_LAYER_OWNERSHIP:
        say_gone(out, kind->layer, "only layers 1 and 2 keep tenants apart");
        return;
    default:
        (void)snprintf(text, sizeof(text), "%s and %s are gone", fh_probe_layer_text(kind->layer),
                       fh_probe_layer_text(FH_PROBE_LAYER_OWNERSHIP));
        say(out, FH_PROBE_BROKEN, gone | BIT(kind->layer), text);
    }
}

/* Another tenant's context, the tenant in the statement. */
static void judge_predicate(const struct kind *kind, enum outcome outcome, enum fh_code code,
                            struct fh_probe_result *out)
{
    (void)code;
    switch (outcome) {
    case NO_ROW:
        say(out, FH_PROBE_HELD, 0, "");
        return;
    case WITHHELD:
        say_gone(out, kind->layer, WITHHELD_BY_3);
        return;
    case OWN_ROW: /* in the other's context nothing of its own may be seen */
    case IN_MOTION:
        say_gone(out, FH_PROBE_LAYER_ENFORCEMENT, "layer 1 kept to the tenant's own rows");
        return;
    default:
        return;
    }
}

/* Without the tenant in the statement. */
static void judge_enforcement(const struct kind *kind, enum outcome outcome, enum fh_code code,
                              struct fh_probe_result *out)
{
    (void)code;
    switch (outcome) {
    case NO_ROW:
        say(out, FH_PROBE_HELD, 0, "");
        return;
    case WITHHELD:
        say_gone(out, kind->layer, WITHHELD_BY_3);
        return;
    case IN_MOTION:
        say_gone(out, kind->layer, "a fence of another tenant was seen, and refused");
        return;
    default:
        return;
    }
}

/* Neither layer 1 nor layer 2: what is left must see it. */
static void judge_ownership(const struct kind *kind, enum outcome outcome, enum fh_code code,
                            struct fh_probe_result *out)
{
    (void)kind;
    (void)code;
    if (outcome == WITHHELD) {
        say(out, FH_PROBE_HELD, 0, "");
    } else if (outcome == OWN_ROW) {
        say_gone(out, FH_PROBE_LAYER_ENFORCEMENT, "the other's context shows more than its rows");
    } else if (outcome == NO_ROW) {
        say(out, FH_PROBE_UNKNOWN, 0, "the probe did not reach the other canary's row");
    }
}

/* The tenant's own role among another's tables. */
static void judge_border(const struct kind *kind, enum outcome outcome, enum fh_code code,
                         struct fh_probe_result *out)
{
    if (code == FH_PERMISSION) {
        say(out, FH_PROBE_HELD, 0, "");
    } else if (outcome == WITHHELD) {
        say_gone(out, kind->layer, WITHHELD_BY_3);
    } else if (outcome == NO_ROW || outcome == OWN_ROW || outcome == IN_MOTION) {
        say_gone(out, kind->layer, "the tenant's role may read another's tables");
    }
}

static void judge_refusal(const struct kind *kind, enum outcome outcome, enum fh_code code,
                          struct fh_probe_result *out)
{
    if (code == kind->code) {
        say(out, FH_PROBE_HELD, 0, "");
    } else if (code == FH_OK || outcome == WITHHELD) {
        say_gone(out, kind->layer, "what should have been refused was carried out");
    }
}

/* A plain read of what the other has. */
static void judge_absent(const struct kind *kind, enum outcome outcome, enum fh_code code,
                         struct fh_probe_result *out)
{
    (void)code;
    if (outcome == NO_ROW) {
        say(out, FH_PROBE_HELD, 0, "");
    } else if (outcome == WITHHELD) {
        say(out, FH_PROBE_BROKEN, BIT(FH_PROBE_LAYER_PREDICATE) | BIT(FH_PROBE_LAYER_ENFORCEMENT),
            "layers 1 and 2 are gone; " WITHHELD_BY_3);
    }
    (void)kind;
}

static enum fh_code aim_border(const struct fh_probe_ground *ground, struct fh_probe_shot *shot,
                               struct fh_request *request, const char **why)
{
    (void)shot;
    (void)request;
    /* A login of a database of its own cannot be taken to another: there is no connection. */
    bool has_roles =
        ground->tier == FH_TIER_SCHEMA && (ground->capabilities & FH_CAPABILITY_CREDENTIALS) != 0;
    *why = NULL;
    return has_roles ? FH_OK : FH_UNIMPLEMENTED;
}

static enum fh_code aim_old_epoch(const struct fh_probe_ground *ground, struct fh_probe_shot *shot,
                                  struct fh_request *request, const char **why)
{
    (void)ground;
    (void)shot;
    (void)why;
    request->scope.epoch++; /* as after a move that the home knows nothing of */
    return FH_OK;
}

static enum fh_code aim_old_schema(const struct fh_probe_ground *ground, struct fh_probe_shot *shot,
                                   struct fh_request *request, const char **why)
{
    const struct fh_schema *before = ground->schemas[0]->previous;
    const struct fh_table *table =
        before != NULL ? fh_schema_table_by_id(before, ground->table_id) : NULL;
    bool same_key = table != NULL && table->key_count == shot->key.table->key_count;
    for (uint16_t i = 0; same_key && i < table->key_count; i++) {
        same_key = table->columns[table->key[i]].type == shot->key.values[i].type;
    }
    if (!same_key) {
        *why = "no earlier schema version has the table";
        return FH_UNIMPLEMENTED;
    }
    request->scope.schema = before;
    shot->key.table = table;
    return FH_OK;
}

static enum fh_code aim_others_home(const struct fh_probe_ground *ground,
                                    struct fh_probe_shot *shot, struct fh_request *request,
                                    const char **why)
{
    (void)shot;
    (void)why;
    fh_home_of(ground->tier == FH_TIER_SHARED ? FH_TIER_SCHEMA : ground->tier,
               &ground->pair.uuids[1], &request->scope.home);
    return FH_OK;
}

static enum fh_code aim_strange_table(const struct fh_probe_ground *ground,
                                      struct fh_probe_shot *shot, struct fh_request *request,
                                      const char **why)
{
    (void)ground;
    (void)request;
    (void)why;
    shot->strange = *shot->key.table; /* the same in everything, but not of the schema */
    shot->key.table = &shot->strange;
    return FH_OK;
}

/* Where a layer is a matter of policies and grants. The store's are asked for with the shared tier
 * and, because a run may be of one tier only, with the tier of schemas; a database of a tenant's
 * own is asked by itself. */
static enum fh_code aim_rights(const struct fh_probe_ground *ground, struct fh_probe_shot *shot,
                               struct fh_request *request, const char **why)
{
    (void)shot;
    *why = NULL;
    if ((ground->capabilities & FH_CAPABILITY_CREDENTIALS) == 0) {
        return FH_UNIMPLEMENTED;
    }
    request->op = FH_OP_CHECK;
    request->scope.tenant = (struct fh_uuid){{0}};
    request->scope.epoch = 0;
    memset(&request->as, 0, sizeof(request->as));
    if (ground->tier != FH_TIER_DATABASE) {
        fh_home_of(FH_TIER_SHARED, &ground->pair.uuids[0], &request->scope.home);
    }
    return FH_OK;
}

/* A probe at a tenant that is no canary: made up, and so nobody's. */
static enum fh_code aim_ordinary(const struct fh_probe_ground *ground, struct fh_probe_shot *shot,
                                 struct fh_request *request, const char **why)
{
    (void)ground;
    (void)request;
    (void)why;
    shot->probe.context = fh_uuid_v7(0);
    return FH_OK;
}

static const struct kind kinds[] = {
    {.name = "key of another", .expected = "not found", .judge = judge_absent, .others_key = true},
    {.name = "predicate",
     .expected = "not found",
     .judge = judge_predicate,
     .layer = FH_PROBE_LAYER_PREDICATE,
     .astray = true,
     .other_context = true},
    {.name = "enforcement",
     .expected = "not found",
     .judge = judge_enforcement,
     .layer = FH_PROBE_LAYER_ENFORCEMENT,
     .astray = true,
     .skips_predicate = true,
     .others_key = true},
    {.name = "ownership",
     .expected = "withheld",
     .judge = judge_ownership,
     .layer = FH_PROBE_LAYER_OWNERSHIP,
     .astray = true,
     .other_context = true,
     .skips_predicate = true},
    {.name = "border",
     .expected = "PERMISSION",
     .judge = judge_border,
     .layer = FH_PROBE_LAYER_BORDER,
     .astray = true,
     .other_context = true,
     .skips_predicate = true,
     .own_role = true,
     .aim = aim_border},
    {.name = "other epoch",
     .expected = "MOVED",
     .judge = judge_refusal,
     .layer = FH_PROBE_LAYER_ADMISSION,
     .code = FH_MOVED,
     .aim = aim_old_epoch},
    {.name = "other schema version",
     .expected = "STALE_SCHEMA",
     .judge = judge_refusal,
     .layer = FH_PROBE_LAYER_ADMISSION,
     .code = FH_STALE_SCHEMA,
     .aim = aim_old_schema},
    {.name = "home of another",
     .expected = "INVALID",
     .judge = judge_refusal,
     .layer = FH_PROBE_LAYER_ADMISSION,
     .code = FH_INVALID,
     .aim = aim_others_home},
    {.name = "table of another schema",
     .expected = "INVALID",
     .judge = judge_refusal,
     .layer = FH_PROBE_LAYER_ADMISSION,
     .code = FH_INVALID,
     .aim = aim_strange_table},
    {.name = "probe of an ordinary tenant",
     .expected = "INVALID",
     .judge = judge_refusal,
     .layer = FH_PROBE_LAYER_ADMISSION,
     .code = FH_INVALID,
     .astray = true,
     .other_context = true,
     .skips_predicate = true,
     .aim = aim_ordinary},
    {.name = RIGHTS, .expected = "as made", .aim = aim_rights},
};

size_t fh_probe_count(void)
{
    return sizeof(kinds) / sizeof(kinds[0]);
}

const char *fh_probe_name(size_t index)
{
    FH_ASSERT(index < fh_probe_count());
    return kinds[index].name;
}

const char *fh_probe_expected(size_t index)
{
    FH_ASSERT(index < fh_probe_count());
    return kinds[index].expected;
}

enum fh_code fh_probe_aim(size_t index, const struct fh_probe_ground *ground,
                          struct fh_arena *arena, struct fh_probe_shot *shot,
                          struct fh_request *request, const char **why)
{
    FH_ASSERT(index < fh_probe_count());
    const struct kind *kind = &kinds[index];
    bool elsewhere = kind->astray && ground->tier != FH_TIER_SHARED;
    /* Whose fence the statement finds, if it finds one. */
    unsigned met = kind->other_context || elsewhere ? 1 : 0;
    const struct fh_schema *schema = ground->schemas[met];
    const struct fh_table *table = fh_schema_table_by_id(schema, ground->table_id);
    *why = NULL;
    if (table == NULL) {
        return FH_INTERNAL;
    }
    enum fh_code code =
        fh_canary_key(table, &ground->pair, kind->others_key ? 1 : 0,
                      kind->others_key ? FH_CANARY_OWN : FH_CANARY_COMMON, arena, &shot->key);
    if (code != FH_OK) {
        return code;
    }
    shot->probe = (struct fh_probe){
        .context = ground->pair.uuids[kind->other_context ? 1 : 0],
        .skip_predicate = kind->skips_predicate,
        .own_role = kind->own_role,
    };
    if (elsewhere) {
        shot->probe.place = ground->pair.uuids[1];
    }
    request->op = FH_OP_GET;
    request->scope = (struct fh_scope){.tenant = ground->pair.uuids[0],
                                       .epoch = ground->epochs[met],
                                       .home = ground->homes[0],
                                       .schema = schema};
    request->probe = kind->astray ? &shot->probe : NULL;
    request->as.get = (struct fh_op_get){.keys = &shot->key, .count = 1, .show_deleted = true};
    return kind->aim != NULL ? kind->aim(ground, shot, request, why) : FH_OK;
}

static enum outcome outcome_of(const struct fh_probe_ground *ground,
                               const struct fh_request *request, enum fh_code code)
{
    const struct fh_row *row = NULL;
    switch (code) {
    case FH_OK:
        row = request->as.get.rows[0];
        return row == NULL                                        ? NO_ROW
               : fh_uuid_eq(&row->tenant, &ground->pair.uuids[0]) ? OWN_ROW
                                                                  : FOREIGN_ROW;
    case FH_NOT_FOUND:
    case FH_NO_TENANT:
        return NO_ROW;
    case FH_FOREIGN_ROW:
        return WITHHELD;
    case FH_MOVED:
    case FH_STALE_SCHEMA:
        return IN_MOTION;
    default:
        return OTHER;
    }
}

static uint32_t gone_of(const struct fh_finding *finding)
{
    return ((finding->layers & FH_FINDING_ENFORCEMENT) != 0 ? BIT(FH_PROBE_LAYER_ENFORCEMENT) : 0) |
           ((finding->layers & FH_FINDING_BORDER) != 0 ? BIT(FH_PROBE_LAYER_BORDER) : 0);
}

/* What is off, but takes no layer away (settings of the server's log, say), is `store check`'s.
 *
 * Asked again before it is told: a table or a role that another transaction drops meanwhile, with a
 * tenant's home that is deleted or moved away, is in the statement's snapshot and yet cannot be
 * described any more. It looks changed then, or makes the statement fail. */
static void judge_rights(const struct fh_op_check *check, struct fh_probe_result *out)
{
    const struct fh_finding *first = NULL;
    uint32_t gone = 0;
    unsigned count = 0;
    for (size_t i = 0; i < check->count; i++) {
        const struct fh_finding *finding = &check->findings[i];
        if (!finding->ok && gone_of(finding) != 0) {
            gone |= gone_of(finding);
            first = first != NULL ? first : finding;
            count++;
        }
    }
    if (first == NULL) {
        out->seen = "as made";
        say(out, FH_PROBE_HELD, 0, "");
        return;
    }
    char text[FH_PROBE_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%s is not as it was made (%u; see store check): %.*s: %.*s",
                   fh_probe_layer_text((first->layers & FH_FINDING_ENFORCEMENT) != 0
                                           ? FH_PROBE_LAYER_ENFORCEMENT
                                           : FH_PROBE_LAYER_BORDER),
                   count, FH_STR_ARG(first->subject), FH_STR_ARG(first->text));
    out->seen = "changed";
    say(out, FH_PROBE_BROKEN, gone, text);
}

bool fh_probe_judge(size_t index, const struct fh_probe_ground *ground,
                    const struct fh_request *request, enum fh_code code, bool last,
                    struct fh_probe_result *out)
{
    FH_ASSERT(index < fh_probe_count());
    static const char *const seen[] = {[NO_ROW] = "not found",
                                       [OWN_ROW] = "its own row",
                                       [FOREIGN_ROW] = "the other's row",
                                       [WITHHELD] = "withheld"};
    const struct kind *kind = &kinds[index];
    bool rights = kind->aim == aim_rights;
    if (rights && code == FH_OK) {
        judge_rights(&request->as.check, out);
        return out->verdict == FH_PROBE_HELD || last;
    }
    enum outcome outcome = outcome_of(ground, request, code);
    char text[FH_PROBE_TEXT_MAX];
    out->seen = outcome < IN_MOTION ? seen[outcome] : fh_code_name(code);
    bool expected = kind->judge == judge_refusal && code == kind->code;
    bool passing = outcome == IN_MOTION || code == FH_HELD || code == FH_CONFLICT ||
                   (rights && code != FH_DEADLINE); /* no race: it would only be late again */
    if (passing && !expected && !last) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "an answer that says nothing: %s",
                   request->error.code != FH_OK ? fh_error_text(&request->error)
                                                : fh_code_text(code));
    say(out, FH_PROBE_UNKNOWN, 0, text);
    if (outcome == FOREIGN_ROW) {
        say_passed(kind, out);
        return true;
    }
    if (rights) {
        return true;
    }
    kind->judge(kind, outcome, code, out);
    return true;
}
