/* Requests of dedicated homes, and a file system that fails or kills at the nth change. */
#ifndef FH_TESTS_STORES_SQLITE_TIERS_H
#define FH_TESTS_STORES_SQLITE_TIERS_H

#include "tests/unit/stores_sqlite/fixture.h"

struct fh_request tier_request(struct fixture *f, enum fh_op op, enum fh_tier tier,
                               const struct fh_uuid *tenant);
/* Fence: epoch 1, this generation, open. */
enum fh_code tier_create(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                         uint64_t generation);
enum fh_code tier_erase(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                        uint64_t generation);
enum fh_code tier_fence(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                        struct fh_op_fence *out);
enum fh_code tier_put(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                      int64_t id);
enum fh_code tier_get(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                      int64_t id, bool *found);
/* Findings that are not ok; prints them. */
size_t tier_check(struct fixture *f, const char *naming);
/* Files below homes/. */
size_t tier_files(const struct fixture *f);
/* The file of the tenant's home in the database tier. */
void tier_path(const struct fixture *f, const struct fh_uuid *tenant, char out[256]);
struct fh_uuid tier_tenant(int number);

/* From here on the nth call (from 1) of those that change a disk (write, sync, truncate, rename,
 * unlink, mkdir), of any thread and anybody, fails with `reason`; 0: kills the process. */
void disk_fail_at(int64_t nth, int reason);
/* No more of that. Was it met? */
bool disk_heal(void);

#endif
