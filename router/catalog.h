/* The catalog: what is about tenants, and nothing that belongs to them. Engine-free; SQLite today,
 * PostgreSQL next.
 *
 * Identity, state, placement (the single truth of where a tenant lives), stores, schema versions,
 * the ring of page-token keys, and the operators' audit. Every change writes its audit event in the
 * same transaction.
 *
 * Contract as for stores: submit refuses, or completes exactly once on the loop and never inside
 * submit. Requests, and what they point to, belong to the caller until done_cb; results are in the
 * request's arena. All text is valid UTF-8 and already bounded. Loop thread only.
 */
#ifndef FH_ROUTER_CATALOG_H
#define FH_ROUTER_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/env.h"
#include "base/error.h"
#include "base/list.h"
#include "base/uuid.h"
#include "base/worker.h"
#include "stores/store.h"

#define FH_SLUG_MAX 63
#define FH_STORE_NAME_MAX 40
#define FH_LABELS_MAX 32
#define FH_PAGE_MAX 1000

enum fh_tenant_state {
    FH_TENANT_PROVISIONING = 1,
    FH_TENANT_ACTIVE,
    FH_TENANT_SUSPENDED,
    FH_TENANT_DELETING,
    FH_TENANT_DELETED, /* the row stays: slugs are never reused */
};

struct fh_label {
    struct fh_str key;
    struct fh_str value;
};

struct fh_placement {
    char store[FH_STORE_NAME_MAX + 1];
    struct fh_home home;
    uint64_t epoch;      /* of the home; the fence's must be equal */
    uint64_t generation; /* of whoever may act on the tenant's fences */
};

struct fh_tenant {
    struct fh_uuid uuid;
    struct fh_str slug;
    struct fh_str display_name;
    struct fh_str plan;
    enum fh_tenant_state state;
    struct fh_label *labels;
    size_t label_count;
    struct fh_placement placement;
    int64_t created_at_us;
    int64_t updated_at_us;
};

struct fh_store_record {
    char name[FH_STORE_NAME_MAX + 1];
    struct fh_str engine;
    struct fh_str location;
    struct fh_str owner_location;
    struct fh_str region;
    bool may_lose_writes;
    int64_t created_at_us;
};

struct fh_migration_record {
    uint32_t version; /* 1, 2, ... without a hole */
    struct fh_str name;
    struct fh_str sql;
    uint8_t checksum[32]; /* SHA-256 of sql */
    int64_t applied_at_us;
};

struct fh_page_key {
    uint32_t id;
    uint8_t key[32];
    int64_t created_at_us;
};

enum fh_catalog_op {
    FH_CATALOG_TENANT_CREATE,  /* state PROVISIONING; slug ever used: FH_EXISTS */
    FH_CATALOG_TENANT_GET,     /* by uuid, or by slug when uuid is nil: FH_NO_TENANT */
    FH_CATALOG_TENANT_LIST,    /* by uuid, which is the order of creation */
    FH_CATALOG_TENANT_ADVANCE, /* compare-and-set of state and generation: FH_PRECONDITION */
    FH_CATALOG_STORE_CREATE,   /* FH_EXISTS */
    FH_CATALOG_STORE_LIST,     /* all, by name; stores are few (at most 1000) */
    FH_CATALOG_MIGRATION_ADD,  /* version must be the newest + 1: else FH_CONFLICT */
    FH_CATALOG_MIGRATION_LIST, /* all, by version */
    FH_CATALOG_PAGE_KEYS,      /* all, newest first; makes the first one when there is none */
};

/* Who does it: for the operators' audit. */
struct fh_audit_context {
    struct fh_str actor;
    struct fh_str address;
    struct fh_str reason; /* may be empty */
    struct fh_str
        request_id; /* tenant create: the same id answers the first tenant again; may be empty */
};

struct fh_catalog_request {
    /* The caller's */
    enum fh_catalog_op op;
    int64_t deadline_us;
    struct fh_arena *arena;
    void (*done_cb)(struct fh_catalog_request *request);
    void *arg;
    struct fh_audit_context audit; /* changes only */
    union {
        struct fh_tenant tenant; /* create: in (uuid, slug, ..., placement), out as stored */
        struct {
            struct fh_uuid uuid;
            struct fh_str slug;
            struct fh_tenant tenant; /* result */
        } get;
        struct {
            struct fh_uuid after;      /* exclusive; nil: from the start */
            uint32_t states;           /* bits 1 << fh_tenant_state; 0: all but DELETED */
            int64_t updated_before_us; /* 0: any; the sweeper's "older than" */
            size_t limit;              /* 1..FH_PAGE_MAX */
            struct fh_tenant *tenants; /* result */
            size_t count;
            bool more;
        } list;
        struct {
            struct fh_uuid uuid;
            uint32_t from_states; /* bits; the present state must be among them */
            uint64_t generation;  /* must be the present one, unless 0 */
            enum fh_tenant_state to;
            bool bump_generation;
            struct fh_tenant tenant; /* result; with FH_PRECONDITION: the tenant as it is */
        } advance;
        struct fh_store_record store;
        struct {
            struct fh_store_record *stores; /* result */
            size_t count;
        } stores;
        struct fh_migration_record migration;
        struct {
            struct fh_migration_record *migrations; /* result */
            size_t count;
        } migrations;
        struct {
            struct fh_page_key *keys; /* result */
            size_t count;
        } page_keys;
    } as;

    /* Results */
    enum fh_code code;
    struct fh_error error;

    /* The catalog's */
    struct fh_work work;
    void *engine;
};

struct fh_catalog;
typedef void fh_catalog_closed_cb(void *arg);

struct fh_catalog_ops {
    const char *engine; /* "sqlite", "postgresql" */
    enum fh_code (*submit)(struct fh_catalog *catalog, struct fh_catalog_request *request);
    void (*close)(struct fh_catalog *catalog, fh_catalog_closed_cb *closed_cb, void *arg);
};

/* Embedded first in every implementation. */
struct fh_catalog {
    const struct fh_catalog_ops *ops;
};

FH_MUST_CHECK static inline enum fh_code fh_catalog_submit(struct fh_catalog *catalog,
                                                           struct fh_catalog_request *request)
{
    return catalog->ops->submit(catalog, request);
}

static inline void fh_catalog_close(struct fh_catalog *catalog, fh_catalog_closed_cb *closed_cb,
                                    void *arg)
{
    catalog->ops->close(catalog, closed_cb, arg);
}

/* For implementations: clears the results and refuses what is out of bounds (request->error). */
FH_MUST_CHECK enum fh_code fh_catalog_check(struct fh_catalog_request *request);

/* "active"; for logs and events. */
const char *fh_tenant_state_name(enum fh_tenant_state state);
/* The slug rule: 3..63 of a-z 0-9 -, starts with a letter, does not end with -. */
bool fh_slug_is_valid(struct fh_str slug);
bool fh_store_name_is_valid(struct fh_str name); /* 1..40 of a-z 0-9 -, starts with a letter */

#endif
