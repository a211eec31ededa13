/* Tables in order, each with its indexes; a reference stands in its table when the target is
 * printed by then, else at the end, so that rings print, too. Order within a table is the model's.
 */
#include "stores/schema/print.h"

#include "stores/schema_text.h"

/* The target is printed by then. */
static bool is_inline(const struct fh_table *table, const struct fh_foreign_key *key)
{
    return key->target->position <= table->position;
}

static void add_constraint_name(struct fh_str name, struct fh_buf *out)
{
    fh_buf_add_text(out, "constraint ");
    fh_schema_text_name(name, out);
    fh_buf_add_char(out, ' ');
}

static void print_table(const struct fh_table *table, struct fh_buf *out)
{
    fh_buf_add_text(out, "create table ");
    fh_schema_text_name(table->name, out);
    fh_buf_add_text(out, " (\n");
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_buf_add_text(out, "    ");
        fh_schema_text_column(&table->columns[i], table, out);
        fh_buf_add_text(out, ",\n");
    }
    fh_buf_add_text(out, "    primary key (");
    fh_schema_text_names(table, table->key, table->key_count, out);
    fh_buf_add_char(out, ')');
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        if (is_inline(table, &table->foreign_keys[i])) {
            fh_buf_add_text(out, ",\n    ");
            add_constraint_name(table->foreign_keys[i].name, out);
            fh_schema_text_reference(&table->foreign_keys[i], table, out);
        }
    }
    for (uint16_t i = 0; i < table->check_count; i++) {
        fh_buf_add_text(out, ",\n    ");
        add_constraint_name(table->checks[i].name, out);
        fh_buf_add_text(out, "check (");
        fh_schema_text_expr(table->checks[i].expr, table, out);
        fh_buf_add_char(out, ')');
    }
    fh_buf_add_text(out, "\n);\n");
}

static void print_index(const struct fh_table *table, const struct fh_index *index,
                        struct fh_buf *out)
{
    fh_buf_add_text(out, index->unique ? "create unique index " : "create index ");
    fh_schema_text_name(index->name, out);
    fh_buf_add_text(out, " on ");
    fh_schema_text_name(table->name, out);
    fh_buf_add_text(out, " (");
    fh_schema_text_names(table, index->columns, index->column_count, out);
    fh_buf_add_text(out, ");\n");
}

static void print_comment(const struct fh_table *table, const struct fh_column *column,
                          struct fh_buf *out)
{
    struct fh_str comment = column != NULL ? column->comment : table->comment;
    if (comment.len == 0) {
        return;
    }
    fh_buf_add_text(out, column != NULL ? "comment on column " : "comment on table ");
    fh_schema_text_name(table->name, out);
    if (column != NULL) {
        fh_buf_add_char(out, '.');
        fh_schema_text_name(column->name, out);
    }
    fh_buf_add_text(out, " is ");
    fh_schema_text_string(comment, out);
    fh_buf_add_text(out, ";\n");
}

void fh_schema_print(const struct fh_schema *schema, struct fh_buf *out)
{
    for (uint32_t t = 0; t < schema->table_count; t++) {
        const struct fh_table *table = schema->tables[t];
        fh_buf_add_text(out, t > 0 ? "\n" : "");
        print_table(table, out);
        for (uint16_t i = 0; i < table->index_count; i++) {
            print_index(table, &table->indexes[i], out);
        }
        print_comment(table, NULL, out);
        for (uint16_t i = 0; i < table->column_count; i++) {
            print_comment(table, &table->columns[i], out);
        }
    }
    for (uint32_t t = 0; t < schema->table_count; t++) {
        const struct fh_table *table = schema->tables[t];
        for (uint16_t i = 0; i < table->foreign_key_count; i++) {
            if (!is_inline(table, &table->foreign_keys[i])) {
                fh_buf_add_text(out, "\nalter table ");
                fh_schema_text_name(table->name, out);
                fh_buf_add_text(out, " add ");
                add_constraint_name(table->foreign_keys[i].name, out);
                fh_schema_text_reference(&table->foreign_keys[i], table, out);
                fh_buf_add_text(out, ";\n");
            }
        }
    }
}
