/* The steps of a move: each is one request (two, where two stores may work at once), and each is
 * named, so that a test can end or stop the process before it ("move.freeze") and when it has been
 * carried out ("move.freeze.done").
 *
 * Each has two functions: fh_run_enter_<name>() asks, fh_run_after_<name>() says what is next.
 */
#ifndef FH_MIGRATOR_STEPS_H
#define FH_MIGRATOR_STEPS_H

/* STEP(symbol, name) */
#define FH_RUN_STEPS(STEP)                                                           \
    STEP(LOOK, look)                   /* recover.c: the move, as it is */           \
    STEP(CLAIM, claim)                 /* a new generation */                        \
    STEP(SOURCE_READ, source_read)     /* the source's fence */                      \
    STEP(SOURCE_SET, source_set)       /* ... to the new generation */               \
    STEP(TARGET_READ, target_read)     /* the target's fence */                      \
    STEP(TARGET_SET, target_set)       /* ... to the new generation */               \
    STEP(STATE_READ, state_read)       /* how far the target is */                   \
    STEP(ADVANCE, advance)             /* run.c: the phase in the catalog */         \
    STEP(SCHEMA_SOURCE, schema_source) /* prepare.c: which version it is at */       \
    STEP(SCHEMA_TARGET, schema_target)                                               \
    STEP(SIZE, size)                                                                 \
    STEP(RESET, reset)             /* the target is emptied of an earlier attempt */ \
    STEP(CREATE, create)           /* the target's home */                           \
    STEP(START_VIEW, start_view)   /* the cursor from which rounds will go on */     \
    STEP(START_STATE, start_state) /* ... is recorded before anything is read */     \
    STEP(VIEW_CLOSE, view_close)   /* run.c: any view */                             \
    STEP(COPY_READ, copy_read)     /* copy.c: a page */                              \
    STEP(COPY_APPLY, copy_apply)   /* a page, while the next is read */              \
    STEP(COPY_WITHIN, copy_within) /* a page, without going through us */            \
    STEP(ROUND_VIEW, round_view)   /* round.c */                                     \
    STEP(ROUND_CHANGES, round_changes)                                               \
    STEP(ROUND_APPLY, round_apply)                                                   \
    STEP(VERIFY_TALLY, verify_tally)           /* verify.c */                        \
    STEP(VERIFY_SOURCE, verify_source)         /* a range at the source */           \
    STEP(VERIFY_TARGET, verify_target)         /* the same at the target */          \
    STEP(VERIFY_REFERENCES, verify_references) /* at the target */                   \
    STEP(FREEZE, freeze)                       /* cutover.c: the pause begins */     \
    STEP(FINAL_VIEW, final_view)                                                     \
    STEP(FINAL_CHANGES, final_changes)                                               \
    STEP(FINAL_APPLY, final_apply)                                                   \
    STEP(CLOSE, close)               /* reads stop too */                            \
    STEP(SWITCH, switch)             /* the commit point */                          \
    STEP(OPEN, open)                 /* the pause ends */                            \
    STEP(ERASE_SOURCE, erase_source) /* settle.c */                                  \
    STEP(ERASE_TARGET, erase_target)

enum fh_step {
    FH_STEP_WAIT, /* not a step: the run waits for its timer */
    FH_STEP_DROP, /* not a step: the run ends, the move stays */
#define FH_STEP_ENUM(symbol, name) FH_STEP_##symbol,
    FH_RUN_STEPS(FH_STEP_ENUM)
#undef FH_STEP_ENUM
        FH_STEP_COUNT
};

#endif
