/* Making and dropping dedicated homes, and their credentials: what blocks, on threads of its own.
 *
 * An op of this kind goes to a worker thread whole, is done there step by step on connections of
 * the owning role (blocking.h, sessions.h), and ends on the loop. Up to FH_PG_PROVISIONERS threads
 * a store, started when first needed, each with a bounded queue (FH_FULL).
 *
 * Invariants, on which it rests that a creator or eraser that slept harms nobody:
 *   1. A dedicated home is worth something if and only if it has its fence's row.
 *   2. That row comes to be only under the home's lock (fh_pg_home_key(), in the store's database),
 *      together with the last of the home's tables.
 *   3. What has no such row may be dropped by whoever holds the lock.
 *   4. The statement that drops is sent on the very connection that holds the lock.
 * So whoever slept either holds the lock still, and nobody has done anything meanwhile, or has lost
 * the connection, and its next statement goes nowhere. An eraser takes the row away first, if it is
 * of its generation and behind the tenant's exclusive gate; from there on there is no home to open
 * again, whatever becomes of the eraser, and the next one to come, creator or eraser, clears away
 * what is left.
 *
 * In the schema tier all of that is one transaction. In the database tier the lock is a session's,
 * because neither CREATE nor DROP DATABASE can be part of a transaction, and the fence's row is
 * written on another connection than the lock is held on. So a maker proves that it has the lock
 * when it is inside, and whoever has the lock and finds no fence ends all sessions of the owner in
 * there before it looks again: a maker that has lost the lock meanwhile cannot commit behind that
 * look. The lock is known in the store's database only: a tenant's database that another store on
 * the same server made is no business of ours (databases.h), and whose one is is said and looked at
 * in the transactions that give it the home's name and take it away (home_database.c).
 */
#ifndef FH_STORES_PG_PROVISION_H
#define FH_STORES_PG_PROVISION_H

#include "base/uuid.h"
#include "base/worker.h"
#include "stores/pg/admin_sql.h"
#include "stores/pg/blocking.h"
#include "stores/pg/op.h"

#define FH_PG_PROVISIONERS 2
#define FH_PG_PROVISION_QUEUE_MAX 256
#define FH_PG_UNDO_US (5 * INT64_C(1000000)) /* to undo what a deadline cut short */

/* A tenant's database while it is made or dropped: this, the oid of the store's database, and the
 * home's name. Nothing of worth is ever in it. */
#define FH_PG_WORKSHOP_PREFIX "fh_home_"
#define FH_PG_WORKSHOP_SIZE 64

/* One op on its thread. */
struct fh_pg_site {
    struct fh_pg_store *pg; /* read only: what is set by open() */
    struct fh_request *request;
    struct fh_pg_blocking main; /* the store's database, as owner; holds the home's lock */
    char tenant[FH_UUID_TEXT_LEN + 1];
    char role[FH_PG_ROLE_SIZE];         /* the home's tables are granted to */
    char reader[FH_PG_ROLE_SIZE];       /* the tenant's read-only login */
    char workshop[FH_PG_WORKSHOP_SIZE]; /* home_database.c: "" until it is needed */
};

/* Whether the request is one of these. */
bool fh_pg_provision_suits(const struct fh_request *request);
/* Takes the op: it ends on the loop. FH_FULL, FH_NOMEM, FH_PRECONDITION: it was not taken. */
FH_MUST_CHECK enum fh_code fh_pg_provision_start(struct fh_pg_op *op);
/* Ends the threads once they have nothing left; each counts as a handle of the store's. */
void fh_pg_provision_stop(struct fh_pg_store *pg);
extern const struct fh_pg_op_kind fh_pg_provision_kind;

