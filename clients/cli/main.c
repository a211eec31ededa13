/* `freehold`: operators' and developers' command, a gRPC client like any other. */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "clients/cli/commands.h"

int main(int argc, char **argv)
{
    /* Output into a closed pipe is an error of write(), told like others. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* gRPC's own lines on stderr say what our report says better; GRPC_VERBOSITY brings them back.
     */
    (void)setenv("GRPC_VERBOSITY", "NONE", 0);
    json_set_alloc_funcs(fh_malloc, fh_free);
    return fh_cli_run(argc, argv);
}
