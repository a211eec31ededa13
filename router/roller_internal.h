/* The roller from inside: what its parts share. Loop thread only.
 *
 *   roller.c        looks for work, claims, and decides what comes after a walk
 *   roller_walk.c   which home is next
 *   roller_home.c   one home: ask its version, ask the catalog, change it
 *   roller_notes.c  what was found goes to the catalog, and the beat with it
 *   roller_switches.c  which moves may yet open a home that is behind
 */
#ifndef FH_ROUTER_ROLLER_INTERNAL_H
#define FH_ROUTER_ROLLER_INTERNAL_H

#include "router/roller.h"

#define FH_ROLLER_SLOTS_MAX 64
#define FH_ROLLER_LATER_MAX 1024
#define FH_ROLLER_SWITCHES_MAX 256
#define FH_ROLLER_PAGE 200
#define FH_ROLLER_STORES_MAX 1000
#define FH_ROLLER_DONE_SLOTS 65536 /* a power of two; half of them are used at most */
#define FH_ROLLER_MESSAGE_SIZE 256
#define FH_ROLLER_CATALOG_DEADLINE_US (10 * (int64_t)1000000)

/* Of a tenant's placement: as long as both are the same, so is the home. Epoch 0: not known. */
struct fh_roller_fence {
    uint64_t epoch;
    uint64_t generation;
};

/* One home at work. */
struct fh_roller_slot {
    struct fh_roller *roller;
    bool busy;
    bool applying; /* a schema change was begun */
    bool applying_noted;
    struct fh_rollout_home home;
    char message[FH_ROLLER_MESSAGE_SIZE];
    bool refused; /* the change: `message` says why, and the tenant is looked at once more */
    struct fh_roller_fence fence;
    int64_t since_us; /* when it was first found to have to wait; 0: never */
    uint32_t overdue; /* schema changes that took all the time they had, to no effect */
    struct fh_store *store;
    struct fh_arena arena;
    struct fh_catalog_request catalog;
    struct fh_request request;
};

struct fh_roller_note {
    struct fh_rollout_home home; /* its message points to `text` */
    char text[FH_ROLLER_MESSAGE_SIZE];
};

struct fh_roller_later {
    struct fh_rollout_home home;
    int64_t due_us;
    int64_t since_us;
    uint32_t overdue;
};

/* A tenant's home that has come to the rollout's version. */
struct fh_roller_done {
    struct fh_uuid tenant; /* nil: a free place */
    struct fh_roller_fence fence;
};

enum fh_roller_walk_kind {
    FH_ROLLER_SURVEY, /* notes every home as pending */
    FH_ROLLER_CANARY,
    FH_ROLLER_FULL,
    FH_ROLLER_RETRY, /* over what is to be tried later */
};

struct fh_roller_walk {
    enum fh_roller_walk_kind kind;
    enum fh_roller_walk_kind retried; /* RETRY: what it follows */
    struct fh_uuid after;             /* tenants */
    bool tenants_over;
    bool asking;    /* the catalog, for tenants or stores */
    bool over;      /* all homes were handed out */
    bool broken;    /* the catalog did not answer: what was asked is asked again */
    uint64_t index; /* of the next home, for the canary's percentage */
    struct fh_rollout_home page[FH_ROLLER_STORES_MAX];
    bool taken[FH_ROLLER_STORES_MAX];
    struct fh_roller_fence fences[FH_ROLLER_STORES_MAX];
    size_t page_count;
    uint64_t behind; /* homes that were not there yet */
    char canary_stores[FH_ROLLOUT_CANARIES_MAX][FH_ROLLOUT_STORE_SIZE]; /* where canaries share */
    size_t canary_store_count;
};

/* Moves out of shared homes that were switching before the walk over all homes began. */
struct fh_roller_switches {
    bool known;      /* the walk may begin */
    bool following;  /* no others are taken in: these are waited for */
    bool overflowed; /* there were more */
    struct fh_uuid before;
    int64_t not_before_us;
    size_t count;
    struct fh_uuid moves[FH_ROLLER_SWITCHES_MAX];
    bool still[FH_ROLLER_SWITCHES_MAX];
};

enum fh_roller_state {
    FH_ROLLER_RESTING,
    FH_ROLLER_LOOKING,
    FH_ROLLER_CLAIMING,
    FH_ROLLER_WORKING,
    FH_ROLLER_DRAINING, /* nothing begins any more; then rest */
};

