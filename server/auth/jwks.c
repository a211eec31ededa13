/* All or nothing: the set is taken as a whole or the caller keeps the one it has. */
#include "server/auth/jwks.h"

#include "base/alloc.h"
#include "base/json.h"

static enum fh_code add_key(struct fh_jwks *jwks, const json_t *object, size_t index,
                            struct fh_error *error)
{
    struct fh_error detail = FH_ERROR_INIT;
    struct fh_jwk jwk;
    bool usable = true;
    enum fh_code code = fh_jwk_parse(object, &jwk, &usable, &detail);
    if (code == FH_NOMEM) {
        return fh_error_set(error, code, "out of memory while keys are read");
    }
    if (code != FH_OK) {
        return fh_error_set(error, code, "keys[%zu]: %s", index, fh_error_text(&detail));
    }
    if (!usable) {
        jwks->skipped++;
        return FH_OK;
    }
    if (fh_jwks_find(jwks, jwk.id) != NULL) {
        fh_jwk_close(&jwk);
        return fh_error_set(error, FH_INVALID, "keys[%zu]: an earlier key has the same kid", index);
    }
    jwks->keys[jwks->count++] = jwk;
    return FH_OK;
}

enum fh_code fh_jwks_parse(struct fh_str text, struct fh_jwks **out, struct fh_error *error)
{
    json_t *root = NULL;
    const char *why = NULL;
    *out = NULL;
    if (text.len > FH_JWKS_BYTES_MAX) {
        return fh_error_set(error, FH_TOO_LARGE, "the key set is larger than %zu bytes",
                            FH_JWKS_BYTES_MAX);
    }
    enum fh_code code = fh_json_parse_object(text, &root, &why);
    if (code == FH_NOMEM) {
        return fh_error_set(error, code, "out of memory while keys are read");
    }
    if (code != FH_OK) {
        return fh_error_set(error, code, "the key set %s", why);
    }
    const json_t *keys = json_object_get(root, "keys");
    struct fh_jwks *jwks = NULL;
    if (!json_is_array(keys) || json_array_size(keys) > FH_JWKS_KEYS_MAX) {
        code =
            fh_error_set(error, FH_INVALID, "the key set has no array \"keys\" of at most %d keys",
                         FH_JWKS_KEYS_MAX);
        goto done;
    }
    jwks = fh_calloc(1, sizeof(*jwks));
    if (jwks == NULL) {
        code = fh_error_set(error, FH_NOMEM, "out of memory while keys are read");
        goto done;
    }
    for (size_t i = 0; i < json_array_size(keys) && code == FH_OK; i++) {
        code = add_key(jwks, json_array_get(keys, i), i, error);
    }
done:
    json_decref(root);
    if (code != FH_OK) {
        fh_jwks_destroy(jwks);
        return code;
    }
    *out = jwks;
    return FH_OK;
}

void fh_jwks_destroy(struct fh_jwks *jwks)
{
    if (jwks == NULL) {
        return;
    }
    for (size_t i = 0; i < jwks->count; i++) {
        fh_jwk_close(&jwks->keys[i]);
    }
    fh_free(jwks);
}

const struct fh_jwk *fh_jwks_find(const struct fh_jwks *jwks, struct fh_str id)
{
    for (size_t i = 0; i < jwks->count; i++) {
        if (fh_str_eq(jwks->keys[i].id, id)) {
            return &jwks->keys[i];
        }
    }
    return NULL;
}
