/* The store interface: the heart of the house. One table of operations an engine; one request type.
 *
 * Contract:
 * - fh_store_submit() refuses (its code is not FH_OK, and done_cb never fires) or completes the
 * request exactly once, on the loop, never before submit returned. Every request has a deadline: it
 * completes with FH_DEADLINE soon after, if not before.
 * - The request and everything it points to are the caller's, and stay untouched until done_cb.
 * Results are in the request's arena. A worker thread may use the arena meanwhile; the caller may
 * not.
 * - The only way to a tenant's data is a request with a scope: tenant, epoch, home and schema.
 * Nothing else names a tenant.
 * - Completion goes through fh_request_complete() alone, which compares the tenant of every
 * returned row with the scope's (layer three of the isolation) and withholds everything on a
 * mismatch: FH_FOREIGN_ROW.
 * - FH_OUTCOME_UNKNOWN: the write may or may not have been committed; repeating it with the same
 * request id tells.
 * - FH_MOVED: the fence's epoch (`epoch_seen`) is not the scope's, or its mode forbids the
 * operation (`mode_seen`). FH_HELD: the tenant's gate is being closed; ask again shortly.
 * FH_NO_TENANT: this home has no fence row for the tenant, or is not there at all.
 * - FH_STALE_SCHEMA: the home is at another schema version than scope.schema (`version_seen`; 0:
 * the engine cannot say). Every operation that takes scope.schema's tables finds out inside its own
 * transaction, as it does with the fence, so statements of one version never touch a home of
 * another. Nothing was done; a fence that is wrong too is told first.
 *
 * Thread: the loop's, but for what an engine does on threads of its own.
 */
#ifndef FH_STORES_STORE_H
#define FH_STORES_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/code.h"
#include "base/env.h"
#include "base/error.h"
#include "base/list.h"
#include "base/uuid.h"
#include "base/worker.h"
#include "stores/fence.h"
#include "stores/home.h"
#include "stores/model.h"
#include "stores/move.h"
#include "stores/row.h"
#include "stores/write.h"

struct fh_store;

/* On whose behalf, where, under which routing decision. By value: it is small, and never shared. */
struct fh_scope {
    struct fh_uuid tenant;
    uint64_t epoch;                 /* as routed; must equal the fence's */
    struct fh_home home;            /* a dedicated one must be the tenant's own */
    const struct fh_schema *schema; /* its version must equal the home's: FH_STALE_SCHEMA */
};

/* A read that is to go wrong: the prober's (docs/decisions/0013-prober.md), to see that each layer
 * of the isolation holds while another is not there. In every build, and therefore between
 * canaries alone: unless the operation is FH_OP_GET and all tenants named are canaries by
 * structure (fh_uuid_is_canary()), it is refused (FH_INVALID). Layer three always runs. */
struct fh_probe {
    struct fh_uuid context; /* the tenant of the database's context, instead of the scope's */
    struct fh_uuid place;   /* dedicated tiers: whose home it is sent to; nil: the scope's own */
    bool skip_predicate;    /* without layer one */
    bool own_role;          /* in `place`, but with the role of the scope's own home, where homes
                               have roles */
};

/* Whose fence the probe's statement asks for: that of the home it is sent to, so that it is not the
 * fence that stops what the row's own layers are to stop. */
static inline const struct fh_uuid *fh_probe_owner(const struct fh_probe *probe)
{
    return fh_uuid_is_nil(&probe->place) ? &probe->context : &probe->place;
}

