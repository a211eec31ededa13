/* The attacks of canary A on canary B over RPC: what each sends, by method, and what answer shows
 * that it was kept out.
 *
 * Two tables make it up: attacks (who calls, with which token and metadata, naming what) and
 * methods (how a request of that method names it). Methods are enumerated from the services'
 * descriptors, so that one without a row here is noticed. Operators' methods need no row: a request
 * of any of them is filled so that it does nothing, if it should ever be let in.
 *
 * What an attack may do if nothing holds it: read or change the canaries' two records. Writes that
 * would meet A's own records are only validated. Pure but for the arena.
 */
#ifndef FH_CLIENTS_ATTACK_ATTACKS_H
#define FH_CLIENTS_ATTACK_ATTACKS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/arena.h"
#include "clients/c/status.h"

#define FH_GRPC_BIT(status) (1u << (status))

/* Which part of the service's isolation an attack is about. */
#define FH_LAYER_AUTHENTICATION "authentication"
#define FH_LAYER_REALM "realm"
#define FH_LAYER_NAME "name"
#define FH_LAYER_SCOPE "scope"
#define FH_LAYER_PAGE_TOKEN "page_token"
#define FH_LAYER_REQUEST_ID "request_id"

/* The two canaries as the attacks need them: [0] is A, who attacks, [1] is B. Names are relative
 * ("tables/things/records/k"). */
struct fh_attack_ground {
    const char *uids[2];
    const char *table;          /* "tables/things" */
    const char *common;         /* a record that both have, each its own */
    const char *others;         /* one that B alone has */
    const char *page_tokens[2]; /* of ListRecords; NULL: there was one page only */
    const char *event_tokens[2];
    const char *bent_page_token; /* A's own, changed */
    const char *bent_event_token;
    const char *request_id; /* B's, of an update of `others`; NULL: there is none */
};

enum fh_attack_token {
    FH_TOKEN_OWN,       /* A's */
    FH_TOKEN_NONE,      /* no metadata at all */
    FH_TOKEN_UNSIGNED,  /* B's claims, alg none */
    FH_TOKEN_CLAIMS,    /* A's with B's UUID, A's signature */
    FH_TOKEN_SIGNATURE, /* A's, signature changed */
    FH_TOKEN_EXPIRED,   /* A's */
    FH_TOKEN_OPERATOR,
    FH_TOKEN_OPERATOR_UNSIGNED,
    FH_TOKEN_OPERATOR_EXPIRED,
    FH_TOKEN_COUNT
};

enum fh_attack_headers {
    FH_HEADERS_NONE,
    FH_HEADERS_TENANT, /* every spelling of "the tenant is B" */
    FH_HEADERS_TOKEN,  /* a second authorization, B's, unsigned */
};

enum fh_attack_target {
    FH_TARGET_OWN,
    FH_TARGET_NAME,        /* B's record by its full name */
    FH_TARGET_NAME_COMMON, /* the same, of a key that A has as well */
    FH_TARGET_KEY,         /* B's key in A's own space */
    FH_TARGET_PAGE_TOKEN,  /* B's page token */
    FH_TARGET_PAGE_TOKEN_BENT,
    FH_TARGET_PAGE_TOKEN_METHOD, /* A's own, of another method */
    FH_TARGET_REQUEST_ID,        /* B's request again, as A */
    FH_TARGET_REQUEST_ID_NEW,    /* another request with B's id */
    FH_TARGET_HARMLESS,          /* operators' methods */
};

/* Whose methods, at whose listener. */
enum fh_attack_side { FH_SIDE_TENANT, FH_SIDE_OPERATOR };

struct fh_attack {
    const char *name;
    const char *layer;
    const char *expected; /* in words */
    enum fh_attack_side methods;
    enum fh_attack_side listener;
    enum fh_attack_token token;
    enum fh_attack_headers headers;
    enum fh_attack_target target;
    uint32_t allowed; /* FH_GRPC_BITs; 0: as the method's row says */
};

/* Of each pair, then those that need no pair's records. End with a NULL name. */
extern const struct fh_attack fh_attacks_of_pair[];
extern const struct fh_attack fh_attacks_of_listeners[];

/* The services of a side; ends with NULL. */
const ProtobufCServiceDescriptor *const *fh_attack_services(enum fh_attack_side side);
/* Is there any attack on it? */
bool fh_attack_covers(const ProtobufCServiceDescriptor *service,
                      const ProtobufCMethodDescriptor *method);

struct fh_attack_shot {
    const ProtobufCMessage *request; /* in the arena */
    uint32_t allowed;                /* FH_GRPC_BITs that say: kept out */
};

/* FH_UNIMPLEMENTED: the method names nothing of the kind. FH_NOT_FOUND: the ground lacks it. */
FH_MUST_CHECK enum fh_code fh_attack_aim(const struct fh_attack *attack,
                                         const ProtobufCServiceDescriptor *service,
                                         const ProtobufCMethodDescriptor *method,
                                         const struct fh_attack_ground *ground,
                                         struct fh_arena *arena, struct fh_attack_shot *out);

#endif
