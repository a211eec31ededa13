/* Homes of the database tier: a database and a login.
 *
 * Create: the home's lock as a session's; a database that is there is looked into: with a fence's
 * row it is whole, without one it is somebody's unfinished work and dropped. Then database, whose
 * it is, login, and inside it, in one transaction: namespace, tables, fence, and that the login may
 * connect. The database is a copy of the store's template, which has the tables (template.h), or
 * without one of template0.
 *
 * Erase: the lock; inside, behind the gate, the fence's row of the generation goes; then sessions
 * are ended, the database dropped, the logins too.
 *
 * Names of databases are the server's, and so shared with its other stores, to which our lock means
 * nothing. So a database is made, and dropped, under a name that is this store's alone (its
 * workshop's): it gets the home's name in the transaction that says in it whose it is, and gives
 * it up in one that looks whose it is. No statement that destroys anything names what another store
 * could have put there.
 *
 * Failures: a creation that fails is undone on the connection that holds the lock; where that is
 * lost too, or the last commit's outcome is unknown, the next creator or eraser finds what is left
 * and knows from the fence's row what it is. See provision.h for why a sleeper harms nobody.
 */
#include <stdio.h>
#include <string.h>

#include "base/fault_point.h"
#include "stores/pg/engine.h"
#include "stores/pg/provision.h"
#include "stores/pg/template.h"

#define TEXT_SIZE 320

static const char *name_of(const struct fh_pg_site *site)
{
    return site->request->scope.home.name;
}

static enum fh_code open_inside(struct fh_pg_site *site, struct fh_pg_blocking *inside)
{
    return fh_pg_blocking_open(inside, &site->pg->owner, name_of(site), site->main.clock,
                               site->main.deadline_us, site->main.error);
}

static enum fh_code in_use(struct fh_pg_site *site, enum fh_code code)
{
    if (strcmp(site->main.sqlstate, "55006") != 0) {
        return code;
    }
    memset(site->main.error, 0, sizeof(*site->main.error));
    return fh_error_set(site->main.error, FH_HELD, "the home's database is in use");
}

/* CLOSED: an older release made it so, before it said whose it is. FOREIGN: another store's, whose
 * database is on the same server: neither may touch what the other made. */
enum presence { ABSENT, PRESENT, INVALID, CLOSED, FOREIGN };

/* Under the lock: what somebody who had it left half made, or half dropped. */
static enum fh_code drop_workshop(struct fh_pg_site *site)
{
    char text[TEXT_SIZE];
    (void)snprintf(text, sizeof(text), "drop database if exists \"%s\"", site->workshop);
    enum fh_code code = fh_pg_blocking_ask(&site->main, text, NULL, 0, true, NULL);
    return code == FH_OK ? FH_OK : in_use(site, code);
}

static enum presence parse_presence(const char *text)
{
    static const struct {
        const char *text;
        enum presence presence;
    } all[] = {
        {"foreign", FOREIGN}, {"invalid", INVALID}, {"closed", CLOSED}, {"present", PRESENT}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(text, all[i].text) == 0) {
            return all[i].presence;
        }
    }
    return ABSENT;
}

/* A DROP DATABASE that was interrupted leaves one that nobody can connect to. What is in the
 * workshop goes. */
static enum fh_code look(struct fh_pg_site *site, enum presence *out)
{
    const char *params[] = {name_of(site)};
    PGresult *seen = NULL;
    enum fh_code code = fh_pg_blocking_ask(
        &site->main,
        "with s as (select '" FH_PG_WORKSHOP_PREFIX "' || oid || '_' || $1 as workshop from "
        "pg_database where datname = current_database()) select (select case "
        "when " FH_PG_IS_FOREIGN(
            "d.oid", "current_database()") " then 'foreign' when datconnlimit = -2 then 'invalid' "
                                           "when not datallowconn and shobj_description(d.oid, "
                                           "'pg_database') is null then 'closed' else 'present' "
                                           "end from pg_database d where datname = $1), "
                                           "s.workshop, exists (select from pg_database d where "
                                           "datname = s.workshop) from s",
        params, 1, false, &seen);
    if (code != FH_OK) {
        return code;
    }
    bool used = strcmp(PQgetvalue(seen, 0, 2), "t") == 0;
    *out = parse_presence(PQgetvalue(seen, 0, 0));
    (void)snprintf(site->workshop, sizeof(site->workshop), "%s", PQgetvalue(seen, 0, 1));
    PQclear(seen);
    return used ? drop_workshop(site) : FH_OK;
}

