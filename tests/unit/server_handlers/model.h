/* A schema for the handlers' unit tests: one table of every type, one with a composite key. */
#ifndef FH_TESTS_UNIT_SERVER_HANDLERS_MODEL_H
#define FH_TESTS_UNIT_SERVER_HANDLERS_MODEL_H

#include "stores/model.h"

static const struct fh_column item_columns[] = {
    {.name = {"id", 2}, .type = FH_TYPE_TEXT, .not_null = true, .position = 0},
    {.name = {"flag", 4}, .type = FH_TYPE_BOOL, .position = 1},
    {.name = {"small", 5}, .type = FH_TYPE_INT16, .position = 2},
    {.name = {"big", 3}, .type = FH_TYPE_INT64, .position = 3},
    {.name = {"ratio", 5}, .type = FH_TYPE_FLOAT64, .position = 4},
    {.name = {"price", 5}, .type = FH_TYPE_NUMERIC, .precision = 10, .scale = 2, .position = 5},
    {.name = {"title", 5}, .type = FH_TYPE_TEXT, .length_max = 5, .position = 6},
    {.name = {"raw", 3}, .type = FH_TYPE_BYTES, .position = 7},
    {.name = {"at", 2}, .type = FH_TYPE_TIMESTAMP, .position = 8},
    {.name = {"day", 3}, .type = FH_TYPE_DATE, .position = 9},
    {.name = {"ref", 3}, .type = FH_TYPE_UUID, .position = 10},
    {.name = {"doc", 3}, .type = FH_TYPE_JSON, .position = 11},
};

static const struct fh_table item_table = {
    .name = {"items", 5},
    .position = 0,
    .column_count = 12,
    .key_count = 1,
    .columns = item_columns,
    .key = {0},
};

static const struct fh_column pair_columns[] = {
    {.name = {"left", 4}, .type = FH_TYPE_TEXT, .not_null = true, .position = 0},
    {.name = {"right", 5}, .type = FH_TYPE_INT32, .not_null = true, .position = 1},
    {.name = {"note", 4}, .type = FH_TYPE_TEXT, .position = 2},
};

static const struct fh_table pair_table = {
    .name = {"pairs", 5},
    .position = 1,
    .column_count = 3,
    .key_count = 2,
    .columns = pair_columns,
    .key = {0, 1},
};

static const struct fh_table *const model_tables[] = {&item_table, &pair_table};
static const struct fh_schema model = {.version = 1, .table_count = 2, .tables = model_tables};

#endif
