/* Page tokens: sealed, so that they tell nothing and cannot be forged.
 *
 * A token is base64url(key id (4 bytes) | nonce (12) | AES-256-GCM(payload) | tag (16)); the
 * additional data binds it to what it is good for: realm, tenant, method and query. Keys come from
 * the catalog's ring; the newest seals, all open. At most 2 KiB.
 */
#ifndef FH_SERVER_HANDLERS_PAGE_TOKEN_H
#define FH_SERVER_HANDLERS_PAGE_TOKEN_H

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "base/uuid.h"
#include "router/catalog.h"

#define FH_PAGE_TOKEN_MAX 2048
#define FH_PAGE_KEYS_MAX 16

struct fh_page_keys {
    struct fh_page_key keys[FH_PAGE_KEYS_MAX]; /* newest first */
    size_t count;
};

/* What a token is good for: any difference on the way back is FH_INVALID. */
struct fh_page_scope {
    struct fh_uuid tenant; /* nil in the operator realm */
    struct fh_str method;  /* "ListRecords" */
    struct fh_str query;   /* whatever else must be the same: parent, filters */
};

FH_MUST_CHECK enum fh_code fh_page_token_seal(const struct fh_page_keys *keys,
                                              const struct fh_page_scope *scope,
                                              struct fh_str payload, struct fh_arena *arena,
                                              struct fh_str *out);
/* FH_INVALID with field "page_token" for anything we did not seal for this scope. */
FH_MUST_CHECK enum fh_code fh_page_token_open(const struct fh_page_keys *keys,
                                              const struct fh_page_scope *scope,
                                              struct fh_str token, struct fh_arena *arena,
                                              struct fh_str *payload, struct fh_error *error);

#endif
