/* The switch: catalog, fences, generations, writers, readers, and movers that overtake each other.
 *
 * A move goes from home SRC (epoch 1) to home TGT (epoch 2). Two movers, each of which claims the
 * move at any time and then sleeps as long as it likes before every step: a crash is a sleep that
 * never ends, a takeover is the other's claim, a server that takes over is a mover. Every
 * transaction of catalog or store is one atomic step. The tenant's data is one record, kept as the
 * number of its last write, and the set of request ids. How rows get across is copy.pml's; here one
 * copy of the whole stands for the last delta.
 *
 * Properties
 *   two_homes        two homes would take a write at one instant
 *   lost_write       a write finds a home that lacks an acknowledged write, or has one nobody made;
 *                    or the home lacks one at the end
 *   duplicated       one request id is carried out twice
 *   stale_read       a read that began after an answer shows something older than it
 *   illegal_phase    the catalog goes from a phase to one that may not follow
 *   unserved         at the end the catalog's home is not open under the catalog's epoch, or
 *                    another one is
 *   stuck            (spin: invalid end state) somebody waits for ever
 * Every process is finite, and whoever waits waits for a condition, so a run that ends well is
 * progress; config ENDS states it in LTL.
 *
 * Configurations: WRITERS, READERS, READS, CLAIMS (a mover's claims: the first, and call-offs),
 * FAILOVER (the source's store comes back in an older state after the switch), LATER (the
 * tenant moves once more, while an old mover sleeps), RESEND (a switch may be sent twice),
 * ONE_TRY (what is called off is cancelled), ENDS (liveness), REACH_* (must be violated: the
 * model gets there).
 *
 * Variants, one rule each:
 *   NO_DRAIN             the freeze does not wait for writers that are past the gate
 *   GATE_AFTER_FENCE     the fence is read before the gate is entered, not after it
 *   NO_WRITE_FENCE       a write does not look at the fence
 *   NO_READ_FENCE        a read does not look at the fence
 *   READ_FENCE_APART     a read looks at the fence in a statement of its own, before the row's
 *   NO_CLOSE             the source stays frozen (readable) over the switch
 *   NO_FREEZE            the last delta is read before the freeze
 *   NO_LAST_DELTA        no delta is applied under the freeze
 *   NO_JOURNAL           commit records stay behind
 *   NO_GEN_TARGET        an apply at the target does not require the own generation
 *   NO_GEN_SOURCE        a fence change at the source does not require the own generation
 *   NO_GEN_ERASE         erasing a cancelled target requires neither generation nor mode
 *   NO_ERASE_FENCE       erasing the source requires neither epoch, generation nor mode
 *   ERASE_EARLY          the source is erased before the switch
 *   OPEN_EARLY           the target is opened before the switch
 *   FENCES_FIRST         a takeover reads the catalog, touches the fences, and then raises the
 *                        generation
 *   LAZY_FENCES          a takeover does not raise the fences' generation; the first change does
 *   BUMP_BACKWARDS       raising a fence's generation may lower it
 *   CALLOFF_FENCE_FIRST  calling off reopens the source, then raises the generation
 *   CALLOFF_KEEPS_GEN    calling off raises no generation
 *   UNKNOWN_IS_FAILURE   a switch whose outcome is unknown is taken for failed
 *   UNKNOWN_IS_SUCCESS   ... for done
 *   NO_SWITCH_GEN        the switch does not require the generation
 *   NO_SWITCH_EPOCH      ... the epoch
 *   NO_SWITCH_PHASE      ... the phase
 *   NO_IDENTITY          a store that comes back as another is used with the placement at hand
 */
#include "move.pml"

#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef READS
#define READS 1
#endif
#ifndef MOVERS
#define MOVERS 2
#endif
#ifndef CLAIMS
#define CLAIMS 2
#endif
#define GENERATIONS 7

#define SRC 0
#define TGT 1

