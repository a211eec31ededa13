/* Credentials: a tenant's own read-only login, and the passwords of databases' logins.
 *
 * Issue: under the home's lock and the fence's row, login with a new verifier, then exactly the
 * rights asked for; sessions of the old secret are ended last, when it is of no use any more.
 * Revoke: the login is closed, its sessions ended, its rights and then itself dropped.
 *
 * Failures: an issue that is cut short leaves a login whose secret nobody was told, with no more
 * rights than were asked for; the next issue or revoke mends it.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "stores/pg/engine.h"
#include "stores/pg/provision.h"
#include "stores/pg/sql.h"

#define SECRET_BYTES 32
#define TEXT_SIZE 512
#define SCRIPT_BYTES_MAX (256u * 1024)

static void hex(const uint8_t *bytes, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

enum fh_code fh_pg_login_password(const uint8_t *secret, const struct fh_home *home,
                                  char out[FH_PG_PASSWORD_SIZE])
{
    char text[80];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int text_len = snprintf(text, sizeof(text), "freehold login %s", home->name);
    if (HMAC(EVP_sha256(), secret, FH_PG_SECRET_BYTES, (const uint8_t *)text, (size_t)text_len,
             digest, &len) == NULL ||
        len != SECRET_BYTES) {
        return FH_INTERNAL;
    }
    hex(digest, len, out);
    return FH_OK;
}

static const char *kind_of(const struct fh_pg_site *site)
{
    return fh_pg_admin_kind(&site->request->scope.home, true);
}

static bool in_database(const struct fh_pg_site *site)
{
    return site->request->scope.home.tier == FH_TIER_DATABASE;
}

static const char *database_of(const struct fh_pg_site *site)
{
    return in_database(site) ? site->request->scope.home.name
                             : site->pg->owner.values[FH_PG_KEYWORD_DBNAME];
}

/* Where the home's tables are: `inside` is opened for a database, and to be closed. */
static enum fh_code open_home(struct fh_pg_site *site, struct fh_pg_blocking *inside,
                              struct fh_pg_blocking **out)
{
    char value[8];
    const char *params[] = {database_of(site)};
    *out = &site->main;
    if (!in_database(site)) {
        return FH_OK;
    }
    *out = inside;
    enum fh_code code = fh_pg_blocking_value(
        &site->main,
        "select 1 from pg_database d where datname = $1 and not " FH_PG_IS_FOREIGN(
            "d.oid", "current_database()"),
        params, 1, value, sizeof(value));
    if (code == FH_OK && value[0] == '\0') {
        code = FH_NO_TENANT;
    }
    return code == FH_OK
               ? fh_pg_blocking_open(inside, &site->pg->owner, database_of(site), site->main.clock,
                                     site->main.deadline_us, site->main.error)
               : code;
}

/* As every operation on the home: its fence, then its version. */
static enum fh_code check_home(struct fh_pg_site *site, struct fh_pg_blocking *conn)
{
    struct fh_request *request = site->request;
    struct fh_fence seen;
    uint32_t version = 0;
    enum fh_code code = fh_pg_site_fence(site, conn, &seen, &version);
    if (code != FH_OK) {
        return code;
    }
    if (seen.epoch != request->scope.epoch ||
        (seen.mode != FH_FENCE_OPEN && seen.mode != FH_FENCE_FROZEN)) {
        request->epoch_seen = seen.epoch;
        request->mode_seen = seen.mode;
        return FH_MOVED;
    }
    if (version != request->scope.schema->version) {
        request->version_seen = version;
        return FH_STALE_SCHEMA;
    }
    return FH_OK;
}

static void add_grants(const struct fh_pg_site *site, struct fh_buf *out)
{
    const struct fh_request *request = site->request;
    const struct fh_op_credential *credential = &request->as.credential;
    const struct fh_schema *schema = request->scope.schema;
    const char *namespace = fh_pg_home_namespace(&request->scope.home);
    bool all = credential->table_count == 0;
    size_t count = all ? schema->table_count : credential->table_count;
    fh_buf_printf(out,
                  "revoke all on all tables in schema \"%s\" from \"%s\";\n"
                  "grant usage on schema \"%s\" to \"%s\";\n",
                  namespace, site->reader, namespace, site->reader);
    for (size_t i = 0; i < count; i++) {
        fh_buf_add_text(out, "grant select on ");
        fh_pg_sql_model_table(out, namespace, all ? schema->tables[i] : credential->tables[i]);
        fh_buf_printf(out, " to \"%s\";\n", site->reader);
    }
}

static enum fh_code grant(struct fh_pg_site *site, struct fh_pg_blocking *conn)
{
    struct fh_buf text;
    fh_buf_init(&text, SCRIPT_BYTES_MAX);
    add_grants(site, &text);
    enum fh_code code = fh_buf_code(&text);
    if (code == FH_OK) {
        code = fh_pg_blocking_run(conn, text.data);
    }
    fh_buf_close(&text);
    return code;
}

static enum fh_code copy(struct fh_pg_site *site, const char *text, struct fh_str *out)
{
    return fh_arena_str(site->request->arena, fh_str_of(text), out);
}

