/* Happy path: the token's hash is in the cache and the entry is of this realm: copy the principal.
 * Else the token is taken apart, `iss` names the issuer, `kid` the key, the key checks the
 * signature, and only then do claims mean anything.
 *
 * Failures: all FH_UNAUTHENTICATED with a reason for the caller's developer; FH_NOMEM is not a
 * verdict on the token. Key files: whatever goes wrong with one, the set in force stays; the log
 * says so once for each state of the file. */
#include "server/auth/verifier.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/json.h"
#include "server/auth/cache.h"
#include "server/auth/claims.h"
#include "server/auth/file.h"
#include "server/auth/jwks.h"
#include "server/auth/jwt.h"
#include "server/auth/signature.h"

#define ISSUERS_MAX 64
#define CACHE_MAX ((size_t)1 << 20)

struct issuer {
    enum fh_realm realm;
    char *name;
    char *audience;
    char *path;
    struct fh_jwks *jwks;
    struct fh_file_stamp loaded;  /* the file that `jwks` is from */
    struct fh_file_stamp refused; /* the last state that was logged as unusable */
    bool has_refused;
    bool refused_for_good; /* by its contents: no use reading it again */
    uint8_t digest[FH_TOKEN_HASH_BYTES];
};

struct fh_verifier {
    const struct fh_clock *clock;
    struct fh_log *log;
    struct issuer *issuers;
    size_t count;
    uint64_t generation;
    struct fh_token_cache cache;
    EVP_MD *sha256; /* fetched once: the look-up by name costs more than hashing a token */
    EVP_MD_CTX *hasher;
};

static const char *realm_name(enum fh_realm realm)
{
    return realm == FH_REALM_OPERATOR ? "operator" : "tenant";
}

static enum fh_code hash(struct fh_verifier *verifier, struct fh_str text,
                         uint8_t out[FH_TOKEN_HASH_BYTES])
{
    if (EVP_DigestInit_ex2(verifier->hasher, verifier->sha256, NULL) != 1 ||
        EVP_DigestUpdate(verifier->hasher, text.data, text.len) != 1 ||
        EVP_DigestFinal_ex(verifier->hasher, out, NULL) != 1) {
        return FH_NOMEM;
    }
    return FH_OK;
}

/* Reads and parses an issuer's file; takes the new set only when everything went well. `*changed`:
 * other text than before. */
static enum fh_code load(struct fh_verifier *verifier, struct issuer *issuer, bool *changed,
                         struct fh_error *error)
{
    struct fh_file_stamp stamp;
    struct fh_jwks *jwks = NULL;
    uint8_t digest[FH_TOKEN_HASH_BYTES];
    struct fh_buf text;
    *changed = false;
    fh_buf_init(&text, FH_JWKS_BYTES_MAX);
    enum fh_code code = fh_file_read(issuer->path, &text, &stamp, error);
    if (code != FH_OK) {
        goto done;
    }
    code = hash(verifier, fh_buf_str(&text), digest);
    if (code != FH_OK) {
        (void)fh_error_set(error, code, "out of memory while keys are read");
        goto done;
    }
    if (issuer->jwks == NULL || memcmp(digest, issuer->digest, sizeof(digest)) != 0) {
        struct fh_error detail = FH_ERROR_INIT;
        code = fh_jwks_parse(fh_buf_str(&text), &jwks, &detail);
        if (code != FH_OK) {
            (void)fh_error_set(error, code, "%s: %s", issuer->path, fh_error_text(&detail));
            goto done;
        }
        fh_jwks_destroy(issuer->jwks);
        issuer->jwks = jwks;
        memcpy(issuer->digest, digest, sizeof(digest));
        *changed = true;
    }
    issuer->loaded = stamp;
    issuer->has_refused = false;
done:
    fh_buf_close(&text);
    return code;
}

static void reload_issuer(struct fh_verifier *verifier, struct issuer *issuer)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_file_stamp now;
    bool changed = false;
    fh_file_stamp_take(issuer->path, &now);
    const bool known_bad = issuer->has_refused && fh_file_stamp_same(&now, &issuer->refused);
    if (known_bad ? issuer->refused_for_good : fh_file_stamp_same(&now, &issuer->loaded)) {
        return;
    }
    const enum fh_code code = load(verifier, issuer, &changed, &error);
    if (code == FH_OK) {
        if (changed) {
            verifier->generation++;
        }
        FH_LOG(verifier->log, INFO, "auth.keys_loaded", FH_KV_TEXT("issuer", issuer->name),
               FH_KV_INT("keys", (int64_t)issuer->jwks->count),
               FH_KV_INT("skipped", (int64_t)issuer->jwks->skipped),
               FH_KV_INT("generation", (int64_t)verifier->generation));
        return;
    }
    issuer->has_refused = true;
    issuer->refused = now;
    issuer->refused_for_good = code == FH_INVALID || code == FH_TOO_LARGE;
    if (!known_bad) {
        FH_LOG(verifier->log, ERROR, "auth.keys_not_loaded", FH_KV_TEXT("issuer", issuer->name),
               FH_KV_TEXT("error", fh_error_text(&error)),
               FH_KV_TEXT("effect", "the keys loaded before stay in force"));
    }
}

