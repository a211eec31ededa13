/* The copy: cursor, chunks, delta rounds, last delta, while writers write and movers overtake.
 *
 * Two rows with a unique column: a row is its value of that column, 0 is no row. Writers put,
 * remove and swap, each in one transaction with a commit record that names the keys. In
 * PostgreSQL a transaction takes its number (sequence) first and commits later, so the order of
 * numbers is not the order of commits; a snapshot is the set of what has committed. The target
 * has a unique constraint as well, checked row by row.
 *
 * Two movers; each claims the move at any time, sleeps as long as it likes before every step, and
 * takes chunks and rounds in any order. Every transaction of a store is one atomic step.
 *
 * Properties, at the end (the target is opened, all that was written is in the source)
 *   lost_row         the target has another row than the source, or none
 *   resurrected      the target has a row that the source has not
 *   forgotten        a commit record (with its request id) is not in the target
 * and always
 *   unique_broken    an insert meets a unique value that is taken: the transaction cannot commit
 *   digest_differs   (DIGEST) after a round with all chunks in, the target is not the source as of
 *                    the round's snapshot: the comparison of phase ready would refuse
 *   stuck            (spin: invalid end state)
 *
 * Configurations: WRITES (transactions), LONG (they take time, and end in any order), ROUNDS
 * (rounds of a mover before the last delta), LARGE (a delta's deletes in one transaction each,
 * then its inserts, the cursor with the last one), DIGEST, NO_REMOVE (writers only put and
 * swap), READS_GUARDED (a mover's reads at the source require its generation: not needed, but
 * it keeps larger configurations small), REACH_* (must be violated).
 *
 * Variants, one rule each:
 *   CURSOR_LATE          the first cursor is taken after the first chunk was read
 *   SEQUENCE_CURSOR      the cursor is the highest number seen, not the snapshot
 *   CURSOR_APART         cursor and position are stored in a transaction of their own, before the
 *                        rows
 *   DELTA_UPSERTS        a delta changes key by key, instead of deleting all, then inserting
 *   CHUNK_STRADDLES      a chunk read before a round is applied after it
 *   CHUNK_OVERWRITES     a chunk's row replaces the one that is there
 *   CHUNK_KEEPS_KEYS     a chunk's row stays out when its key is taken, but not when its unique
 *                        value is
 *   NO_JOURNAL           rounds leave the commit records behind
 *   NO_GEN_TARGET        an apply at the target does not require the own generation
 *   LATE_BUMP            a takeover reads the cursor, then raises the target's generation
 *   NO_DRAIN             the freeze does not wait for transactions in flight
 *   NO_FREEZE            the last delta is taken without a freeze
 */
#include "move.pml"

#ifndef WRITES
#define WRITES 2
#endif
#ifndef MOVERS
#define MOVERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define KEYS 2
/* Positions: a chunk a key, then the commit records from before the cursor. */
#define JOURNAL KEYS
#define COPIED (KEYS + 1)

byte cat_gen;

/* The source: rows, commit records (which exist, which keys they name), fence. */
byte src[KEYS];
byte records;
byte keys_of[WRITES];
byte s_gen;
bit frozen;
byte inflight;
#ifdef SEQUENCE_CURSOR
byte number;
byte number_of[WRITES];
#endif

/* The target: rows, commit records, fence, and the move's state: cursor and position. */
byte tgt[KEYS];
byte t_records;
byte t_gen;
mtype t_mode = INCOMING;
bit t_begun;
byte t_cursor;
byte t_position;

byte writers;
byte begun;
bool lost_row, resurrected, forgotten, unique_broken, digest_differs, arrived;

#define TAKEN(rows, value) (rows[0] == value || rows[1] == value)

/* ---- writers ---- */

inline put(key, value)
{
    !TAKEN(src, value) -> src[key] = value; keys_of[me] = 1 << key
}

