/* FOREIGN KEY: to the whole primary key of a table, of this file or of an earlier one.
 *
 * Happy path: the columns here are paired with the target's key, types compared, the action read.
 */
#include "stores/schema/build.h"

static enum fh_code refuse_action(const struct fh_ddl_build *build,
                                  const PgQuery__Constraint *constraint, const char *event,
                                  const char *action, const char *advice)
{
    const struct fh_ddl_source *source = &build->source;
    const char *const on[] = {"on", NULL};
    /* the ON of the other event may stand first */
    int64_t at = fh_ddl_find_word(source, constraint->location, on);
    if (!fh_ddl_token_is(source, fh_ddl_token_at(source, at) + 1, event)) {
        int64_t second = fh_ddl_find_word(source, at + 1, on);
        at = second > at + 1 ? second : at;
    }
    return fh_ddl_fail(source, FH_INVALID, at, "ON %s %s is not supported: %s", event, action,
                       advice);
}

static enum fh_code read_actions(const struct fh_ddl_build *build,
                                 const PgQuery__Constraint *constraint,
                                 enum fh_reference_action *on_delete)
{
    char action = constraint->fk_del_action[0];
    if (action == 'd') {
        return refuse_action(build, constraint, "DELETE", "SET DEFAULT",
                             "use SET NULL, CASCADE or NO ACTION");
    }
    *on_delete = action == 'c'   ? FH_REFERENCE_CASCADE
                 : action == 'n' ? FH_REFERENCE_SET_NULL
                                 : FH_REFERENCE_RESTRICT;
    if (constraint->n_fk_del_set_cols > 0) {
        return refuse_action(build, constraint, "DELETE", "SET NULL (columns)",
                             "leave the columns out: all become null");
    }
    static const struct {
        char action;
        const char *name;
    } refused[] = {{'c', "CASCADE"}, {'n', "SET NULL"}, {'d', "SET DEFAULT"}};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (constraint->fk_upd_action[0] == refused[i].action) {
            return refuse_action(build, constraint, "UPDATE", refused[i].name,
                                 "use NO ACTION: a key never changes");
        }
    }
    return FH_OK;
}

static enum fh_code check_set_null(const struct fh_ddl_build *build,
                                   const struct fh_ddl_table *table,
                                   const PgQuery__Constraint *constraint, int column,
                                   const uint16_t *local, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        const struct fh_column *from = &table->columns[local[i]];
        if (from->not_null || from->generated != NULL) {
            return fh_ddl_fail(&build->source, FH_INVALID,
                               fh_ddl_constraint_column_place(build, constraint, column, i),
                               "column %.*s is %s, but ON DELETE SET NULL sets it to null",
                               FH_STR_ARG(from->name),
                               from->generated != NULL ? "generated" : "NOT NULL");
        }
    }
    return FH_OK;
}

static enum fh_code check_foreign_clauses(const struct fh_ddl_build *build,
                                          const PgQuery__Constraint *constraint)
{
    const struct fh_ddl_source *source = &build->source;
    int64_t at = constraint->location;
    if (constraint->fk_matchtype[0] != 's' && constraint->fk_matchtype[0] != '\0') {
        const char *const words[] = {"match", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "MATCH FULL is not supported: leave it out, or make the columns "
                           "NOT NULL");
    }
    if (constraint->skip_validation) {
        const char *const words[] = {"not", NULL};
        return fh_ddl_fail(source, FH_INVALID, fh_ddl_find_word(source, at, words),
                           "NOT VALID is not supported: leave it out");
    }
    enum fh_code code = fh_ddl_constraint_clauses(build, constraint);
    return code == FH_OK ? fh_ddl_constraint_name_check(build, constraint) : code;
}

static bool same_type(const struct fh_column *a, const struct fh_column *b)
{
    return a->type == b->type && a->precision == b->precision && a->scale == b->scale;
}

/* Pairs local columns (in the order written) with the target's key: `named` holds the target's
 * columns in the same order. Fills key->columns in the order of the target's key. */
