/* Happy path: a table of names. Failures: a name that is none of them. */
#include "clients/cli/tier.h"

#include <string.h>

static const char *const names[] = {
    [FREEHOLD__V1__PLACEMENT__TIER__TIER_UNSPECIFIED] = "-",
    [FREEHOLD__V1__PLACEMENT__TIER__TIER_SHARED] = "shared",
    [FREEHOLD__V1__PLACEMENT__TIER__TIER_SCHEMA] = "schema",
    [FREEHOLD__V1__PLACEMENT__TIER__TIER_DATABASE] = "database",
};

#define TIER_COUNT (sizeof(names) / sizeof(names[0]))

const char *fh_tier_text(Freehold__V1__Placement__Tier tier)
{
    return (size_t)tier < TIER_COUNT ? names[tier] : "?";
}

int fh_tier_option(struct fh_session *session, Freehold__V1__Placement__Tier *out)
{
    const char *given = fh_args_value(session->args, "tier");
    if (given == NULL) {
        return FH_EXIT_OK;
    }
    for (size_t i = 1; i < TIER_COUNT; i++) {
        if (strcmp(given, names[i]) == 0) {
            *out = (Freehold__V1__Placement__Tier)i;
            return FH_EXIT_OK;
        }
    }
    return fh_session_fail(session, FH_EXIT_USAGE, "--tier is shared, schema or database");
}
