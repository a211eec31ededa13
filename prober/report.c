#include "prober/report.h"

#include "base/assert.h"

static const struct {
    const char *name;
    const char *text;
} layers[FH_PROBE_LAYERS] = {
    [FH_PROBE_LAYER_NONE] = {"none", "none"},
    [FH_PROBE_LAYER_PREDICATE] = {"predicate", "layer 1 (the tenant in the statement)"},
    [FH_PROBE_LAYER_ENFORCEMENT] = {"enforcement", "layer 2 (row-level security, views)"},
    [FH_PROBE_LAYER_OWNERSHIP] = {"ownership", "layer 3 (the rows' tenant compared)"},
    [FH_PROBE_LAYER_BORDER] = {"border", "the border of dedicated homes (the tenant's role)"},
    [FH_PROBE_LAYER_ADMISSION] = {"admission", "the checks of requests and fences"},
};

const char *fh_probe_layer_text(enum fh_probe_layer layer)
{
    FH_ASSERT(layer < FH_PROBE_LAYERS);
    return layers[layer].text;
}

const char *fh_probe_layer_name(enum fh_probe_layer layer)
{
    FH_ASSERT(layer < FH_PROBE_LAYERS);
    return layers[layer].name;
}
