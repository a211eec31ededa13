/* The life of a dedicated home: made, dropped and made anew under one name, by movers that sleep.
 *
 * One place of a store, the tenant's database (or file). It is dropped as the source of a move
 * that has switched (CLEANING to DONE), made anew when the tenant moves back (PREPARING), and then
 * lived in (SETTLED), or dropped again (CANCELLING to CANCELLED). Two movers or three, each of
 * which claims at any time and sleeps as long as it likes before every step. Making and dropping
 * are several transactions here, since databases and files are made and dropped outside of any;
 * a lock that ends with its connection covers them, and CUTS of them are cut.
 *
 * Properties
 *   dropped_living   a home is dropped that was made for the tenant since, or that it lives in
 *   left_over        the move is over and nobody at it any more, and there is a home that neither
 *                    placement nor move names
 *   unserved         the tenant is to live here, and the home is not there or not open
 *   stuck            (spin: invalid end state) somebody waits for ever
 *
 * Variants, one rule each:
 *   NO_HOME_GEN      the fence's row is taken away whatever its generation
 *   DROP_ELSEWHERE   what drops is not sent on the connection that holds the lock
 *   NO_HOME_LOCK     creators and erasers have no lock
 *   NO_END_OWNERS    who finds no row believes it, though a creator may be inside that lost the lock
 *   NO_PROOF         a creator does not look, once it is inside, whether it has the lock still
 *   ROW_FIRST        the home is taken for erased when the fence's row is gone
 *   NO_CLEARING      a home that was made behind a cancel stays
 *   REACH_SETTLED, REACH_CANCELLED   must be violated: the model gets there
 */
#include "move.pml"

#ifndef MOVERS
#define MOVERS 2
#endif
#ifndef CLAIMS
#define CLAIMS 2
#endif
#ifndef CUTS
#define CUTS 1
#endif

mtype phase = CLEANING; /* the catalog's */
byte generation = 1;
bool there = true;      /* the database is */
byte made = 1;          /* which one of its name it is */
byte f_gen = 1;         /* the fence's row; 0: none */
mtype f_mode = CLOSED;
byte sessions;          /* those opened before it was last raised are ended */
byte lock;              /* who has it; 0: nobody */
byte cuts = CUTS;
byte at_work = MOVERS;
bool gave_up;           /* who was cut while it cleared away: the next move to this home will */
bool dropped_living, left_over, unserved, arrived;

#ifdef NO_HOME_LOCK
#define take_lock() skip
#define have_lock true
#else
/* A cut is noticed by the next statement on that connection only. */
#define take_lock() atomic { lock == 0 -> lock = _pid }
#define have_lock (lock == _pid)
#endif
#ifdef DROP_ELSEWHERE
#define may_drop true
#else
#define may_drop have_lock
#endif

inline release()
{
    atomic {
        if
        :: lock == _pid -> lock = 0
        :: else
        fi
    }
}

/* ok: it is gone. */
inline drop()
{
    atomic {
        if
        :: !may_drop -> ok = false
        :: else ->
            dropped_living = there && f_gen > 0 && f_gen != mine;
            assert(!dropped_living);
            there = false;
            f_gen = 0;
            ok = true
        fi
    }
}

/* Whoever may commit a row inside without having the lock any more is put out. */
inline end_owners()
{
#ifdef NO_END_OWNERS
    skip
#else
    sessions++
#endif
}

/* Inside: the row goes, if it is ours. */
inline take_row()
{
    atomic {
        found = there && f_gen > 0;
        if
        :: !found
#ifdef NO_HOME_GEN
        :: found -> f_gen = 0
#else
        :: found && f_gen == mine -> f_gen = 0
        :: found && f_gen != mine -> ok = false
#endif
        fi
    }
}

inline erase()
{
    take_lock();
    ok = true;
    take_row();
    if
    :: !found -> end_owners(); take_row()
    :: else
    fi;
    if
    :: ok -> drop()
    :: else
    fi;
    release()
}

