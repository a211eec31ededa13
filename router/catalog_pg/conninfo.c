/* Happy path: libpq's own parser splits the string, every keyword it found must be on the list.
 * What a session must have is set at its start, so it holds from the first statement on.
 */
#include "router/catalog_pg/conninfo.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/str.h"

#define CONNECT_TIMEOUT_S_DEFAULT 5
#define CONNECT_TIMEOUT_S_MAX 60
#define BYTES_MAX 4096

enum { HOST, HOSTADDR, PORT, DBNAME, USER, PASSFILE, SSLMODE, ROOTCERT, CERT, KEY, TIMEOUT, NAME };

static const char *const keywords_allowed[FH_CATALOG_PG_KEYWORDS] = {
    [HOST] = "host",
    [HOSTADDR] = "hostaddr",
    [PORT] = "port",
    [DBNAME] = "dbname",
    [USER] = "user",
    [PASSFILE] = "passfile",
    [SSLMODE] = "sslmode",
    [ROOTCERT] = "sslrootcert",
    [CERT] = "sslcert",
    [KEY] = "sslkey",
    [TIMEOUT] = "connect_timeout",
    [NAME] = "application_name",
};

/* Of every session. A commit waits for the disk, whatever the server's default is. A lock is held
 * for a round trip at most, unless its holder is dead: then the server ends that session by the
 * idle limit, and looks every second whether a client still waits. */
static const char options[] =
    "-c synchronous_commit=on -c default_transaction_isolation=read\\ committed"
    " -c default_transaction_read_only=off -c search_path=freehold_catalog"
    " -c statement_timeout=10000 -c lock_timeout=3000"
    " -c idle_in_transaction_session_timeout=5000 -c client_connection_check_interval=1000"
    " -c jit=off -c log_parameter_max_length_on_error=0 -c timezone=UTC";

static const char *const settings_added[][2] = {
    {"options", options},
    {"client_encoding", "UTF8"},
    {"gssencmode", "disable"},              /* its library blocks */
    {"target_session_attrs", "read-write"}, /* a standby has yesterday's catalog */
    {"keepalives_idle", "10"},              /* a listener hears nothing of a dead peer else */
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "20000"},
};

#define ADDED (sizeof(settings_added) / sizeof(settings_added[0]))

_Static_assert(FH_CATALOG_PG_KEYWORDS + ADDED + 2 <= FH_CATALOG_PG_SETTINGS_MAX, "room for all");

static enum fh_code invalid(struct fh_error *error, const char *what)
{
    return fh_error_set(error, FH_INVALID, "the catalog's connection string: %s", what);
}

static enum fh_code take(struct fh_catalog_pg_conninfo *out, const PQconninfoOption *option,
                         struct fh_error *error)
{
    if (strcmp(option->keyword, "password") == 0) {
        return invalid(error, "a password does not belong in it; put it in a file of mode 0600 and "
                              "give passfile=");
    }
    for (size_t i = 0; i < FH_CATALOG_PG_KEYWORDS; i++) {
        if (strcmp(option->keyword, keywords_allowed[i]) == 0) {
            out->values[i] = fh_strdup(option->val);
            return out->values[i] != NULL ? FH_OK : fh_error_set(error, FH_NOMEM, "out of memory");
        }
    }
    return fh_error_set(error, FH_INVALID,
                        "the catalog's connection string: keyword \"%s\" is not allowed",
                        option->keyword);
}

static enum fh_code check(struct fh_catalog_pg_conninfo *out, struct fh_error *error)
{
    const char *host = out->values[HOST];
    const char *address = out->values[HOSTADDR];
    long long seconds = CONNECT_TIMEOUT_S_DEFAULT;
    if (host == NULL && address == NULL) {
        return invalid(error, "host or hostaddr is required");
    }
    if ((host != NULL && strchr(host, ',') != NULL) ||
        (address != NULL && strchr(address, ',') != NULL)) {
        return invalid(error, "one host only");
    }
    struct in6_addr ignored;
    if (address != NULL && inet_pton(AF_INET, address, &ignored) != 1 &&
        inet_pton(AF_INET6, address, &ignored) != 1) {
        return invalid(error, "hostaddr is not an IP address");
    }
    if (out->values[USER] == NULL || out->values[DBNAME] == NULL) {
        return invalid(error, "user and dbname are required");
    }
    /* libpq expands a dbname that looks like a connection string itself. */
    if (strpbrk(out->values[DBNAME], "=:/") != NULL) {
        return invalid(error, "dbname must be a plain name");
    }
    if (out->values[TIMEOUT] != NULL &&
        (!fh_str_to_int64(fh_str_of(out->values[TIMEOUT]), &seconds) || seconds < 1 ||
         seconds > CONNECT_TIMEOUT_S_MAX)) {
        return invalid(error, "connect_timeout must be 1 to 60 seconds");
    }
    out->connect_timeout_us = seconds * 1000000;
    return FH_OK;
}

enum fh_code fh_catalog_pg_conninfo_parse(const char *text, struct fh_catalog_pg_conninfo *out,
                                          struct fh_error *error)
{
    memset(out, 0, sizeof(*out));
    if (text == NULL || strlen(text) > BYTES_MAX) {
        return invalid(error, "is missing or longer than 4096 bytes");
    }
    /* libpq's message quotes the string: it stays here. */
    char *message = NULL;
    PQconninfoOption *parsed = PQconninfoParse(text, &message);
    PQfreemem(message);
    if (parsed == NULL) {
        return invalid(error, "is not valid");
    }
    enum fh_code code = FH_OK;
    for (const PQconninfoOption *option = parsed; code == FH_OK && option->keyword != NULL;
         option++) {
        code = option->val != NULL ? take(out, option, error) : FH_OK;
    }
    PQconninfoFree(parsed);
    if (code == FH_OK) {
        code = check(out, error);
    }
    if (code != FH_OK) {
        fh_catalog_pg_conninfo_close(out);
    }
    return code;
}

void fh_catalog_pg_conninfo_close(struct fh_catalog_pg_conninfo *info)
{
    for (size_t i = 0; i < FH_CATALOG_PG_KEYWORDS; i++) {
        fh_free(info->values[i]);
        info->values[i] = NULL;
    }
}

void fh_catalog_pg_conninfo_settings(const struct fh_catalog_pg_conninfo *info,
                                     const char *application_name,
                                     const char *keywords[FH_CATALOG_PG_SETTINGS_MAX],
                                     const char *values[FH_CATALOG_PG_SETTINGS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < FH_CATALOG_PG_KEYWORDS; i++) {
        if (info->values[i] != NULL && i != TIMEOUT) {
            keywords[count] = keywords_allowed[i];
            values[count++] = info->values[i];
        }
    }
    for (size_t i = 0; i < ADDED; i++) {
        keywords[count] = settings_added[i][0];
        values[count++] = settings_added[i][1];
    }
    if (info->values[NAME] == NULL) {
        keywords[count] = keywords_allowed[NAME];
        values[count++] = application_name;
    }
    FH_ASSERT(count < FH_CATALOG_PG_SETTINGS_MAX);
    keywords[count] = NULL;
    values[count] = NULL;
}