enum fh_op {
    FH_OP_GET,
    FH_OP_LIST,
    FH_OP_COMMIT,
    FH_OP_EVENTS,
    FH_OP_HOME_CREATE,
    FH_OP_HOME_ERASE,
    FH_OP_FENCE_READ,
    FH_OP_FENCE_SET,
    FH_OP_SCHEMA_APPLY, /* of a shared home: no tenant, scope.tenant is nil */
    FH_OP_CHECK,        /* no tenant */
    FH_OP_CREDENTIAL,   /* of a dedicated home */
    /* The mover's: stores/move.h */
    FH_OP_SNAPSHOT_OPEN,
    FH_OP_SNAPSHOT_CLOSE,
    FH_OP_SCAN,
    FH_OP_SCAN_JOURNAL,
    FH_OP_CHANGES,
    FH_OP_TALLY,
    FH_OP_APPLY,
    FH_OP_MOVE_STATE,
    FH_OP_REFERENCES,
    FH_OP_SIZE,
    FH_OP_COPY_WITHIN,
};

#define FH_GET_KEYS_MAX 100
#define FH_LIST_ROWS_MAX 1000
#define FH_EVENTS_MAX 1000
#define FH_CHECK_FINDINGS_MAX 64

struct fh_op_get {
    const struct fh_key *keys;
    size_t count; /* 1..FH_GET_KEYS_MAX, any tables */
    bool show_deleted;
    struct fh_row **rows; /* result: one a key in order, NULL where there is none */
};

struct fh_op_list {
    const struct fh_table *table;
    const struct fh_key *after; /* exclusive; NULL: from the start */
    size_t limit;               /* 1..FH_LIST_ROWS_MAX */
    bool show_deleted;
    struct fh_row **rows; /* result, in byte-wise key order */
    size_t count;
    bool more;
};

struct fh_op_commit {
    const struct fh_write *writes; /* no two name the same key */
    size_t count;                  /* 1..FH_COMMIT_WRITES_MAX */
    struct fh_str request_id; /* empty: not idempotent; at most FH_REQUEST_ID_MAX, visible ASCII */
    uint8_t request_hash[32]; /* of the request's meaning, by the caller */
    struct fh_str actor;      /* at most FH_ACTOR_MAX */
    struct fh_str address;    /* at most FH_ADDRESS_MAX */
    bool validate_only;       /* evaluate everything, change and record nothing; seq is 0 */
    struct fh_row **rows;     /* result: each write's row after the commit, NULL where purged */
    uint64_t seq;             /* result: the record is (scope.epoch or the first commit's, seq) */
    int64_t at_us;            /* result: the commit's wall time */
    bool replayed;            /* result: an earlier commit with this request id is answered again */
    size_t failed_write;      /* on refusal: which write, or SIZE_MAX */
};

struct fh_change {
    const struct fh_table *table;
    enum fh_write_op op;
    struct fh_key key;
    struct fh_row *before; /* NULL: none */
    struct fh_row *after;
};

struct fh_commit_record {
    struct fh_uuid tenant;
    uint64_t epoch;
    uint64_t seq;
    struct fh_str request_id;
    struct fh_str actor;
    struct fh_str address;
    int64_t at_us;
    uint64_t txid;
    uint32_t schema_version;
    struct fh_change *changes;
    size_t change_count;
};

struct fh_op_events {
    uint64_t before_epoch; /* newest first, strictly before (epoch, seq); 0,0: from the newest */
    uint64_t before_seq;
    size_t limit;                     /* 1..FH_EVENTS_MAX */
    struct fh_commit_record *records; /* result */
    size_t count;
    bool more;
};

struct fh_op_home {
    struct fh_fence fence; /* create: the fence to make. A shared home must have a schema (else
                              FH_PRECONDITION); a dedicated one is made with it, at scope.schema's
                              version, wholly or not at all: what an attempt that died left is
                              finished or swept by the next one. Idempotent: the same fence present
                              is FH_OK, another FH_EXISTS. FH_FULL: the store has as many dedicated
                              homes as it may */
    uint64_t rows_erased; /* erase, result: deletes every row of the tenant in this home, in bounded
                             batches, fence last; a dedicated home goes as a whole, with its roles
                             and credentials. Requires fence.generation (else FH_MOVED, and nothing
                             is erased); FH_OK when nothing is there */
};