/* The catalog. */
byte cat_epoch = 1;
byte cat_gen;
bit cat_home = SRC;
mtype cat_phase = PLANNED;
/* Switches that are on their way to the catalog, by the generation that sent them. */
byte wire[GENERATIONS];

/* The homes: fence, gate (writers inside), record, request ids. */
byte f_epoch[2];
byte f_gen[2];
mtype f_mode[2] = NONE;
byte gate[2];
byte val[2];
byte ids[2];
/* Which incarnation of the source's store this is. */
bit identity;

/* What really happened: number of the last write carried out, ids carried out, newest write that
 * somebody was answered or shown. */
byte last;
byte applied;
byte floor;
byte clients;

bool two_homes, lost_write, duplicated, stale_read, unserved, arrived;

inline check_homes()
{
#ifndef FAILOVER
    two_homes = (f_mode[SRC] == OPEN && f_mode[TGT] == OPEN);
    assert(!two_homes)
#else
    skip
#endif
}

/* ---- rules ---- */

#ifdef NO_DRAIN
#define DRAINED(h) true
#else
#define DRAINED(h) (gate[h] == 0)
#endif

#ifdef NO_WRITE_FENCE
#define MAY_WRITE(h, e) (true)
#else
#define MAY_WRITE(h, e) (f_mode[h] == OPEN && f_epoch[h] == e)
#endif

#define READABLE(h, e) ((f_mode[h] == OPEN || f_mode[h] == FROZEN) && f_epoch[h] == e)
#ifdef NO_READ_FENCE
#define MAY_READ(h, e) (true)
#else
#define MAY_READ(h, e) READABLE(h, e)
#endif

#ifdef LAZY_FENCES
#define OWN(h) (f_gen[h] <= g)
#else
#define OWN(h) (f_gen[h] == g)
#endif
#ifdef NO_GEN_SOURCE
#define OWN_SOURCE true
#else
#define OWN_SOURCE OWN(SRC)
#endif
#ifdef NO_GEN_TARGET
#define OWN_TARGET true
#else
#define OWN_TARGET OWN(TGT)
#endif

#ifdef NO_GEN_ADVANCE
#define ADVANCE_GEN true
#else
#define ADVANCE_GEN (cat_gen == g)
#endif

#ifdef BUMP_BACKWARDS
#define MAY_BUMP(h) true
#else
#define MAY_BUMP(h) (f_gen[h] < g)
#endif

#ifdef NO_SWITCH_GEN
#define SWITCH_GEN(k) true
#else
#define SWITCH_GEN(k) (cat_gen == k)
#endif
#ifdef NO_SWITCH_EPOCH
#define SWITCH_EPOCH true
#else
#define SWITCH_EPOCH (cat_epoch == 1)
#endif
#ifdef NO_SWITCH_PHASE
#define SWITCH_PHASE true
#else
#define SWITCH_PHASE (cat_phase == SWITCHING)
#endif

#ifdef ONE_TRY
#define MAY_TRY_AGAIN (!off && source != OPEN)
#else
#define MAY_TRY_AGAIN (off || source != OPEN)
#endif

#ifdef CALLOFF_KEEPS_GEN
#define CALLOFF_STEP 0
#else
#define CALLOFF_STEP 1
#endif

/* ---- the catalog's switch, delivered at any time after it was sent: THE commit point ---- */

inline deliver(k)
{
    atomic {
        wire[k] > 0 -> wire[k]--;
        if
        :: SWITCH_GEN(k) && SWITCH_EPOCH && SWITCH_PHASE ->
            check_phase(cat_phase, SETTLED);
            cat_phase = SETTLED;
            cat_epoch = cat_epoch + 1;
            cat_home = TGT
        :: else
        fi
    }
}

active proctype Wire()
{
end:
    do
    :: deliver(1)
    :: deliver(2)
    :: deliver(3)
    :: deliver(4)
    :: deliver(5)
    :: deliver(6)
    od
}

