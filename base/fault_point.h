/* Named points where a test ends or stops this very process, and named bugs it may ask for.
 *
 * FREEHOLD_CRASH_AT=<name>[:n] ends the process with status 137 at the nth pass (default 1), as a
 * SIGKILL would; FREEHOLD_STOP_AT=<name>[:n] raises SIGSTOP there. FREEHOLD_SEED_BUG=<name> puts a
 * bug in that a test must notice. All of it is compiled out of builds without FREEHOLD_FAULTS.
 * Any thread, but one point is passed by one thread at a time.
 */
#ifndef FH_BASE_FAULT_POINT_H
#define FH_BASE_FAULT_POINT_H

#include <stdbool.h>

#ifdef FREEHOLD_FAULTS
void fh_fault_point(const char *name);
bool fh_fault_seeded(const char *bug);
#else
static inline void fh_fault_point(const char *name)
{
    (void)name;
}
static inline bool fh_fault_seeded(const char *bug)
{
    (void)bug;
    return false;
}
#endif

#endif