struct fh_op_fence {
    struct fh_fence expected; /* set: all three must hold, else FH_MOVED and `seen` */
    struct fh_fence desired;  /* set: taken under the exclusive gate, so writers are drained */
    struct fh_fence seen;     /* result of read and set */
    uint32_t schema_version;  /* result of read: the home's; also when it has no such tenant
                                 (FH_NO_TENANT); 0: there is no home */
};

struct fh_op_schema {
    const struct fh_schema
        *target; /* brings scope.home from what it has to this version, version by version; a shared
                    home's namespace is made, a dedicated one must be there (FH_NO_TENANT);
                    idempotent; never backwards (FH_PRECONDITION) */
    struct fh_fence_guard guard; /* dedicated: required of the fence, with scope.epoch, in the
                                    transaction that changes the tables (FH_MOVED), so that a
                                    schema change and a move never cross. Shared: not looked at */
    uint32_t
        lock_timeout_ms;   /* for one lock; 0: the engine's default. Not had: FH_CONFLICT, nothing
                              changed, ask again; others have waited for at most that long */
    uint32_t version_seen; /* result: what the home is at now, refused or not */
};

enum fh_credential_action {
    FH_CREDENTIAL_READ,   /* is there one? FH_NOT_FOUND */
    FH_CREDENTIAL_ISSUE,  /* makes it, or gives it a new secret; the old one ends at once */
    FH_CREDENTIAL_REVOKE, /* FH_OK when there is none; sessions that it opened are ended */
};

#define FH_CREDENTIAL_TABLES_MAX 64

/* Read-only access of a tenant to its own dedicated home, past the service. Never more than SELECT
 * on the application's tables. Goes with the home. FH_UNIMPLEMENTED: the engine has no logins. */
struct fh_op_credential {
    enum fh_credential_action action;
    const struct fh_table *const *tables; /* issue: what it may read; count 0: all */
    size_t table_count;
    struct fh_str user;   /* results, in the request's arena */
    struct fh_str secret; /* issue only, and only here: it is stored nowhere */
    struct fh_str database;
    struct fh_str host; /* as the store's location says; may be empty */
    struct fh_str port;
    struct fh_str namespace;
};

/* The layers of the isolation that a finding says are not as they were made: bits. 0: it is about
 * something else, or the engine does not say. */
enum fh_finding_layer { FH_FINDING_ENFORCEMENT = 1, FH_FINDING_BORDER = 2 };

struct fh_finding {
    bool ok;
    uint8_t layers;        /* fh_finding_layer */
    struct fh_str subject; /* "role freehold_app", "policy fh_shared.packages" */
    struct fh_str text;    /* what is off, and what to do */
};

struct fh_op_check {
    struct fh_finding *findings; /* result; at most FH_CHECK_FINDINGS_MAX */
    size_t count;
};

/* Where a request is; kept by store.c to hold the completion contract. */
enum fh_request_phase {
    FH_REQUEST_IDLE, /* the caller's */
    FH_REQUEST_SUBMITTING,
    FH_REQUEST_IN_FLIGHT, /* the store's */
};

struct fh_request;
typedef void fh_request_done_cb(struct fh_request *request);

/* Zeroed by the caller before its first use; may be submitted again once it has completed. */
struct fh_request {
    /* The caller's */
    enum fh_op op;
    struct fh_scope scope;
    int64_t deadline_us; /* absolute, monotonic */
    struct fh_arena *arena;
    fh_request_done_cb *done_cb;
    void *arg;
    const struct fh_probe *probe; /* NULL, but for the prober's reads */
    union {
        struct fh_op_get get;
        struct fh_op_list list;
        struct fh_op_commit commit;
        struct fh_op_events events;
        struct fh_op_home home;
        struct fh_op_fence fence;
        struct fh_op_schema schema;
        struct fh_op_check check;
        struct fh_op_credential credential;
        struct fh_op_snapshot snapshot;
        struct fh_op_scan scan;
        struct fh_op_scan_journal scan_journal;
        struct fh_op_changes changes;
        struct fh_op_tally tally;
        struct fh_op_apply apply;
        struct fh_op_move_state move_state;
        struct fh_op_references references;
        struct fh_op_size size;
        struct fh_op_copy_within copy_within;
    } as;

