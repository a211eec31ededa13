/* Happy path: nobody asked for anything. Otherwise the two variables are compared with the point's
 * name; each has one counter of passes, since each names one point at a time. */
#include "base/fault_point.h"

#ifdef FREEHOLD_FAULTS

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_LEN 128

struct counter {
    char wanted[NAME_MAX_LEN]; /* the variable's value that the passes are of */
    unsigned long passes;
};

static bool reached(const char *variable, const char *name, struct counter *counter)
{
    const char *wanted = getenv(variable);
    size_t len = strlen(name);
    if (wanted == NULL || strncmp(wanted, name, len) != 0 ||
        (wanted[len] != '\0' && wanted[len] != ':')) {
        return false;
    }
    if (strncmp(counter->wanted, wanted, sizeof(counter->wanted) - 1) != 0) {
        (void)snprintf(counter->wanted, sizeof(counter->wanted), "%s", wanted);
        counter->passes = 0;
    }
    unsigned long at = wanted[len] == ':' ? strtoul(wanted + len + 1, NULL, 10) : 1;
    return ++counter->passes == at;
}

void fh_fault_point(const char *name)
{
    static struct counter crashes;
    static struct counter stops;
    if (reached("FREEHOLD_CRASH_AT", name, &crashes)) {
        _exit(137);
    }
    if (reached("FREEHOLD_STOP_AT", name, &stops)) {
        (void)raise(SIGSTOP);
    }
}

bool fh_fault_seeded(const char *bug)
{
    const char *wanted = getenv("FREEHOLD_SEED_BUG");
    return wanted != NULL && strcmp(wanted, bug) == 0;
}

#else

/* A source holds one declaration at least. */
typedef int fh_fault_point_none;

#endif
