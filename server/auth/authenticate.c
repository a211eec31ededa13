/* Happy path: the bearer token is verified for this listener's realm, the principal goes on the
 * call, one of its roles is among those the method accepts.
 *
 * Failures: no or a bad token is FH_UNAUTHENTICATED, a good one without the role FH_PERMISSION; the
 * principal is then on the call already, so that the access log can say who was refused. */
#include "server/auth/authenticate.h"

#include <stdio.h>
#include <strings.h>

#include "base/assert.h"
#include "server/auth/claims.h"

/* "Bearer", in any case, one or more blanks, the token (RFC 6750, 2.1; RFC 9110, 11.1). */
static bool bearer_token(struct fh_str value, struct fh_str *token)
{
    static const char scheme[] = "bearer";
    const size_t len = sizeof(scheme) - 1;
    if (value.len <= len || strncasecmp(value.data, scheme, len) != 0 || value.data[len] != ' ') {
        return false;
    }
    *token = (struct fh_str){.data = value.data + len, .len = value.len - len};
    while (token->len > 0 && token->data[0] == ' ') {
        token->data++;
        token->len--;
    }
    return true;
}

static enum fh_code refuse_role(uint32_t access, struct fh_error *error)
{
    char names[64] = "";
    size_t used = 0;
    if (access == 0) {
        return fh_error_set(error, FH_PERMISSION, "this method has no access rule");
    }
    for (uint32_t bit = FH_ROLE_READER; bit <= FH_ROLE_OPERATOR; bit <<= 1) {
        if ((access & bit) != 0) {
            const int written = snprintf(names + used, sizeof(names) - used, "%s%s",
                                         used > 0 ? ", " : "", fh_role_name((enum fh_role)bit));
            FH_ASSERT(written > 0 && (size_t)written < sizeof(names) - used);
            used += (size_t)written;
        }
    }
    return fh_error_set(error, FH_PERMISSION, "this method needs one of the roles: %s", names);
}

enum fh_code fh_authenticate(struct fh_call *call, uint32_t access, void *arg,
                             struct fh_error *error)
{
    const struct fh_authenticator *authenticator = arg;
    struct fh_arena *arena = fh_call_arena(call);
    const struct fh_str value = fh_call_metadata(call, "authorization");
    struct fh_str token;
    if (value.len == 0) {
        return fh_error_set(error, FH_UNAUTHENTICATED,
                            "no credentials; send metadata \"authorization: Bearer <token>\"");
    }
    if (!bearer_token(value, &token)) {
        return fh_error_set(error, FH_UNAUTHENTICATED,
                            "the authorization metadata is not \"Bearer <token>\"");
    }
    struct fh_principal *principal = FH_ARENA_NEW(arena, struct fh_principal);
    if (principal == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory while the token is verified");
    }
    const enum fh_code code = fh_verifier_verify(authenticator->verifier, authenticator->realm,
                                                 token, arena, principal, error);
    if (code != FH_OK) {
        return code;
    }
    FH_ASSERT(principal->realm == authenticator->realm);
    fh_call_set_context(call, principal);
    return (principal->roles & access) != 0 ? FH_OK : refuse_role(access, error);
}

const struct fh_principal *fh_call_principal(const struct fh_call *call)
{
    return fh_call_context(call);
}
