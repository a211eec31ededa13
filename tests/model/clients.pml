/* Part of switch.pml: writers and readers, each with a server of its own, whose placement is as
 * stale as can be: it begins with epoch 1, and is asked for again only when a request was refused.
 */

/* Waits as a held request does, then asks the catalog where to go. */
inline reroute(serving)
{
    atomic {
        (cat_epoch != e || serving) -> e = cat_epoch; h = cat_home
    }
}

#ifdef FAILOVER
/* A connection ends with the server behind it; whoever connects again sees another identity. */
#define BROKEN (h == SRC && id != identity)
inline reconnect()
{
    atomic {
        id = identity;
#ifndef NO_IDENTITY
        e = cat_epoch; h = cat_home
#endif
    }
}
#else
#define BROKEN false
inline reconnect()
{
    skip
}
#endif

proctype Writer(byte request)
{
    byte e = 1;
    byte mine;
    bit h = SRC;
    bit id;
    bit again; /* a server has failed this request once; the client tries again, same id */

attempt:
#ifdef GATE_AFTER_FENCE
    if
    :: atomic { !BROKEN && MAY_WRITE(h, e) -> skip }
    :: atomic { BROKEN -> reconnect(); goto attempt }
    :: atomic { !BROKEN && !MAY_WRITE(h, e) -> goto held }
    fi;
    gate[h]++;
#else
    if
    :: atomic { !BROKEN -> gate[h]++ }
    :: atomic { BROKEN -> reconnect(); goto attempt }
    fi;
    if
    :: atomic { !BROKEN && MAY_WRITE(h, e) -> skip }
    :: atomic { BROKEN -> reconnect(); goto attempt } /* the gate went with the old server */
    :: atomic { !BROKEN && !MAY_WRITE(h, e) -> gate[h]--; goto held }
    fi;
#endif
    if
    :: atomic { BROKEN -> reconnect(); goto attempt }
    :: atomic { !BROKEN && !again -> gate[h]--; again = 1; goto attempt } /* rolled back */
    :: atomic {
            !BROKEN ->
            if
            :: ids[h] & request /* answered from its commit record */
            :: else ->
                lost_write = (val[h] != last);
                assert(!lost_write);
                duplicated = (applied & request);
                assert(!duplicated);
                last++;
                mine = last;
                val[h] = last;
                ids[h] = ids[h] | request;
                applied = applied | request
            fi;
            gate[h]--;
            if
            :: !again -> again = 1; goto attempt /* the answer is lost: outcome unknown */
            :: true
            fi
        }
    fi;
    atomic {
        if
        :: mine > floor -> floor = mine
        :: else
        fi;
        clients--;
        goto finish
    }
held:
    reroute(MAY_WRITE(h, e));
    goto attempt;
finish:
    skip
}

proctype Reader()
{
    byte e = 1;
    byte from;
    bit h = SRC;
    bit id;
    byte reads = READS;

next:
    from = floor;
attempt:
#ifdef READ_FENCE_APART
    if
    :: atomic { MAY_READ(h, e) -> skip }
    :: atomic { !MAY_READ(h, e) -> goto held }
    fi;
#endif
    if
    :: atomic { BROKEN -> reconnect(); goto attempt }
    :: atomic {
            !BROKEN &&
#ifndef READ_FENCE_APART
            MAY_READ(h, e)
#else
            true
#endif
            ->
            stale_read = (val[h] < from);
            assert(!stale_read);
            if
            :: val[h] > floor -> floor = val[h]
            :: else
            fi;
            from = 0;
            reads--;
            if
            :: reads > 0 -> goto next
            :: else -> clients--; goto finish
            fi
        }
#ifndef READ_FENCE_APART
    :: atomic { !BROKEN && !MAY_READ(h, e) -> goto held }
#endif
    fi;
held:
    reroute(READABLE(h, e));
    goto attempt;
finish:
    skip
}