struct fh_roller {
    const struct fh_env *env;
    struct fh_catalog *catalog;
    struct fh_router *router;
    struct fh_schemas *schemas;
    struct fh_roller_options options;
    struct fh_catalog_watcher watcher;
    struct fh_roller_stats stats;
    enum fh_roller_state state;
    bool started;
    bool asked; /* the catalog has answered once */
    bool idle;  /* and had nothing to work on */
    bool again; /* a hint came while looking */
    bool closing;
    bool finished;
    bool pumping;
    bool pump_again;
    void (*closed_cb)(void *arg);
    void *closed_arg;
    uv_timer_t timer;
    struct fh_arena arena; /* of look and claim, then of the walk */
    struct fh_catalog_request request;

    /* Another worker's beat, as seen */
    struct fh_uuid seen;
    uint64_t seen_beat;
    int64_t seen_since_us;

    /* The rollout at work. Its message is not looked at. */
    struct fh_rollout rollout;
    const struct fh_schema *target;
    int64_t claimed_us;
    bool untouched;       /* when it was claimed, no home had been changed for it */
    bool swept;           /* no change that another worker began ends any more unseen */
    uint64_t done_before; /* homes, when it was claimed */
    uint64_t failed;      /* homes, since it was claimed */
    int64_t last_done_us;
    struct fh_roller_walk walk;
    struct fh_roller_switches switches;
    struct fh_roller_slot slots[FH_ROLLER_SLOTS_MAX];
    size_t busy;
    struct fh_roller_later later[FH_ROLLER_LATER_MAX];
    size_t later_count;
    struct fh_roller_done done[FH_ROLLER_DONE_SLOTS]; /* by hash; what is not here is asked for */
    size_t done_count;

    /* Notes: one batch is collected while the other is on its way. */
    struct fh_roller_note notes[2][FH_ROLLOUT_NOTES_MAX];
    struct fh_rollout_home sending[FH_ROLLOUT_NOTES_MAX];
    size_t note_count[2];
    size_t collecting; /* index */
    bool flushing;
    bool unsent; /* the other batch was not taken yet */
    bool beat_wanted;
    int64_t flushed_us;
    enum fh_rollout_phase next_phase; /* wanted with the next flush; FH_ROLLOUT_NONE: as it is */
    bool pause_wanted;
    char message[FH_ROLLOUT_MESSAGE_MAX];
    struct fh_arena flush_arena;
    struct fh_catalog_request flush;
};

static inline int64_t fh_roller_now_us(const struct fh_roller *roller)
{
    return fh_clock_monotonic_us(roller->env->clock);
}

/* Does whatever can be done now. After everything that ends; not from inside a submit. */
void fh_roller_pump(struct fh_roller *roller);
/* The rollout is not ours any more, or is to rest. */
void fh_roller_stop_working(struct fh_roller *roller);

void fh_roller_walk_begin(struct fh_roller *roller, enum fh_roller_walk_kind kind);
/* Hands homes to slots while there is room, and asks for more. */
void fh_roller_walk_go(struct fh_roller *roller);
/* To be tried again, in a while; `slot` says why it could not be done now. */
void fh_roller_put_off(struct fh_roller *roller, const struct fh_roller_slot *slot,
                       int64_t after_us);

/* The home of this tenant at this fence is at the rollout's version, and stays there. */
void fh_roller_remember(struct fh_roller *roller, const struct fh_uuid *tenant,
                        const struct fh_roller_fence *fence);
void fh_roller_forget_all(struct fh_roller *roller);

/* `fence`: what its change requires; epoch 0: the catalog is asked. `before`: it was put off; NULL:
 * it was not. */
void fh_roller_home_begin(struct fh_roller_slot *slot, const struct fh_rollout_home *home,
                          struct fh_roller_fence fence, const struct fh_roller_later *before);

/* Before a walk over all homes. `follow`: those that are known already are waited for first. */
void fh_roller_switches_begin(struct fh_roller *roller, bool follow);
/* When it is time; until `known`. */
void fh_roller_switches_ask(struct fh_roller *roller);

/* Whether a batch has room for `count` more and for what is at work. */
bool fh_roller_has_room(const struct fh_roller *roller, size_t count);
void fh_roller_note(struct fh_roller *roller, const struct fh_rollout_home *home,
                    const char *message);
/* Sends what there is to send, when it is time. */
void fh_roller_flush(struct fh_roller *roller);

#endif
