/* A table, most specific first: five characters match exactly, two a whole class. What is not
 * listed is FH_INTERNAL: either our statement was wrong or the server is ill, and neither is the
 * caller's doing.
 */
#include "stores/pg/errors.h"

#include <stddef.h>
#include <string.h>

struct mapping {
    const char *prefix;
    enum fh_code code;
};

static const struct mapping mappings[] = {
    {"22001", FH_CHECK_VIOLATION}, /* string_data_right_truncation */
    {"22003", FH_RANGE},           /* numeric_value_out_of_range */
    {"23502", FH_CHECK_VIOLATION}, /* not_null_violation */
    {"23503", FH_REFERENCE_VIOLATION},
    {"23505", FH_UNIQUE_VIOLATION},
    {"23514", FH_CHECK_VIOLATION},
    {"40001", FH_CONFLICT},     /* serialization_failure */
    {"40P01", FH_CONFLICT},     /* deadlock_detected */
    {"55P03", FH_CONFLICT},     /* lock_not_available: lock_timeout */
    {"55006", FH_CONFLICT},     /* object_in_use */
    {"57014", FH_DEADLINE},     /* query_canceled: statement_timeout */
    {"42P01", FH_PRECONDITION}, /* undefined_table: the home lacks this schema version */
    {"42703", FH_PRECONDITION}, /* undefined_column */
    {"3F000", FH_PRECONDITION}, /* invalid_schema_name */
    {"42501", FH_PERMISSION},   /* insufficient_privilege: also a row the policy refuses */
    {"53100", FH_DISK_FULL},
    {"53200", FH_NOMEM},
    {"53300", FH_UNAVAILABLE}, /* too_many_connections */
    {"53400", FH_FULL},        /* configuration_limit_exceeded */
    {"54", FH_TOO_LARGE},      /* program_limit_exceeded */
    {"25006", FH_UNAVAILABLE}, /* read_only_sql_transaction: a standby */
    {"25P03", FH_UNAVAILABLE}, /* idle_in_transaction_session_timeout */
    {"57P", FH_UNAVAILABLE},   /* shutdown, crash, cannot connect now */
    {"58030", FH_UNAVAILABLE}, /* io_error */
    {"08", FH_UNAVAILABLE},    /* connection exceptions */
    {"28", FH_UNAVAILABLE},    /* the server refuses our role */
    {"3D000", FH_UNAVAILABLE}, /* no such database */
    {"XX001", FH_CORRUPT},
    {"XX002", FH_CORRUPT},
};

enum fh_code fh_pg_code_of_sqlstate(const char *sqlstate)
{
    if (sqlstate == NULL || sqlstate[0] == '\0') {
        return FH_UNAVAILABLE;
    }
    for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
        if (strncmp(sqlstate, mappings[i].prefix, strlen(mappings[i].prefix)) == 0) {
            return mappings[i].code;
        }
    }
    return FH_INTERNAL;
}

bool fh_pg_is_stale_statement(const char *sqlstate)
{
    /* invalid_sql_statement_name, duplicate_prepared_statement, and "cached plan must not change
     * result type" */
    return strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "42P05") == 0 ||
           strcmp(sqlstate, "0A000") == 0;
}
