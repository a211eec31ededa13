/* Happy path: the statements are made and digested, the database of that name and comment is
 * there.
 *
 * Not there: under the lock, if it is free, and with time enough, whatever is left of an earlier
 * maker's is dropped, the database made, filled in one transaction, closed to connections and
 * commented in another; then older versions' go.
 *
 * Failures: anything that PostgreSQL refuses is logged, and the home is made without a template. A
 * maker that dies leaves a database without the comment: the next one drops it.
 */
#include "stores/pg/template.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/fault_point.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"

#define TEXT_SIZE 512
/* Of what is in a template besides the statements digested: encoding and locale, no schema public.
 * To be changed with any of these. */
#define FORMAT "1"
#define COMMENT_SIZE (64 + 2 * EVP_MAX_MD_SIZE)
/* Less than this until the deadline: it is left to somebody who has more. */
#define TIME_US_MIN (5 * INT64_C(1000000))
/* Of what is left until then, one step may take a part of that many: the home is to be made yet. */
#define TIME_PARTS 4
/* Older ones that one maker drops; each costs a checkpoint. */
#define OLD_MAX 4

/* Of this store's, by name; and ours by comment and owner: none yet, or one that we write. */
#define OF_STORE                                                                    \
    "'^" FH_PG_TEMPLATE_PREFIX "' || (select oid from pg_database where datname = " \
    "current_database()) || '_v[0-9]+_[0-9a-f]{16}$'"
#define IS_OURS                                                                          \
    "d.datname ~ (" OF_STORE ") and d.datdba = (select oid from pg_roles where rolname " \
    "= current_user) and coalesce(shobj_description(d.oid, 'pg_database'), "             \
    "'freehold template') ~ '^freehold template'"

struct template
{
    char name[FH_PG_TEMPLATE_NAME_SIZE];
    char comment[COMMENT_SIZE];
};

static enum fh_code digest(const struct fh_pg_site *site, const struct fh_pg_script *script,
                           char out[2 * EVP_MAX_MD_SIZE + 1])
{
    const char *owner = site->pg->owner.values[FH_PG_KEYWORD_USER];
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL) {
        return FH_NOMEM;
    }
    bool ok = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(context, FORMAT, strlen(FORMAT)) == 1 &&
              EVP_DigestUpdate(context, script->text.data, script->text.len) == 1 &&
              (owner == NULL || EVP_DigestUpdate(context, owner, strlen(owner)) == 1) &&
              EVP_DigestFinal_ex(context, bytes, &len) == 1;
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; ok && i < len; i++) {
        (void)snprintf(out + (size_t)2 * i, 3, "%02x", bytes[i]);
    }
    return ok ? FH_OK : FH_INTERNAL;
}

/* What it must be called and say of itself. */
static enum fh_code name_it(struct fh_pg_site *site, const struct fh_pg_script *script,
                            struct template *out)
{
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    char oid[16];
    unsigned version = site->request->scope.schema->version;
    enum fh_code code = digest(site, script, hex);
    if (code == FH_OK) {
        code = fh_pg_blocking_value(
            &site->main, "select oid from pg_database where datname = current_database()", NULL, 0,
            oid, sizeof(oid));
    }
    if (code == FH_OK) {
        (void)snprintf(out->name, sizeof(out->name), FH_PG_TEMPLATE_PREFIX "%s_v%u_%.16s", oid,
                       version, hex);
        (void)snprintf(out->comment, sizeof(out->comment), "freehold template, version %u, %s",
                       version, hex);
    }
    return code;
}

enum state { TEMPLATE_ABSENT, TEMPLATE_WHOLE, TEMPLATE_HALF, TEMPLATE_OLD };

/* Whether it is there; TEMPLATE_OLD: it is not, and one of a higher version is: homes of ours are
 * few, and will soon be none. */
