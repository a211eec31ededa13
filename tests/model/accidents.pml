/* Part of switch.pml: what may happen besides, in the configurations that say so. */
#ifdef FAILOVER
/* After the switch the source's store comes back as it was before the freeze. */
active proctype Failover()
{
end:
    atomic {
        cat_epoch > 1 ->
        identity = 1;
        gate[SRC] = 0;
        f_mode[SRC] = OPEN;
        f_epoch[SRC] = 1;
        f_gen[SRC] = 0
    }
}
#endif

#ifdef LATER
/* Another move, all of it in one step: the tenant goes to the home where it is not. The old move's
 * row is finished and stays as it is; an old mover may still be asleep somewhere. */
active proctype Later()
{
    byte to;
end:
    atomic {
        (cat_phase == DONE || cat_phase == CANCELLED) &&
            f_mode[cat_home] == OPEN && gate[cat_home] == 0 ->
        to = 1 - cat_home;
        cat_gen++;
        cat_epoch++;
        f_mode[to] = OPEN;
        f_epoch[to] = cat_epoch;
        f_gen[to] = cat_gen;
        val[to] = val[cat_home];
        ids[to] = ids[cat_home];
        f_mode[cat_home] = NONE;
        val[cat_home] = 0;
        ids[cat_home] = 0;
        cat_home = to
    }
}
#endif