/* One that is closed is opened, to be looked into, in the way of own(). */
static enum fh_code look_for(struct fh_pg_site *site, enum presence *out)
{
    char text[TEXT_SIZE];
    enum fh_code code = look(site, out);
    if (code == FH_OK && *out == CLOSED) {
        (void)snprintf(text, sizeof(text),
                       "revoke all on database \"%s\" from public; alter database \"%s\" "
                       "allow_connections true",
                       name_of(site), name_of(site));
        code = fh_pg_blocking_run(&site->main, text);
        *out = PRESENT;
    }
    return code;
}

/* Sessions of the owner in there: a schema change, another process's connection; perhaps that of a
 * maker that has lost the lock. FH_HELD: some are there still. */
static enum fh_code end_owners(struct fh_pg_site *site)
{
    char left[24];
    const char *params[] = {name_of(site)};
    enum fh_code code = fh_pg_blocking_ask(
        &site->main,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1 and "
        "usename = current_user",
        params, 1, false, NULL);
    if (code == FH_OK) {
        code = fh_pg_blocking_value(&site->main,
                                    "select count(*) from pg_stat_activity where datname = $1 and "
                                    "usename = current_user",
                                    params, 1, left, sizeof(left));
    }
    if (code == FH_OK && strcmp(left, "0") != 0) {
        code = fh_error_set(site->main.error, FH_HELD, "the home's database is in use");
    }
    return code;
}

/* Of the logins, which are closed first where the database is there. */
static enum fh_code end_sessions(struct fh_pg_site *site, bool closes)
{
    static const char *const kinds[] = {"database", "database_reader"};
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < 2 && code == FH_OK; i++) {
        if (closes) {
            code = fh_pg_site_admin(site, "close_role", kinds[i], NULL);
        }
        if (code == FH_OK) {
            code = fh_pg_site_admin(site, "end_sessions", kinds[i], NULL);
        }
    }
    return code;
}

/* To the workshop, and closed; unless it is another store's by now. What is flushed is the end of
 * the drop behind it. */
static enum fh_code take_down(struct fh_pg_site *site)
{
    char text[2 * TEXT_SIZE + 512];
    (void)snprintf(text, sizeof(text),
                   "set local synchronous_commit = off; alter database \"%1$s\" rename to "
                   "\"%2$s\"; do $$ begin if exists (select from pg_database d where datname = "
                   "'%2$s' and " FH_PG_IS_FOREIGN(
                       "d.oid", "current_database()") ") then raise "
                                                      "exception 'another store''s' using errcode "
                                                      "= '42704'; end if; end $$",
                   name_of(site), site->workshop);
    enum fh_code code = fh_pg_blocking_run(&site->main, text);
    if (code != FH_OK && site->main.pq != NULL &&
        (strcmp(site->main.sqlstate, "42704") == 0 || strcmp(site->main.sqlstate, "3D000") == 0)) {
        memset(site->main.error, 0, sizeof(*site->main.error));
        return fh_error_set(site->main.error, FH_HELD,
                            "another store has taken the tenant's database on this server");
    }
    return code == FH_OK ? FH_OK : in_use(site, code);
}

static enum fh_code drop_database(struct fh_pg_site *site)
{
    enum fh_code code = end_sessions(site, true);
    if (code == FH_OK) {
        code = end_owners(site);
    }
    fh_fault_point("pg.erase.sessions");
    if (code == FH_OK) {
        code = take_down(site);
    }
    fh_fault_point("pg.erase.renamed");
    if (code == FH_OK) {
        code = drop_workshop(site);
    }
    fh_fault_point("pg.erase.database");
    return code;
}

/* Everything of the home's that is outside of it. Our lock keeps no other store from making a
 * database of that name, and logins of the same names, where there was none: so it is looked again,
 * and without a database only what no database needs is dropped. */
