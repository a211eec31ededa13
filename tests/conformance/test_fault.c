/* The suite over the fault store with a plan that does nothing but delay: a wrapper that changed
 * anything would fail it. */
#include "stores/fault/fault.h"
#include "stores/mem/mem.h"
#include "tests/conformance/suite.h"

#define STORES_MAX 2 /* open at a time */

static struct {
    const struct fh_store *outer;
    struct fh_store *inner;
} pairs[STORES_MAX];

static enum fh_code open_fault(const struct fh_env *env, const struct fh_store_config *config,
                               struct fh_store **out, struct fh_error *error)
{
    static const struct fh_fault_plan plan = {.seed = 7, .delay_ppm = 300000};
    size_t i = pairs[0].outer != NULL;
    assert_null(pairs[i].outer);
    enum fh_code code = fh_store_mem_ops.open(env, config, &pairs[i].inner, error);
    if (code == FH_OK) {
        code = fh_store_fault_create(env, pairs[i].inner, &plan, out);
    }
    pairs[i].outer = code == FH_OK ? *out : NULL;
    return code;
}

static struct fh_store *wrapped(const struct fh_store *store)
{
    size_t i = pairs[0].outer != store;
    assert_ptr_equal(pairs[i].outer, store);
    pairs[i].outer = NULL;
    return pairs[i].inner;
}

int main(int argc, char **argv)
{
    static const struct suite_engine engine = {
        .name = "fault", .open = open_fault, .wrapped = wrapped};
    return fh_conformance_main(&engine, argc, argv);
}
