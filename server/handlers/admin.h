/* What the operators' handlers share: a catalog request embedded in the call, names, pages, the
 * audit context. */
#ifndef FH_SERVER_HANDLERS_ADMIN_H
#define FH_SERVER_HANDLERS_ADMIN_H

#include <stdint.h>

#include "router/catalog.h"
#include "server/handlers/services.h"
#include "server/rpc/call.h"

struct fh_admin_call;
typedef void fh_admin_call_answer_cb(struct fh_admin_call *admin_call);

/* In the call's arena; embedded first in a handler's own state. */
struct fh_admin_call {
    struct fh_call *call;
    struct fh_services *services;
    struct fh_catalog_request catalog;
    fh_admin_call_answer_cb *answer;
    fh_admin_call_answer_cb *ended; /* or NULL; before the answer or the failure, whatever came */
};

FH_MUST_CHECK void *fh_admin_call_create(struct fh_call *call, struct fh_services *services,
                                         size_t size);
/* Submits `catalog` (op and `as` are set); `answer` runs when it succeeded, else the call fails
 * with its error. */
void fh_admin_call_submit(struct fh_admin_call *admin_call, fh_admin_call_answer_cb *answer);

/* Ends the call with its answer, or with what kept it from being made; `changed`: something was
 * done, which a failure to answer must not deny. */
void fh_admin_call_reply(const struct fh_admin_call *admin_call, enum fh_code code,
                         const ProtobufCMessage *answer, bool changed);

#define FH_REASON_BYTES_MAX 1000
/* Of a request that changes something: FH_INVALID names the field. */
FH_MUST_CHECK enum fh_code fh_reason_check(const char *reason, struct fh_error *error);
/* Who asks: from the verified principal, for the operators' audit. Borrows from the call. */
struct fh_audit_context fh_call_audit(struct fh_call *call, const char *reason);

/* "stores/{name}" to the name; FH_INVALID otherwise. */
FH_MUST_CHECK enum fh_code fh_store_name_parse(const char *name, const char *field,
                                               struct fh_str *out, struct fh_error *error);
/* Unspecified: shared. FH_INVALID names `field`. */
FH_MUST_CHECK enum fh_code fh_tier_from_proto(int tier, const char *field, enum fh_tier *out,
                                              struct fh_error *error);
/* Whether homes of that tier may be made in the store, and whether it is in the region that is
 * required ("": any): FH_PRECONDITION names the field, and says what the store offers. */
FH_MUST_CHECK enum fh_code fh_store_suits(const struct fh_services *services,
                                          const struct fh_store *store, enum fh_tier tier,
                                          const char *tier_field, const char *region,
                                          struct fh_error *error);
/* "tenants/{uuid}" or "tenants/{slug}": exactly one of the two is set. */
FH_MUST_CHECK enum fh_code fh_tenant_name_parse(const char *name, struct fh_uuid *uuid,
                                                struct fh_str *slug, struct fh_error *error);
/* A page's end as bytes of a fixed size, sealed for `scope` and back: FH_INVALID names page_token.
 * An empty token leaves `out` as it is. */
FH_MUST_CHECK enum fh_code fh_admin_page_open(const struct fh_admin_call *admin_call,
                                              const struct fh_page_scope *scope, const char *token,
                                              void *out, size_t size, struct fh_error *error);
FH_MUST_CHECK enum fh_code fh_admin_page_seal(const struct fh_admin_call *admin_call,
                                              const struct fh_page_scope *scope, const void *end,
                                              size_t size, char **out);
/* 0: the default; more than FH_PAGE_MAX: FH_PAGE_MAX; negative: FH_INVALID. */
FH_MUST_CHECK enum fh_code fh_page_size_parse(int32_t page_size, size_t page_size_default,
                                              size_t *out, struct fh_error *error);

#endif