static enum fh_code drop_all(struct fh_pg_site *site)
{
    enum presence presence = ABSENT;
    enum fh_code code = look(site, &presence);
    if (code == FH_OK && presence == FOREIGN) {
        return FH_OK;
    }
    if (code == FH_OK) {
        code = presence == ABSENT ? end_sessions(site, false) : drop_database(site);
    }
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "drop_role", "database_reader", NULL);
    }
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "drop_role", "database", NULL);
    }
    return code;
}

static enum fh_code make_login(struct fh_pg_site *site)
{
    char password[FH_PG_PASSWORD_SIZE];
    char *verifier = NULL;
    enum fh_code code = FH_OK;
    if (site->pg->has_secret) {
        code = fh_pg_login_password(site->pg->secret, &site->request->scope.home, password);
        if (code == FH_OK) {
            code = fh_pg_site_verifier(site, site->role, password, &verifier);
        }
    }
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "make_role", "database", verifier);
    }
    PQfreemem(verifier);
    return code;
}

/* FH_OK without one where it is refused: nothing was made then, and it goes without. */
static enum fh_code copy_template(struct fh_pg_site *site, char template[FH_PG_TEMPLATE_NAME_SIZE])
{
    char text[TEXT_SIZE];
    (void)snprintf(
        text, sizeof(text),
        "create database \"%s\" template \"%s\" strategy wal_log allow_connections false",
        site->workshop, template);
    enum fh_code code = fh_pg_blocking_ask(&site->main, text, NULL, 0, true, NULL);
    if (code != FH_OK && code != FH_OUTCOME_UNKNOWN && site->main.pq != NULL) {
        memset(site->main.error, 0, sizeof(*site->main.error));
        template[0] = '\0';
        code = FH_OK;
    }
    return code;
}

/* Says in the database whose it is (the server quotes its own name), gives it the home's name and
 * opens it, but not to PUBLIC, to which a new one is: who once was in could stay, and keep it from
 * ever being dropped. In one round trip, and one transaction. FH_HELD: the name is taken, and not
 * by a home of ours, whose lock we have. */
static enum fh_code own(struct fh_pg_site *site)
{
    char text[2 * TEXT_SIZE + 512];
    (void)snprintf(text, sizeof(text),
                   "do $$ begin execute format('comment on database \"%1$s\" is %%L', "
                   "'" FH_PG_OWNED_BY "' || current_database()); end $$; revoke all on database "
                   "\"%1$s\" from public; alter database \"%1$s\" rename to \"%2$s\"; alter "
                   "database \"%2$s\" allow_connections true",
                   site->workshop, name_of(site));
    enum fh_code code = fh_pg_blocking_run(&site->main, text);
    if (code != FH_OK && site->main.pq != NULL && strcmp(site->main.sqlstate, "42P04") == 0) {
        memset(site->main.error, 0, sizeof(*site->main.error));
        code = fh_error_set(site->main.error, FH_HELD,
                            "another store has made a database of the tenant's on this server");
    }
    return code;
}

/* Whether it was made here: else there is nothing to undo. */
static enum fh_code make_database(struct fh_pg_site *site, char template[FH_PG_TEMPLATE_NAME_SIZE],
                                  bool *made)
{
    char text[TEXT_SIZE];
    enum fh_code code = template[0] != '\0' ? copy_template(site, template) : FH_OK;
    if (code == FH_OK && template[0] == '\0') {
        (void)snprintf(text, sizeof(text),
                       "create database \"%s\" template template0 encoding 'UTF8' locale 'C' "
                       "strategy wal_log allow_connections false",
                       site->workshop);
        code = fh_pg_blocking_ask(&site->main, text, NULL, 0, true, NULL);
    }
    *made = code == FH_OK;
    fh_fault_point("pg.home.database");
    if (code == FH_OK) {
        code = own(site);
    }
    fh_fault_point("pg.home.owned");
    if (code == FH_PERMISSION) {
        memset(site->main.error, 0, sizeof(*site->main.error));
        code = fh_error_set(site->main.error, FH_PRECONDITION,
                            "the owning role may not create databases; as superuser: alter role "
                            "\"%s\" createdb",
                            site->pg->owner.values[FH_PG_KEYWORD_USER]);
    }
    return code;
}

/* The login may connect from the transaction on that writes the fence's row: in what is half made
 * the template's tables are there, and who asked them would be told something else than that there
 * is no home. */
