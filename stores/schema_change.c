/* Happy path: a pass over all tables for each kind of change, in the order of the kinds, which is
 * an order in which they can be carried out. Tables of both versions are paired by id first.
 *
 * Failures: memory only.
 */
#include "stores/schema_change.h"

#include "base/assert.h"
#include "stores/expr.h"

#define NONE UINT16_MAX

struct pair {
    const struct fh_table *before;
    const struct fh_table *after;
};

struct collector {
    struct fh_schema_change *changes; /* NULL: only counting */
    size_t count;
};

static void add(struct collector *to, enum fh_schema_change_kind kind, const struct pair *pair,
                uint16_t from_position, uint16_t to_position, const char *breaks)
{
    if (to->changes != NULL) {
        to->changes[to->count] = (struct fh_schema_change){.kind = kind,
                                                           .before = pair->before,
                                                           .after = pair->after,
                                                           .from = from_position,
                                                           .to = to_position,
                                                           .breaks = breaks};
    }
    to->count++;
}

static uint16_t find_index(const struct fh_table *table, uint16_t id)
{
    for (uint16_t i = 0; table != NULL && i < table->index_count; i++) {
        if (table->indexes[i].id == id) {
            return i;
        }
    }
    return NONE;
}

static uint16_t find_reference(const struct fh_table *table, uint16_t id)
{
    for (uint16_t i = 0; table != NULL && i < table->foreign_key_count; i++) {
        if (table->foreign_keys[i].id == id) {
            return i;
        }
    }
    return NONE;
}

static uint16_t find_check(const struct fh_table *table, uint16_t id)
{
    for (uint16_t i = 0; table != NULL && i < table->check_count; i++) {
        if (table->checks[i].id == id) {
            return i;
        }
    }
    return NONE;
}

static const struct fh_column *find_column(const struct fh_table *table, uint16_t id)
{
    return table != NULL ? fh_table_column_by_id(table, id) : NULL;
}

/* A column that requests of the older version cannot set, and that is null unless they do. */
static bool is_new_and_null(const struct pair *pair, uint16_t position)
{
    const struct fh_column *column = &pair->after->columns[position];
    return find_column(pair->before, column->id) == NULL &&
           column->default_kind == FH_DEFAULT_NONE && column->generated == NULL;
}

static bool any_is_new_and_null(const struct pair *pair, const uint16_t *columns, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        if (is_new_and_null(pair, columns[i])) {
            return true;
        }
    }
    return false;
}

/* Changes of a table that goes: its references, which may stand in the way of another's going. */
static void reference_drops(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; pair->before != NULL && i < pair->before->foreign_key_count; i++) {
        const struct fh_foreign_key *key = &pair->before->foreign_keys[i];
        if (find_reference(pair->after, key->id) != NONE) {
            continue;
        }
        add(to, FH_CHANGE_REFERENCE_DROP, pair, i, NONE,
            pair->after != NULL && key->on_delete != FH_REFERENCE_RESTRICT
                ? "deleting what it references no longer changes these records"
                : NULL);
    }
}

static void check_drops(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; i < pair->before->check_count; i++) {
        if (find_check(pair->after, pair->before->checks[i].id) == NONE) {
            add(to, FH_CHANGE_CHECK_DROP, pair, i, NONE, NULL);
        }
    }
}

static void index_drops(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; i < pair->before->index_count; i++) {
        if (find_index(pair->after, pair->before->indexes[i].id) == NONE) {
            add(to, FH_CHANGE_INDEX_DROP, pair, i, NONE, NULL);
        }
    }
}

static void column_drops(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; i < pair->before->column_count; i++) {
        if (find_column(pair->after, pair->before->columns[i].id) == NULL) {
            add(to, FH_CHANGE_COLUMN_DROP, pair, i, NONE, "the column is no longer there");
        }
    }
}

/* The column's renaming in this pair, or false. */
static bool is_renamed(const struct pair *pair, const struct fh_column *before,
                       const struct fh_column **after)
{
    *after = find_column(pair->after, before->id);
    return *after != NULL && !fh_str_eq(before->name, (*after)->name);
}

