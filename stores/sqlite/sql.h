/* The text of every statement, made from the model's identifiers and nothing else.
 *
 * Parameters: ?1 is always the tenant. What follows is said beside each shape; "key" means one
 * parameter for each key column in key order, "columns" one for each column in model order.
 * Every data statement carries the explicit tenant predicate (layer 1) and reads through the
 * connection's TEMP views (layer 2); FH_SQLITE_TEXT_* leave one of them out, for the tests that
 * prove that the other layers hold. Pure functions, any thread.
 */
#ifndef FH_STORES_SQLITE_SQL_H
#define FH_STORES_SQLITE_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "stores/model.h"

enum fh_sqlite_shape {
    /* Without a tenant */
    FH_SQLITE_BEGIN_READ,
    FH_SQLITE_BEGIN_WRITE,
    FH_SQLITE_COMMIT,
    FH_SQLITE_ROLLBACK,
    FH_SQLITE_SAVEPOINT,
    FH_SQLITE_ROLLBACK_TO,
    FH_SQLITE_RELEASE,
    FH_SQLITE_VERSION_READ,
    FH_SQLITE_VERSION_SET, /* ?1 version */
    /* System tables */
    FH_SQLITE_FENCE_READ,    /* -> FH_SQLITE_FENCE_COLUMNS, generation */
    FH_SQLITE_FENCE_INSERT,  /* ?2 epoch ?3 generation ?4 mode -> tenant */
    FH_SQLITE_FENCE_UPDATE,  /* ?2..4 as above, ?5..7 expected -> tenant */
    FH_SQLITE_FENCE_CLOSE,   /* ?2 mode closed ?3 generation -> tenant */
    FH_SQLITE_FENCE_DELETE,  /* ?2 generation -> tenant */
    FH_SQLITE_FENCE_COMMIT,  /* ?2 epoch ?3 request_id -> as FENCE_READ, and max(seq) of the epoch,
                                txid of the record with the request_id */
    FH_SQLITE_RECORD_INSERT, /* ?2 epoch ?3 seq ?4 request_id ?5 request_hash ?6 schema_version ?7
                                actor ?8 address ?9 at ?10 changes ?11 images */
    FH_SQLITE_RECORD_FIND,   /* ?2 request_id -> the record, request_hash */
    FH_SQLITE_RECORD_ERASE,  /* ?2 limit */
    FH_SQLITE_EVENTS,        /* ?2 epoch of the fence, ?3 limit -> fence, the record */
    FH_SQLITE_EVENTS_BEFORE, /* and ?4 epoch ?5 seq */
    /* The mover's (stores/move.h), in a transaction that looked at the fence */
    FH_SQLITE_CURSOR,        /* ?2 epoch -> max(txid) */
    FH_SQLITE_JOURNAL,       /* ?2 limit, after ?3 epoch ?4 seq, until ?5 epoch ?6 seq -> records
                                whole (FH_SQLITE_JOURNAL_COLUMNS) */
    FH_SQLITE_CHANGES_FIRST, /* ?2 epoch ?3 txid -> min(seq) of what is younger */
    FH_SQLITE_CHANGES,       /* ?2 epoch ?3 txid, after ?4 seq, ?5 limit -> records whole, by seq */
    FH_SQLITE_TALLY,         /* ?2 epoch ?3 txid -> count, sum(low half of seq), sum(high half) */
    FH_SQLITE_RECORD_COUNT,  /* -> count */
    FH_SQLITE_STATE_READ,    /* -> tenant_id, state */
    FH_SQLITE_STATE_WRITE,   /* ?2 state -> tenant */
    FH_SQLITE_STATE_ERASE,   /* -> tenant */
    FH_SQLITE_JOURNAL_INSERT, /* as RECORD_INSERT, where (epoch, seq) is free */
    /* Application tables */
    FH_SQLITE_GET,     /* ?2 epoch, ?3.. key -> fence, row; live only */
    FH_SQLITE_GET_ANY, /* deleted ones, too */
    FH_SQLITE_LIST,    /* ?2 epoch, ?3 limit -> fence, row */
    FH_SQLITE_LIST_ANY,
    FH_SQLITE_LIST_AFTER, /* and ?4.. key */
    FH_SQLITE_LIST_AFTER_ANY,
    FH_SQLITE_BEFORE,   /* ?2.. key -> row */
    FH_SQLITE_INSERT,   /* ?2 created ?3 updated ?4 deleted ?5 version ?6.. columns */
    FH_SQLITE_UPDATE,   /* the same -> tenant */
    FH_SQLITE_DELETE,   /* ?2.. key -> tenant */
    FH_SQLITE_PARENT,   /* ?2.. key: is it there and live? */
    FH_SQLITE_CHILD,    /* ordinal: foreign key of the table; ?2.. its columns */
    FH_SQLITE_CHILDREN, /* ordinal: twice the foreign key, +1: behind a key; ?2 limit, its columns,
                           key
                           -> row; live only, in key order */
    FH_SQLITE_UNIQUE,   /* ordinal: index; ?2.. its columns, then the key that does not count */
    FH_SQLITE_ERASE,    /* ?2 limit */
    FH_SQLITE_SCAN,     /* ordinal: FH_SQLITE_SCAN_*; ?2 limit, key (after), key (until) -> row */
    FH_SQLITE_COUNT,    /* -> count */
    FH_SQLITE_INSERT_FREE, /* as INSERT, where key and unique values are free */
    FH_SQLITE_ORPHAN,      /* ordinal: foreign key; a live row that references no row -> tenant */
};