void fh_verifier_reload(struct fh_verifier *verifier)
{
    for (size_t i = 0; i < verifier->count; i++) {
        reload_issuer(verifier, &verifier->issuers[i]);
    }
}

uint64_t fh_verifier_generation(const struct fh_verifier *verifier)
{
    return verifier->generation;
}

static struct issuer *find_issuer(const struct fh_verifier *verifier, struct fh_str name)
{
    for (size_t i = 0; i < verifier->count; i++) {
        if (fh_str_eq(fh_str_of(verifier->issuers[i].name), name)) {
            return &verifier->issuers[i];
        }
    }
    return NULL;
}

static enum fh_code add_issuer(struct fh_verifier *verifier, const struct fh_issuer_config *config,
                               struct fh_error *error)
{
    bool changed = false;
    if (config->issuer == NULL || config->issuer[0] == '\0' || config->audience == NULL ||
        config->audience[0] == '\0' || config->jwks_path == NULL ||
        (config->realm != FH_REALM_TENANT && config->realm != FH_REALM_OPERATOR)) {
        return fh_error_set(error, FH_INVALID,
                            "an issuer needs a name, an audience, a key file and a realm");
    }
    /* One issuer in both realms would leave only the audience between them. */
    if (find_issuer(verifier, fh_str_of(config->issuer)) != NULL) {
        return fh_error_set(error, FH_INVALID, "issuer %s is configured twice", config->issuer);
    }
    struct issuer *issuer = &verifier->issuers[verifier->count];
    issuer->realm = config->realm;
    issuer->name = fh_strdup(config->issuer);
    issuer->audience = fh_strdup(config->audience);
    issuer->path = fh_strdup(config->jwks_path);
    verifier->count++; /* from here destroy() frees what there is of it */
    if (issuer->name == NULL || issuer->audience == NULL || issuer->path == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    return load(verifier, issuer, &changed, error);
}

enum fh_code fh_verifier_create(const struct fh_env *env, const struct fh_issuer_config *issuers,
                                size_t count, size_t cache_max, struct fh_verifier **out,
                                struct fh_error *error)
{
    *out = NULL;
    if (count == 0 || count > ISSUERS_MAX || cache_max > CACHE_MAX) {
        return fh_error_set(error, FH_INVALID, "1 to %d issuers and at most %zu cached tokens",
                            ISSUERS_MAX, CACHE_MAX);
    }
    struct fh_verifier *verifier = fh_calloc(1, sizeof(*verifier));
    if (verifier == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    verifier->clock = env->clock;
    verifier->log = env->log;
    verifier->generation = 1;
    fh_token_cache_init(&verifier->cache, cache_max);
    enum fh_code code = FH_NOMEM;
    verifier->issuers = fh_calloc(count, sizeof(*verifier->issuers));
    verifier->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    verifier->hasher = EVP_MD_CTX_new();
    if (verifier->issuers == NULL || verifier->sha256 == NULL || verifier->hasher == NULL) {
        (void)fh_error_set(error, code, "out of memory");
        goto failed;
    }
    for (size_t i = 0; i < count; i++) {
        code = add_issuer(verifier, &issuers[i], error);
        if (code != FH_OK) {
            goto failed;
        }
    }
    *out = verifier;
    return FH_OK;
failed:
    fh_verifier_destroy(verifier);
    return code;
}

void fh_verifier_destroy(struct fh_verifier *verifier)
{
    if (verifier == NULL) {
        return;
    }
    FH_ASSERT(verifier->count == 0 || verifier->issuers != NULL);
    for (size_t i = 0; i < verifier->count; i++) {
        struct issuer *issuer = &verifier->issuers[i];
        fh_jwks_destroy(issuer->jwks);
        fh_free(issuer->path);
        fh_free(issuer->audience);
        fh_free(issuer->name);
    }
    fh_token_cache_close(&verifier->cache);
    EVP_MD_CTX_free(verifier->hasher);
    EVP_MD_free(verifier->sha256);
    fh_free(verifier->issuers);
    fh_free(verifier);
}

static enum fh_code refuse_realm(enum fh_realm token, enum fh_realm listener,
                                 struct fh_error *error)
{
    return fh_error_set(error, FH_UNAUTHENTICATED,
                        "a token of the %s realm; this listener serves the %s realm",
                        realm_name(token), realm_name(listener));
}

static enum fh_code check_signature(const struct fh_jwt *jwt, const struct issuer *issuer,
                                    struct fh_error *error)
{
    const struct fh_jwk *key = fh_jwks_find(issuer->jwks, jwt->key_id);
    if (key == NULL) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "unknown key id (kid) for this issuer");
    }
    if (key->alg != jwt->alg) {
        return fh_error_set(error, FH_UNAUTHENTICATED,
                            "the token's alg is not that of the key it names");
    }
    const enum fh_code code = fh_signature_check(key->alg, key->key, jwt->signing_input,
                                                 jwt->signature, jwt->signature_len);
    if (code == FH_UNAUTHENTICATED) {
        return fh_error_set(error, code, "the token's signature does not verify");
    }
    return code;
}