inline create()
{
    take_lock();
    atomic { ok = !(there && f_gen > 0) } /* somebody's: it is read again */
    if
    :: ok -> end_owners(); atomic { ok = !(there && f_gen > 0) }
    :: else
    fi;
    if
    :: !ok
    :: else -> /* nothing, or what a creation or an erasure has left */
        drop();
        if
        :: ok ->
            atomic {
                if
                :: have_lock && !there -> there = true; made++; which = made
                :: else -> ok = false
                fi
            }
        :: else
        fi;
        session = sessions; /* inside: another connection, to that very database */
#ifndef NO_PROOF
        atomic { ok = ok && have_lock }
#endif
        atomic { /* tables and row */
            if
            :: ok && there && made == which && session == sessions && f_gen == 0 ->
                f_gen = mine;
                f_mode = INCOMING
            :: else -> ok = false
            fi
        }
    fi;
    release()
}

inline advance(from, to)
{
    atomic {
        if
        :: generation == mine && phase == from -> phase = to
        :: else
        fi
    }
}

/* The row carries our generation, or there is none. */
inline bump()
{
    atomic {
        row = there && f_gen > 0;
        if
        :: row && f_gen < mine -> f_gen = mine
        :: else
        fi
    }
}

/* The tenant moves back: its home here is made, and opened behind the switch, or it is called off. */
inline come_back()
{
    if
    :: row -> ok = true
    :: else ->
        create();
        late = true /* also one that is half made */
    fi;
    if
    :: ok && generation == mine -> /* the source says so: whoever claims from here on sees our home */
        late = false;
        if
        :: true -> advance(PREPARING, SETTLED);
            atomic {
                if
                :: phase == SETTLED && there && f_gen == mine -> f_mode = OPEN
                :: else
                fi
            }
        :: true ->
            atomic {
                if
                :: generation == mine && phase == PREPARING ->
                    generation++; mine = generation; phase = CANCELLING
                :: else
                fi
            }
        fi
    :: else
    fi;
#ifndef NO_CLEARING
    if
    :: late ->
        erase();
        gave_up = gave_up || (there && f_gen == mine) || (there && f_gen == 0);
        late = false
    :: else
    fi
#endif
}

proctype Mover()
{
    byte mine, claims, which, session;
    bool ok, row, found, late;
    mtype seen;
    do
    :: claims < CLAIMS ->
        claims++;
        atomic {
            if
            :: phase == DONE -> phase = PREPARING
            :: else
            fi;
            if
            :: phase == CLEANING || phase == PREPARING || phase == CANCELLING ->
                generation++; mine = generation; seen = phase
            :: else -> break
            fi
        }
        bump();
        if
        :: seen == PREPARING -> come_back()
        :: else ->
#ifdef ROW_FIRST
            if
            :: row -> erase()
            :: else -> ok = true
            fi;
#else
            erase();
#endif
            if
            :: ok && seen == CLEANING -> advance(CLEANING, DONE)
            :: ok && seen == CANCELLING -> advance(CANCELLING, CANCELLED)
            :: else
            fi
        fi
    :: break
    od;
    atomic {
        at_work--;
        if
        :: at_work == 0 ->
            left_over = there && !gave_up && (phase == DONE || phase == CANCELLED);
            assert(!left_over);
            unserved = phase == SETTLED && (!there || f_gen == 0);
            assert(!unserved);
#ifdef REACH_SETTLED
            arrived = phase == SETTLED && f_mode == OPEN && made == 2;
#endif
#ifdef REACH_CANCELLED
            arrived = phase == CANCELLED && made == 2;
#endif
            assert(!arrived)
        :: else
        fi
    }
}

/* A connection that is cut takes its lock along; who had it does not know yet. */
active proctype Cutter()
{
    do
    :: atomic { cuts > 0 && lock > 0 -> cuts--; lock = 0 }
    :: break
    od
}

init
{
    byte i;
    atomic {
        do
        :: i < MOVERS -> run Mover(); i++
        :: else -> break
        od
    }
}
