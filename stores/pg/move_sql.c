/* Statements of the mover (stores/move.h).
 *
 * Pages are bounded by bytes at the server, before anything is sent: a running sum over the page's
 * rows cuts it two rows behind the bound, so that the reader sees what is left out. Keys of a batch
 * come as arrays, and each is looked up by a lateral query that cannot be flattened ("offset 0"):
 * plans are made once, perhaps while the table is empty, and must not walk it later.
 */
#include "base/assert.h"
#include "stores/pg/mover.h"
#include "stores/pg/sql.h"

static void keys_of(struct fh_buf *out, const char *alias, const struct fh_table *table)
{
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%s%s", i > 0 ? ", " : "", alias);
        fh_pg_sql_name(out, table->columns[table->key[i]].name);
    }
}

static void key_bound(struct fh_buf *out, const struct fh_table *table, const char *compare,
                      unsigned first)
{
    fh_buf_add_char(out, '(');
    keys_of(out, "x.", table);
    fh_buf_printf(out, ") %s (", compare);
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%s$%u", i > 0 ? ", " : "", first + i);
    }
    fh_buf_add_text(out, ") and ");
}

static bool varies(enum fh_type type)
{
    return type == FH_TYPE_TEXT || type == FH_TYPE_BYTES || type == FH_TYPE_JSON;
}

bool fh_pg_move_is_narrow(const struct fh_table *table)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (varies(table->columns[i].type)) {
            return false;
        }
    }
    return true;
}

/* Bytes of a row; octet_length() reads no more than the length of what is stored out of line. */
static void row_bytes(struct fh_buf *out, const struct fh_table *table)
{
    fh_buf_printf(out, "(%u", fh_pg_move_row_bytes(table));
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (!varies(table->columns[i].type)) {
            continue;
        }
        bool json = table->columns[i].type == FH_TYPE_JSON;
        fh_buf_add_text(out, json ? " + coalesce(octet_length(json_send(x."
                                  : " + coalesce(octet_length((x.");
        fh_pg_sql_name(out, table->columns[i].name);
        fh_buf_add_text(out, ")), 0)");
    }
    fh_buf_add_char(out, ')');
}

/* The two running sums: of the rows up to this one, and up to the one before the previous. */
static void running_sums(struct fh_buf *out, struct fh_str bytes, struct fh_str order)
{
    fh_buf_printf(out,
                  "select x.*, sum(%.*s) over (order by %.*s rows unbounded preceding) as fh_sum, "
                  "coalesce(sum(%.*s) over (order by %.*s rows between unbounded preceding and 2 "
                  "preceding), 0) as fh_guard",
                  FH_STR_ARG(bytes), FH_STR_ARG(order), FH_STR_ARG(bytes), FH_STR_ARG(order));
}

static void scan_inner(const struct fh_pg_statement_key *key, struct fh_buf *out, unsigned first)
{
    const struct fh_table *table = key->table;
    fh_pg_sql_model_table(out, key->home, table);
    fh_buf_add_text(out, " x where ");
    fh_pg_sql_predicate(out, key, "x.");
    if ((key->flags & FH_PG_AFTER_KEY) != 0) {
        key_bound(out, table, ">", first);
        first += table->key_count;
    }
    if ((key->flags & FH_PG_UNTIL_KEY) != 0) {
        key_bound(out, table, "<=", first);
    }
    fh_buf_add_text(out, "true order by ");
    keys_of(out, "x.", table);
    fh_buf_add_text(out, " limit $2::int8");
}

/* $1 tenant, $2 limit, $3 bytes at most, then the key to start after, then the last one -> running
 * sum of bytes, row */
static void scan(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    struct fh_buf bytes;
    struct fh_buf order;
    if (fh_pg_move_is_narrow(key->table)) {
        fh_buf_printf(out, "select (row_number() over () * %u)::int8, ",
                      fh_pg_move_row_bytes(key->table));
        fh_pg_sql_row_columns(out, "x.", key->table);
        fh_buf_add_text(out, " from (select * from ");
        scan_inner(key, out, 4);
        fh_buf_add_text(out, ") x where $3::int8 is not null");
        return;
    }
    fh_buf_init(&bytes, out->len_max);
    fh_buf_init(&order, out->len_max);
    row_bytes(&bytes, key->table);
    keys_of(&order, "x.", key->table);
    fh_buf_add_text(out, "select s.fh_sum::int8, ");
    fh_pg_sql_row_columns(out, "s.", key->table);
    fh_buf_add_text(out, " from (");
    running_sums(out, fh_buf_str(&bytes), fh_buf_str(&order));
    fh_buf_add_text(out, " from (select * from ");
    scan_inner(key, out, 4);
    fh_buf_add_text(out, ") x) s where s.fh_guard <= $3::int8 order by ");
    keys_of(out, "s.", key->table);
    if (fh_buf_code(&bytes) != FH_OK || fh_buf_code(&order) != FH_OK) {
        out->code = FH_NOMEM;
    }
    fh_buf_close(&bytes);
    fh_buf_close(&order);
}