static enum fh_code make_inside(struct fh_pg_site *site, bool copied)
{
    char text[TEXT_SIZE];
    struct fh_pg_blocking inside;
    enum fh_code code = open_inside(site, &inside);
    if (code == FH_OK) { /* the lock is ours still: who gets it from here on ends this session */
        code = fh_pg_blocking_ask(&site->main, "select 1", NULL, 0, false, NULL);
    }
    if (code == FH_OK) {
        code = fh_pg_site_begin(site, &inside);
    }
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text), "%sgrant connect on database \"%s\" to \"%s\"",
                       copied ? "" : FH_PG_SITE_DROP_PUBLIC "; ", name_of(site), site->role);
        code = fh_pg_blocking_run(&inside, text);
    }
    if (code == FH_OK) {
        code =
            fh_pg_site_make_tables(site, &inside, copied ? FH_PG_SCRIPT_OWN : FH_PG_SCRIPT_WHOLE);
    }
    fh_fault_point("pg.home.inside");
    if (code == FH_OK) {
        code = fh_pg_blocking_commit(&inside);
    }
    fh_fault_point("pg.home.committed");
    fh_pg_blocking_close(&inside);
    return code;
}

static enum fh_code make(struct fh_pg_site *site)
{
    char template[FH_PG_TEMPLATE_NAME_SIZE] = "";
    bool made = false;
    /* The last commit, inside, is flushed, and with it what the log has before it: a crash leaves
     * nothing of the home without what came earlier. */
    enum fh_code code = fh_pg_blocking_run(&site->main, "set synchronous_commit = off");
    if (code == FH_OK) {
        code = fh_pg_template_get(site, template);
    }
    if (code == FH_OK) { /* one that is left: it logs in from its fence's row on */
        code = fh_pg_site_admin(site, "drop_role", "database", NULL);
    }
    fh_fault_point("pg.home.making");
    if (code == FH_OK) {
        code = make_database(site, template, &made);
    }
    if (code == FH_OK) {
        code = make_login(site);
    }
    fh_fault_point("pg.home.role");
    if (code == FH_OK) {
        code = make_inside(site, template[0] != '\0');
    }
    if (code == FH_OK || code == FH_OUTCOME_UNKNOWN || site->main.pq == NULL || !made) {
        return code;
    }
    struct fh_error why = *site->main.error;
    /* A little longer than the deadline, so that nothing is left of what it cut short. */
    site->main.deadline_us += FH_PG_UNDO_US;
    memset(site->main.error, 0, sizeof(*site->main.error));
    if (fh_pg_blocking_run(&site->main, "reset synchronous_commit") != FH_OK ||
        drop_all(site) != FH_OK) {
        FH_LOG(site->pg->store.env->log, WARN, "store.home_left_over",
               FH_KV_TEXT("store", site->pg->store.name), FH_KV_TEXT("home", name_of(site)),
               FH_KV_TEXT("error", site->main.error->message));
    }
    *site->main.error = why;
    return code;
}

/* No fence, or a lock that was not to be had: a maker that has lost the home's lock may be in there
 * still, adding to the template's tables what is the tenant's. */
static bool is_unsure(struct fh_pg_site *site, enum fh_code code)
{
    if (code == FH_CONFLICT) {
        memset(site->main.error, 0, sizeof(*site->main.error));
    }
    return code == FH_NO_TENANT || code == FH_CONFLICT;
}

/* FH_NO_TENANT: there is nothing of worth inside. */
static enum fh_code look_inside(struct fh_pg_site *site, struct fh_fence *seen, uint32_t *version)
{
    struct fh_pg_blocking inside;
    enum fh_code code = open_inside(site, &inside);
    if (code == FH_OK) {
        code = fh_pg_site_begin(site, &inside);
    }
    if (code == FH_OK) {
        code = fh_pg_site_fence(site, &inside, seen, version);
    }
    fh_pg_blocking_close(&inside);
    return code;
}

