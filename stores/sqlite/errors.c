/* Constraint errors are told apart by who meets them (apply.c); what arrives here as a constraint
 * is one that evaluation should have seen, or a trigger's refusal of a foreign tenant.
 */
#include "stores/sqlite/errors.h"

#include <sqlite3.h>
#include <string.h>

static enum fh_code constraint_code(int rc)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_TRIGGER:
        return FH_FOREIGN_ROW; /* the only triggers are ours */
    case SQLITE_CONSTRAINT_UNIQUE:
        return FH_UNIQUE_VIOLATION;
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return FH_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return FH_REFERENCE_VIOLATION;
    default:
        return FH_CHECK_VIOLATION;
    }
}

enum fh_code fh_sqlite_code(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return FH_OK;
    case SQLITE_CONSTRAINT:
        return constraint_code(rc);
    case SQLITE_FULL:
        return FH_DISK_FULL;
    case SQLITE_NOMEM:
        return FH_NOMEM;
    case SQLITE_TOOBIG:
        return FH_TOO_LARGE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FH_CORRUPT;
    case SQLITE_INTERRUPT:
        return FH_DEADLINE; /* only our own progress handler interrupts, on readers */
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_NOLFS:
        return FH_UNAVAILABLE;
    default:
        return FH_INTERNAL;
    }
}

static const char *advice(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return "free space on the store's disk; nothing was written";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "the store's file is damaged; run a store check and restore it from a backup";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return "another process holds the store's file; retry";
    case SQLITE_IOERR:
        return "the store's file cannot be read or written; look at the disk";
    case SQLITE_CANTOPEN:
        return "the store's file cannot be opened; look at its directory";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "the store's file or directory is read-only for this process";
    case SQLITE_INTERRUPT:
        return "the deadline passed while the statement ran";
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_TRIGGER ? "a write to another tenant's row was refused"
                                               : "a constraint of the table is broken";
    default:
        return "the statement failed";
    }
}

enum fh_code fh_sqlite_error(int rc, struct fh_error *error)
{
    enum fh_code code = fh_sqlite_code(rc);
    return fh_error_set(error, code, "%s (sqlite %d: %s)", advice(rc), rc, sqlite3_errstr(rc));
}

const struct fh_check *fh_sqlite_broken_check(struct sqlite3 *db, const struct fh_table *table)
{
    static const char before[] = "CHECK constraint failed: " FH_SQLITE_CHECK_PREFIX;
    if (sqlite3_extended_errcode(db) != SQLITE_CONSTRAINT_CHECK) {
        return NULL;
    }
    const char *text = sqlite3_errmsg(db);
    if (text == NULL || strncmp(text, before, sizeof(before) - 1) != 0) {
        return NULL;
    }
    struct fh_str name = fh_str_of(text + sizeof(before) - 1);
    for (uint16_t i = 0; i < table->check_count; i++) {
        if (fh_str_eq(table->checks[i].name, name)) {
            return &table->checks[i];
        }
    }
    return NULL;
}

bool fh_sqlite_commit_refused(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_CONSTRAINT:
    case SQLITE_READONLY:
    case SQLITE_FULL: /* a frame did not fit, so the last one, which commits, was not written */
        return true;
    case SQLITE_IOERR:
        return rc == SQLITE_IOERR_WRITE; /* as with FULL; a failed sync comes after the frames */
    default:
        return false;
    }
}

bool fh_sqlite_is_fatal(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
        return true;
    default:
        return false;
    }
}
