/* A store that wraps another and misbehaves on purpose: tests only.
 *
 * Two ways: a plan, drawn from a seeded generator, so that a failing run repeats; and aims, each of
 * which meets the nth request of some operations. A request that an aim meets is not drawn against.
 * A plan lets the closing of a view through: it takes the view whatever its code.
 *
 * The wrapped store is borrowed and outlives this one. Limits: FH_FAULT_AIMS_MAX aims that have not
 * met their request yet.
 */
#ifndef FH_STORES_FAULT_FAULT_H
#define FH_STORES_FAULT_FAULT_H

#include "stores/store.h"

#define FH_FAULT_AIMS_MAX 32

struct fh_fault_plan {
    uint64_t seed;
    uint32_t refuse_ppm;         /* submit refuses (FH_FULL) */
    uint32_t unavailable_ppm;    /* completes FH_UNAVAILABLE, not executed */
    uint32_t unknown_before_ppm; /* commits, a mover's batches, changes of a fence:
                                    FH_OUTCOME_UNKNOWN, not executed */
    uint32_t unknown_after_ppm;  /* the same: executed, then FH_OUTCOME_UNKNOWN */
    uint32_t delay_ppm;          /* completes some loop turns later */
    uint32_t foreign_row_ppm;    /* reads: a row's tenant is changed before the ownership check */
};

FH_MUST_CHECK enum fh_code fh_store_fault_create(const struct fh_env *env, struct fh_store *wrapped,
                                                 const struct fh_fault_plan *plan,
                                                 struct fh_store **out);
void fh_store_fault_set_plan(struct fh_store *store, const struct fh_fault_plan *plan);

/* Sets of operations, for an aim. */
#define FH_FAULT_OP(op) (UINT64_C(1) << (unsigned)(op))
#define FH_FAULT_OPS_ALL UINT64_MAX
/* What a mover asks of a store, its preparations and fences included. */
#define FH_FAULT_OPS_MOVER                                                                      \
    (~(FH_FAULT_OP(FH_OP_GET) | FH_FAULT_OP(FH_OP_LIST) | FH_FAULT_OP(FH_OP_COMMIT) |           \
       FH_FAULT_OP(FH_OP_EVENTS) | FH_FAULT_OP(FH_OP_SCHEMA_APPLY) | FH_FAULT_OP(FH_OP_CHECK) | \
       FH_FAULT_OP(FH_OP_CREDENTIAL)))

enum fh_fault_kind {
    FH_FAULT_REFUSE = 1,  /* submit refuses with `code` */
    FH_FAULT_FAIL_BEFORE, /* completes with `code`, not executed; FH_OP_SNAPSHOT_CLOSE is */
    FH_FAULT_FAIL_AFTER,  /* executed; where that is FH_OK, it completes with `code`.
                             FH_OP_SNAPSHOT_OPEN is not: nobody could close that view */
    FH_FAULT_HOLD_BEFORE, /* not executed until released: a mover that sleeps, a slow network */
    FH_FAULT_HOLD_AFTER,  /* executed; its answer waits until released */
};

struct fh_fault_aim {
    uint64_t ops; /* bits */
    uint64_t nth; /* of those that come from now on; 1: the next one; 0 counts as 1 */
    enum fh_fault_kind kind;
    enum fh_code code; /* FH_OK: FH_FULL to refuse, FH_UNAVAILABLE before, FH_OUTCOME_UNKNOWN after
                        */
};

/* Each is met once. FH_FULL: too many; FH_INVALID: not an aim. */
FH_MUST_CHECK enum fh_code fh_store_fault_aim(struct fh_store *store,
                                              const struct fh_fault_aim *aim);
/* Forgets the aims that were not met yet; what is held stays so. */
void fh_store_fault_clear_aims(struct fh_store *store);
size_t fh_store_fault_aims(const struct fh_store *store); /* that were not met yet */
/* Held requests, a store's close among the things that let them go (FH_SHUTTING_DOWN when they
 * were not executed). A held one outlives its deadline: released, it is refused by the wrapped
 * store and completes with that. */
size_t fh_store_fault_held(const struct fh_store *store);
void fh_store_fault_release(struct fh_store *store);
/* How many requests of these operations came, refused ones too. */
uint64_t fh_store_fault_count(const struct fh_store *store, uint64_t ops);

#endif
