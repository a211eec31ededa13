/* The suite over the fault store with a plan that does nothing but delay: a wrapper that changed
 * anything would fail it. */
#include "stores/fault/fault.h"
#include "stores/mem/mem.h"
#include "tests/conformance/suite.h"

static struct fh_store *wrapped_store;

static enum fh_code open_fault(const struct fh_env *env, const struct fh_store_config *config,
                               struct fh_store **out, struct fh_error *error)
{
    static const struct fh_fault_plan plan = {.seed = 7, .delay_ppm = 300000};
    enum fh_code code = fh_store_mem_ops.open(env, config, &wrapped_store, error);
    return code == FH_OK ? fh_store_fault_create(env, wrapped_store, &plan, out) : code;
}

static struct fh_store *wrapped(void)
{
    return wrapped_store;
}

int main(int argc, char **argv)
{
    static const struct suite_engine engine = {
        .name = "fault", .open = open_fault, .wrapped = wrapped};
    return fh_conformance_main(&engine, argc, argv);
}