#define FH_SQLITE_SCAN_AFTER 1u
#define FH_SQLITE_SCAN_UNTIL 2u

#define FH_SQLITE_TEXT_NO_PREDICATE 1u
#define FH_SQLITE_TEXT_NO_VIEWS 2u
/* Probes: a read's fence is fh_probe_owner()'s, who is in the context, or ?1. */
#define FH_SQLITE_TEXT_FENCE_OF_CONTEXT 4u
#define FH_SQLITE_TEXT_FENCE_OF_FIRST 8u

/* Of the fence that a read joins, `f`. */
static inline const char *fh_sqlite_fence_predicate(uint32_t flags)
{
    if ((flags & FH_SQLITE_TEXT_FENCE_OF_CONTEXT) != 0) {
        return "f.tenant_id=fh_tenant()";
    }
    bool any = (flags & FH_SQLITE_TEXT_NO_PREDICATE) != 0;
    return any && (flags & FH_SQLITE_TEXT_FENCE_OF_FIRST) == 0 ? "?1 IS NOT NULL"
                                                               : "f.tenant_id=?1";
}

/* Whose tables a text is about. */
struct fh_sqlite_text {
    const char *prefix; /* of the home's tables in the file; may be empty */
    const char *views;  /* of the connection's views of them (views.h) */
    uint32_t flags;     /* FH_SQLITE_TEXT_* */
};

/* Result columns of the fence, first in every joined read: tenant_id, epoch, mode, and the home's
 * schema version. */
#define FH_SQLITE_FENCE_COLUMNS 4
/* System columns in front of a row: tenant_id, created_at, updated_at, deleted_at, version. */
#define FH_SQLITE_ROW_COLUMNS 5
/* tenant_id, epoch, seq, request_id, actor, address, at, txid, schema_version, changes, images. */
#define FH_SQLITE_RECORD_COLUMNS 11
/* tenant_id, epoch, seq, request_id, request_hash, schema_version, actor, address, at, changes,
 * images: the order of RECORD_INSERT's parameters. */
#define FH_SQLITE_JOURNAL_COLUMNS 11

bool fh_sqlite_shape_writes(enum fh_sqlite_shape shape);
/* `out` ends with a NUL (fh_buf keeps one); errors stick to it. */
void fh_sqlite_sql(enum fh_sqlite_shape shape, const struct fh_table *table, uint16_t ordinal,
                   const struct fh_sqlite_text *text, struct fh_buf *out);
/* An identifier of the model in double quotes. */
void fh_sqlite_sql_name(struct fh_str name, struct fh_buf *out);

#endif
