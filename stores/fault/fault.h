/* A store that wraps another and misbehaves on purpose: tests only.
 *
 * Faults are drawn from a seeded generator, so a failing run repeats. The wrapped store is borrowed
 * and outlives this one.
 */
#ifndef FH_STORES_FAULT_FAULT_H
#define FH_STORES_FAULT_FAULT_H

#include "stores/store.h"

struct fh_fault_plan {
    uint64_t seed;
    uint32_t refuse_ppm;         /* submit refuses (FH_FULL) */
    uint32_t unavailable_ppm;    /* completes FH_UNAVAILABLE, not executed */
    uint32_t unknown_before_ppm; /* commits: FH_OUTCOME_UNKNOWN, not executed */
    uint32_t unknown_after_ppm;  /* commits: executed, then FH_OUTCOME_UNKNOWN */
    uint32_t delay_ppm;          /* completes some loop turns later */
    uint32_t foreign_row_ppm;    /* reads: a row's tenant is changed before the ownership check */
};

FH_MUST_CHECK enum fh_code fh_store_fault_create(const struct fh_env *env, struct fh_store *wrapped,
                                                 const struct fh_fault_plan *plan,
                                                 struct fh_store **out);
void fh_store_fault_set_plan(struct fh_store *store, const struct fh_fault_plan *plan);

#endif
