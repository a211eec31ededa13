/* The layers, one after the other, over SQLite. */
#include "tests/integration/isolation/layers.h"

int main(int argc, char **argv)
{
    return layers_main("layers_sqlite", ENGINE_SQLITE, argc, argv);
}