/* They begin in order, for any of them may do anything; with LONG they end in any order. */
proctype Writer(byte me)
{
#ifdef LONG
    if
    :: atomic {
            begun == me && !frozen -> begun++;
            inflight++;
#ifdef SEQUENCE_CURSOR
            number++;
            number_of[me] = number
#endif
        }
    :: atomic { begun == me && frozen -> begun++; goto finish } /* held; it goes on at the target */
    fi;
#define BEGUN true
#define END inflight--
#else
#define BEGUN (begun == me)
#define END begun++
#endif
    atomic {
        BEGUN ->
        if
#ifndef LONG
        :: frozen -> begun++; goto finish
        :: !frozen -> skip
        fi;
        if
#endif
        :: put(0, 1)
        :: put(0, 2)
        :: put(0, 3)
        :: put(1, 1)
        :: put(1, 2)
        :: put(1, 3)
#ifndef NO_REMOVE
        :: src[0] != 0 -> src[0] = 0; keys_of[me] = 1
        :: src[1] != 0 -> src[1] = 0; keys_of[me] = 2
#endif
        :: src[0] != 0 && src[1] != 0 ->
            src[0] = src[0] ^ src[1];
            src[1] = src[0] ^ src[1];
            src[0] = src[0] ^ src[1];
            keys_of[me] = 3
        :: true -> END; goto finish /* rolled back */
        fi;
        records = records | (1 << me);
        END
    }
finish:
    writers--
}

/* ---- rules ---- */

#ifdef NO_GEN_TARGET
#define GUARD (t_mode == INCOMING)
#else
#define GUARD (t_mode == INCOMING && t_gen == g)
#endif

#ifdef NO_DRAIN
#define DRAINED true
#else
#define DRAINED (inflight == 0)
#endif

#ifdef CHUNK_STRADDLES
#define MAY_ROUND true
#else
#define MAY_ROUND !reading
#endif

/* ---- the mover ---- */

#ifdef READS_GUARDED
#define MAY_SEE (s_gen == g)
#else
#define MAY_SEE true
#endif

inline see()
{
    if
    :: MAY_SEE
    :: else -> goto finish
    fi
}

inline guard()
{
    if
    :: GUARD
    :: else -> goto finish
    fi
}

/* Row by row, as the database checks its unique constraint. */
inline insert(key, value)
{
    unique_broken = (tgt[1 - key] == value);
    assert(!unique_broken);
    tgt[key] = value
}

inline insert_chunk(key)
{
    if
    :: chunk == 0
#ifdef CHUNK_OVERWRITES
    :: chunk != 0 -> insert(key, chunk)
#else
    :: chunk != 0 && tgt[key] != 0
#ifdef CHUNK_KEEPS_KEYS
    :: chunk != 0 && tgt[key] == 0 -> insert(key, chunk)
#else
    :: chunk != 0 && tgt[key] == 0 && TAKEN(tgt, chunk)
    :: chunk != 0 && tgt[key] == 0 && !TAKEN(tgt, chunk) -> tgt[key] = chunk
#endif
#endif
    fi;
    chunk = 0
}

#ifdef SEQUENCE_CURSOR
#define OLDER(t) (number_of[t] <= cursor)
#else
#define OLDER(t) (cursor & (1 << t))
#endif
#define CHANGED(t) (((snap & (1 << t)) && !OLDER(t)) -> keys_of[t] : 0)

/* A view of the source: the cursor it gives, the rows, and the keys that changed since `cursor`. */
inline view()
{
    snap = records;
    row0 = src[0];
    row1 = src[1];
    keys = CHANGED(0);
#if WRITES > 1
    keys = keys | CHANGED(1);
#endif
#if WRITES > 2
    keys = keys | CHANGED(2)
#else
    skip
#endif
}

inline cursor_of_view()
{
#ifdef SEQUENCE_CURSOR
    if
    :: (snap & 1) && number_of[0] > cursor -> cursor = number_of[0]
    :: else
    fi;
    if
    :: (snap & 2) && number_of[1] > cursor -> cursor = number_of[1]
    :: else
    fi;
#if WRITES > 2
    if
    :: (snap & 4) && number_of[2] > cursor -> cursor = number_of[2]
    :: else
    fi
#endif
#else
    cursor = snap
#endif
}

inline delete_key(key)
{
    if
    :: keys & (1 << key) -> tgt[key] = 0
    :: else
    fi
}

inline insert_row(key, value)
{
    if
    :: (keys & (1 << key)) && value != 0 -> insert(key, value)
    :: else
    fi
}

inline upsert_row(key, value)
{
    if
    :: (keys & (1 << key)) && value != 0 -> insert(key, value)
    :: (keys & (1 << key)) && value == 0 -> tgt[key] = 0
    :: else
    fi
}

inline end_round()
{
#ifndef NO_JOURNAL
    t_records = t_records | snap;
#endif
    cursor_of_view();
    t_cursor = cursor;
#ifdef DIGEST
    digest_differs = (position == COPIED && (tgt[0] != row0 || tgt[1] != row1));
    assert(!digest_differs);
#endif
    snap = 0; row0 = 0; row1 = 0; keys = 0
}

