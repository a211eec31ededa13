#include "stores/pg/keys.h"

#include <string.h>

#include "base/hash.h"

/* Constants, not secrets: every process must agree on them. The last byte tells the uses apart. */
enum use {
    USE_GATE = 'g',
    USE_ONCE = 'o',
    USE_SCHEMA = 's',
    USE_HOME = 'h',
    USE_COUNT = 'c',
    USE_TEMPLATE = 't'
};

static int64_t key_of(enum use use, const struct fh_home *home, const struct fh_uuid *tenant,
                      struct fh_str text)
{
    unsigned char hash_key[16] = "freehold lock 1";
    unsigned char data[FH_HOME_NAME_MAX + sizeof(tenant->bytes) + FH_REQUEST_ID_MAX];
    memset(data, 0, sizeof(data));
    hash_key[15] = (unsigned char)use;
    memcpy(data, home->name, strnlen(home->name, sizeof(home->name)));
    memcpy(data + FH_HOME_NAME_MAX, tenant->bytes, sizeof(tenant->bytes));
    if (text.len > 0) {
        memcpy(data + FH_HOME_NAME_MAX + sizeof(tenant->bytes), text.data,
               text.len < FH_REQUEST_ID_MAX ? text.len : FH_REQUEST_ID_MAX);
    }
    return (int64_t)fh_hash_keyed(hash_key, data, sizeof(data));
}

int64_t fh_pg_gate_key(const struct fh_scope *scope)
{
    return key_of(USE_GATE, &scope->home, &scope->tenant, FH_STR(""));
}

int64_t fh_pg_once_key(const struct fh_scope *scope, struct fh_str request_id)
{
    return key_of(USE_ONCE, &scope->home, &scope->tenant, request_id);
}

int64_t fh_pg_schema_key(const struct fh_home *home)
{
    const struct fh_uuid nobody = {{0}};
    return key_of(USE_SCHEMA, home, &nobody, FH_STR(""));
}

int64_t fh_pg_home_key(const struct fh_home *home)
{
    const struct fh_uuid nobody = {{(uint8_t)home->tier}}; /* two tiers have the same names */
    return key_of(USE_HOME, home, &nobody, FH_STR(""));
}

static int64_t key_of_store(enum use use)
{
    const struct fh_home none = {.tier = FH_TIER_SHARED};
    const struct fh_uuid nobody = {{0}};
    return key_of(use, &none, &nobody, FH_STR(""));
}

int64_t fh_pg_count_key(void)
{
    return key_of_store(USE_COUNT);
}

int64_t fh_pg_template_key(void)
{
    return key_of_store(USE_TEMPLATE);
}
