/* Assertions that stay on in release: they state invariants of ours, never facts about input.
 *
 * A failed assertion prints file, line and condition to stderr and aborts: a broken invariant in a
 * multi-tenant store must stop before it answers.
 */
#ifndef FH_BASE_ASSERT_H
#define FH_BASE_ASSERT_H

_Noreturn void fh_assert_fail(const char *condition, const char *file, int line);

#define FH_ASSERT(condition)                                \
    do {                                                    \
        if (__builtin_expect(!(condition), 0)) {            \
            fh_assert_fail(#condition, __FILE__, __LINE__); \
        }                                                   \
    } while (0)

#define FH_UNREACHABLE() fh_assert_fail("unreachable", __FILE__, __LINE__)

#endif