#include "clients.pml"

/* ---- the mover ---- */

/* One transaction of the catalog: own generation, phase as known, then the next phase. */
inline advance(to)
{
    atomic {
        if
        :: ADVANCE_GEN && cat_phase == phase ->
            check_phase(cat_phase, to);
            cat_phase = to;
            phase = to
        :: else -> goto refused
        fi
    }
}

/* A change of a fence: epoch, generation and mode as expected, or nothing happens. */
inline fence(h, own, epoch, from, to)
{
    if
    :: own && f_epoch[h] == epoch && f_mode[h] == from ->
        f_mode[h] = to;
        f_gen[h] = g;
        check_homes()
    :: else -> goto refused
    fi
}

/* Raises the own generation in a fence and sees its mode. One that is newer already: superseded. */
inline bump(h, seen)
{
    atomic {
        seen = f_mode[h];
        if
        :: f_mode[h] == NONE
#ifndef LAZY_FENCES
        :: f_mode[h] != NONE && MAY_BUMP(h) -> f_gen[h] = g
        :: f_mode[h] != NONE && !MAY_BUMP(h) ->
            if
            :: f_gen[h] == g
            :: else -> goto refused
            fi
#else
        :: else
#endif
        fi
    }
}

proctype Mover()
{
    byte g;
    byte epoch;
    byte v, i;        /* the delta in the mover's hands */
    byte claims;      /* how many of CLAIMS are used */
    bit resent;
    bit off;          /* this claim is for calling off */
    mtype phase;      /* as the catalog said */
    mtype source;     /* mode of the source's fence, as seen or made */
    mtype target;

claim:
#ifdef FENCES_FIRST
    atomic {
        if
        :: cat_phase == DONE || cat_phase == CANCELLED -> goto finish
        :: else
        fi;
        g = cat_gen + 1;
        claims++;
        phase = cat_phase;
        epoch = cat_epoch
    }
#else
    atomic {
        if
        :: cat_phase == DONE || cat_phase == CANCELLED -> goto finish
        :: else
        fi;
        claims++;
        cat_gen++;
        g = cat_gen;
        phase = cat_phase;
        epoch = cat_epoch
    }
#endif
fences:
    bump(SRC, source);
    bump(TGT, target);
#ifdef FENCES_FIRST
    atomic {
        if
        :: cat_gen == g - 1 -> cat_gen = g
        :: else -> goto finish
        fi
    }
#endif

    if
    :: atomic { epoch > 1 -> goto settled }
    :: atomic { epoch == 1 && phase == CANCELLING -> goto cancelling }
    :: atomic { epoch == 1 && phase != CANCELLING -> goto cancel } /* asked to, or given up */
    :: atomic { epoch == 1 && phase == SWITCHING && MAY_TRY_AGAIN -> goto reopen }
    :: atomic { epoch == 1 && phase != CANCELLING && !off -> skip }
    fi;

again:
    if
    :: phase == PLANNED -> advance(PREPARING)
    :: else
    fi;
    if
    :: atomic { phase == PREPARING ->
            if
            :: f_mode[TGT] == NONE ->
                f_mode[TGT] = INCOMING; f_epoch[TGT] = 2; f_gen[TGT] = g
            :: f_mode[TGT] == INCOMING && f_gen[TGT] <= g -> f_gen[TGT] = g
            :: else -> goto refused
            fi;
            target = INCOMING
        }
    :: else
    fi;
    /* copying, catching_up, ready: what happens there is copy.pml's */
    if
    :: atomic { phase == PREPARING -> advance(COPYING); advance(CATCHING_UP); advance(READY) }
    :: atomic { phase == CATCHING_UP -> advance(READY) }
    :: atomic { phase == READY || phase == SWITCHING -> skip }
    fi;
    if
    :: phase == READY -> advance(SWITCHING)
    :: else
    fi;

    /* switching 1: the exclusive gate; or the pause's budget is used up */
#ifdef NO_FREEZE
    atomic { v = val[SRC]; i = ids[SRC] };
#endif
    if
    :: atomic { source == OPEN && DRAINED(SRC) -> fence(SRC, OWN_SOURCE, 1, OPEN, FROZEN);
            source = FROZEN }
    :: atomic { source == OPEN && !DRAINED(SRC) && claims < CLAIMS -> goto calloff }
    :: atomic { source != OPEN -> skip }
    fi;
    /* 2: the last delta */
#ifndef NO_FREEZE
    atomic { v = val[SRC]; i = ids[SRC] };
#endif
    atomic {
#ifndef NO_LAST_DELTA
        if
        :: OWN_TARGET && f_epoch[TGT] == 2 && f_mode[TGT] == INCOMING ->
            val[TGT] = v;
#ifndef NO_JOURNAL
            ids[TGT] = i;
#endif
            f_gen[TGT] = (OWN(TGT) -> g : f_gen[TGT])
        :: else -> goto refused
        fi;
#endif
        v = 0;
        i = 0
    }
    /* 3: the source is closed */
#ifndef NO_CLOSE
    if
    :: atomic { source == FROZEN -> fence(SRC, OWN_SOURCE, 1, FROZEN, CLOSED); source = CLOSED }
    :: atomic { source == CLOSED -> skip }
    fi;
#endif
#ifdef ERASE_EARLY
    atomic { OWN(SRC) -> val[SRC] = 0; ids[SRC] = 0 };
#endif
#ifdef OPEN_EARLY
    atomic { fence(TGT, OWN_TARGET, 2, INCOMING, OPEN); target = OPEN };
#endif
    if
    :: claims < CLAIMS -> goto calloff
    :: true
    fi;
    /* 4: the switch */
send:
    wire[g]++;
    if
#ifdef UNKNOWN_IS_SUCCESS
    :: atomic { epoch = 2; phase = SETTLED; goto settled }
#endif
#ifdef UNKNOWN_IS_FAILURE
    :: atomic { claims < CLAIMS -> claims++; epoch = 1; goto reopen }
#endif
    :: atomic { cat_gen != g -> goto finish }
    :: atomic { cat_gen == g && cat_epoch > 1 -> epoch = cat_epoch; phase = cat_phase;
            goto settled }
    :: atomic { cat_gen == g && cat_epoch == 1 && claims < CLAIMS -> goto calloff }
#ifdef RESEND
    :: atomic { cat_gen == g && cat_epoch == 1 && !resent -> resent = 1; goto send }
#endif
    fi;

    /* Calling off: the generation first, so that a switch on its way cannot succeed any more. */
calloff:
    atomic {
        off = 1;
        claims++;
#ifdef CALLOFF_FENCE_FIRST
        if
        :: source != OPEN -> fence(SRC, OWN_SOURCE, 1, source, OPEN)
        :: else
        fi
    }
    atomic {
#endif
        if
        :: cat_gen == g ->
            cat_gen = cat_gen + CALLOFF_STEP;
            g = cat_gen;
            phase = cat_phase;
            epoch = cat_epoch;
            goto fences
        :: else -> goto finish
        fi
    }

    /* off, but not for good: the source serves again, later another attempt */
reopen:
    atomic { fence(SRC, OWN_SOURCE, 1, source, OPEN); source = OPEN };
    off = 0;
    if
    :: phase == SWITCHING -> advance(CATCHING_UP)
    :: else
    fi;
    goto again;

    /* off for good */
cancel:
    advance(CANCELLING);
cancelling:
    if
    :: atomic { source != OPEN -> fence(SRC, OWN_SOURCE, 1, source, OPEN); source = OPEN }
    :: atomic { source == OPEN -> skip }
    fi;
    atomic {
        if
#ifdef NO_GEN_ERASE
        :: true -> f_mode[TGT] = NONE; val[TGT] = 0; ids[TGT] = 0
#else
        :: f_mode[TGT] == NONE
        :: OWN(TGT) && f_epoch[TGT] == 2 && f_mode[TGT] == INCOMING ->
            f_mode[TGT] = NONE; val[TGT] = 0; ids[TGT] = 0
        :: else -> goto refused
#endif
        fi
    }
    advance(CANCELLED);
    goto finish;

    /* 5: only forward from here */
settled:
#ifdef FAILOVER
    if
    :: atomic { source != CLOSED && source != NONE -> fence(SRC, OWN_SOURCE, 1, source, CLOSED);
            source = CLOSED }
    :: atomic { source == CLOSED || source == NONE -> skip }
    fi;
#endif
    if
    :: atomic { target == INCOMING -> fence(TGT, OWN_TARGET, 2, INCOMING, OPEN); target = OPEN }
    :: atomic { target != INCOMING -> skip }
    fi;
    if
    :: phase == SETTLED -> advance(CLEANING)
    :: else
    fi;
    atomic {
        if
#ifdef NO_ERASE_FENCE
        :: true -> f_mode[SRC] = NONE; val[SRC] = 0; ids[SRC] = 0
#else
        :: f_mode[SRC] == NONE
        :: OWN(SRC) && f_epoch[SRC] == 1 &&
#ifdef NO_CLOSE
            f_mode[SRC] == FROZEN
#else
            f_mode[SRC] == CLOSED
#endif
            -> f_mode[SRC] = NONE; val[SRC] = 0; ids[SRC] = 0
        :: else -> goto refused
#endif
        fi
    }
    advance(DONE);
    goto finish;

refused:
    /* Somebody else's move now, or (a store came back older) ours still: claim it again. */
    atomic {
        if
        :: cat_gen != g -> goto finish
        :: cat_gen == g && claims <= CLAIMS -> off = 0; v = 0; i = 0; goto claim
        fi
    }
finish:
    atomic {
        g = 0; epoch = 0; v = 0; i = 0; claims = 0; resent = 0; off = 0;
        phase = 0; source = 0; target = 0
    }
}

