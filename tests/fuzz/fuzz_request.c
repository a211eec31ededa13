/* Requests of DataService and AuditService as bytes, through the wire check, the unpacking and the
 * handler, up to the router, which is put in here at link time: what would go to a store must be
 * within the store's contract, and every refusal must have its words. The first byte chooses the
 * method, the rest is the message.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "server/handlers/record_name.h"
#include "server/handlers/services.h"
#include "tests/unit/server_handlers/fake_call.h"
#include "tests/unit/server_handlers/model.h"

#define NOW_US INT64_C(1795226400000000)
#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fh_uuid tenant = {
    {1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16}};

const struct fh_schema *fh_router_schema(const struct fh_router *router)
{
    (void)router;
    return &model;
}

const struct fh_schema *fh_router_schema_of(const struct fh_router *router,
                                            const struct fh_uuid *tenant_id)
{
    (void)router;
    FH_ASSERT(fh_uuid_eq(tenant_id, &tenant));
    return &model;
}

/* A name says its key, and nothing else does. */
static void check_key(const struct fh_key *key, struct fh_arena *arena)
{
    struct fh_key again;
    struct fh_error error = FH_ERROR_INIT;
    char *name = fh_record_name_text(key, arena);
    FH_ASSERT(name != NULL);
    enum fh_code code =
        fh_record_name_parse(fh_str_of(name), "name", &tenant, &model, arena, &again, &error);
    FH_ASSERT(code == FH_OK && fh_key_compare(key, &again) == 0);
}

static void check_write(const struct fh_write *write, struct fh_arena *arena)
{
    struct fh_row *after = NULL;
    struct fh_error error = FH_ERROR_INIT;
    check_key(&write->key, arena);
    FH_ASSERT(write->assignment_count <= write->key.table->column_count);
    for (uint16_t i = 0; i < write->assignment_count; i++) {
        const struct fh_assignment *assignment = &write->assignments[i];
        const struct fh_column *column = &write->key.table->columns[assignment->column];
        struct fh_value value = assignment->value;
        FH_ASSERT(value.type == column->type);
        if (!value.is_null) { /* canonical already */
            enum fh_code code = fh_value_canonicalize(&value, column, arena, &error);
            FH_ASSERT(code == FH_OK && fh_value_equal(&value, &assignment->value));
        }
    }
    (void)fh_write_evaluate(write, NULL, &tenant, NOW_US, arena, &after, &error);
}

enum fh_code fh_router_submit(struct fh_router *router, struct fh_routed *routed)
{
    struct fh_request *request = &routed->request;
    struct fh_arena *arena = request->arena;
    (void)router;
    FH_ASSERT(fh_uuid_eq(&request->scope.tenant, &tenant) && routed->done_cb != NULL);
    if (request->op == FH_OP_GET) {
        FH_ASSERT(request->as.get.count >= 1 && request->as.get.count <= FH_GET_KEYS_MAX);
        for (size_t i = 0; i < request->as.get.count; i++) {
            check_key(&request->as.get.keys[i], arena);
        }
    } else if (request->op == FH_OP_LIST) {
        FH_ASSERT(request->as.list.limit >= 1 && request->as.list.limit <= FH_LIST_ROWS_MAX);
        FH_ASSERT(request->as.list.after == NULL); /* nobody here has a token */
    } else if (request->op == FH_OP_COMMIT) {
        const struct fh_op_commit *commit = &request->as.commit;
        FH_ASSERT(commit->count >= 1 && commit->count <= FH_COMMIT_WRITES_MAX);
        FH_ASSERT(commit->request_id.len <= FH_REQUEST_ID_MAX);
        for (size_t i = 0; i < commit->count; i++) {
            check_write(&commit->writes[i], arena);
        }
    } else if (request->op !=
               FH_OP_FENCE_READ) { /* that: is it the home's version or the message */
        FH_ASSERT(request->op == FH_OP_EVENTS);
        FH_ASSERT(request->as.events.limit >= 1 && request->as.events.limit <= FH_EVENTS_MAX);
    }
    return fh_error_set(&request->error, FH_UNAVAILABLE, "nothing behind");
}

void fh_router_cancel(struct fh_router *router, struct fh_routed *routed)
{
    (void)router;
    (void)routed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fh_page_keys page_keys = {.count = 1, .keys = {{.id = 1, .key = {1}}}};
    static struct fh_services services = {.page_keys = &page_keys};
    const struct fh_principal principal = {
        .realm = FH_REALM_TENANT, .tenant = tenant, .subject = {"fuzz", 4}, .roles = FH_ROLE_ADMIN};
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    const struct fh_rpc_service data_service = fh_data_service(&services);
    const struct fh_rpc_service audit_service = fh_audit_service(&services);
    size_t choice = data[0] % (data_service.method_count + audit_service.method_count);
    bool audits = choice >= data_service.method_count;
    const struct fh_rpc_service *service = audits ? &audit_service : &data_service;
    const struct fh_rpc_method *method =
        &service->methods[audits ? choice - data_service.method_count : choice];
    struct fh_str bytes = {.data = (const char *)data + 1, .len = size - 1};
    struct fh_call *call =
        fake_call_make_bytes(service, method->name, &principal, INT64_MAX, bytes);
    if (call == NULL) {
        return 0;
    }
    fake_call_run(call);
    FH_ASSERT(call->ended && call->code != FH_OK && call->message[0] != '\0');
    FH_ASSERT(call->code == FH_INVALID || call->code == FH_NOT_FOUND ||
              call->code == FH_UNAVAILABLE || call->code == FH_RANGE || call->code == FH_TOO_LARGE);
    FH_ASSERT(call->code != FH_INVALID || call->field[0] != '\0');
    fake_call_free(call);
    return 0;
}
