/* Happy path of a pair: tokens of both, forged ones made of them, the ground read; each attack with
 * each method; then what attacks left in A is taken out, and B is looked at again.
 *
 * What an answer means (judge): a record of B's in it is a leak; a status that the attack allows
 * is held; one that says nobody decided is unknown; anything else got past the layer in question.
 *
 * Failures: whatever keeps a pair from being attacked is one line, UNKNOWN, and the next pair's
 * turn comes.
 */
#include "clients/cli/intruder.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "clients/attack/forgery.h"
#include "clients/attack/ground.h"

#define ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define HEADERS_MAX FH_CLIENT_HEADERS_MAX
#define VERDICT(name) FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_##name

struct intruder {
    const struct fh_intruder_options *options;
    struct fh_findings *findings;
    struct fh_caller caller;
    struct fh_arena arena;                /* of the pair */
    struct fh_buf tokens[FH_TOKEN_COUNT]; /* wiped at the end; empty: there is none */
    struct fh_buf others_token;           /* B's */

    struct fh_ground *ground; /* of the pair; NULL: none yet */
    const char *store;
    Freehold__V1__Placement__Tier tier;
};

/* How an attack went with the methods so far. */
struct tally {
    unsigned held;
    unsigned off;
    int seen; /* the status of all that held; -1: they differ */
    const char *lacking;
};

static struct fh_finding line_of(const struct intruder *intruder, const char *probe)
{
    return (struct fh_finding){.store = intruder->store,
                               .tier = intruder->tier,
                               .probe = probe,
                               .expected = "",
                               .seen = "-"};
}

static void add_line(struct intruder *intruder, const char *probe,
                     Freehold__V1__ProbeResult__Verdict verdict, const char *what, const char *why)
{
    struct fh_finding line = line_of(intruder, probe);
    line.verdict = verdict;
    (void)snprintf(line.text, sizeof(line.text), "%s%s%s", what, why[0] != '\0' ? ": " : "", why);
    fh_findings_add(intruder->findings, &line);
}

/* -- One attack with one method -----------------------------------------------------------------
 */

static size_t fill_headers(struct intruder *intruder, enum fh_attack_headers kind,
                           struct fh_client_header *headers)
{
    static const char *const keys[] = {"tenant",          "x-tenant",           "x-tenant-id",
                                       "freehold-tenant", "x-forwarded-tenant", "x-forwarded-user",
                                       "tenant-id"};
    if (kind == FH_HEADERS_TOKEN) {
        struct fh_buf *forged = &intruder->tokens[FH_TOKEN_UNSIGNED];
        char *value =
            forged->len > 0 ? fh_arena_printf(&intruder->arena, "Bearer %s", forged->data) : NULL;
        headers[0] = (struct fh_client_header){.key = "authorization", .value = value};
        return value != NULL ? 1 : 0;
    }
    if (kind == FH_HEADERS_NONE) {
        return 0;
    }
    _Static_assert(sizeof(keys) / sizeof(keys[0]) <= HEADERS_MAX, "a call has no room for more");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        headers[i] =
            (struct fh_client_header){.key = keys[i], .value = intruder->ground->attack.uids[1]};
    }
    return sizeof(keys) / sizeof(keys[0]);
}

static bool was_withheld(const struct fh_client_status *status)
{
    return strcmp(status->reason, "ISOLATION_VIOLATION") == 0;
}

