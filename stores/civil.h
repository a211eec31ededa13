/* Civil dates and RFC 3339 times: proleptic Gregorian, years 0001..9999, no time zone but UTC.
 *
 * Own arithmetic, so that neither the C library's time zone nor its year range matters. Pure
 * functions.
 */
#ifndef FH_STORES_CIVIL_H
#define FH_STORES_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define FH_US_PER_SECOND INT64_C(1000000)
#define FH_US_PER_DAY (INT64_C(86400) * FH_US_PER_SECOND)
#define FH_DAYS_MIN INT64_C(-719162) /* 0001-01-01 */
#define FH_DAYS_MAX INT64_C(2932896) /* 9999-12-31 */
#define FH_TIMESTAMP_US_MIN (FH_DAYS_MIN * FH_US_PER_DAY)
#define FH_TIMESTAMP_US_MAX ((FH_DAYS_MAX + 1) * FH_US_PER_DAY - 1)

#define FH_DATE_TEXT_LEN 10      /* 2026-11-21 */
#define FH_TIMESTAMP_TEXT_MAX 27 /* 2026-11-21T02:00:00.000001Z */

/* Days since 1970-01-01, rounding down: the date of a timestamp. */
static inline int64_t fh_days_of_us(int64_t us)
{
    return us / FH_US_PER_DAY - (us % FH_US_PER_DAY < 0);
}

/* "YYYY-MM-DD"; false on anything else. */
bool fh_date_parse(struct fh_str text, int64_t *days);
/* RFC 3339 with Z or an offset and at most six digits of fraction; false on anything else, leap
 * seconds too. */
bool fh_timestamp_parse(struct fh_str text, int64_t *us);
/* `days` within FH_DAYS_MIN..MAX; with a NUL. */
void fh_date_format(int64_t days, char out[FH_DATE_TEXT_LEN + 1]);
/* `us` within range; fraction of 0, or as many digits of six as are not trailing zeros; with a NUL.
 */
void fh_timestamp_format(int64_t us, char out[FH_TIMESTAMP_TEXT_MAX + 1]);

#endif