#include "accidents.pml"

bool ended;

/* The move is over and every client answered; a mover may still be asleep. */
active proctype Judge()
{
    atomic {
        clients == 0 && (cat_phase == DONE || cat_phase == CANCELLED) ->
        unserved = !(f_mode[cat_home] == OPEN && f_epoch[cat_home] == cat_epoch);
#ifndef FAILOVER
        unserved = unserved || f_mode[1 - cat_home] == OPEN || f_mode[1 - cat_home] == FROZEN;
#endif
        assert(!unserved);
        lost_write = (val[cat_home] != last);
        assert(!lost_write);
#ifdef REACH_DONE
        arrived = (cat_phase == DONE && last > 0);
#endif
#ifdef REACH_CANCELLED
        arrived = (cat_phase == CANCELLED && last > 0);
#endif
#ifdef REACH_ORPHAN
        /* A mover that slept makes the target that a cancel has erased anew. */
        arrived = (cat_phase == CANCELLED && f_mode[TGT] == INCOMING);
#endif
        assert(!arrived);
        ended = true
    }
}

init {
    atomic {
        f_epoch[SRC] = 1;
        f_mode[SRC] = OPEN;
        clients = WRITERS + READERS;
#if WRITERS > 0
        run Writer(1);
#endif
#if WRITERS > 1
        run Writer(2);
#endif
#if READERS > 0
        run Reader();
#endif
#if READERS > 1
        run Reader();
#endif
        run Mover();
#if MOVERS > 1
        run Mover();
#endif
#if MOVERS > 2
        run Mover();
#endif
        skip
    }
}

#ifdef ENDS
ltl ends { <> ended }
#endif