static enum fh_code pair_columns(const struct fh_ddl_build *build, const struct fh_ddl_table *table,
                                 const struct fh_ddl_table *target,
                                 const PgQuery__Constraint *constraint, int column,
                                 const uint16_t *local, const uint16_t *named,
                                 struct fh_foreign_key *key)
{
    for (uint16_t k = 0; k < target->key_count; k++) {
        uint16_t i = 0;
        while (i < target->key_count && named[i] != target->key[k]) {
            i++;
        }
        if (i == target->key_count) {
            return fh_ddl_fail(&build->source, FH_INVALID, constraint->pktable->location,
                               "a foreign key must reference the whole primary key of %.*s: "
                               "leave the columns out",
                               FH_STR_ARG(target->name));
        }
        const struct fh_column *from = &table->columns[local[i]];
        const struct fh_column *to = &target->columns[target->key[k]];
        if (!same_type(from, to)) {
            return fh_ddl_fail(
                &build->source, FH_INVALID,
                fh_ddl_constraint_column_place(build, constraint, column, i),
                "column %.*s is %s, but %.*s.%.*s is %s: the types must be the same%s",
                FH_STR_ARG(from->name), fh_type_name(from->type), FH_STR_ARG(target->name),
                FH_STR_ARG(to->name), fh_type_name(to->type),
                from->type == to->type ? ", to precision and scale" : "");
        }
        key->columns[k] = local[i];
    }
    key->column_count = target->key_count;
    return FH_OK;
}

enum fh_code fh_ddl_foreign_key(struct fh_ddl_build *build, struct fh_ddl_table *table,
                                const PgQuery__Constraint *constraint, int column)
{
    const PgQuery__RangeVar *reference = constraint->pktable;
    uint16_t local[FH_KEY_COLUMNS_MAX];
    uint16_t named[FH_KEY_COLUMNS_MAX];
    uint16_t local_count = 0;
    uint16_t named_count = 0;
    struct fh_ddl_foreign_key key = {0};
    enum fh_code code = check_foreign_clauses(build, constraint);
    if (code == FH_OK) {
        code = read_actions(build, constraint, &key.key.on_delete);
    }
    if (code == FH_OK) {
        code = fh_ddl_relation_check(build, reference);
    }
    if (code == FH_OK) {
        code = fh_ddl_constraint_columns(build, table, constraint->fk_attrs, constraint->n_fk_attrs,
                                         constraint->location, column, local, &local_count,
                                         FH_KEY_COLUMNS_MAX);
    }
    if (code != FH_OK) {
        return code;
    }
    const struct fh_ddl_table *target = fh_ddl_build_table(build, fh_str_of(reference->relname));
    if (target == NULL) {
        return fh_ddl_fail(&build->source, FH_INVALID, reference->location,
                           "no table %.64s: create it before the table that references it",
                           reference->relname);
    }
    code =
        fh_ddl_constraint_columns(build, target, constraint->pk_attrs, constraint->n_pk_attrs,
                                  reference->location, -1, named, &named_count, FH_KEY_COLUMNS_MAX);
    if (code != FH_OK) {
        return code;
    }
    if (named_count == 0) {
        memcpy(named, target->key, sizeof(named));
        named_count = target->key_count;
    }
    if (named_count != target->key_count || local_count != named_count) {
        return fh_ddl_fail(&build->source, FH_INVALID, reference->location,
                           "a foreign key must reference the whole primary key of %.*s, %d "
                           "columns; this one has %d",
                           FH_STR_ARG(target->name), (int)target->key_count,
                           (int)(local_count != target->key_count ? local_count : named_count));
    }
    code = pair_columns(build, table, target, constraint, column, local, named, &key.key);
    if (code == FH_OK && key.key.on_delete == FH_REFERENCE_SET_NULL) {
        code = check_set_null(build, table, constraint, column, local, local_count);
    }
    if (code == FH_OK) {
        code = fh_ddl_constraint_name(build, table, constraint, local, local_count, "fkey",
                                      &key.key.name);
    }
    key.target = (uint32_t)(target - build->tables);
    return code == FH_OK ? fh_ddl_build_add_foreign_key(build, table, constraint->location, &key)
                         : code;
}