#define RECORD_BYTES                                                                     \
    "(200 + octet_length(json_send(x.changes)) + coalesce(octet_length(x.images), 0) + " \
    "octet_length(x.actor) + octet_length(x.address))"

/* Records of the inner query, in the form fh_pg_journal_read() takes. */
static void records_open(struct fh_buf *out, struct fh_str order)
{
    fh_buf_add_text(out, "select s.fh_sum::int8, s.tenant_id, s.epoch, s.seq, s.request_id, "
                         "s.request_hash, s.schema_version, s.actor, s.address, s.at, s.changes, "
                         "s.images from (");
    running_sums(out, FH_STR(RECORD_BYTES), order);
    fh_buf_add_text(out, " from (select * from ");
}

static void records_close(struct fh_buf *out, const char *inner, const char *outer)
{
    fh_buf_printf(out, " order by %s limit $2::int8) x) s where s.fh_guard <= $3::int8 order by %s",
                  inner, outer);
}

/* $1 tenant, $2 limit, $3 bytes at most, $4 epoch, $5 seq to start after, $6 epoch, $7 seq of the
 * last one -> running sum of bytes, record */
static void journal(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    records_open(out, FH_STR("x.epoch, x.seq"));
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " x where ");
    fh_pg_sql_predicate(out, key, "x.");
    fh_buf_add_text(out, "(x.epoch, x.seq) > ($4::int8, $5::int8) and (x.epoch, x.seq) <= "
                         "($6::int8, $7::int8)");
    records_close(out, "x.epoch, x.seq", "s.epoch, s.seq");
}

/* The records of an epoch that were not committed in a snapshot, by seq. A transaction that the
 * snapshot does not see has an id of at least its xmin, so an index finds the first of them (the
 * sum keeps min() from walking the key's index instead); from there on they are read by seq, and
 * those that were seen are passed over: they are few, because sequence and commit order differ by
 * what was in flight only.
 *
 * $1 tenant, $2 limit, $3 bytes at most, $4 epoch, $5 seq to start after, $6 cursor as text ->
 * running sum of bytes, record */
static void changes(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    records_open(out, FH_STR("x.seq"));
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " x where ");
    fh_pg_sql_predicate(out, key, "x.");
    fh_buf_add_text(out, "x.epoch = $4::int8 and x.seq > (select case when $5::int8 > 0 then "
                         "$5::int8 else (select min(y.seq + 0) - 1 from ");
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " y where ");
    fh_pg_sql_predicate(out, key, "y.");
    fh_buf_add_text(out, "y.epoch = $4::int8 and y.txid >= (select "
                         "pg_snapshot_xmin($6::text::pg_snapshot))) end) and not "
                         "pg_visible_in_snapshot(x.txid, (select $6::text::pg_snapshot))");
    records_close(out, "x.seq", "s.seq");
}

/* $1 tenant, $2 epoch, $3 cursor as text -> count, sum of seq modulo 2^64 as two halves */
static void tally(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select count(*), coalesce(sum(y.seq >> 32), 0)::int8, "
                         "coalesce(sum(y.seq & 4294967295), 0)::int8 from ");
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " y where ");
    fh_pg_sql_predicate(out, key, "y.");
    fh_buf_add_text(out, "y.epoch = $2::int8 and y.txid >= (select "
                         "pg_snapshot_xmin($3::text::pg_snapshot))");
}

/* unnest($2::t1[], ...) as k(c1, ...): the keys of a batch. */
static void unnest_keys(struct fh_buf *out, const struct fh_table *table, bool numbered)
{
    fh_buf_add_text(out, "unnest(");
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%s$%u::%s[]", i > 0 ? ", " : "", 2 + i,
                      fh_pg_sql_type(table->columns[table->key[i]].type));
    }
    fh_buf_add_text(out, numbered ? ") with ordinality as k(" : ") as k(");
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%sc%u", i > 0 ? ", " : "", i);
    }
    fh_buf_add_text(out, numbered ? ", n)" : ")");
}

