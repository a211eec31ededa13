/* The attacks' tables: every method of every service has its place, a request says what the attack
 * wants it to, and nothing that would be let in changes what is not a canary's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "clients/attack/attacks.h"
#include "freehold/v1/data.pb-c.h"
#include "freehold/v1/schema.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"

#define A "66682d63-616e-8000-8000-00000000000a"
#define B "66682d63-616e-8000-8000-00000000000b"
#define COMMON "tables/things/records/common"
#define OTHERS "tables/things/records/others"

static struct fh_arena arena;

static const struct fh_attack_ground ground = {
    .uids = {A, B},
    .table = "tables/things",
    .common = COMMON,
    .others = OTHERS,
    .page_tokens = {"page-a", "page-b"},
    .event_tokens = {"event-a", "event-b"},
    .bent_page_token = "bent-page",
    .bent_event_token = "bent-event",
    .request_id = "request-b",
};

static int setup(void **state)
{
    (void)state;
    fh_arena_init(&arena, (size_t)1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    return 0;
}

static void every_method_is_covered(void **state)
{
    (void)state;
    for (int side = FH_SIDE_TENANT; side <= FH_SIDE_OPERATOR; side++) {
        for (const ProtobufCServiceDescriptor *const *service =
                 fh_attack_services((enum fh_attack_side)side);
             *service != NULL; service++) {
            for (unsigned i = 0; i < (*service)->n_methods; i++) {
                assert_true(fh_attack_covers(*service, &(*service)->methods[i]));
            }
        }
    }
    const ProtobufCMethodDescriptor added = {.name = "TruncateTable"};
    assert_false(fh_attack_covers(&freehold__v1__data_service__descriptor, &added));
}

static const struct fh_attack *attack_named(const char *name)
{
    for (const struct fh_attack *one = fh_attacks_of_pair; one->name != NULL; one++) {
        if (strcmp(one->name, name) == 0) {
            return one;
        }
    }
    fail_msg("no attack %s", name);
    return NULL;
}

static enum fh_code aim(const char *attack, const char *method, struct fh_attack_shot *shot)
{
    const ProtobufCServiceDescriptor *service = &freehold__v1__data_service__descriptor;
    return fh_attack_aim(attack_named(attack), service,
                         protobuf_c_service_descriptor_get_method_by_name(service, method), &ground,
                         &arena, shot);
}

static void requests_name_what_they_should(void **state)
{
    (void)state;
    struct fh_attack_shot shot;
    assert_int_equal(aim("rpc: name of another", "GetRecord", &shot), FH_OK);
    assert_string_equal(((const Freehold__V1__GetRecordRequest *)shot.request)->name,
                        "tenants/" B "/" OTHERS);
    assert_int_equal(shot.allowed, FH_GRPC_BIT(FH_GRPC_NOT_FOUND));
    assert_int_equal(aim("rpc: key of another", "GetRecord", &shot), FH_OK);
    assert_string_equal(((const Freehold__V1__GetRecordRequest *)shot.request)->name, OTHERS);
    assert_int_equal(aim("rpc: page token of another", "ListRecords", &shot), FH_OK);
    assert_string_equal(((const Freehold__V1__ListRecordsRequest *)shot.request)->page_token,
                        "page-b");
    assert_int_equal(aim("rpc: page token of another method", "ListRecords", &shot), FH_OK);
    assert_string_equal(((const Freehold__V1__ListRecordsRequest *)shot.request)->page_token,
                        "event-a");
    assert_int_equal(aim("rpc: page token of another", "GetRecord", &shot), FH_UNIMPLEMENTED);
    assert_int_equal(aim("rpc: request id of another", "Commit", &shot), FH_OK);
    const Freehold__V1__CommitRequest *commit = (const Freehold__V1__CommitRequest *)shot.request;
    assert_string_equal(commit->request_id, "request-b");
    assert_string_equal(commit->writes[0]->update->name, OTHERS);
}

/* A's own two records are what later runs, and the server's prober, stand on. */
static void writes_at_own_records_are_only_checked(void **state)
{
    (void)state;
    static const char *const attacks[] = {"rpc: no token", "rpc: name of another, key of one's own",
                                          "rpc: operator's token"};
    struct fh_attack_shot shot;
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        assert_int_equal(aim(attacks[i], "PurgeRecord", &shot), FH_OK);
        assert_true(((const Freehold__V1__PurgeRecordRequest *)shot.request)->validate_only);
        assert_int_equal(aim(attacks[i], "Commit", &shot), FH_OK);
        assert_true(((const Freehold__V1__CommitRequest *)shot.request)->validate_only);
    }
    assert_int_equal(aim("rpc: name of another", "PurgeRecord", &shot), FH_OK);
    assert_false(((const Freehold__V1__PurgeRecordRequest *)shot.request)->validate_only);
}

static void operators_requests_do_nothing(void **state)
{
    (void)state;
    struct fh_attack_shot shot;
    const ProtobufCServiceDescriptor *service = &freehold__v1__tenant_admin_service__descriptor;
    assert_int_equal(
        fh_attack_aim(&fh_attacks_of_listeners[0], service,
                      protobuf_c_service_descriptor_get_method_by_name(service, "DeleteTenant"),
                      &(struct fh_attack_ground){0}, &arena, &shot),
        FH_OK);
    assert_string_equal(((const Freehold__V1__DeleteTenantRequest *)shot.request)->name, "!");
    service = &freehold__v1__schema_service__descriptor;
    assert_int_equal(
        fh_attack_aim(&fh_attacks_of_listeners[0], service,
                      protobuf_c_service_descriptor_get_method_by_name(service, "ApplySchema"),
                      &(struct fh_attack_ground){0}, &arena, &shot),
        FH_OK);
    assert_true(((const Freehold__V1__ApplySchemaRequest *)shot.request)->validate_only);
    assert_int_equal(((const Freehold__V1__ApplySchemaRequest *)shot.request)->n_migrations, 0);
}

/* Every request can be packed: its texts are set, its messages whole. */
static void all_requests_can_be_sent(void **state)
{
    (void)state;
    const struct fh_attack *const tables[] = {fh_attacks_of_pair, fh_attacks_of_listeners};
    for (size_t t = 0; t < 2; t++) {
        for (const struct fh_attack *attack = tables[t]; attack->name != NULL; attack++) {
            unsigned aimed = 0;
            for (const ProtobufCServiceDescriptor *const *service =
                     fh_attack_services(attack->methods);
                 *service != NULL; service++) {
                for (unsigned i = 0; i < (*service)->n_methods; i++) {
                    struct fh_attack_shot shot;
                    if (fh_attack_aim(attack, *service, &(*service)->methods[i], &ground, &arena,
                                      &shot) != FH_OK) {
                        continue;
                    }
                    aimed++;
                    assert_true(protobuf_c_message_check(shot.request));
                    assert_true(protobuf_c_message_get_packed_size(shot.request) < 4096);
                    assert_int_not_equal(shot.allowed, 0);
                }
            }
            assert_true(aimed > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_covered),
        cmocka_unit_test(requests_name_what_they_should),
        cmocka_unit_test(writes_at_own_records_are_only_checked),
        cmocka_unit_test(operators_requests_do_nothing),
        cmocka_unit_test(all_requests_can_be_sent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
