/* What a tenant must hold, as the acknowledged history says.
 *
 * A tenant's data is SLOTS families: an item and two notes that reference it. One client at a time
 * writes in a slot (it is `busy`), so what every write must answer and leave is known exactly.
 * Keys, unique values and request ids are the same in every tenant; `owner` and `body` carry the
 * tenant's marker, which nothing of another tenant may hold.
 *
 * One thread, no ownership: plain values.
 */
#ifndef FH_TESTS_INTEGRATION_ISOLATION_MODEL_H
#define FH_TESTS_INTEGRATION_ISOLATION_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/code.h"
#include "base/uuid.h"
#include "stores/write.h"

#define SLOTS 10
#define SLOT_RECORDS 3 /* the item, then its notes */
#define PLAN_STEPS_MAX 4
#define MARKER_BYTES 24
#define MARKER_PREFIX "mk-"
#define BODY_BYTES_MAX 160

/* Positions of columns; from OWNER on the same in both tables. */
enum { COLUMN_KEY, COLUMN_SECOND, COLUMN_OWNER, COLUMN_HITS, COLUMN_BODY, COLUMN_COUNT };

enum presence { ABSENT, LIVE, DELETED };

struct record {
    enum presence presence;
    int64_t version;
    int64_t hits;
    uint64_t body;
};

struct step {
    uint8_t slot;
    uint8_t record;
    enum fh_write_op op;
    int64_t add;   /* update: to hits */
    uint64_t body; /* all that set it */
};

/* One commit, and what it must answer. */
struct plan {
    uint32_t number; /* of the tenant's commits: its request id */
    bool validate_only;
    size_t count;
    struct step steps[PLAN_STEPS_MAX];
    struct record after[PLAN_STEPS_MAX]; /* each step's record, if it is done */
    uint64_t codes;                      /* bits 1 << fh_code of the answers that are right */
    uint64_t seq;                        /* once acknowledged */
};

struct slot {
    struct record records[SLOT_RECORDS];
    struct plan last; /* acknowledged, and so to be replayed at any time */
    bool has_last;
    bool busy;
    bool lost;        /* an answer was wrong: what is there is not known any more */
    uint32_t touched; /* changes when a writer comes, and when it goes */
};

/* What became of commit `number`: its seq, or one of these. */
#define COMMIT_PENDING UINT64_C(0)
#define COMMIT_REFUSED UINT64_MAX

struct chaos_tenant {
    struct fh_uuid uuid;
    char slug[32];
    char marker[MARKER_BYTES];
    struct slot slots[SLOTS];
    uint64_t *commits; /* by number */
    uint32_t commit_count;
    uint32_t commit_capacity;
};

/* splitmix64 (Steele, Lea and Flood, 2014) */
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t bound);
bool random_percent(uint64_t *state, unsigned percent);

/* Draws up to `steps` writes into slots that are free, marks those busy and gives the plan its
 * number and its right answers. false: no slot is free. */
bool plan_draw(struct plan *plan, struct chaos_tenant *tenant, size_t steps, uint64_t *random);
/* Ends it: the slots are free again and, when it was acknowledged, hold what the plan says. */
void plan_settle(const struct plan *plan, struct chaos_tenant *tenant, bool acknowledged);
/* Ends it with the slots given up. */
void plan_lose(const struct plan *plan, struct chaos_tenant *tenant);

/* "<marker>:<seed>:...", BODY_BYTES_MAX at most with its NUL. */
void body_text(const struct chaos_tenant *tenant, uint64_t body, char out[BODY_BYTES_MAX]);

#endif