    /* Results */
    enum fh_code code;
    struct fh_error error;
    uint64_t epoch_seen;
    enum fh_fence_mode mode_seen;
    uint32_t version_seen;

    /* The store's */
    struct fh_store *store;
    struct fh_list node;
    struct fh_work work;
    void *engine;                /* whatever the engine attaches */
    enum fh_request_phase phase; /* store.c only: zero before the first submit */
};

/* Deliberate faults of the isolation layers, for the tests that prove that each layer holds alone.
 * Honoured only in builds with FREEHOLD_FAULTS (debug and sanitizer presets); release builds ignore
 * it. */
struct fh_isolation_faults {
    uint32_t
        wrong_context_every;     /* every nth statement runs in another tenant's database context */
    struct fh_uuid wrong_tenant; /* that other tenant */
    uint32_t wrong_home_every;   /* dedicated tiers: every nth request on rows goes to the home of
                                    wrong_tenant, on behalf of its own tenant still */
    bool skip_predicate;         /* layer 1: no explicit tenant predicate */
    bool skip_enforcement;       /* layer 2: no RLS / no views and authorizer */
    bool skip_ownership_check;   /* layer 3 */
};

struct fh_store_config {
    const char *name;           /* as registered in the catalog; copied */
    const char *location;       /* sqlite: a directory; pg: connection string of the serving role */
    const char *owner_location; /* pg: connection string of the owning role (DDL only); else NULL */
    uint32_t connections_max;   /* pg: multiplexed connections, default 4; sqlite: reader threads,
                                   default 2 */
    uint32_t queue_max;         /* requests waiting, default 4096; beyond: FH_FULL */
    uint32_t homes_max;      /* dedicated homes of the schema tier; 0: the engine's default, 1000 */
    uint32_t open_homes_max; /* of the database tier, open at once; 0: the engine's default */
    const uint8_t *secret; /* pg: 32 bytes from which the passwords of its database logins are made;
                              copied; NULL: those logins have none, and the server's own rules
                              (pg_hba.conf) must let them in */
    const struct fh_isolation_faults *faults; /* tests; borrowed */
};

enum fh_capability {
    FH_CAPABILITY_SHARED = 1 << 0,
    FH_CAPABILITY_SCHEMA = 1 << 1,
    FH_CAPABILITY_DATABASE = 1 << 2,
    FH_CAPABILITY_DURABLE = 1 << 3,
    FH_CAPABILITY_CREDENTIALS = 1 << 4,
    FH_CAPABILITY_COPY_WITHIN = 1 << 5, /* between its shared home and those of the schema tier */
};

/* What a store must offer for homes of that tier. */
static inline uint32_t fh_capability_of_tier(enum fh_tier tier)
{
    return tier == FH_TIER_SHARED   ? FH_CAPABILITY_SHARED
           : tier == FH_TIER_SCHEMA ? FH_CAPABILITY_SCHEMA
                                    : FH_CAPABILITY_DATABASE;
}

struct fh_store_stats {
    uint64_t submitted;
    uint64_t completed;
    uint64_t failed; /* completed with anything but FH_OK, FH_NOT_FOUND and caller errors */
    uint32_t in_flight;
    uint32_t queued;
    uint32_t connections;
};

typedef void fh_store_closed_cb(void *arg);

/* What a statement of a schema change keeps others from, while it runs. */
enum fh_ddl_lock {
    FH_DDL_LOCK_NONE,   /* reads and writes go on */
    FH_DDL_LOCK_WRITES, /* reads go on */
    FH_DDL_LOCK_ALL,
};