static enum fh_code tell(struct fh_pg_site *site, const char *secret)
{
    struct fh_op_credential *credential = &site->request->as.credential;
    char *const *values = site->pg->serving.values;
    const char *host = values[FH_PG_KEYWORD_HOST] != NULL ? values[FH_PG_KEYWORD_HOST]
                                                          : values[FH_PG_KEYWORD_HOSTADDR];
    const struct {
        const char *from;
        struct fh_str *to;
    } parts[] = {{site->reader, &credential->user},
                 {secret, &credential->secret},
                 {database_of(site), &credential->database},
                 {host, &credential->host},
                 {values[FH_PG_KEYWORD_PORT], &credential->port},
                 {fh_pg_home_namespace(&site->request->scope.home), &credential->namespace}};
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && code == FH_OK; i++) {
        code = copy(site, parts[i].from, parts[i].to);
    }
    return code;
}

static enum fh_code draw(char out[FH_PG_PASSWORD_SIZE])
{
    uint8_t bytes[SECRET_BYTES];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        return FH_INTERNAL;
    }
    hex(bytes, sizeof(bytes), out);
    return FH_OK;
}

/* In the home's transaction, behind its fence. */
static enum fh_code issue_inside(struct fh_pg_site *site, struct fh_pg_blocking *conn,
                                 const char *secret)
{
    char *verifier = NULL;
    enum fh_code code = check_home(site, conn);
    if (code == FH_OK) {
        code = fh_pg_site_verifier(site, site->reader, secret, &verifier);
    }
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "make_role", kind_of(site), verifier);
    }
    PQfreemem(verifier);
    if (code == FH_OK) {
        code = grant(site, conn);
    }
    return code == FH_OK ? fh_pg_blocking_commit(conn) : code;
}

static enum fh_code issue(struct fh_pg_site *site)
{
    struct fh_pg_blocking inside = {.pq = NULL};
    struct fh_pg_blocking *conn = NULL;
    char secret[FH_PG_PASSWORD_SIZE];
    char text[TEXT_SIZE];
    enum fh_code code = draw(secret);
    if (code == FH_OK) {
        code = fh_pg_site_lock(site, true);
    }
    if (code == FH_OK) {
        code = open_home(site, &inside, &conn);
    }
    if (code == FH_OK) {
        code = fh_pg_site_begin(site, conn);
    }
    if (code == FH_OK) {
        code = issue_inside(site, conn, secret);
    }
    fh_pg_blocking_close(&inside);
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text), "grant connect on database \"%s\" to \"%s\"",
                       database_of(site), site->reader);
        code = fh_pg_blocking_ask(&site->main, text, NULL, 0, false, NULL);
    }
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "end_sessions", kind_of(site), NULL);
    }
    if (code == FH_OK) {
        code = tell(site, secret);
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    return code;
}

static enum fh_code exists(struct fh_pg_site *site, bool *out)
{
    char value[8];
    const char *params[] = {site->reader};
    enum fh_code code = fh_pg_blocking_value(
        &site->main, "select 1 from pg_roles where rolname = $1", params, 1, value, sizeof(value));
    *out = value[0] != '\0';
    return code;
}

/* Rights inside another database are not dropped with the login: they keep it from being dropped.
 */
static enum fh_code revoke_inside(struct fh_pg_site *site)
{
    struct fh_pg_blocking inside = {.pq = NULL};
    struct fh_pg_blocking *conn = NULL;
    char text[TEXT_SIZE];
    enum fh_code code = open_home(site, &inside, &conn);
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "revoke all on all tables in schema \"%1$s\" from \"%2$s\"; revoke all on "
                       "schema \"%1$s\" from \"%2$s\"; revoke all on database \"%3$s\" from "
                       "\"%2$s\"",
                       fh_pg_home_namespace(&site->request->scope.home), site->reader,
                       database_of(site));
        code = fh_pg_blocking_run(conn, text);
    }
    fh_pg_blocking_close(&inside);
    return code == FH_NO_TENANT ? FH_OK : code;
}

static enum fh_code withdraw(struct fh_pg_site *site)
{
    bool there = false;
    enum fh_code code = fh_pg_site_lock(site, true);
    if (code == FH_OK) {
        code = exists(site, &there);
    }
    if (code != FH_OK || !there) {
        return code;
    }
    code = fh_pg_site_admin(site, "close_role", kind_of(site), NULL);
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "end_sessions", kind_of(site), NULL);
    }
    if (code == FH_OK && in_database(site)) {
        code = revoke_inside(site);
    }
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "drop_role", kind_of(site), NULL);
    }
    if (code == FH_OK) {
        code = exists(site, &there);
    }
    return code == FH_OK && there
               ? fh_error_set(site->main.error, FH_CONFLICT,
                              "the login is closed, but stays: another database of the server "
                              "gives it rights")
               : code;
}

enum fh_code fh_pg_credential(struct fh_pg_site *site)
{
    bool there = false;
    enum fh_code code = FH_OK;
    switch (site->request->as.credential.action) {
    case FH_CREDENTIAL_ISSUE:
        return issue(site);
    case FH_CREDENTIAL_REVOKE:
        return withdraw(site);
    case FH_CREDENTIAL_READ:
        code = exists(site, &there);
        if (code != FH_OK) {
            return code;
        }
        return there ? tell(site, "") : FH_NOT_FOUND;
    }
    return FH_INTERNAL;
}
