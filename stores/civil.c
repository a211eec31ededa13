/* Days are counted in eras of 400 years that start on March 1st, so that the leap day is the last
 * of its year and every month's offset is a linear formula. Parsing refuses what is not exactly in
 * form; ranges are checked once, at the end.
 */
#include "stores/civil.h"

#include <stdio.h>

#include "base/assert.h"

#define DAYS_PER_ERA 146097
#define DAYS_TO_1970 719468 /* from 0000-03-01 */

static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + DAYS_TO_1970;
    int64_t era = (z >= 0 ? z : z - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = z - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2 ? 1 : 0));
}

static int days_in_month(int64_t year, int64_t month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Exactly `count` digits at `offset`; -1 when they are not there. */
static int digits_at(struct fh_str text, size_t offset, size_t count)
{
    if (text.len < offset + count) {
        return -1;
    }
    int value = 0;
    for (size_t i = offset; i < offset + count; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return -1;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    return value;
}

static bool char_at(struct fh_str text, size_t offset, char c)
{
    return text.len > offset && text.data[offset] == c;
}

bool fh_date_parse(struct fh_str text, int64_t *days)
{
    int year = digits_at(text, 0, 4);
    int month = digits_at(text, 5, 2);
    int day = digits_at(text, 8, 2);
    if (text.len != FH_DATE_TEXT_LEN || !char_at(text, 4, '-') || !char_at(text, 7, '-') ||
        year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) {
        return false;
    }
    *days = days_from_civil(year, month, day);
    return true;
}

/* The part behind the seconds: [.digits](Z|+hh:mm|-hh:mm). */
static bool tail_parse(struct fh_str tail, int64_t *fraction_us, int64_t *offset_us)
{
    *fraction_us = 0;
    *offset_us = 0;
    size_t at = 0;
    if (char_at(tail, at, '.')) {
        at++;
        int64_t unit = 100000;
        size_t start = at;
        while (at < tail.len && tail.data[at] >= '0' && tail.data[at] <= '9') {
            if (at - start == 6) {
                return false; /* finer than we can keep: refuse rather than round */
            }
            *fraction_us += unit * (tail.data[at] - '0');
            unit /= 10;
            at++;
        }
        if (at == start) {
            return false;
        }
    }
    if (char_at(tail, at, 'Z') || char_at(tail, at, 'z')) {
        return tail.len == at + 1;
    }
    if (tail.len != at + 6 || !char_at(tail, at + 3, ':') ||
        (tail.data[at] != '+' && tail.data[at] != '-')) {
        return false;
    }
    int hours = digits_at(tail, at + 1, 2);
    int minutes = digits_at(tail, at + 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
        return false;
    }
    *offset_us = (hours * INT64_C(60) + minutes) * 60 * FH_US_PER_SECOND;
    if (tail.data[at] == '-') {
        *offset_us = -*offset_us;
    }
    return true;
}

bool fh_timestamp_parse(struct fh_str text, int64_t *us)
{
    if (text.len < 20) {
        return false;
    }
    int64_t days = 0;
    if (!fh_date_parse((struct fh_str){.data = text.data, .len = FH_DATE_TEXT_LEN}, &days) ||
        (!char_at(text, 10, 'T') && !char_at(text, 10, 't')) || !char_at(text, 13, ':') ||
        !char_at(text, 16, ':')) {
        return false;
    }
    int hour = digits_at(text, 11, 2);
    int minute = digits_at(text, 14, 2);
    int second = digits_at(text, 17, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) {
        return false;
    }
    int64_t fraction_us = 0;
    int64_t offset_us = 0;
    struct fh_str tail = {.data = text.data + 19, .len = text.len - 19};
    if (!tail_parse(tail, &fraction_us, &offset_us)) {
        return false;
    }
    int64_t value = days * FH_US_PER_DAY +
                    ((hour * INT64_C(60) + minute) * 60 + second) * FH_US_PER_SECOND + fraction_us -
                    offset_us;
    if (value < FH_TIMESTAMP_US_MIN || value > FH_TIMESTAMP_US_MAX) {
        return false; /* an offset may lead out of the years we keep */
    }
    *us = value;
    return true;
}

void fh_date_format(int64_t days, char out[FH_DATE_TEXT_LEN + 1])
{
    FH_ASSERT(days >= FH_DAYS_MIN && days <= FH_DAYS_MAX);
    int year = 0;
    int month = 0;
    int day = 0;
    civil_from_days(days, &year, &month, &day);
    char text[40];
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
    memcpy(out, text, FH_DATE_TEXT_LEN);
    out[FH_DATE_TEXT_LEN] = '\0';
}

void fh_timestamp_format(int64_t us, char out[FH_TIMESTAMP_TEXT_MAX + 1])
{
    FH_ASSERT(us >= FH_TIMESTAMP_US_MIN && us <= FH_TIMESTAMP_US_MAX);
    int64_t days = fh_days_of_us(us);
    int64_t rest = us - days * FH_US_PER_DAY;
    char date[FH_DATE_TEXT_LEN + 1];
    fh_date_format(days, date);
    int seconds = (int)(rest / FH_US_PER_SECOND);
    int fraction = (int)(rest % FH_US_PER_SECOND);
    char text[64];
    int len = snprintf(text, sizeof(text), "%sT%02d:%02d:%02d.%06d", date, seconds / 3600,
                       seconds / 60 % 60, seconds % 60, fraction);
    if (fraction == 0) {
        len -= 7;
    } else {
        while (text[len - 1] == '0') {
            len--;
        }
    }
    text[len++] = 'Z';
    memcpy(out, text, (size_t)len);
    out[len] = '\0';
}
