/* The catalog: what is about tenants, and nothing that belongs to them. Engine-free;
 * SQLite for one process, PostgreSQL for several servers.
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
#include "router/moves.h"
#include "router/rollouts.h"
#include "stores/store.h"

#define FH_SLUG_MAX 63
#define FH_STORE_NAME_MAX 40
#define FH_LABELS_MAX 32
#define FH_PAGE_MAX 1000
#define FH_EVENT_DETAIL_MAX 8192

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

/* A move of one tenant. Texts in the request's arena. */
struct fh_move {
    struct fh_uuid uuid; /* version 7: by time */
    struct fh_uuid tenant;
    struct fh_placement source; /* as of its creation; its epoch is the one the switch leaves */
    char target_store[FH_STORE_NAME_MAX + 1];
    struct fh_home target_home;
    enum fh_move_phase phase;
    enum fh_move_wish wish;
    uint64_t generation;   /* of whoever claimed it last */
    uint64_t beat;         /* +1 with every change: who sees it stand still may take over */
    struct fh_uuid worker; /* who claimed it; nil: nobody yet */
    struct fh_move_settings settings;
    struct fh_move_progress progress;
    struct fh_str message; /* why it waits, was called off, or failed; else empty */
    struct fh_str actor;   /* who asked for it, and why */
    struct fh_str reason;
    int64_t created_at_us;
    int64_t updated_at_us;
    int64_t finished_at_us; /* 0: not yet */
};

/* A schema version on its way to every home. Texts in the request's arena. */
struct fh_rollout {
    struct fh_uuid uuid; /* version 7: by time */
    uint32_t version;    /* the catalog's newest when it was made */
    enum fh_rollout_phase phase;
    enum fh_rollout_wish wish;
    uint64_t generation; /* +1 with every claim */
    uint64_t beat;       /* +1 with every change */
    struct fh_uuid worker;
    struct fh_rollout_settings settings;
    struct fh_rollout_progress progress;
    struct fh_str message; /* why it is paused or failed, what it waits for; else empty */
    struct fh_str actor;
    struct fh_str reason;
    int64_t created_at_us;
    int64_t updated_at_us;
    int64_t finished_at_us; /* 0: not yet */
};
#define FH_ROLLOUT_NOTES_MAX 256

/* One line of the operators' audit. */
struct fh_operator_event {
    uint64_t id;
    int64_t at_us;
    struct fh_str actor;
    struct fh_str address;
    struct fh_str action;   /* "move.advance" */
    struct fh_str resource; /* "moves/<uuid>" */
    struct fh_str reason;
    struct fh_str detail; /* JSON text */
};