static void judge(struct intruder *intruder, const struct fh_attack *attack, const char *method,
                  const struct fh_attack_shot *shot, const ProtobufCMessage *answer,
                  const struct fh_client_status *status, struct tally *tally)
{
    struct fh_finding line = line_of(intruder, attack->name);
    const char *seen = fh_client_grpc_name(status->grpc);
    line.expected = attack->expected;
    line.seen = seen;
    line.gone = attack->layer;
    if (answer != NULL && intruder->ground != NULL &&
        fh_marks_are_in(&intruder->ground->marks[1], answer)) {
        line.verdict = VERDICT(LEAKED);
        line.seen = "a record of another's";
        (void)snprintf(line.text, sizeof(line.text),
                       "%s answered a record of the other canary: the %s layer, and all behind it",
                       method, attack->layer);
    } else if (status->grpc >= 0 && status->grpc < 32 &&
               (shot->allowed & FH_GRPC_BIT((unsigned)status->grpc)) != 0) {
        tally->seen = tally->held == 0 || tally->seen == status->grpc ? status->grpc : -1;
        tally->held++;
        return;
    } else if (!fh_caller_was_answered(status)) {
        line.verdict = VERDICT(UNKNOWN);
        line.gone = NULL;
        (void)snprintf(line.text, sizeof(line.text), "%s: %.200s", method, status->message);
    } else {
        line.verdict = VERDICT(BROKEN);
        (void)snprintf(
            line.text, sizeof(line.text), "%s: the %s layer is gone%s", method, attack->layer,
            was_withheld(status) ? "; the rows' ownership check withheld the answer" : "");
    }
    tally->off++;
    fh_findings_add(intruder->findings, &line);
}

static void try_method(struct intruder *intruder, const struct fh_attack *attack,
                       const ProtobufCServiceDescriptor *service,
                       const ProtobufCMethodDescriptor *method, struct tally *tally)
{
    struct fh_client_header headers[HEADERS_MAX];
    struct fh_client_status status;
    struct fh_attack_shot shot;
    const struct fh_attack_ground nothing = {0};
    const struct fh_buf *token = &intruder->tokens[attack->token];
    const enum fh_code code = fh_attack_aim(
        attack, service, method, intruder->ground != NULL ? &intruder->ground->attack : &nothing,
        &intruder->arena, &shot);
    if (code == FH_UNIMPLEMENTED) {
        return;
    }
    if (code != FH_OK) {
        tally->lacking =
            code == FH_NOMEM ? "out of memory" : "the canaries have too little to list";
        return;
    }
    const struct fh_caller_as as = {
        .listener = attack->listener,
        .token = attack->token == FH_TOKEN_NONE ? NULL : token->data,
        .headers = headers,
        .header_count = fill_headers(intruder, attack->headers, headers),
    };
    ProtobufCMessage *answer =
        fh_caller_call(&intruder->caller, &as, service, method->name, shot.request, &status);
    judge(intruder, attack, method->name, &shot, answer, &status, tally);
    fh_client_message_free(answer);
}

static void sum_up(struct intruder *intruder, const struct fh_attack *attack,
                   const struct tally *tally)
{
    struct fh_finding line = line_of(intruder, attack->name);
    line.expected = attack->expected;
    if (tally->held > 0) {
        line.verdict = VERDICT(HELD);
        line.seen = tally->seen >= 0 && attack->allowed != 0 ? fh_client_grpc_name(tally->seen)
                                                             : attack->expected;
        (void)snprintf(line.text, sizeof(line.text), "%u method%s", tally->held,
                       tally->held == 1 ? "" : "s");
    } else if (tally->off == 0) {
        line.verdict = VERDICT(SKIPPED);
        (void)snprintf(line.text, sizeof(line.text), "%s",
                       tally->lacking != NULL ? tally->lacking : "no method can be asked so");
    } else {
        return;
    }
    fh_findings_add(intruder->findings, &line);
}

static void try_attack(struct intruder *intruder, const struct fh_attack *attack)
{
    struct tally tally = {.seen = -1};
    const bool forged = attack->headers == FH_HEADERS_TOKEN;
    if ((attack->token != FH_TOKEN_NONE && intruder->tokens[attack->token].len == 0) ||
        (forged && intruder->tokens[FH_TOKEN_UNSIGNED].len == 0)) {
        const bool expired =
            attack->token == FH_TOKEN_EXPIRED || attack->token == FH_TOKEN_OPERATOR_EXPIRED;
        add_line(intruder, attack->name, VERDICT(SKIPPED),
                 expired ? "only development keys can sign a token that has expired"
                         : "such a token cannot be made of the ones there are",
                 "");
        return;
    }
    for (const ProtobufCServiceDescriptor *const *service = fh_attack_services(attack->methods);
         *service != NULL; service++) {
        for (unsigned i = 0; i < (*service)->n_methods; i++) {
            try_method(intruder, attack, *service, &(*service)->methods[i], &tally);
        }
    }
    sum_up(intruder, attack, &tally);
}