static enum fh_code verify_parts(struct fh_verifier *verifier, enum fh_realm realm,
                                 const struct fh_jwt *jwt, int64_t now_us, struct fh_arena *arena,
                                 struct fh_claims *out, struct fh_error *error)
{
    const json_t *name = json_object_get(jwt->claims, "iss");
    if (!json_is_string(name)) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token has no iss");
    }
    const struct issuer *issuer = find_issuer(verifier, fh_json_text(jwt->claims, "iss"));
    if (issuer == NULL) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "unknown issuer");
    }
    if (issuer->realm != realm) {
        return refuse_realm(issuer->realm, realm, error);
    }
    enum fh_code code = check_signature(jwt, issuer, error);
    if (code == FH_OK) {
        code = fh_claims_read(jwt->claims, realm, fh_str_of(issuer->audience), out, error);
    }
    if (code == FH_OK) {
        code = fh_grants_read(jwt->claims, arena, &out->grants, error);
    }
    if (code == FH_OK) {
        code = fh_claims_check_time(out, now_us, error);
    }
    return code;
}

static enum fh_code fill(const struct fh_token_cached *value, struct fh_arena *arena,
                         struct fh_principal *out)
{
    out->realm = value->realm;
    out->tenant = value->claims.tenant;
    out->roles = value->claims.roles;
    out->expires_at_us = value->claims.expires_us;
    out->grants.restricted = value->claims.grants.restricted;
    enum fh_code code = fh_arena_str(arena, value->claims.grants.tables, &out->grants.tables);
    return code != FH_OK ? code : fh_arena_str(arena, value->claims.subject, &out->subject);
}

static enum fh_code verify(struct fh_verifier *verifier, enum fh_realm realm, struct fh_str token,
                           struct fh_arena *arena, struct fh_principal *out, struct fh_error *error)
{
    uint8_t digest[FH_TOKEN_HASH_BYTES];
    const int64_t now_us = fh_clock_realtime_us(verifier->clock);
    /* Before hashing, or the limit would not limit the work. */
    if (token.len > FH_TOKEN_BYTES_MAX) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "the token is longer than %d bytes",
                            FH_TOKEN_BYTES_MAX);
    }
    enum fh_code code = hash(verifier, token, digest);
    if (code != FH_OK) {
        return code;
    }
    const struct fh_token_cached *cached =
        fh_token_cache_get(&verifier->cache, digest, verifier->generation, now_us);
    if (cached != NULL) {
        return cached->realm == realm ? fill(cached, arena, out)
                                      : refuse_realm(cached->realm, realm, error);
    }
    struct fh_jwt jwt;
    code = fh_jwt_decode(token, &jwt, error);
    if (code != FH_OK) {
        return code;
    }
    struct fh_token_cached value = {.realm = realm};
    code = verify_parts(verifier, realm, &jwt, now_us, arena, &value.claims, error);
    if (code == FH_OK) {
        code = fill(&value, arena, out);
    }
    if (code == FH_OK) {
        fh_token_cache_put(&verifier->cache, digest, verifier->generation, &value);
    }
    fh_jwt_close(&jwt);
    return code;
}

enum fh_code fh_verifier_verify(struct fh_verifier *verifier, enum fh_realm realm,
                                struct fh_str token, struct fh_arena *arena,
                                struct fh_principal *out, struct fh_error *error)
{
    memset(out, 0, sizeof(*out));
    const enum fh_code code = verify(verifier, realm, token, arena, out, error);
    if (code != FH_OK) {
        memset(out, 0, sizeof(*out));
    }
    if (code == FH_NOMEM) {
        return fh_error_set(error, code, "out of memory while the token is verified");
    }
    return code;
}