/* The row of table `t` that has the key k. */
static void row_of_key(const struct fh_pg_statement_key *key, struct fh_buf *out, const char *what)
{
    const struct fh_table *table = key->table;
    fh_buf_printf(out, " join lateral (select %s from ", what);
    fh_pg_sql_model_table(out, key->home, table);
    fh_buf_add_text(out, " x where ");
    fh_pg_sql_predicate(out, key, "x.");
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_add_text(out, i > 0 ? " and x." : "x.");
        fh_pg_sql_name(out, table->columns[table->key[i]].name);
        fh_buf_printf(out, " = k.c%u", i);
    }
    fh_buf_add_text(out, " offset 0) t on true");
}

/* $1 tenant, $2.. an array for each key column -> which key (from 1), row, for those that are there
 */
static void look_up(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select k.n, ");
    fh_pg_sql_row_columns(out, "t.", key->table);
    fh_buf_add_text(out, " from ");
    unnest_keys(out, key->table, true);
    row_of_key(key, out, "x.*");
}

/* $1 tenant, $2.. an array for each key column */
static void delete_keys(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "delete from ");
    fh_pg_sql_model_table(out, key->home, key->table);
    fh_buf_add_text(out, " where tenant_id = $1 and ctid = any (array(select t.ctid from ");
    unnest_keys(out, key->table, false);
    row_of_key(key, out, "x.ctid");
    fh_buf_add_text(out, "))");
}

/* $1 tenant, $2.. an array for each column, then created_at, updated_at, deleted_at, version */
static void insert_rows(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    const struct fh_table *table = key->table;
    fh_buf_add_text(out, "insert into ");
    fh_pg_sql_model_table(out, key->home, table);
    fh_buf_add_text(out, " (");
    fh_pg_sql_row_columns(out, "", table);
    fh_buf_add_text(out, ") select $1::uuid, k.* from unnest(");
    unsigned parameter = 2;
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_buf_printf(out, "$%u::%s[], ", parameter++, fh_pg_sql_type(table->columns[i].type));
    }
    fh_buf_printf(out, "$%u::timestamptz[], $%u::timestamptz[], $%u::timestamptz[], $%u::int8[]) k",
                  parameter, parameter + 1, parameter + 2, parameter + 3);
    if ((key->flags & FH_PG_KEEP_EXISTING) != 0) {
        fh_buf_add_text(out, " on conflict do nothing");
    }
}

/* txid 0 is older than everything: a copied record is never taken for one committed here. A
 * request id that another record has must fail, so only the key may conflict.
 * $1 tenant, $2.. an array for each of epoch, seq, request_id, request_hash, schema_version, actor,
 * address, at, changes, images */
static void insert_records(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "insert into ");
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out,
                    " (tenant_id, txid, epoch, seq, request_id, request_hash, schema_version, "
                    "actor, address, at, changes, images) select $1::uuid, '0'::xid8, k.* from "
                    "unnest($2::int8[], $3::int8[], $4::text[], $5::bytea[], $6::int4[], "
                    "$7::text[], $8::text[], $9::timestamptz[], $10::json[], $11::bytea[]) k "
                    "on conflict (tenant_id, epoch, seq) do nothing");
}

/* A live row whose reference leads nowhere; fh_live is null in deleted ones. `extra`: the foreign
 * key. $1 tenant */
static void reference(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    FH_ASSERT(key->extra < key->table->foreign_key_count);
    const struct fh_foreign_key *foreign = &key->table->foreign_keys[key->extra];
    fh_buf_add_text(out, "select 1 from ");
    fh_pg_sql_model_table(out, key->home, key->table);
    fh_buf_add_text(out, " c where c.fh_live = $1 and c.tenant_id = $1 and ");
    for (unsigned i = 0; i < foreign->column_count; i++) {
        fh_buf_add_text(out, "c.");
        fh_pg_sql_name(out, key->table->columns[foreign->columns[i]].name);
        fh_buf_add_text(out, " is not null and ");
    }
    fh_buf_add_text(out, "not exists (select from ");
    fh_pg_sql_model_table(out, key->home, foreign->target);
    fh_buf_add_text(out, " p where p.tenant_id = $1");
    for (unsigned i = 0; i < foreign->column_count; i++) {
        fh_buf_add_text(out, " and p.");
        fh_pg_sql_name(out, foreign->target->columns[foreign->target->key[i]].name);
        fh_buf_add_text(out, " = c.");
        fh_pg_sql_name(out, key->table->columns[foreign->columns[i]].name);
    }
    fh_buf_add_text(out, " offset 0) limit 1");
}