/* -- Tokens -------------------------------------------------------------------------------------
 */

static void wipe(struct fh_buf *token)
{
    if (token->data != NULL) {
        explicit_bzero(token->data, token->capacity);
    }
    fh_buf_clear(token);
}

/* What cannot be forged stays empty, and its attacks are skipped. */
static void forge(struct intruder *intruder, const char *a, const char *b)
{
    struct fh_buf *tokens = intruder->tokens;
    struct fh_error ignored = FH_ERROR_INIT;
    const struct fh_str own = fh_buf_str(&tokens[FH_TOKEN_OWN]);
    const enum fh_code codes[] = {
        fh_forgery_unsigned(fh_buf_str(&intruder->others_token), &tokens[FH_TOKEN_UNSIGNED]),
        fh_forgery_claims(own, fh_str_of(a), fh_str_of(b), &tokens[FH_TOKEN_CLAIMS]),
        fh_forgery_signature(own, &tokens[FH_TOKEN_SIGNATURE]),
        fh_token_source_expired(&intruder->options->tokens, a, &tokens[FH_TOKEN_EXPIRED], &ignored),
    };
    static const enum fh_attack_token kinds[] = {FH_TOKEN_UNSIGNED, FH_TOKEN_CLAIMS,
                                                 FH_TOKEN_SIGNATURE, FH_TOKEN_EXPIRED};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i] != FH_OK) {
            wipe(&tokens[kinds[i]]);
        }
    }
}

static enum fh_code take_tokens(struct intruder *intruder, const char *a, const char *b,
                                struct fh_error *error)
{
    const struct fh_token_source *source = &intruder->options->tokens;
    enum fh_code code = fh_token_source_get(source, a, &intruder->tokens[FH_TOKEN_OWN], error);
    if (code == FH_OK) {
        code = fh_token_source_get(source, b, &intruder->others_token, error);
    }
    if (code == FH_OK) {
        forge(intruder, a, b);
    } else {
        wipe(&intruder->tokens[FH_TOKEN_OWN]);
    }
    return code;
}

static enum fh_code take_operators_tokens(struct intruder *intruder, struct fh_error *error)
{
    const struct fh_token_source *source = &intruder->options->tokens;
    struct fh_buf *tokens = intruder->tokens;
    struct fh_error ignored = FH_ERROR_INIT;
    enum fh_code code = fh_token_source_operator(source, &tokens[FH_TOKEN_OPERATOR], error);
    if (code == FH_OK && fh_forgery_unsigned(fh_buf_str(&tokens[FH_TOKEN_OPERATOR]),
                                             &tokens[FH_TOKEN_OPERATOR_UNSIGNED]) != FH_OK) {
        wipe(&tokens[FH_TOKEN_OPERATOR_UNSIGNED]);
    }
    if (code == FH_OK && fh_token_source_expired(source, NULL, &tokens[FH_TOKEN_OPERATOR_EXPIRED],
                                                 &ignored) != FH_OK) {
        wipe(&tokens[FH_TOKEN_OPERATOR_EXPIRED]);
    }
    return code;
}

/* -- A pair -------------------------------------------------------------------------------------
 */