enum fh_catalog_op {
    FH_CATALOG_TENANT_CREATE,  /* state PROVISIONING; slug ever used: FH_EXISTS */
    FH_CATALOG_TENANT_GET,     /* by uuid, or by slug when uuid is nil: FH_NO_TENANT */
    FH_CATALOG_TENANT_LIST,    /* by uuid, which is the order of creation */
    FH_CATALOG_TENANT_ADVANCE, /* compare-and-set of state and generation: FH_PRECONDITION; also
                                  when it would delete a tenant that an unfinished move has */
    FH_CATALOG_STORE_CREATE,   /* FH_EXISTS */
    FH_CATALOG_STORE_LIST,     /* all, by name; stores are few (at most 1000) */
    FH_CATALOG_MIGRATION_ADD,  /* version must be the newest + 1: else FH_CONFLICT */
    FH_CATALOG_MIGRATION_LIST, /* all, by version */
    FH_CATALOG_PAGE_KEYS,      /* all, newest first; makes the first one when there is none */
    /* Moves. A change that is refused as FH_PRECONDITION answers the move as it is. */
    FH_CATALOG_MOVE_CREATE, /* tenant active or suspended, target store registered and not where the
                               tenant is (FH_PRECONDITION), no unfinished move of it (FH_EXISTS,
                               that move is answered); the same audit.request_id answers the
                               first move again */
    FH_CATALOG_MOVE_GET,    /* FH_NOT_FOUND */
    FH_CATALOG_MOVE_LIST,   /* newest first */
    FH_CATALOG_MOVE_CLAIM,  /* unfinished, and the beat as seen (FH_PRECONDITION): generation + 1
                               on placement and move */
    FH_CATALOG_MOVE_ADVANCE, /* generation of placement and move, and phase, as given; then phase,
                                progress and message; an event when the phase or the
                                message's words changed */
    FH_CATALOG_MOVE_SWITCH,  /* generation of both, placement's epoch, phase SWITCHING: the tenant
                                lives in the target at epoch + 1, the move is SETTLED */
    FH_CATALOG_MOVE_WISH,    /* not finished; PAUSE and CANCEL before the switch only; a cancel is
                                not taken back */
    FH_CATALOG_EVENTS,       /* operators' audit of a resource ("": all), oldest first */
    FH_CATALOG_EVENT_ADD,    /* of what is done outside of the catalog */
    /* Rollouts. A change that is refused as FH_PRECONDITION answers the rollout as it is. */
    FH_CATALOG_ROLLOUT_CREATE,  /* with the migrations that lead to its version, all or none; none
                                   may be unfinished (FH_EXISTS, that one is answered) */
    FH_CATALOG_ROLLOUT_GET,     /* nil: the newest; FH_NOT_FOUND */
    FH_CATALOG_ROLLOUT_LIST,    /* newest first */
    FH_CATALOG_ROLLOUT_CLAIM,   /* unfinished, and the beat as seen (FH_PRECONDITION) */
    FH_CATALOG_ROLLOUT_ADVANCE, /* generation and phase as given; then phase, progress, message and
                                   what is noted of homes, whose counts go into the progress; an
                                   event when the phase or the wish changed */
    FH_CATALOG_ROLLOUT_WISH,    /* not finished; a cancel ends it there and then */
    FH_CATALOG_ROLLOUT_HOMES,   /* what was noted, by (store, home) */
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
        struct fh_move move; /* create: in (uuid, tenant, target_store, target_home, settings), out
                                as stored; actor and reason come from audit */
        struct {
            struct fh_uuid uuid;
            struct fh_move move; /* result */
        } move_get;
        struct {
            struct fh_uuid tenant; /* nil: of all */
            bool unfinished;       /* only those */
            struct fh_uuid before; /* exclusive; nil: from the newest */
            size_t limit;          /* 1..FH_PAGE_MAX */
            struct fh_move *moves; /* result */
            size_t count;
            bool more;
        } move_list;
        struct {
            struct fh_uuid uuid;
            uint64_t beat; /* as seen */
            struct fh_uuid worker;
            struct fh_move move;           /* result */
            struct fh_placement placement; /* result: where the tenant lives now */
        } move_claim;
        struct {
            struct fh_uuid uuid;
            uint64_t generation;
            enum fh_move_phase from;
            enum fh_move_phase to; /* fh_move_may_follow(), or from itself */
            struct fh_move_progress progress;
            struct fh_str message; /* at most FH_MOVE_MESSAGE_MAX */
            struct fh_move move;   /* result */
        } move_advance;
        struct {
            struct fh_uuid uuid;
            uint64_t generation;
            uint64_t epoch;                /* that it leaves */
            struct fh_move move;           /* result */
            struct fh_placement placement; /* result: the new one; with FH_PRECONDITION as it is */
        } move_switch;
        struct {
            struct fh_uuid uuid;
            enum fh_move_wish wish;
            struct fh_move move; /* result */
        } move_wish;
        struct {
            struct fh_rollout rollout; /* in: uuid, version, settings; out as stored */
            const struct fh_migration_record *migrations;
            size_t migration_count;
        } rollout_create;
        struct {
            struct fh_uuid uuid;
            struct fh_rollout rollout; /* result */
        } rollout_get;
        struct {
            bool unfinished;             /* only those */
            struct fh_uuid before;       /* exclusive; nil: from the newest */
            size_t limit;                /* 1..FH_PAGE_MAX */
            struct fh_rollout *rollouts; /* result */
            size_t count;
            bool more;
        } rollout_list;
        struct {
            struct fh_uuid uuid;
            uint64_t beat; /* as seen */
            struct fh_uuid worker;
            struct fh_rollout rollout; /* result */
        } rollout_claim;
        struct {
            struct fh_uuid uuid;
            uint64_t generation;
            enum fh_rollout_phase from;
            enum fh_rollout_phase to; /* fh_rollout_may_follow(), or from itself */
            bool pause;               /* by itself; no more than a wish to run is overruled */
            struct fh_rollout_progress progress; /* the counts of homes are not looked at */
            struct fh_str message;               /* at most FH_ROLLOUT_MESSAGE_MAX */
            const struct fh_rollout_home *notes; /* PENDING leaves a home that is DONE alone; of two
                                                    of one home the later counts */
            size_t note_count;                   /* at most FH_ROLLOUT_NOTES_MAX */
            struct fh_rollout rollout;           /* result */
        } rollout_advance;
        struct {
            struct fh_uuid uuid;
            enum fh_rollout_wish wish;
            struct fh_rollout rollout; /* result */
        } rollout_wish;
        struct {
            struct fh_uuid uuid;
            uint32_t states;                         /* bits 1 << fh_rollout_home_state; 0: all */
            char after_store[FH_STORE_NAME_MAX + 1]; /* exclusive; "": from the start */
            char after_home[FH_HOME_NAME_MAX];
            size_t limit;                  /* 1..FH_PAGE_MAX */
            struct fh_rollout_home *homes; /* result */
            size_t count;
            bool more;
        } rollout_homes;
        struct {
            struct fh_str resource;
            uint64_t after_id;                /* exclusive */
            size_t limit;                     /* 1..FH_PAGE_MAX */
            struct fh_operator_event *events; /* result */
            size_t count;
            bool more;
        } events;
        struct {
            const char *action;   /* "credential.issue" */
            const char *resource; /* "tenants/<uuid>" */
            const char *detail;   /* JSON text, at most FH_EVENT_DETAIL_MAX; no secrets */
        } event_add;
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

/* Hints that something changed, here or in another process: for speed only. One may be lost, come
 * twice, or come before the change can be read; nothing may rely on one. The uuid is nil when the
 * catalog cannot say which (a connection was lost meanwhile: anything may have changed). */
enum fh_catalog_hint {
    FH_CATALOG_HINT_TENANT, /* placement or state */
    FH_CATALOG_HINT_MOVE,
    FH_CATALOG_HINT_STORES,
    FH_CATALOG_HINT_SCHEMA, /* a version was added, with its rollout */
    FH_CATALOG_HINT_ROLLOUT,
};
typedef void fh_catalog_hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid);

