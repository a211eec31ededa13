/* What both models share: the phases of a move, and which may follow which.
 *
 * FH_MOVE_FOLLOWS is the list of router/moves.h, line by line; transitions.py refuses when the two
 * differ. SWITCHING to SETTLED is the catalog's switch alone.
 */
mtype = {
    PLANNED, PREPARING, COPYING, CATCHING_UP, READY, SWITCHING, SETTLED, CLEANING, DONE,
    CANCELLING, CANCELLED, FAILING, FAILED
};

#define FH_MOVE_FOLLOWS(FOLLOW)    \
    FOLLOW(PLANNED, PREPARING)     \
    FOLLOW(PREPARING, COPYING)     \
    FOLLOW(COPYING, CATCHING_UP)   \
    FOLLOW(CATCHING_UP, READY)     \
    FOLLOW(READY, SWITCHING)       \
    FOLLOW(READY, CATCHING_UP)     \
    FOLLOW(SWITCHING, CATCHING_UP) \
    FOLLOW(SWITCHING, SETTLED)     \
    FOLLOW(SETTLED, CLEANING)      \
    FOLLOW(CLEANING, DONE)         \
    FOLLOW(COPYING, PREPARING)     \
    FOLLOW(CATCHING_UP, PREPARING) \
    FOLLOW(READY, PREPARING)       \
    FOLLOW(PLANNED, CANCELLING)    \
    FOLLOW(PREPARING, CANCELLING)  \
    FOLLOW(COPYING, CANCELLING)    \
    FOLLOW(CATCHING_UP, CANCELLING) \
    FOLLOW(READY, CANCELLING)      \
    FOLLOW(SWITCHING, CANCELLING)  \
    FOLLOW(CANCELLING, CANCELLED)  \
    FOLLOW(PLANNED, FAILING)       \
    FOLLOW(PREPARING, FAILING)     \
    FOLLOW(COPYING, FAILING)       \
    FOLLOW(CATCHING_UP, FAILING)   \
    FOLLOW(READY, FAILING)         \
    FOLLOW(SWITCHING, FAILING)     \
    FOLLOW(FAILING, FAILED)

#define OR_FOLLOW(from, to) || (was == from && now == to)

/* A property: the catalog never holds a phase that may not follow the one before. PHASES_UNCHECKED
 * leaves it out, to see what else a variant breaks. */
bool illegal_phase;
inline check_phase(was, now)
{
#ifndef PHASES_UNCHECKED
    illegal_phase = !(was == now FH_MOVE_FOLLOWS(OR_FOLLOW));
    assert(!illegal_phase)
#else
    skip
#endif
}

/* The modes of a fence; NONE: this home has no fence of the tenant. */
mtype = { NONE, OPEN, FROZEN, CLOSED, INCOMING };
