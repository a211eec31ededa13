/* The suite over the memory engine. */
#include "stores/mem/mem.h"
#include "tests/conformance/suite.h"

static enum fh_code open_memory(const struct fh_env *env, const struct fh_store_config *config,
                                struct fh_store **out, struct fh_error *error)
{
    return fh_store_mem_ops.open(env, config, out, error);
}

int main(int argc, char **argv)
{
    static const struct suite_engine engine = {.name = "memory", .open = open_memory};
    return fh_conformance_main(&engine, argc, argv);
}