/* Renamings that make way for one another come in that order: a name is taken once who had it has
 * been renamed or dropped. The parser refuses rings; one in a model made by hand ends the loop. */
static void column_renames(struct collector *to, const struct pair *pair)
{
    bool done[FH_COLUMNS_MAX] = {false};
    FH_ASSERT(pair->before->column_count <= FH_COLUMNS_MAX);
    for (bool progress = true; progress;) {
        progress = false;
        for (uint16_t i = 0; i < pair->before->column_count; i++) {
            const struct fh_column *after = NULL;
            if (done[i] || !is_renamed(pair, &pair->before->columns[i], &after)) {
                continue;
            }
            const struct fh_column *holder = fh_table_column(pair->before, after->name);
            const struct fh_column *renamed = NULL;
            if (holder != NULL && !done[holder->position] && is_renamed(pair, holder, &renamed)) {
                continue;
            }
            done[i] = true;
            progress = true;
            add(to, FH_CHANGE_COLUMN_RENAME, pair, i, after->position,
                "the column has another name");
        }
    }
}

static void column_adds(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; i < pair->after->column_count; i++) {
        if (find_column(pair->before, pair->after->columns[i].id) == NULL) {
            add(to, FH_CHANGE_COLUMN_ADD, pair, NONE, i, NULL);
        }
    }
}

static bool same_default(const struct fh_column *a, const struct fh_column *b)
{
    return a->default_kind == b->default_kind &&
           (a->default_kind != FH_DEFAULT_CONSTANT ||
            fh_value_equal(&a->default_value, &b->default_value));
}

static void column_default(struct collector *to, const struct pair *pair,
                           const struct fh_column *before, const struct fh_column *after)
{
    if (same_default(before, after)) {
        return;
    }
    const char *breaks = "writes that leave the column out mean another value";
    if (before->not_null && before->default_kind == FH_DEFAULT_NONE) {
        breaks = NULL; /* they were refused */
    } else if (after->not_null && after->default_kind == FH_DEFAULT_NONE) {
        breaks = "writes that leave the column out are refused";
    }
    add(to, FH_CHANGE_COLUMN_DEFAULT, pair, before->position, after->position, breaks);
}

static void column_nullable(struct collector *to, const struct pair *pair,
                            const struct fh_column *before, const struct fh_column *after)
{
    if (before->not_null && !after->not_null) {
        add(to, FH_CHANGE_COLUMN_NULLABLE, pair, before->position, after->position, NULL);
    }
}

static void column_required(struct collector *to, const struct pair *pair,
                            const struct fh_column *before, const struct fh_column *after)
{
    if (!before->not_null && after->not_null) {
        add(to, FH_CHANGE_COLUMN_REQUIRED, pair, before->position, after->position,
            "writes of null are refused");
    }
}

static void column_comment(struct collector *to, const struct pair *pair,
                           const struct fh_column *before, const struct fh_column *after)
{
    if (!fh_str_eq(before->comment, after->comment)) {
        add(to, FH_CHANGE_COMMENT, pair, before->position, after->position, NULL);
    }
}

typedef void column_cb(struct collector *to, const struct pair *pair,
                       const struct fh_column *before, const struct fh_column *after);

static void each_column(struct collector *to, const struct pair *pair, column_cb *changed_cb)
{
    for (uint16_t i = 0; i < pair->after->column_count; i++) {
        const struct fh_column *after = &pair->after->columns[i];
        const struct fh_column *before = find_column(pair->before, after->id);
        if (before != NULL) {
            changed_cb(to, pair, before, after);
        }
    }
}

/* Whether rows written for the older version can break it: not when it reads new columns only. */
static bool reads_old_columns(const struct pair *pair, const struct fh_expr *expr)
{
    for (uint16_t i = 0; i < pair->after->column_count; i++) {
        if (fh_expr_uses(expr, i) &&
            find_column(pair->before, pair->after->columns[i].id) != NULL) {
            return true;
        }
    }
    return false;
}

static bool lists(const struct fh_expr *in, const struct fh_expr *constant)
{
    for (uint16_t i = 1; i < in->arg_count; i++) {
        if (in->args[i]->kind == FH_EXPR_CONSTANT && in->args[i]->type == constant->type &&
            in->args[i]->scale == constant->scale &&
            fh_value_equal(&in->args[i]->constant, &constant->constant)) {
            return true;
        }
    }
    return false;
}

