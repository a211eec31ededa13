/* The layers, one after the other, over PostgreSQL. */
#include "tests/integration/isolation/layers.h"

int main(int argc, char **argv)
{
    return layers_main("layers_pg", ENGINE_PG, argc, argv);
}