/* One delta: from `cursor` to a view that is taken now. */
inline round()
{
    atomic { see(); view() };
#ifdef CURSOR_APART
    atomic { guard(); cursor_of_view(); t_cursor = cursor };
#endif
#ifdef LARGE
    atomic { guard(); delete_key(0) };
    atomic { guard(); delete_key(1) };
    atomic { guard(); insert_row(0, row0) };
    atomic { guard(); insert_row(1, row1); end_round() }
#else
    atomic {
        guard();
#ifdef DELTA_UPSERTS
        upsert_row(0, row0);
        upsert_row(1, row1);
#else
        delete_key(0);
        delete_key(1);
        insert_row(0, row0);
        insert_row(1, row1);
#endif
        end_round()
    }
#endif
}

proctype Mover(byte nth)
{
    byte g;
    byte cursor, position;  /* the state kept in the target, as read */
    bit copying;
    byte chunk;             /* a chunk in the mover's hands */
    bit reading;
    byte snap, row0, row1, keys; /* a round in the mover's hands */
    byte rounds;

    /* claim: the generation first, then the fences, then the state */
    atomic { cat_gen == nth -> cat_gen++; g = cat_gen };
#ifdef LATE_BUMP
    atomic { copying = t_begun; cursor = t_cursor; position = t_position };
#endif
    atomic {
        if
        :: s_gen < g -> s_gen = g
        :: else -> goto finish
        fi
    }
    atomic {
        if
        :: t_gen < g && t_mode == INCOMING -> t_gen = g
        :: else -> goto finish
        fi
    }
#ifndef LATE_BUMP
    atomic { copying = t_begun; cursor = t_cursor; position = t_position };
#endif

    /* preparing: the cursor before the first chunk */
    if
    :: !copying ->
#ifdef CURSOR_LATE
        chunk = src[0];
        reading = 1;
#endif
        atomic { snap = records; cursor_of_view() };
        atomic { guard(); t_begun = 1; t_cursor = cursor; copying = 1; snap = 0 }
    :: else
    fi;

    /* copying and catching_up, in any order */
    do
    :: atomic { !reading && position < KEYS -> see(); chunk = src[position]; reading = 1 }
    :: atomic { !reading && position == JOURNAL -> see(); chunk = records; reading = 1 }
    :: reading ->
#ifdef CURSOR_APART
        atomic { guard(); t_position = position + 1 };
#endif
        atomic {
            guard();
            if
            :: position == 0 -> insert_chunk(0)
            :: position == 1 -> insert_chunk(1)
            :: position == JOURNAL -> t_records = t_records | chunk; chunk = 0
            fi;
            position++;
            t_position = position;
            reading = 0
        }
    :: atomic { MAY_ROUND && rounds < ROUNDS -> rounds++ };
        round()
    :: atomic { position == COPIED -> break }
    od;

    /* switching: freeze, last delta, open */
#ifndef NO_FREEZE
    if
    :: atomic { s_gen == g && DRAINED -> frozen = 1 }
    :: atomic { s_gen != g -> goto finish }
    fi;
#endif
    round();
    atomic { guard(); t_mode = OPEN };
finish:
    atomic {
        g = 0; cursor = 0; position = 0; copying = 0; chunk = 0; reading = 0;
        snap = 0; row0 = 0; row1 = 0; keys = 0; rounds = 0
    }
}

active proctype Judge()
{
    atomic {
        t_mode == OPEN && writers == 0 ->
        resurrected = (src[0] == 0 && tgt[0] != 0) || (src[1] == 0 && tgt[1] != 0);
        assert(!resurrected);
        lost_row = (src[0] != tgt[0]) || (src[1] != tgt[1]);
        assert(!lost_row);
        forgotten = (records != t_records);
        assert(!forgotten);
#ifdef REACH_OPEN
        arrived = (records == (1 << WRITES) - 1);
        assert(!arrived)
#endif
    }
}

init {
    atomic {
        src[0] = 1;
        src[1] = 2;
        writers = WRITES;
        run Writer(0);
#if WRITES > 1
        run Writer(1);
#endif
#if WRITES > 2
        run Writer(2);
#endif
        run Mover(0);
#if MOVERS > 1
        run Mover(1);
#endif
        skip
    }
}