/* An enumeration that grows: every value that the one before lists is listed. */
static bool widens(const struct pair *pair, const struct fh_check *before,
                   const struct fh_check *after)
{
    const struct fh_expr *from = before->expr;
    const struct fh_expr *to = after->expr;
    if (from->kind != FH_EXPR_IN || to->kind != FH_EXPR_IN ||
        !fh_expr_equal(from->args[0], pair->before, to->args[0], pair->after)) {
        return false;
    }
    for (uint16_t i = 1; i < from->arg_count; i++) {
        if (from->args[i]->kind != FH_EXPR_CONSTANT || !lists(to, from->args[i])) {
            return false;
        }
    }
    return true;
}

static bool widens_a_dropped_one(const struct pair *pair, const struct fh_check *after)
{
    for (uint16_t i = 0; pair->before != NULL && i < pair->before->check_count; i++) {
        const struct fh_check *before = &pair->before->checks[i];
        if (find_check(pair->after, before->id) == NONE && widens(pair, before, after)) {
            return true;
        }
    }
    return false;
}

static void check_adds(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; i < pair->after->check_count; i++) {
        const struct fh_check *check = &pair->after->checks[i];
        if (find_check(pair->before, check->id) == NONE) {
            bool demands =
                reads_old_columns(pair, check->expr) && !widens_a_dropped_one(pair, check);
            add(to, FH_CHANGE_CHECK_ADD, pair, NONE, i,
                demands ? "writes that break the check are refused" : NULL);
        }
    }
}

static void index_adds(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; i < pair->after->index_count; i++) {
        const struct fh_index *index = &pair->after->indexes[i];
        if (find_index(pair->before, index->id) != NONE) {
            continue;
        }
        bool demands = index->unique && pair->before != NULL &&
                       !any_is_new_and_null(pair, index->columns, index->column_count);
        add(to, FH_CHANGE_INDEX_ADD, pair, NONE, i,
            demands ? "writes of values that repeat are refused" : NULL);
    }
}

static void reference_adds(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; i < pair->after->foreign_key_count; i++) {
        const struct fh_foreign_key *key = &pair->after->foreign_keys[i];
        if (find_reference(pair->before, key->id) != NONE) {
            continue;
        }
        bool demands =
            pair->before != NULL && !any_is_new_and_null(pair, key->columns, key->column_count);
        add(to, FH_CHANGE_REFERENCE_ADD, pair, NONE, i,
            demands ? "writes without the referenced record are refused, and so is its deletion"
                    : NULL);
    }
}

static void reference_actions(struct collector *to, const struct pair *pair)
{
    for (uint16_t i = 0; i < pair->after->foreign_key_count; i++) {
        const struct fh_foreign_key *key = &pair->after->foreign_keys[i];
        uint16_t from = find_reference(pair->before, key->id);
        if (from != NONE && pair->before->foreign_keys[from].on_delete != key->on_delete) {
            add(to, FH_CHANGE_REFERENCE_ACTION, pair, from, i,
                "deleting what it references does something else to these records");
        }
    }
}

static void comments(struct collector *to, const struct pair *pair)
{
    if (!fh_str_eq(pair->before->comment, pair->after->comment)) {
        add(to, FH_CHANGE_COMMENT, pair, NONE, NONE, NULL);
    }
    each_column(to, pair, column_comment);
}

/* Changes of one kind of a table that comes or goes, too. */
static void changes_of_any(struct collector *to, enum fh_schema_change_kind kind,
                           const struct pair *pair)
{
    if (kind == FH_CHANGE_REFERENCE_DROP) {
        reference_drops(to, pair);
    } else if (kind == FH_CHANGE_TABLE_DROP && pair->after == NULL) {
        add(to, kind, pair, NONE, NONE, "the table is no longer there");
    } else if (kind == FH_CHANGE_TABLE_CREATE && pair->before == NULL) {
        add(to, kind, pair, NONE, NONE, NULL);
    } else if (kind == FH_CHANGE_INDEX_ADD && pair->after != NULL) {
        index_adds(to, pair);
    } else if (kind == FH_CHANGE_REFERENCE_ADD && pair->after != NULL) {
        reference_adds(to, pair);
    }
}