static void look_back(struct intruder *intruder)
{
    static const char probe[] = "rpc: the other's records afterwards";
    struct fh_ground *ground = intruder->ground;
    struct fh_finding line = line_of(intruder, probe);
    bool changed = false;
    line.expected = "as before";
    if (!fh_ground_clean(ground, &intruder->caller, &intruder->arena)) {
        add_line(intruder, "rpc: canaries", VERDICT(UNKNOWN), ground->why, "");
    }
    if (!fh_ground_compare(ground, &intruder->caller, &intruder->arena, &changed)) {
        add_line(intruder, probe, VERDICT(UNKNOWN), ground->why, "");
        return;
    }
    line.seen = changed ? "changed" : line.expected;
    line.verdict = changed ? VERDICT(LEAKED) : VERDICT(HELD);
    line.gone = changed ? FH_LAYER_SCOPE : NULL;
    if (changed) {
        (void)snprintf(line.text, sizeof(line.text), "a write reached the other canary");
    }
    fh_findings_add(intruder->findings, &line);
}

static void attack_pair(struct intruder *intruder, const char *a, const char *b)
{
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_caller_as operators = {.listener = FH_SIDE_OPERATOR,
                                           .token = intruder->tokens[FH_TOKEN_OPERATOR].data};
    struct fh_ground *ground = intruder->ground;
    if (take_tokens(intruder, a, b, &error) != FH_OK) {
        add_line(intruder, "rpc: canaries", VERDICT(UNKNOWN), "no token of a canary",
                 fh_error_text(&error));
        return;
    }
    memset(ground, 0, sizeof(*ground));
    ground->attack.uids[0] = a;
    ground->attack.uids[1] = b;
    ground->tokens[0] = intruder->tokens[FH_TOKEN_OWN].data;
    ground->tokens[1] = intruder->others_token.data;
    if (!fh_ground_read(ground, &intruder->caller, &operators, &intruder->arena)) {
        add_line(intruder, "rpc: canaries", VERDICT(UNKNOWN), ground->why, "");
        return;
    }
    for (const struct fh_attack *attack = fh_attacks_of_pair; attack->name != NULL; attack++) {
        try_attack(intruder, attack);
    }
    look_back(intruder);
}

/* "tenants/{uuid}" of a canary, without the prefix; NULL: it is none. */
static const char *canary_of(const char *name)
{
    struct fh_uuid uuid;
    if (strncmp(name, "tenants/", 8) != 0 || !fh_uuid_parse(fh_str_of(name + 8), &uuid) ||
        !fh_uuid_is_canary(&uuid)) {
        return NULL;
    }
    return name + 8;
}

static void visit_place(struct intruder *intruder, const Freehold__V1__ProbeResult *result)
{
    const char *why = "";
    const char *uids[2] = {NULL, NULL};
    intruder->store = result->store;
    intruder->tier = result->tier;
    fh_arena_reset(&intruder->arena);
    for (size_t i = 0; i < 2 && result->n_canaries == 2; i++) {
        uids[i] = canary_of(result->canaries[i]);
    }
    if (result->n_canaries != 2) {
        add_line(intruder, "rpc: canaries", VERDICT(SKIPPED), "there are none, as said above", "");
    } else if (uids[0] == NULL || uids[1] == NULL) {
        add_line(intruder, "rpc: canaries", VERDICT(UNKNOWN), "the server named no canaries", "");
    } else if (!fh_token_source_is_there(&intruder->options->tokens, &why)) {
        add_line(intruder, "rpc: every attack", VERDICT(SKIPPED), why, "");
    } else {
        attack_pair(intruder, uids[0], uids[1]);
    }
}

/* The server's lines stand together by store and tier; a line with canaries counts more. */
static void visit_places(struct intruder *intruder, const Freehold__V1__ProbeReport *server)
{
    size_t i = 0;
    while (i < server->n_results && !fh_caller_is_stopped(&intruder->caller)) {
        const Freehold__V1__ProbeResult *place = server->results[i];
        for (; i < server->n_results && server->results[i]->tier == place->tier &&
               strcmp(server->results[i]->store, place->store) == 0;
             i++) {
            if (server->results[i]->n_canaries == 2) {
                place = server->results[i];
            }
        }
        visit_place(intruder, place);
    }
    intruder->store = "";
    intruder->tier = FREEHOLD__V1__PLACEMENT__TIER__TIER_UNSPECIFIED;
}