enum fh_code fh_pg_database_home_create(struct fh_pg_site *site)
{
    struct fh_fence seen;
    uint32_t version = 0;
    enum presence presence = ABSENT;
    enum fh_code code = fh_pg_site_lock(site, true);
    if (code == FH_OK) {
        code = look_for(site, &presence);
    }
    if (code == FH_OK && presence == FOREIGN) {
        return fh_error_set(&site->request->error, FH_PRECONDITION,
                            "the tenant's database on this server is another store's");
    }
    if (code == FH_OK && presence == PRESENT) {
        code = look_inside(site, &seen, &version);
        if (is_unsure(site, code)) { /* nobody who could commit a fence is in there then: again */
            code = end_owners(site);
            code = code == FH_OK ? look_inside(site, &seen, &version) : code;
        }
        if (code == FH_OK) {
            return fh_pg_site_meet(site, &seen, version);
        }
    }
    if ((code == FH_OK && presence == INVALID) || code == FH_NO_TENANT) {
        fh_fault_point("pg.home.looked");
        code = drop_all(site);
    }
    return code == FH_OK ? make(site) : code;
}

static enum fh_code close_inside(struct fh_pg_site *site)
{
    struct fh_pg_blocking inside;
    enum fh_code code = open_inside(site, &inside);
    if (code == FH_OK) {
        code = fh_pg_site_begin(site, &inside);
    }
    if (code == FH_OK) {
        code = fh_pg_site_close_fence(site, &inside);
    }
    if (code == FH_OK) {
        code = fh_pg_blocking_commit(&inside);
    }
    fh_fault_point("pg.erase.fence");
    fh_pg_blocking_close(&inside);
    return code;
}

/* `there`: it has a reader at all. */
static enum fh_code look_for_reader(struct fh_pg_site *site, bool *there, bool *in)
{
    char value[8];
    const char *params[] = {site->reader, name_of(site)};
    enum fh_code code = fh_pg_blocking_value(
        &site->main,
        "select has_database_privilege(r.oid, d.oid, 'CONNECT') from pg_roles r, pg_database d "
        "where r.rolname = $1 and d.datname = $2",
        params, 2, value, sizeof(value));
    *there = value[0] != '\0';
    *in = value[0] == 't';
    return code;
}

/* In its own database a reader may take any advisory lock, the tenant's gate as well, and for as
 * long as it likes. Where the gate was not to be had, it is kept out meanwhile, so that it cannot
 * come back in between; and let in again where the home stays. A reader that is kept out already,
 * by an eraser that died, may have its session still: that is ended too. Its right is not given
 * back by us, who did not take it: where the home turns out to be another generation's, the
 * credential's next issue does. */
static enum fh_code close_without_reader(struct fh_pg_site *site)
{
    bool there = false;
    bool in = false;
    struct fh_error held = *site->main.error;
    memset(site->main.error, 0, sizeof(*site->main.error));
    enum fh_code code = look_for_reader(site, &there, &in);
    if (code != FH_OK || !there) {
        *site->main.error = code == FH_OK ? held : *site->main.error;
        return code == FH_OK ? FH_HELD : code;
    }
    if (in) {
        code = fh_pg_site_let_reader(site, "connect on database", false);
    }
    fh_fault_point("pg.erase.kept_out");
    if (code == FH_OK) {
        code = fh_pg_site_admin(site, "end_sessions", "database_reader", NULL);
    }
    fh_fault_point("pg.erase.reader");
    if (code == FH_OK) {
        code = close_inside(site);
    }
    if (in && code != FH_OK && site->main.pq != NULL) {
        struct fh_error why = *site->main.error;
        enum fh_code again = fh_pg_site_let_reader(site, "connect on database", true);
        code = again == FH_OK ? code : again;
        *site->main.error = again == FH_OK ? why : *site->main.error;
    }
    return code;
}

enum fh_code fh_pg_database_home_erase(struct fh_pg_site *site)
{
    enum presence presence = ABSENT;
    enum fh_code code = fh_pg_site_lock(site, true);
    if (code == FH_OK) {
        code = look_for(site, &presence);
    }
    if (code == FH_OK && presence == FOREIGN) {
        return FH_OK; /* ours is gone */
    }
    if (code == FH_OK && presence == PRESENT) {
        code = close_inside(site);
        if (is_unsure(site, code)) { /* as in creation */
            code = end_owners(site);
            code = code == FH_OK ? close_inside(site) : code;
        }
        if (code == FH_HELD) {
            code = close_without_reader(site);
        }
        code = code == FH_NO_TENANT ? FH_OK : code;
    }
    fh_fault_point("pg.home.looked");
    return code == FH_OK ? drop_all(site) : code;
}
