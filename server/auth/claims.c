/* Every claim that is used must be there and of its type; a claim of the wrong type is a refusal,
 * not an absence, so that a mistake of the issuer cannot widen what a token means. Unknown role
 * names are passed over: an issuer may serve other services too. */
#include "server/auth/claims.h"

#include <time.h>

#include "base/json.h"

#define TIME_MAX_S 253402300799 /* 9999-12-31T23:59:59Z */
#define US_PER_S 1000000

static const struct {
    enum fh_realm realm;
    enum fh_role role;
    const char *name;
} roles[] = {
    {FH_REALM_TENANT, FH_ROLE_READER, "reader"},
    {FH_REALM_TENANT, FH_ROLE_WRITER, "writer"},
    {FH_REALM_TENANT, FH_ROLE_ADMIN, "admin"},
    {FH_REALM_OPERATOR, FH_ROLE_OPERATOR, "operator"},
};

uint32_t fh_role_bit(enum fh_realm realm, struct fh_str name)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (roles[i].realm == realm && fh_str_eq(name, fh_str_of(roles[i].name))) {
            return roles[i].role;
        }
    }
    return 0;
}

const char *fh_role_name(enum fh_role role)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (roles[i].role == role) {
            return roles[i].name;
        }
    }
    return "unknown";
}

bool fh_subject_valid(struct fh_str subject)
{
    if (subject.len == 0 || subject.len > FH_SUBJECT_MAX) {
        return false;
    }
    for (size_t i = 0; i < subject.len; i++) {
        if (subject.data[i] <= ' ' || subject.data[i] > '~') {
            return false;
        }
    }
    return true;
}

/* A NumericDate (RFC 7519, section 2): whole or fractional seconds. */
static enum fh_code read_time(const json_t *claims, const char *name, int64_t *out_us,
                              struct fh_error *error)
{
    const json_t *value = json_object_get(claims, name);
    if (!json_is_number(value)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's %s is not a number", name);
    }
    if (json_is_integer(value)) {
        const json_int_t seconds = json_integer_value(value);
        if (seconds >= 0 && seconds <= TIME_MAX_S) {
            *out_us = (int64_t)seconds * US_PER_S;
            return FH_OK;
        }
    } else {
        const double seconds = json_real_value(value);
        if (seconds >= 0 && seconds <= (double)TIME_MAX_S) {
            *out_us = (int64_t)(seconds * US_PER_S);
            return FH_OK;
        }
    }
    return fh_error_set(error, FH_UNAUTHENTICATED, "the token's %s is out of range", name);
}

static enum fh_code read_times(const json_t *claims, struct fh_claims *out, struct fh_error *error)
{
    int64_t issued_us = 0;
    if (json_object_get(claims, "exp") == NULL) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token has no exp");
    }
    enum fh_code code = read_time(claims, "exp", &out->expires_us, error);
    if (code != FH_OK) {
        return code;
    }
    out->not_before_us = INT64_MIN;
    if (json_object_get(claims, "nbf") != NULL) {
        code = read_time(claims, "nbf", &out->not_before_us, error);
    }
    if (code == FH_OK && json_object_get(claims, "iat") != NULL) {
        code = read_time(claims, "iat", &issued_us, error);
    }
    return code;
}

static enum fh_code check_audience(const json_t *claims, struct fh_str audience,
                                   struct fh_error *error)
{
    const json_t *value = json_object_get(claims, "aud");
    bool found = false;
    if (value == NULL) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token has no aud");
    }
    if (json_is_string(value)) {
        found = fh_str_eq(fh_json_text(claims, "aud"), audience);
    } else if (json_is_array(value)) {
        if (json_array_size(value) > FH_AUDIENCES_MAX) {
            return fh_error_set(error, FH_UNAUTHENTICATED, "the token's aud has more than %d names",
                                FH_AUDIENCES_MAX);
        }
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *entry = json_array_get(value, i);
            const struct fh_str name = {.data = json_string_value(entry),
                                        .len = json_string_length(entry)};
            if (!json_is_string(entry)) {
                return fh_error_set(error, FH_UNAUTHENTICATED,
                                    "the token's aud is not a string or an array of strings");
            }
            found = found || fh_str_eq(name, audience);
        }
    } else {
        return fh_error_set(error, FH_UNAUTHENTICATED,
                            "the token's aud is not a string or an array of strings");
    }
    if (!found) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token is for another audience");
    }
    return FH_OK;
}

static enum fh_code read_tenant(const json_t *claims, enum fh_realm realm, struct fh_claims *out,
                                struct fh_error *error)
{
    const json_t *value = json_object_get(claims, "tenant");
    out->tenant = (struct fh_uuid){{0}};
    if (realm == FH_REALM_OPERATOR) {
        if (value != NULL) {
            return fh_error_set(error, FH_UNAUTHENTICATED,
                                "an operator's token must not name a tenant");
        }
        return FH_OK;
    }
    if (value == NULL) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token has no tenant");
    }
    if (!json_is_string(value) || !fh_uuid_parse(fh_json_text(claims, "tenant"), &out->tenant) ||
        fh_uuid_is_nil(&out->tenant)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's tenant is not a UUID");
    }
    return FH_OK;
}

static enum fh_code read_roles(const json_t *claims, enum fh_realm realm, uint32_t *out,
                               struct fh_error *error)
{
    const json_t *value = json_object_get(claims, "roles");
    *out = 0;
    if (value == NULL) {
        return FH_OK;
    }
    if (!json_is_array(value)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token's roles are not an array");
    }
    if (json_array_size(value) > FH_ROLES_MAX) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token has more than %d roles",
                            FH_ROLES_MAX);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        if (!json_is_string(entry)) {
            return fh_error_set(error, FH_UNAUTHENTICATED, "a role of the token is not a string");
        }
        *out |= fh_role_bit(realm, (struct fh_str){.data = json_string_value(entry),
                                                   .len = json_string_length(entry)});
    }
    return FH_OK;
}

enum fh_code fh_claims_read(const json_t *claims, enum fh_realm realm, struct fh_str audience,
                            struct fh_claims *out, struct fh_error *error)
{
    enum fh_code code = read_times(claims, out, error);
    if (code == FH_OK) {
        code = check_audience(claims, audience, error);
    }
    if (code != FH_OK) {
        return code;
    }
    out->grants = (struct fh_grants){.restricted = false};
    out->subject = fh_json_text(claims, "sub");
    if (!fh_subject_valid(out->subject)) {
        return fh_error_set(error, FH_UNAUTHENTICATED,
                            "the token's sub is not 1 to %d bytes of visible ASCII",
                            FH_SUBJECT_MAX);
    }
    code = read_tenant(claims, realm, out, error);
    if (code == FH_OK) {
        code = read_roles(claims, realm, &out->roles, error);
    }
    return code;
}

static void format_time(int64_t us, char *out, size_t size)
{
    const time_t seconds = (time_t)(us / US_PER_S);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        out[0] = '\0';
    }
}

enum fh_code fh_claims_check_time(const struct fh_claims *claims, int64_t now_us,
                                  struct fh_error *error)
{
    char text[32];
    if (now_us - FH_LEEWAY_US >= claims->expires_us) {
        format_time(claims->expires_us, text, sizeof(text));
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token expired at %s", text);
    }
    if (now_us + FH_LEEWAY_US < claims->not_before_us) {
        format_time(claims->not_before_us, text, sizeof(text));
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token is not valid before %s", text);
    }
    return FH_OK;
}
