/* Types: PostgreSQL's spellings to the portable ones.
 *
 * The parser has turned "integer" into pg_catalog.int4, "character varying" into pg_catalog.varchar
 * and so on; names it does not know as keywords (uuid, text, int4 as such) come alone. Failures
 * name the type as the parser has it and what to use.
 */
#include "stores/schema/build.h"

#include "base/assert.h"

#define VARCHAR_MAX FH_VALUE_BYTES_MAX /* a character is a byte at least */

static const struct {
    const char *name;
    enum fh_type type;
} known[] = {
    {"bool", FH_TYPE_BOOL},
    {"int2", FH_TYPE_INT16},
    {"int4", FH_TYPE_INT32},
    {"int8", FH_TYPE_INT64},
    {"float4", FH_TYPE_FLOAT32},
    {"float8", FH_TYPE_FLOAT64},
    {"numeric", FH_TYPE_NUMERIC},
    {"text", FH_TYPE_TEXT},
    {"varchar", FH_TYPE_TEXT},
    {"bytea", FH_TYPE_BYTES},
    {"date", FH_TYPE_DATE},
    {"uuid", FH_TYPE_UUID},
    {"timestamptz", FH_TYPE_TIMESTAMP},
    {"jsonb", FH_TYPE_JSON},
};

#define USE_UUID "use uuid with DEFAULT gen_random_uuid(), or bigint with values you supply"

static const struct {
    const char *name;
    const char *shown; /* as people write it */
    const char *advice;
} advised[] = {
    {"timestamp", "timestamp", "use timestamptz: a moment means the same everywhere"},
    {"json", "json", "use jsonb"},
    {"serial", "serial", USE_UUID},
    {"serial2", "serial2", USE_UUID},
    {"serial4", "serial4", USE_UUID},
    {"serial8", "serial8", USE_UUID},
    {"smallserial", "smallserial", USE_UUID},
    {"bigserial", "bigserial", USE_UUID},
    {"bpchar", "char", "use varchar(n) or text"},
    {"char", "\"char\"", "use varchar(1)"},
    {"time", "time", "use text, or timestamptz for a moment"},
    {"timetz", "time with time zone", "use text, or timestamptz for a moment"},
    {"interval", "interval", "use bigint and say the unit in the name"},
    {"money", "money", "use numeric(18,2)"},
    {"bit", "bit", "use boolean or bytea"},
    {"varbit", "bit varying", "use bytea"},
    {"citext", "citext", "use text"},
    {"xml", "xml", "use text"},
};

static enum fh_code refuse(const struct fh_ddl_build *build, const char *name, int64_t offset)
{
    for (size_t i = 0; i < sizeof(advised) / sizeof(advised[0]); i++) {
        if (strcmp(name, advised[i].name) == 0) {
            return fh_ddl_fail(&build->source, FH_INVALID, offset, "type %s is not supported: %s",
                               advised[i].shown, advised[i].advice);
        }
    }
    return fh_ddl_fail(&build->source, FH_INVALID, offset,
                       "type %.64s is not supported: use boolean, smallint, integer, bigint, real, "
                       "double precision, numeric(p,s), text, varchar(n), bytea, timestamptz, "
                       "date, uuid or jsonb",
                       name);
}

/* Up to two whole numbers in parentheses; -1 for what is anything else. */
static void modifiers_of(const PgQuery__TypeName *name, int32_t out[2])
{
    for (size_t i = 0; i < 2 && i < name->n_typmods; i++) {
        const PgQuery__Node *node = name->typmods[i];
        out[i] = -1;
        if (node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
            node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL) {
            out[i] = node->a_const->ival->ival;
        }
    }
}

static enum fh_code set_numeric(const struct fh_ddl_build *build, const PgQuery__TypeName *name,
                                int64_t offset, struct fh_column *column)
{
    int32_t modifiers[2] = {0, 0};
    modifiers_of(name, modifiers);
    int32_t precision = modifiers[0];
    int32_t scale = modifiers[1];
    if (name->n_typmods == 0) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "numeric needs a precision and scale: write numeric(18,2)");
    }
    if (name->n_typmods > 2 || precision < 1 || precision > 18 || scale < 0 || scale > precision) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "numeric(p,s) needs 1 <= p <= 18 and 0 <= s <= p");
    }
    column->precision = (uint8_t)precision;
    column->scale = (uint8_t)scale;
    return FH_OK;
}

static enum fh_code set_length(const struct fh_ddl_build *build, const PgQuery__TypeName *name,
                               int64_t offset, struct fh_column *column)
{
    int32_t modifiers[2] = {0, 0};
    modifiers_of(name, modifiers);
    if (name->n_typmods == 0) {
        return FH_OK;
    }
    if (name->n_typmods > 1 || modifiers[0] < 1 || modifiers[0] > VARCHAR_MAX) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset, "varchar(n) needs 1 <= n <= %d",
                           VARCHAR_MAX);
    }
    column->length_max = (uint32_t)modifiers[0];
    return FH_OK;
}

static enum fh_code set_modifiers(const struct fh_ddl_build *build, const PgQuery__TypeName *name,
                                  const char *spelling, int64_t offset, struct fh_column *column)
{
    if (column->type == FH_TYPE_NUMERIC) {
        return set_numeric(build, name, offset, column);
    }
    if (strcmp(spelling, "varchar") == 0) {
        return set_length(build, name, offset, column);
    }
    int32_t modifiers[2] = {0, 0};
    modifiers_of(name, modifiers);
    bool microseconds =
        column->type == FH_TYPE_TIMESTAMP && name->n_typmods == 1 && modifiers[0] == 6;
    if (name->n_typmods > 0 && !microseconds) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "%s(n) is not supported: leave the parentheses out", spelling);
    }
    return FH_OK;
}

enum fh_code fh_ddl_type(const struct fh_ddl_build *build, const PgQuery__TypeName *name,
                         int64_t offset, struct fh_column *column)
{
    FH_ASSERT(name != NULL);
    if (name->location > 0) {
        offset = name->location;
    }
    if (name->setof || name->pct_type) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "SETOF and %%TYPE are not supported: name the type");
    }
    if (name->n_array_bounds > 0) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "arrays are not supported: use jsonb, or a table of its own");
    }
    const char *last = name->n_names > 0 ? fh_ddl_string(name->names[name->n_names - 1]) : "";
    bool qualified = name->n_names == 2 && strcmp(fh_ddl_string(name->names[0]), "pg_catalog") == 0;
    if (name->n_names != 1 && !qualified) {
        return fh_ddl_fail(&build->source, FH_INVALID, offset,
                           "a type with a schema is not supported: there are no types of your own");
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(last, known[i].name) == 0) {
            column->type = known[i].type;
            return set_modifiers(build, name, last, offset, column);
        }
    }
    return refuse(build, last, offset);
}
