#include "stores/home.h"

#include <stdio.h>

#include "base/assert.h"

#define PREFIX "t_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define HEX_LEN 32

static const char *const tier_names[] = {
    [FH_TIER_SHARED] = "shared", [FH_TIER_SCHEMA] = "schema", [FH_TIER_DATABASE] = "database"};

void fh_home_of(enum fh_tier tier, const struct fh_uuid *tenant, struct fh_home *out)
{
    *out = (struct fh_home){.tier = tier};
    if (tier == FH_TIER_SHARED) {
        (void)snprintf(out->name, sizeof(out->name), "%s", FH_HOME_SHARED);
        return;
    }
    (void)snprintf(out->name, sizeof(out->name), "%s", PREFIX);
    for (size_t i = 0; i < sizeof(tenant->bytes); i++) {
        (void)snprintf(out->name + PREFIX_LEN + 2 * i, 3, "%02x", tenant->bytes[i]);
    }
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool fh_home_tenant(const struct fh_home *home, struct fh_uuid *tenant)
{
    if (!fh_home_is_dedicated(home) ||
        strnlen(home->name, sizeof(home->name)) != PREFIX_LEN + HEX_LEN ||
        memcmp(home->name, PREFIX, PREFIX_LEN) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(tenant->bytes); i++) {
        int high = hex_of(home->name[PREFIX_LEN + 2 * i]);
        int low = hex_of(home->name[PREFIX_LEN + 2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        tenant->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool fh_home_is_valid(const struct fh_home *home)
{
    if (home->tier < FH_TIER_SHARED || home->tier > FH_TIER_DATABASE) {
        return false;
    }
    size_t len = strnlen(home->name, sizeof(home->name));
    if (len == 0 || len == sizeof(home->name) || home->name[0] < 'a' || home->name[0] > 'z') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = home->name[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') {
            return false;
        }
    }
    return true;
}

const char *fh_tier_name(enum fh_tier tier)
{
    FH_ASSERT(tier >= FH_TIER_SHARED && tier <= FH_TIER_DATABASE);
    return tier_names[tier];
}

bool fh_tier_of_name(struct fh_str name, enum fh_tier *out)
{
    for (int tier = FH_TIER_SHARED; tier <= FH_TIER_DATABASE; tier++) {
        if (fh_str_eq(name, fh_str_of(tier_names[tier]))) {
            *out = (enum fh_tier)tier;
            return true;
        }
    }
    return false;
}
