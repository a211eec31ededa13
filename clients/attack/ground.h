/* What the attacks on a pair of canaries stand on, read by ordinary calls of the canaries' own:
 * their records, page tokens, a request id of B's, whose record is whose, and afterwards whether
 * anything of B's was changed.
 *
 * Makes one commit in each canary, once (an update of no field, with a request id computed from the
 * record's name, so that later runs find it made). One thread; everything lives in the arena.
 */
#ifndef FH_CLIENTS_ATTACK_GROUND_H
#define FH_CLIENTS_ATTACK_GROUND_H

#include "clients/attack/caller.h"
#include "clients/attack/marks.h"

struct fh_ground {
    struct fh_attack_ground attack;
    const char *tokens[2]; /* of the canaries; the caller's */
    struct fh_marks marks[2];
    const char *before; /* B's records: names, etags */
    char why[256];      /* what could not be read */
};

/* `attack.uids` and `tokens` are set, the rest is zero. False: `why` says why not. */
bool fh_ground_read(struct fh_ground *ground, struct fh_caller *caller,
                    const struct fh_caller_as *operators, struct fh_arena *arena);
/* Takes out what attacks left in A's own space. False: `why`. */
bool fh_ground_clean(struct fh_ground *ground, struct fh_caller *caller, struct fh_arena *arena);
/* `*changed`: B's records are not as they were. False: `why`. */
bool fh_ground_compare(struct fh_ground *ground, struct fh_caller *caller, struct fh_arena *arena,
                       bool *changed);

#endif