static enum fh_code look(struct fh_pg_site *site, const struct template *template, enum state *out)
{
    char value[16];
    char version[16];
    const char *params[] = {template->name, template->comment, version};
    (void)snprintf(version, sizeof(version), "%u", (unsigned)site->request->scope.schema->version);
    enum fh_code code = fh_pg_blocking_value(
        &site->main,
        "select case when d.datname <> $1 then 'old' when not d.datallowconn and d.datconnlimit <> "
        "-2 and d.datdba = (select oid from pg_roles where rolname = current_user) and "
        "shobj_description(d.oid, 'pg_database') = $2 then 'whole' else 'half' end from "
        "pg_database d where d.datname = $1 or (d.datname ~ (" OF_STORE ") and substring(d.datname "
        "from '_v([0-9]+)_')::int8 > $3::int8) order by d.datname <> $1 limit 1",
        params, 3, value, sizeof(value));
    *out = value[0] == 'w'   ? TEMPLATE_WHOLE
           : value[0] == 'h' ? TEMPLATE_HALF
           : value[0] == 'o' ? TEMPLATE_OLD
                             : TEMPLATE_ABSENT;
    return code;
}

static enum fh_code try_lock(struct fh_pg_site *site, bool *got)
{
    char key[24];
    char value[8];
    const char *params[] = {key};
    (void)snprintf(key, sizeof(key), "%lld", (long long)fh_pg_template_key());
    enum fh_code code = fh_pg_blocking_value(&site->main, "select pg_try_advisory_lock($1::int8)",
                                             params, 1, value, sizeof(value));
    *got = code == FH_OK && value[0] == 't';
    return code;
}

static enum fh_code unlock(struct fh_pg_site *site)
{
    char key[24];
    const char *params[] = {key};
    (void)snprintf(key, sizeof(key), "%lld", (long long)fh_pg_template_key());
    return fh_pg_blocking_ask(&site->main, "select pg_advisory_unlock($1::int8)", params, 1, false,
                              NULL);
}

static int64_t time_left_us(const struct fh_pg_site *site)
{
    return site->main.deadline_us - fh_clock_monotonic_us(site->main.clock);
}

/* A long statement is ended by the server, in time, and not by the deadline with the connection. */
static enum fh_code bound(struct fh_pg_site *site)
{
    char text[24];
    const char *params[] = {text};
    int64_t ms = time_left_us(site) / TIME_PARTS / 1000;
    (void)snprintf(text, sizeof(text), "%lld", (long long)(ms > 0 ? ms : 1)); /* 0: unbounded */
    return fh_pg_blocking_ask(&site->main, "select set_config('statement_timeout', $1, false)",
                              params, 1, false, NULL);
}

/* Under the lock. Those of lower versions, or (`name`) that one: never what is not ours. */
static enum fh_code drop(struct fh_pg_site *site, const char *name)
{
    char version[16];
    const char *params[] = {name, version};
    PGresult *found = NULL;
    (void)snprintf(version, sizeof(version), "%u", (unsigned)site->request->scope.schema->version);
    enum fh_code code = fh_pg_blocking_ask(
        &site->main,
        "select format('drop database if exists %I', d.datname) from pg_database d where " IS_OURS
        " and (d.datname = $1 or ($1::text is null and substring(d.datname from '_v([0-9]+)_')"
        "::int8 < $2::int8)) order by d.oid",
        params, 2, false, &found);
    for (int i = 0; code == FH_OK && i < PQntuples(found) && i < OLD_MAX; i++) {
        code = bound(site);
        if (code == FH_OK) {
            code = fh_pg_blocking_ask(&site->main, PQgetvalue(found, i, 0), NULL, 0, false, NULL);
        }
    }
    PQclear(found);
    return code;
}

static enum fh_code fill(struct fh_pg_site *site, const struct template *template,
                         const struct fh_pg_script *script)
{
    struct fh_pg_blocking inside;
    enum fh_code code = fh_pg_blocking_open(
        &inside, &site->pg->owner, template->name, site->main.clock,
        site->main.deadline_us - time_left_us(site) / TIME_PARTS * (TIME_PARTS - 1),
        site->main.error);
    if (code == FH_OK) {
        code = fh_pg_blocking_run(&inside,
                                  "begin; " FH_PG_SITE_DROP_PUBLIC
                                  "; select set_config('fh.tenant', '" FH_PG_NIL_TENANT "', true)");
    }
    if (code == FH_OK) {
        code = fh_pg_blocking_script(&inside, script);
    }
    if (code == FH_OK) {
        code = fh_pg_blocking_commit(&inside);
    }
    fh_pg_blocking_close(&inside);
    return code;
}

