/* Happy path: sizes double or halve towards the time aimed at; rests add up until they are worth a
 * timer. */
#include "migrator/throttle.h"

#define ROWS_FIRST 200
#define REST_US_MIN 2000 /* a timer's resolution is a millisecond */
#define REST_US_MAX (60 * (int64_t)1000000)

void fh_throttle_init(struct fh_throttle *throttle)
{
    *throttle = (struct fh_throttle){.rows = ROWS_FIRST};
}

static void size_next(struct fh_throttle *throttle, size_t rows, int64_t apply_us)
{
    if (apply_us > FH_THROTTLE_APPLY_US) {
        throttle->rows /= 2;
    } else if (apply_us < FH_THROTTLE_APPLY_US / 2 && rows >= throttle->rows) {
        throttle->rows *= 2;
    }
    if (throttle->rows < FH_THROTTLE_ROWS_MIN) {
        throttle->rows = FH_THROTTLE_ROWS_MIN;
    }
    if (throttle->rows > FH_THROTTLE_ROWS_MAX) {
        throttle->rows = FH_THROTTLE_ROWS_MAX;
    }
}

int64_t fh_throttle_rest(struct fh_throttle *throttle, size_t rows, int64_t apply_us,
                         int64_t busy_us, uint32_t duty_percent, uint32_t rows_per_second_max)
{
    size_next(throttle, rows, apply_us);
    int64_t rest = 0;
    if (duty_percent > 0 && duty_percent < 100) {
        rest = busy_us * (100 - (int64_t)duty_percent) / (int64_t)duty_percent;
    }
    if (rows_per_second_max > 0) {
        int64_t least = (int64_t)rows * 1000000 / (int64_t)rows_per_second_max - busy_us;
        rest = rest > least ? rest : least;
    }
    throttle->debt_us += rest;
    if (throttle->debt_us < REST_US_MIN) {
        return 0;
    }
    rest = throttle->debt_us < REST_US_MAX ? throttle->debt_us : REST_US_MAX;
    throttle->debt_us = 0;
    return rest;
}