/* On the thread. */
enum fh_code fh_pg_schema_home_create(struct fh_pg_site *site);   /* home_schema.c */
enum fh_code fh_pg_schema_home_erase(struct fh_pg_site *site);    /* home_schema.c */
enum fh_code fh_pg_database_home_create(struct fh_pg_site *site); /* home_database.c */
enum fh_code fh_pg_database_home_erase(struct fh_pg_site *site);  /* home_database.c */
enum fh_code fh_pg_credential(struct fh_pg_site *site);           /* credential.c */

/* What they share. `conn` is where the home's tables are: site->main, or its own database. */

/* The tenant's context, and the home's lock until the transaction's end (or the session's). FH_HELD
 * when another has it for too long. */
FH_MUST_CHECK enum fh_code fh_pg_site_begin(struct fh_pg_site *site, struct fh_pg_blocking *conn);
FH_MUST_CHECK enum fh_code fh_pg_site_lock(struct fh_pg_site *site, bool session);
/* The fence's row, in a transaction begun. FH_NO_TENANT: there is none, or no table of fences.
 * FH_PRECONDITION: none is seen, and the table's policy is not the one that was made. */
FH_MUST_CHECK enum fh_code fh_pg_site_fence(struct fh_pg_site *site, struct fh_pg_blocking *conn,
                                            struct fh_fence *out, uint32_t *version);
/* Another fence than the one to be made: FH_EXISTS; another version: FH_STALE_SCHEMA. */
FH_MUST_CHECK enum fh_code fh_pg_site_meet(struct fh_pg_site *site, const struct fh_fence *seen,
                                           uint32_t version);
/* The statements that make a home: all; or those of a template, which name neither tenant nor role;
 * or what these leave to be done. */
enum fh_pg_script_part { FH_PG_SCRIPT_WHOLE, FH_PG_SCRIPT_TEMPLATE, FH_PG_SCRIPT_OWN };
FH_MUST_CHECK enum fh_code fh_pg_site_script(struct fh_pg_site *site, enum fh_pg_script_part part,
                                             struct fh_pg_script *script);
/* Namespace, tables, rights, version, fence: all, or (FH_PG_SCRIPT_OWN) what the template lacks. */
FH_MUST_CHECK enum fh_code fh_pg_site_make_tables(struct fh_pg_site *site,
                                                  struct fh_pg_blocking *conn,
                                                  enum fh_pg_script_part part);
/* In a new database: PUBLIC may use that schema, and nobody needs it. It is pg_database_owner's,
 * whose privileges an owning role that is NOINHERIT has only by name. */
#define FH_PG_SITE_DROP_PUBLIC \
    "set local role pg_database_owner; drop schema if exists public; set local role none"
/* Behind the tenant's exclusive gate: counts the rows and takes the fence's row away, if it is of
 * the request's generation (FH_MOVED). FH_NO_TENANT: there is none. */
FH_MUST_CHECK enum fh_code fh_pg_site_close_fence(struct fh_pg_site *site,
                                                  struct fh_pg_blocking *conn);
/* Gives the tenant's reader a right on what has the home's name ("usage on schema"), or takes it,
 * on the store's database. */
FH_MUST_CHECK enum fh_code fh_pg_site_let_reader(struct fh_pg_site *site, const char *right,
                                                 bool in);
/* One of the functions of admin_sql.h, on the store's database. FH_PRECONDITION, and what to do. */
FH_MUST_CHECK enum fh_code fh_pg_site_admin(struct fh_pg_site *site, const char *function,
                                            const char *kind, const char *verifier);
/* Text that 32 bytes of secret and the home give, always the same. FH_INTERNAL. */
FH_MUST_CHECK enum fh_code fh_pg_login_password(const uint8_t *secret, const struct fh_home *home,
                                                char out[FH_PG_PASSWORD_SIZE]);
/* Made on the client, so that no password is ever sent; freed with PQfreemem(). */
FH_MUST_CHECK enum fh_code fh_pg_site_verifier(struct fh_pg_site *site, const char *role,
                                               const char *password, char **out);

#endif