static enum fh_code make(struct fh_pg_site *site, const struct template *template,
                         const struct fh_pg_script *script)
{
    char text[TEXT_SIZE];
    (void)snprintf(text, sizeof(text),
                   "create database \"%s\" template template0 encoding 'UTF8' locale 'C' strategy "
                   "wal_log allow_connections false",
                   template->name);
    enum fh_code code = bound(site);
    if (code == FH_OK) {
        code = fh_pg_blocking_ask(&site->main, text, NULL, 0, false, NULL);
    }
    if (code == FH_OK) { /* never PUBLIC's: while one session stays in it, nobody can copy it */
        (void)snprintf(text, sizeof(text),
                       "revoke all on database \"%s\" from public; alter database \"%s\" "
                       "allow_connections true",
                       template->name, template->name);
        code = fh_pg_blocking_run(&site->main, text);
    }
    fh_fault_point("pg.template.created");
    if (code == FH_OK) {
        code = fill(site, template, script);
    }
    fh_fault_point("pg.template.filled");
    if (code == FH_OK) { /* one transaction: whoever sees the comment sees it closed */
        (void)snprintf(text, sizeof(text),
                       "alter database \"%s\" allow_connections false; comment on database "
                       "\"%s\" is '%s'",
                       template->name, template->name, template->comment);
        code = fh_pg_blocking_run(&site->main, text);
    }
    fh_fault_point("pg.template.whole");
    return code;
}

/* Under the lock: somebody may have made it meanwhile. */
static enum fh_code make_sure(struct fh_pg_site *site, const struct template *template,
                              const struct fh_pg_script *script)
{
    enum state state = TEMPLATE_ABSENT;
    enum fh_code code = look(site, template, &state);
    if (code != FH_OK || state == TEMPLATE_WHOLE) {
        return code;
    }
    if (state == TEMPLATE_HALF) {
        code = drop(site, template->name);
    }
    if (code == FH_OK) {
        code = make(site, template, script);
        if (code != FH_OK && site->main.pq != NULL) {
            struct fh_error why = *site->main.error;
            (void)drop(site, template->name); /* else the next maker does */
            *site->main.error = why;
        }
    }
    if (code == FH_OK && drop(site, NULL) != FH_OK) { /* it is made all the same */
        memset(site->main.error, 0, sizeof(*site->main.error));
    }
    return code;
}

static enum fh_code get(struct fh_pg_site *site, const struct fh_pg_script *script,
                        struct template *template)
{
    enum state state = TEMPLATE_ABSENT;
    bool locked = false;
    enum fh_code code = name_it(site, script, template);
    if (code == FH_OK) {
        code = look(site, template, &state);
    }
    if (code != FH_OK || state == TEMPLATE_WHOLE) {
        return code;
    }
    if (state != TEMPLATE_OLD && time_left_us(site) >= TIME_US_MIN) {
        code = try_lock(site, &locked);
    }
    if (locked) {
        code = make_sure(site, template, script);
        enum fh_code unlocked = fh_pg_blocking_run(&site->main, "reset statement_timeout");
        unlocked = unlocked == FH_OK ? unlock(site) : unlocked;
        code = code == FH_OK ? unlocked : code;
    }
    if (!locked || code != FH_OK) {
        template->name[0] = '\0';
    }
    return code;
}

enum fh_code fh_pg_template_get(struct fh_pg_site *site, char out[FH_PG_TEMPLATE_NAME_SIZE])
{
    struct template template;
    struct fh_pg_script script;
    memset(&template, 0, sizeof(template));
    fh_pg_script_init(&script);
    enum fh_code code = fh_pg_site_script(site, FH_PG_SCRIPT_TEMPLATE, &script);
    if (code == FH_OK) {
        code = get(site, &script, &template);
    }
    fh_pg_script_close(&script);
    if (code != FH_OK && site->main.pq != NULL) {
        FH_LOG(site->pg->store.env->log, WARN, "store.no_template",
               FH_KV_TEXT("store", site->pg->store.name),
               FH_KV_TEXT("error", site->main.error->message));
        *site->main.error = (struct fh_error)FH_ERROR_INIT;
        template.name[0] = '\0';
        code = FH_OK;
    }
    memcpy(out, template.name, sizeof(template.name));
    return code;
}
