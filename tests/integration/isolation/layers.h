/* The layers of the isolation, taken away in turn under load, and the proof that the checker sees a
 * leak. One set of tests over an engine and tier; test_layers_<engine>.c run it, their first
 * argument the tier (shared when it is none), the next a case.
 */
#ifndef FH_TESTS_INTEGRATION_ISOLATION_LAYERS_H
#define FH_TESTS_INTEGRATION_ISOLATION_LAYERS_H

#include "tests/integration/isolation/world.h"

/* `engine` is one of ENGINE_*; the program's exit status. */
int layers_main(const char *name, unsigned engine, int argc, char **argv);

/* FREEHOLD_SEED, or `otherwise`; said on stderr so that a failing run can be repeated. */
uint64_t seed_of_run(uint64_t otherwise);

#endif