/* A method added to the API without a row of its own. */
static void report_uncovered(struct intruder *intruder)
{
    for (int side = FH_SIDE_TENANT; side <= FH_SIDE_OPERATOR; side++) {
        for (const ProtobufCServiceDescriptor *const *service =
                 fh_attack_services((enum fh_attack_side)side);
             *service != NULL; service++) {
            for (unsigned i = 0; i < (*service)->n_methods; i++) {
                if (!fh_attack_covers(*service, &(*service)->methods[i])) {
                    add_line(intruder, "rpc: every method", VERDICT(UNKNOWN), "no attack covers it",
                             (*service)->methods[i].name);
                }
            }
        }
    }
}

static bool connect_both(struct fh_caller *caller, struct fh_session *session)
{
    int exit_code = FH_EXIT_OK;
    for (int side = FH_SIDE_TENANT; side <= FH_SIDE_OPERATOR && exit_code == FH_EXIT_OK; side++) {
        exit_code =
            fh_session_connect(session, side == FH_SIDE_OPERATOR, NULL, &caller->clients[side]);
        if (exit_code == FH_EXIT_OK) {
            fh_client_set_stop(caller->clients[side], caller->stop_cb, caller->stop_arg);
        }
    }
    return exit_code == FH_EXIT_OK;
}

static void run(struct intruder *intruder, const Freehold__V1__ProbeReport *server)
{
    struct fh_error error = FH_ERROR_INIT;
    if (!connect_both(&intruder->caller, intruder->options->tokens.session)) {
        add_line(intruder, "rpc: listeners", VERDICT(UNKNOWN), "cannot connect to both listeners",
                 "");
        return;
    }
    if (take_operators_tokens(intruder, &error) != FH_OK) {
        add_line(intruder, "rpc: listeners", VERDICT(UNKNOWN), "no operator's token",
                 fh_error_text(&error));
        return;
    }
    report_uncovered(intruder);
    visit_places(intruder, server);
    for (const struct fh_attack *attack = fh_attacks_of_listeners; attack->name != NULL; attack++) {
        try_attack(intruder, attack);
    }
}

bool fh_intruder_run(const struct fh_intruder_options *options,
                     const Freehold__V1__ProbeReport *server, struct fh_findings *findings)
{
    struct intruder intruder = {.options = options, .findings = findings, .store = ""};
    const struct fh_token_source *source = &options->tokens;
    fh_arena_init(&intruder.arena, ARENA_BYTES_MAX);
    fh_buf_init(&intruder.others_token, FH_TOKEN_TEXT_MAX);
    for (int i = 0; i < FH_TOKEN_COUNT; i++) {
        fh_buf_init(&intruder.tokens[i], FH_TOKEN_TEXT_MAX);
    }
    intruder.caller = (struct fh_caller){.call_us = source->session->deadline_us,
                                         .deadline_at_us = options->deadline_at_us,
                                         .stop_cb = source->stop_cb,
                                         .stop_arg = source->stop_arg};
    intruder.ground = fh_calloc(1, sizeof(*intruder.ground));
    if (intruder.ground == NULL) {
        findings->code = FH_NOMEM;
    } else if (fh_context_get(&source->session->context, FH_SETTING_ADDRESS) == NULL) {
        add_line(&intruder, "rpc: every attack", VERDICT(SKIPPED),
                 "the tenants' listener is not known: give --address HOST:PORT", "");
    } else {
        run(&intruder, server);
    }
    const bool whole = !fh_caller_is_stopped(&intruder.caller);
    for (int side = FH_SIDE_TENANT; side <= FH_SIDE_OPERATOR; side++) {
        fh_client_destroy(intruder.caller.clients[side]);
    }
    for (int i = 0; i < FH_TOKEN_COUNT; i++) {
        wipe(&intruder.tokens[i]);
        fh_buf_close(&intruder.tokens[i]);
    }
    wipe(&intruder.others_token);
    fh_buf_close(&intruder.others_token);
    fh_arena_close(&intruder.arena);
    fh_free(intruder.ground);
    return whole;
}