static void changes_of_kept(struct collector *to, enum fh_schema_change_kind kind,
                            const struct pair *pair)
{
    switch (kind) {
    case FH_CHANGE_CHECK_DROP:
        check_drops(to, pair);
        return;
    case FH_CHANGE_INDEX_DROP:
        index_drops(to, pair);
        return;
    case FH_CHANGE_COLUMN_DROP:
        column_drops(to, pair);
        return;
    case FH_CHANGE_COLUMN_RENAME:
        column_renames(to, pair);
        return;
    case FH_CHANGE_COLUMN_ADD:
        column_adds(to, pair);
        return;
    case FH_CHANGE_COLUMN_DEFAULT:
        each_column(to, pair, column_default);
        return;
    case FH_CHANGE_COLUMN_NULLABLE:
        each_column(to, pair, column_nullable);
        return;
    case FH_CHANGE_COLUMN_REQUIRED:
        each_column(to, pair, column_required);
        return;
    case FH_CHANGE_CHECK_ADD:
        check_adds(to, pair);
        return;
    case FH_CHANGE_REFERENCE_ACTION:
        reference_actions(to, pair);
        return;
    case FH_CHANGE_COMMENT:
        comments(to, pair);
        return;
    case FH_CHANGE_REFERENCE_DROP:
    case FH_CHANGE_TABLE_DROP:
    case FH_CHANGE_TABLE_CREATE:
    case FH_CHANGE_INDEX_ADD:
    case FH_CHANGE_REFERENCE_ADD:
        return; /* above */
    }
}

static void changes_of(struct collector *to, enum fh_schema_change_kind kind,
                       const struct pair *pair)
{
    if (pair->before == pair->after) {
        return;
    }
    changes_of_any(to, kind, pair);
    if (pair->before != NULL && pair->after != NULL) {
        changes_of_kept(to, kind, pair);
    }
}

static void collect(struct collector *to, const struct pair *pairs, size_t pair_count)
{
    for (int kind = FH_CHANGE_REFERENCE_DROP; kind <= FH_CHANGE_COMMENT; kind++) {
        for (size_t i = 0; i < pair_count; i++) {
            changes_of(to, (enum fh_schema_change_kind)kind, &pairs[i]);
        }
    }
}

/* Every table of either version once: those of the older first, in its order, then the new ones. */
static size_t make_pairs(const struct fh_schema *from, const struct fh_schema *to,
                         struct pair *pairs)
{
    size_t count = 0;
    for (uint32_t i = 0; from != NULL && i < from->table_count; i++) {
        const struct fh_table *before = from->tables[i];
        pairs[count++] =
            (struct pair){.before = before, .after = fh_schema_table_by_id(to, before->id)};
    }
    for (uint32_t i = 0; i < to->table_count; i++) {
        const struct fh_table *after = to->tables[i];
        if (from == NULL || fh_schema_table_by_id(from, after->id) == NULL) {
            pairs[count++] = (struct pair){.after = after};
        }
    }
    return count;
}

enum fh_code fh_schema_changes(const struct fh_schema *from, const struct fh_schema *to,
                               struct fh_arena *arena, struct fh_schema_change **out, size_t *count)
{
    FH_ASSERT(to->previous == from);
    *out = NULL;
    *count = 0;
    size_t pairs_max = (from != NULL ? from->table_count : 0) + (size_t)to->table_count;
    struct pair *pairs = FH_ARENA_ARRAY(arena, struct pair, pairs_max);
    if (pairs == NULL) {
        return FH_NOMEM;
    }
    size_t pair_count = make_pairs(from, to, pairs);
    struct collector collector = {.count = 0};
    collect(&collector, pairs, pair_count);
    collector.changes = FH_ARENA_ARRAY(arena, struct fh_schema_change, collector.count);
    if (collector.changes == NULL) {
        return FH_NOMEM;
    }
    collector.count = 0;
    collect(&collector, pairs, pair_count);
    *out = collector.changes;
    *count = collector.count;
    return FH_OK;
}
