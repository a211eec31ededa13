/* Moves for the tests of MoveAdminService: the operator's calls, and a worker's steps by the
 * catalog. Names are those of the API ("moves/{uuid}"); texts live in the kit's arena. */
#ifndef FH_TESTS_UNIT_SERVER_HANDLERS_MOVES_H
#define FH_TESTS_UNIT_SERVER_HANDLERS_MOVES_H

#include "freehold/v1/move_admin.pb-c.h"
#include "tests/unit/server_handlers/kit.h"

/* The kit with a second store, "other". */
int moves_setup(void **state);
#define MOVES_TEST(function) cmocka_unit_test_setup_teardown(function, moves_setup, kit_teardown)

/* The tenant (slug) to stores/other, with reason "test". */
const Freehold__V1__Move *moves_start(struct kit *kit, const char *slug);
const Freehold__V1__Move *moves_get(struct kit *kit, const char *name);
/* GetMove, PauseMove, ResumeMove, CancelMove (with the reason), WatchMove. */
struct fh_call *moves_call(struct kit *kit, const char *method, const char *name,
                           const char *reason);
/* One that is left to the test to run. */
struct fh_call *moves_prepare(struct kit *kit, const char *method, const char *name);
/* A WatchMove that is left to the test to run. */
struct fh_call *moves_watch(struct kit *kit, const char *name);
struct fh_call *moves_list(struct kit *kit, int32_t page_size, const char *token,
                           const char *tenant, bool unfinished);
struct fh_call *moves_events(struct kit *kit, const char *name, int32_t page_size,
                             const char *token);
/* How many a walk by pages finds; newest first, each once. */
size_t moves_walk(struct kit *kit, int32_t page_size, const char *tenant, bool unfinished);
size_t moves_count(struct kit *kit, const char *tenant, bool unfinished);

/* A worker's steps. */
void moves_claim(struct kit *kit, const char *name);
void moves_advance(struct kit *kit, const char *name, enum fh_move_phase to,
                   const struct fh_move_progress *progress, const char *message);
/* Claims it and calls it off to the end. */
void moves_end(struct kit *kit, const char *name);
/* Claims it and goes on to behind the switch, in the catalog alone. */
void moves_switch(struct kit *kit, const char *name);

#endif