/* $1 tenant -> rows, bytes estimated from a few of them */
static void size(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    struct fh_buf name;
    fh_buf_init(&name, 512);
    if (key->table == NULL) {
        fh_pg_sql_table(&name, key->home, "fh_commit");
    } else {
        fh_pg_sql_model_table(&name, key->home, key->table);
    }
    fh_buf_printf(out,
                  "select count(*), (count(*) * (select coalesce(avg(pg_column_size(s.*)), 0) from "
                  "(select * from %.*s where tenant_id = $1 limit 200) s))::int8 from %.*s where "
                  "tenant_id = $1",
                  FH_STR_ARG(fh_buf_str(&name)), FH_STR_ARG(fh_buf_str(&name)));
    fh_buf_close(&name);
}

/* Fails unless the fence is as the mover requires it: what is sent behind it is then skipped.
 * $1 tenant, $2 epoch, $3 generation, $4 modes */
static void guard(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select 1 / count(*) from ");
    fh_pg_sql_fence(out, key);
    fh_buf_add_text(out, " where tenant_id = $1 and epoch = $2 and generation = $3 and ($4::int4 & "
                         "(1 << mode::int4)) <> 0");
}

/* $1 tenant -> epoch, generation, mode */
static void fence(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select epoch, generation, mode from ");
    fh_pg_sql_fence(out, key);
    fh_buf_add_text(out, " where tenant_id = $1");
    if (key->kind == FH_PG_MOVE_FENCE_LOCK) {
        fh_buf_add_text(out, " for update");
    }
}

/* $1 tenant, to put $2 the state -> to read: the state */
static void state(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    const char *text = key->kind == FH_PG_MOVE_STATE       ? "select state from "
                       : key->kind == FH_PG_MOVE_STATE_PUT ? "insert into "
                                                           : "delete from ";
    fh_buf_add_text(out, text);
    fh_pg_sql_table(out, key->home, "fh_move");
    fh_buf_add_text(out, key->kind == FH_PG_MOVE_STATE_PUT
                             ? " (tenant_id, state) values ($1, $2) on conflict (tenant_id) do "
                               "update set state = excluded.state"
                             : " where tenant_id = $1");
}

void fh_pg_sql_move(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    typedef void generator(const struct fh_pg_statement_key *key, struct fh_buf *out);
    static generator *const generators[] = {
        [0] = guard,
        [FH_PG_MOVE_FENCE - FH_PG_MOVE_GUARD] = fence,
        [FH_PG_MOVE_FENCE_LOCK - FH_PG_MOVE_GUARD] = fence,
        [FH_PG_MOVE_SCAN - FH_PG_MOVE_GUARD] = scan,
        [FH_PG_MOVE_JOURNAL - FH_PG_MOVE_GUARD] = journal,
        [FH_PG_MOVE_CHANGES - FH_PG_MOVE_GUARD] = changes,
        [FH_PG_MOVE_LOOK_UP - FH_PG_MOVE_GUARD] = look_up,
        [FH_PG_MOVE_TALLY - FH_PG_MOVE_GUARD] = tally,
        [FH_PG_MOVE_REFERENCE - FH_PG_MOVE_GUARD] = reference,
        [FH_PG_MOVE_SIZE - FH_PG_MOVE_GUARD] = size,
        [FH_PG_MOVE_DELETE - FH_PG_MOVE_GUARD] = delete_keys,
        [FH_PG_MOVE_INSERT - FH_PG_MOVE_GUARD] = insert_rows,
        [FH_PG_MOVE_RECORDS - FH_PG_MOVE_GUARD] = insert_records,
        [FH_PG_MOVE_STATE - FH_PG_MOVE_GUARD] = state,
        [FH_PG_MOVE_STATE_PUT - FH_PG_MOVE_GUARD] = state,
        [FH_PG_MOVE_STATE_DROP - FH_PG_MOVE_GUARD] = state,
    };
    FH_ASSERT(key->kind >= FH_PG_MOVE_GUARD && key->kind <= FH_PG_MOVE_STATE_DROP);
    generators[key->kind - FH_PG_MOVE_GUARD](key, out);
}
