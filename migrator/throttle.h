/* How fast copying may go: page sizes that keep a transaction short, and rests between them.
 *
 * A shared SQLite home has one writer: while a page is applied, its neighbours wait. So pages are
 * sized by how long the last one took, and the copier rests for the part of the time that its duty
 * leaves. Pure arithmetic.
 */
#ifndef FH_MIGRATOR_THROTTLE_H
#define FH_MIGRATOR_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

#define FH_THROTTLE_ROWS_MIN 50
#define FH_THROTTLE_ROWS_MAX 2000
#define FH_THROTTLE_APPLY_US 20000 /* what a page's transaction should take at most */

struct fh_throttle {
    size_t rows;     /* of the next page */
    int64_t debt_us; /* rest owed: short ones are gathered */
};

void fh_throttle_init(struct fh_throttle *throttle);
/* A page of `rows` was applied in apply_us; with reading it kept the stores busy for busy_us. How
 * long to rest now; 0: not yet. */
int64_t fh_throttle_rest(struct fh_throttle *throttle, size_t rows, int64_t apply_us,
                         int64_t busy_us, uint32_t duty_percent, uint32_t rows_per_second_max);

#endif
