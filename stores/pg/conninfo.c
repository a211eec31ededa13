/* Happy path: libpq's own parser splits the string, every keyword it found must be on the list, one
 * host, a user and a database are required (defaults would come from the environment, and a store
 * must mean the same in every process).
 */
#include "stores/pg/conninfo.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define CONNECT_TIMEOUT_MS_DEFAULT 5000
#define CONNECT_TIMEOUT_S_MAX 60
#define CONNINFO_BYTES_MAX 4096

const char *const fh_pg_conninfo_keywords[FH_PG_KEYWORDS_MAX] = {
    [FH_PG_KEYWORD_HOST] = "host",
    [FH_PG_KEYWORD_HOSTADDR] = "hostaddr",
    [FH_PG_KEYWORD_PORT] = "port",
    [FH_PG_KEYWORD_DBNAME] = "dbname",
    [FH_PG_KEYWORD_USER] = "user",
    [FH_PG_KEYWORD_PASSFILE] = "passfile",
    [FH_PG_KEYWORD_SSLMODE] = "sslmode",
    [FH_PG_KEYWORD_SSLROOTCERT] = "sslrootcert",
    [FH_PG_KEYWORD_SSLCERT] = "sslcert",
    [FH_PG_KEYWORD_SSLKEY] = "sslkey",
    [FH_PG_KEYWORD_CONNECT_TIMEOUT] = "connect_timeout",
    [FH_PG_KEYWORD_APPLICATION_NAME] = "application_name",
};

static int keyword_of(const char *name)
{
    for (int i = 0; i < FH_PG_KEYWORDS_MAX; i++) {
        if (strcmp(fh_pg_conninfo_keywords[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static enum fh_code take(struct fh_pg_conninfo *out, const PQconninfoOption *options,
                         const char *what, struct fh_error *error)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val == NULL) {
            continue;
        }
        if (strcmp(option->keyword, "password") == 0) {
            return fh_error_set(error, FH_INVALID,
                                "%s: a password does not belong in a connection string; put it in "
                                "a file of mode 0600 and give passfile=",
                                what);
        }
        int keyword = keyword_of(option->keyword);
        if (keyword < 0) {
            return fh_error_set(error, FH_INVALID,
                                "%s: keyword \"%s\" is not allowed in a connection string", what,
                                option->keyword);
        }
        out->values[keyword] = fh_strdup(option->val);
        if (out->values[keyword] == NULL) {
            return fh_error_set(error, FH_NOMEM, "%s: out of memory", what);
        }
    }
    return FH_OK;
}

static enum fh_code check_timeout(struct fh_pg_conninfo *out, const char *what,
                                  struct fh_error *error)
{
    const char *text = out->values[FH_PG_KEYWORD_CONNECT_TIMEOUT];
    out->connect_timeout_ms = CONNECT_TIMEOUT_MS_DEFAULT;
    if (text == NULL) {
        return FH_OK;
    }
    char *end = NULL;
    long seconds = strtol(text, &end, 10);
    if (end == text || *end != '\0' || seconds < 1 || seconds > CONNECT_TIMEOUT_S_MAX) {
        return fh_error_set(error, FH_INVALID, "%s: connect_timeout must be 1 to %d seconds", what,
                            CONNECT_TIMEOUT_S_MAX);
    }
    out->connect_timeout_ms = (uint32_t)seconds * 1000;
    return FH_OK;
}

static enum fh_code check_host(struct fh_pg_conninfo *out, const char *what, struct fh_error *error)
{
    const char *host = out->values[FH_PG_KEYWORD_HOST];
    const char *address = out->values[FH_PG_KEYWORD_HOSTADDR];
    struct in6_addr ignored;
    if (host == NULL && address == NULL) {
        return fh_error_set(error, FH_INVALID, "%s: host or hostaddr is required", what);
    }
    if ((host != NULL && strchr(host, ',') != NULL) ||
        (address != NULL && strchr(address, ',') != NULL)) {
        return fh_error_set(error, FH_INVALID, "%s: one host only", what);
    }
    if (address != NULL && inet_pton(AF_INET, address, &ignored) != 1 &&
        inet_pton(AF_INET6, address, &ignored) != 1) {
        return fh_error_set(error, FH_INVALID, "%s: hostaddr is not an IP address", what);
    }
    out->resolves = address == NULL && host[0] != '/' && host[0] != '@' &&
                    inet_pton(AF_INET, host, &ignored) != 1 &&
                    inet_pton(AF_INET6, host, &ignored) != 1;
    return FH_OK;
}

static enum fh_code check_names(const struct fh_pg_conninfo *out, const char *what,
                                struct fh_error *error)
{
    const char *database = out->values[FH_PG_KEYWORD_DBNAME];
    if (out->values[FH_PG_KEYWORD_USER] == NULL || database == NULL) {
        return fh_error_set(error, FH_INVALID, "%s: user and dbname are required", what);
    }
    /* libpq expands a dbname that looks like a connection string itself. */
    if (strpbrk(database, "=:/") != NULL) {
        return fh_error_set(error, FH_INVALID, "%s: dbname must be a plain name", what);
    }
    return FH_OK;
}

enum fh_code fh_pg_conninfo_parse(const char *text, const char *what, struct fh_pg_conninfo *out,
                                  struct fh_error *error)
{
    memset(out, 0, sizeof(*out));
    if (text == NULL || strlen(text) > CONNINFO_BYTES_MAX) {
        return fh_error_set(error, FH_INVALID, "%s: a connection string is required", what);
    }
    /* libpq's message quotes the string: it stays here. */
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(text, &message);
    PQfreemem(message);
    if (options == NULL) {
        return fh_error_set(error, FH_INVALID, "%s: not a valid connection string", what);
    }
    enum fh_code code = take(out, options, what, error);
    PQconninfoFree(options);
    if (code == FH_OK) {
        code = check_host(out, what, error);
    }
    if (code == FH_OK) {
        code = check_timeout(out, what, error);
    }
    if (code == FH_OK) {
        code = check_names(out, what, error);
    }
    if (code != FH_OK) {
        fh_pg_conninfo_close(out);
    }
    return code;
}

enum fh_code fh_pg_conninfo_derive(const struct fh_pg_conninfo *from, const char *database,
                                   const char *user, const char *password,
                                   struct fh_pg_conninfo *out)
{
    *out = *from;
    memset(out->values, 0, sizeof(out->values));
    (void)snprintf(out->password, sizeof(out->password), "%s", password != NULL ? password : "");
    for (int i = 0; i < FH_PG_KEYWORDS_MAX; i++) {
        const char *value = from->values[i];
        if (i == FH_PG_KEYWORD_DBNAME) {
            value = database;
        } else if (i == FH_PG_KEYWORD_USER && user != NULL) {
            value = user;
        }
        out->values[i] = value != NULL ? fh_strdup(value) : NULL;
        if (value != NULL && out->values[i] == NULL) {
            fh_pg_conninfo_close(out);
            return FH_NOMEM;
        }
    }
    return FH_OK;
}

void fh_pg_conninfo_close(struct fh_pg_conninfo *info)
{
    for (int i = 0; i < FH_PG_KEYWORDS_MAX; i++) {
        fh_free(info->values[i]);
        info->values[i] = NULL;
    }
}