struct fh_ddl_statement {
    const char *sql; /* borrows, for the call */
    enum fh_ddl_lock lock;
    bool scans; /* time grows with the rows of the table; under a lock: so does the lock's */
};
typedef enum fh_code fh_ddl_cb(void *arg, const struct fh_ddl_statement *statement);

struct fh_store_ops {
    const char *engine; /* "sqlite", "postgresql", "memory" */
    uint32_t capabilities;
    /* Validates the configuration and starts; connects lazily, so a server that is down fails
     * requests (FH_UNAVAILABLE), not open. May block for some milliseconds on local files. */
    enum fh_code (*open)(const struct fh_env *env, const struct fh_store_config *config,
                         struct fh_store **out, struct fh_error *error);
    enum fh_code (*submit)(struct fh_store *store, struct fh_request *request);
    /* The statements that FH_OP_SCHEMA_APPLY would execute in such a home to come from one version
     * (NULL: nothing there) to another. Pure; asks no server; any thread. Ends with what `cb` says,
     * if that is not FH_OK. */
    enum fh_code (*preview)(const struct fh_schema *from, const struct fh_schema *to,
                            const struct fh_home *home, fh_ddl_cb *cb, void *arg,
                            struct fh_error *error);
    /* The script that an administrator of the database server runs once before such a store is
     * registered, for these two roles. Pure. FH_INVALID: no names of roles. NULL: nothing is to be
     * prepared. */
    enum fh_code (*prepare)(const char *owner, const char *serving, struct fh_buf *out);
    /* A wish: the request still completes exactly once, perhaps with FH_CANCELLED, perhaps as if
     * nothing was asked. */
    void (*cancel)(struct fh_store *store, struct fh_request *request);
    void (*stats)(const struct fh_store *store, struct fh_store_stats *out);
    /* Refuses new requests, completes what is in flight, then `closed_cb` on the loop and the
     * memory is gone. */
    void (*close)(struct fh_store *store, fh_store_closed_cb *closed_cb, void *arg);
};

/* Embedded first in every engine's own struct. */
struct fh_store {
    const struct fh_store_ops *ops;
    const struct fh_env *env;
    char name[64];
    const struct fh_isolation_faults *faults; /* NULL outside fault builds */
    struct fh_store_stats counters;           /* kept by submit and complete */
    bool passes_on; /* every request goes to another store, and goes astray there */
    bool closing;
};

/* For engines: fills the common part in open(). */
void fh_store_init(struct fh_store *store, const struct fh_store_ops *ops, const struct fh_env *env,
                   const struct fh_store_config *config);

/* Checks the request's bounds (counts, deadline, scope) before the engine sees it, and clears its
 * results. Refusals: FH_SHUTTING_DOWN, FH_DEADLINE (passed already), FH_INVALID or FH_TOO_LARGE
 * with request->error, and the engine's FH_FULL. */
FH_MUST_CHECK enum fh_code fh_store_submit(struct fh_store *store, struct fh_request *request);
static inline void fh_store_cancel(struct fh_store *store, struct fh_request *request)
{
    store->ops->cancel(store, request);
}
static inline void fh_store_close(struct fh_store *store, fh_store_closed_cb *closed_cb, void *arg)
{
    store->ops->close(store, closed_cb, arg);
}

/* The scope's schema is the only door to tables: a pointer from elsewhere is refused. */
bool fh_request_knows_table(const struct fh_request *request, const struct fh_table *table);
/* FH_INVALID with request->error when the key is not of the scope's schema, or not whole. */
FH_MUST_CHECK enum fh_code fh_request_check_key(struct fh_request *request,
                                                const struct fh_key *key);

/* For engines: the only way a request ends. On the loop, after submit returned. Rows are the
 * caller's only with FH_OK: with any other code results that hold rows are taken away
 * (failed_write, epoch_seen, mode_seen, seen, version_seen and error stay). */
void fh_request_complete(struct fh_request *request, enum fh_code code);

#endif