/* Embedded by whoever wants to hear; on the loop, never inside submit. */
struct fh_catalog_watcher {
    struct fh_list node;
    fh_catalog_hint_cb *hint_cb;
    void *arg;
};

struct fh_catalog_ops {
    const char *engine; /* "sqlite", "postgresql" */
    enum fh_code (*submit)(struct fh_catalog *catalog, struct fh_catalog_request *request);
    void (*close)(struct fh_catalog *catalog, fh_catalog_closed_cb *closed_cb, void *arg);
};

/* Embedded first in every implementation. */
struct fh_catalog {
    const struct fh_catalog_ops *ops;
    struct fh_list watchers;
    bool shared; /* other processes may change it: what is cached must be looked at again by time */
};

/* For implementations. */
void fh_catalog_init(struct fh_catalog *catalog, const struct fh_catalog_ops *ops, bool shared);
/* Tells every watcher; on the loop, behind a change of this process or for one of another. A
 * watcher may unwatch itself meanwhile, but no other. */
void fh_catalog_tell(struct fh_catalog *catalog, enum fh_catalog_hint hint,
                     const struct fh_uuid *uuid);
/* What a change that succeeded is to be told as; false: nothing. */
bool fh_catalog_hint_of(const struct fh_catalog_request *request, enum fh_catalog_hint *hint,
                        struct fh_uuid *uuid);

static inline void fh_catalog_watch(struct fh_catalog *catalog, struct fh_catalog_watcher *watcher)
{
    fh_list_push_back(&catalog->watchers, &watcher->node);
}
static inline void fh_catalog_unwatch(struct fh_catalog_watcher *watcher)
{
    fh_list_remove(&watcher->node);
}

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
