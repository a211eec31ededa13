/* A change in words: fh_schema_change_describe(). Lower-case DDL, nearly. */
#include "stores/schema_change.h"
#include "stores/schema_text.h"

static void describe_thing(const char *what, struct fh_str name, const struct fh_table *table,
                           struct fh_buf *out)
{
    fh_buf_add_text(out, what);
    fh_buf_add_char(out, ' ');
    fh_schema_text_name(name, out);
    fh_buf_add_text(out, " of ");
    fh_schema_text_name(table->name, out);
}

static void describe_column(const char *what, const struct fh_table *table, struct fh_str name,
                            struct fh_buf *out)
{
    fh_buf_add_text(out, what);
    fh_buf_add_char(out, ' ');
    fh_schema_text_name(table->name, out);
    fh_buf_add_char(out, '.');
    fh_schema_text_name(name, out);
}

static void describe_table(const char *what, const struct fh_table *table, struct fh_buf *out)
{
    fh_buf_add_text(out, what);
    fh_buf_add_char(out, ' ');
    fh_schema_text_name(table->name, out);
}

static void describe_create(const struct fh_table *table, struct fh_buf *out)
{
    describe_table("create table", table, out);
    fh_buf_add_text(out, " (");
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_schema_text_column(&table->columns[i], table, out);
        fh_buf_add_text(out, ", ");
    }
    fh_buf_add_text(out, "primary key (");
    fh_schema_text_names(table, table->key, table->key_count, out);
    fh_buf_add_char(out, ')');
    for (uint16_t i = 0; i < table->check_count; i++) {
        fh_buf_add_text(out, ", check (");
        fh_schema_text_expr(table->checks[i].expr, table, out);
        fh_buf_add_char(out, ')');
    }
    fh_buf_add_char(out, ')');
}

static void describe_default(const struct fh_schema_change *change, struct fh_buf *out)
{
    const struct fh_column *column = &change->after->columns[change->to];
    bool drops = column->default_kind == FH_DEFAULT_NONE;
    describe_column("alter column", change->after, column->name, out);
    fh_buf_add_text(out, drops ? " drop default" : " set default ");
    fh_schema_text_default(column, out);
}

static void describe_index(const struct fh_schema_change *change, struct fh_buf *out)
{
    const struct fh_index *index = &change->after->indexes[change->to];
    fh_buf_add_text(out, index->unique ? "add unique index " : "add index ");
    fh_schema_text_name(index->name, out);
    fh_buf_add_text(out, " on ");
    fh_schema_text_name(change->after->name, out);
    fh_buf_add_text(out, " (");
    fh_schema_text_names(change->after, index->columns, index->column_count, out);
    fh_buf_add_char(out, ')');
}

static void describe_comment(const struct fh_schema_change *change, struct fh_buf *out)
{
    struct fh_str comment = change->after->comment;
    if (change->to == UINT16_MAX) {
        describe_table("comment on table", change->after, out);
    } else {
        const struct fh_column *column = &change->after->columns[change->to];
        describe_column("comment on column", change->after, column->name, out);
        comment = column->comment;
    }
    fh_buf_add_text(out, " is ");
    if (comment.len == 0) {
        fh_buf_add_text(out, "null");
    } else {
        fh_schema_text_string(comment, out);
    }
}

static const char *action_name(enum fh_reference_action action)
{
    switch (action) {
    case FH_REFERENCE_RESTRICT:
        return "restrict";
    case FH_REFERENCE_CASCADE:
        return "cascade";
    case FH_REFERENCE_SET_NULL:
        return "set null";
    }
    return "unknown";
}

static void describe_reference(const struct fh_schema_change *change, struct fh_buf *out)
{
    const struct fh_foreign_key *key = &change->after->foreign_keys[change->to];
    if (change->kind == FH_CHANGE_REFERENCE_ACTION) {
        describe_thing("alter reference", key->name, change->after, out);
        fh_buf_printf(out, " on delete %s", action_name(key->on_delete));
        return;
    }
    describe_thing("add reference", key->name, change->after, out);
    fh_buf_add_text(out, ": ");
    fh_schema_text_reference(key, change->after, out);
}

void fh_schema_change_describe(const struct fh_schema_change *change, struct fh_buf *out)
{
    const struct fh_table *before = change->before;
    const struct fh_table *after = change->after;
    switch (change->kind) {
    case FH_CHANGE_REFERENCE_DROP:
        describe_thing("drop reference", before->foreign_keys[change->from].name, before, out);
        return;
    case FH_CHANGE_CHECK_DROP:
        describe_thing("drop check", before->checks[change->from].name, before, out);
        return;
    case FH_CHANGE_INDEX_DROP:
        describe_thing("drop index", before->indexes[change->from].name, before, out);
        return;
    case FH_CHANGE_COLUMN_DROP:
        describe_column("drop column", before, before->columns[change->from].name, out);
        return;
    case FH_CHANGE_TABLE_DROP:
        describe_table("drop table", before, out);
        return;
    case FH_CHANGE_COLUMN_RENAME:
        describe_column("rename column", before, before->columns[change->from].name, out);
        fh_buf_add_text(out, " to ");
        fh_schema_text_name(after->columns[change->to].name, out);
        return;
    case FH_CHANGE_TABLE_CREATE:
        describe_create(after, out);
        return;
    case FH_CHANGE_COLUMN_ADD:
        describe_table("add column", after, out);
        fh_buf_add_char(out, '.');
        fh_schema_text_column(&after->columns[change->to], after, out);
        return;
    case FH_CHANGE_COLUMN_DEFAULT:
        describe_default(change, out);
        return;
    case FH_CHANGE_COLUMN_NULLABLE:
        describe_column("alter column", after, after->columns[change->to].name, out);
        fh_buf_add_text(out, " drop not null");
        return;
    case FH_CHANGE_COLUMN_REQUIRED:
        describe_column("alter column", after, after->columns[change->to].name, out);
        fh_buf_add_text(out, " set not null");
        return;
    case FH_CHANGE_CHECK_ADD:
        describe_thing("add check", after->checks[change->to].name, after, out);
        fh_buf_add_text(out, ": ");
        fh_schema_text_expr(after->checks[change->to].expr, after, out);
        return;
    case FH_CHANGE_INDEX_ADD:
        describe_index(change, out);
        return;
    case FH_CHANGE_REFERENCE_ADD:
    case FH_CHANGE_REFERENCE_ACTION:
        describe_reference(change, out);
        return;
    case FH_CHANGE_COMMENT:
        describe_comment(change, out);
        return;
    }
}
