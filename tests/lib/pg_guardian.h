/* The postmaster's parent process: see tests/lib/postgres.h. Private to the harness.
 *
 * Commands are single bytes on a socket pair, each answered by one int32: a process id for 's',
 * else 0; -1 failed.
 */
#ifndef FH_TESTS_LIB_PG_GUARDIAN_H
#define FH_TESTS_LIB_PG_GUARDIAN_H

#include <sys/types.h>

struct pg_guardian_plan {
    const char *directory; /* removed at the end */
    const char *data;      /* the cluster's data directory, inside it */
    const char *postgres;  /* path of the server program */
    uid_t uid;             /* whom the server runs as, when we are root */
    gid_t gid;
    int channel; /* our end of the socket pair */
};

enum pg_guardian_command {
    PG_GUARDIAN_START = 's',
    PG_GUARDIAN_STOP = 'q', /* immediate shutdown */
    PG_GUARDIAN_KILL = 'k',
    PG_GUARDIAN_FREEZE = 'z',
    PG_GUARDIAN_THAW = 't',
};

/* Gives up root, when we have it, for the server's user. 0 or -1. */
int pg_guardian_drop_root(uid_t uid, gid_t gid);
/* Runs until the channel closes; never returns. Called in the forked child. */
_Noreturn void pg_guardian_run(const struct pg_guardian_plan *plan);

#endif
