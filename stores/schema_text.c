#include "stores/schema_text.h"

/* PostgreSQL's keywords that cannot name a column or a table everywhere. */
static const char keywords[] =
    "all analyse analyze and any array as asc asymmetric authorization between bigint binary "
    "bit boolean both case cast char character check coalesce collate collation column "
    "concurrently constraint create cross current_catalog current_date current_role "
    "current_schema current_time current_timestamp current_user dec decimal default "
    "deferrable desc distinct do else end except exists extract false fetch float for "
    "foreign freeze from full grant greatest group grouping having ilike in initially inner "
    "inout int integer intersect interval into is isnull join json json_array json_arrayagg "
    "json_exists json_object json_objectagg json_query json_scalar json_serialize json_table "
    "json_value lateral leading least left like limit localtime localtimestamp merge_action "
    "national natural nchar none normalize not notnull null nullif numeric offset on only or "
    "order out outer overlaps overlay placing position precision primary real references "
    "returning right row select session_user setof similar smallint some substring symmetric "
    "system_user table tablesample then time timestamp to trailing treat trim true union "
    "unique user using values varchar variadic verbose when where window with xmlattributes "
    "xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot "
    "xmlserialize xmltable ";

static bool is_keyword(struct fh_str name)
{
    for (const char *at = keywords; *at != '\0'; at += strcspn(at, " ") + 1) {
        if (fh_str_eq(name, (struct fh_str){.data = at, .len = strcspn(at, " ")})) {
            return true;
        }
    }
    return false;
}

void fh_schema_text_name(struct fh_str name, struct fh_buf *out)
{
    bool quoted = is_keyword(name);
    if (quoted) {
        fh_buf_add_char(out, '"');
    }
    fh_buf_add_str(out, name); /* the parser lets no quote into a name */
    if (quoted) {
        fh_buf_add_char(out, '"');
    }
}

void fh_schema_text_string(struct fh_str text, struct fh_buf *out)
{
    fh_buf_add_char(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\'') {
            fh_buf_add_char(out, '\'');
        }
        fh_buf_add_char(out, text.data[i]);
    }
    fh_buf_add_char(out, '\'');
}

static void add_hex(struct fh_str bytes, struct fh_buf *out)
{
    fh_buf_add_text(out, "'\\x");
    for (size_t i = 0; i < bytes.len; i++) {
        fh_buf_printf(out, "%02x", (unsigned)(unsigned char)bytes.data[i]);
    }
    fh_buf_add_char(out, '\'');
}

void fh_schema_text_constant(const struct fh_value *value, uint8_t scale, struct fh_buf *out)
{
    const struct fh_column column = {.type = value->type, .precision = 18, .scale = scale};
    if (value->is_null) {
        fh_buf_add_text(out, "null");
        return;
    }
    switch (value->type) {
    case FH_TYPE_BOOL:
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
    case FH_TYPE_NUMERIC:
        fh_value_format(value, &column, out);
        return;
    case FH_TYPE_BYTES:
        add_hex(value->as.bytes, out);
        return;
    case FH_TYPE_TEXT:
    case FH_TYPE_JSON:
        fh_schema_text_string(value->as.bytes, out);
        return;
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
    case FH_TYPE_UUID:
        fh_buf_add_char(out, '\'');
        fh_value_format(value, &column, out);
        fh_buf_add_char(out, '\'');
        return;
    }
}

static void add_args(const struct fh_expr *expr, uint16_t first, const struct fh_table *table,
                     struct fh_buf *out)
{
    fh_buf_add_char(out, '(');
    for (uint16_t i = first; i < expr->arg_count; i++) {
        fh_buf_add_text(out, i > first ? ", " : "");
        fh_schema_text_expr(expr->args[i], table, out);
    }
    fh_buf_add_char(out, ')');
}

static bool is_atom(const struct fh_expr *expr)
{
    switch (expr->kind) {
    case FH_EXPR_COLUMN:
    case FH_EXPR_CONSTANT:
    case FH_EXPR_LENGTH:
    case FH_EXPR_OCTET_LENGTH:
    case FH_EXPR_COALESCE:
        return true;
    default:
        return false;
    }
}

static void add_operand(const struct fh_expr *expr, const struct fh_table *table,
                        struct fh_buf *out)
{
    if (is_atom(expr)) {
        fh_schema_text_expr(expr, table, out);
        return;
    }
    fh_buf_add_char(out, '(');
    fh_schema_text_expr(expr, table, out);
    fh_buf_add_char(out, ')');
}

/* All operands, with the operator between them. */
static void add_infix(const struct fh_expr *expr, const char *operator,
                      const struct fh_table * table, struct fh_buf *out)
{
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        fh_buf_add_text(out, i > 0 ? operator: "");
        add_operand(expr->args[i], table, out);
    }
}

static const char *operator_of(enum fh_expr_kind kind)
{
    switch (kind) {
    case FH_EXPR_AND:
        return " and ";
    case FH_EXPR_OR:
        return " or ";
    case FH_EXPR_EQ:
        return " = ";
    case FH_EXPR_NE:
        return " <> ";
    case FH_EXPR_LT:
        return " < ";
    case FH_EXPR_LE:
        return " <= ";
    case FH_EXPR_GT:
        return " > ";
    case FH_EXPR_GE:
        return " >= ";
    case FH_EXPR_ADD:
        return " + ";
    case FH_EXPR_SUB:
        return " - ";
    case FH_EXPR_MUL:
        return " * ";
    case FH_EXPR_CONCAT:
        return " || ";
    default:
        return NULL;
    }
}

void fh_schema_text_expr(const struct fh_expr *expr, const struct fh_table *table,
                         struct fh_buf *out)
{
    switch (expr->kind) {
    case FH_EXPR_COLUMN:
        fh_schema_text_name(table->columns[expr->column].name, out);
        return;
    case FH_EXPR_CONSTANT:
        fh_schema_text_constant(&expr->constant, expr->scale, out);
        return;
    case FH_EXPR_NOT:
        fh_buf_add_text(out, "not ");
        add_operand(expr->args[0], table, out);
        return;
    case FH_EXPR_NEG:
        fh_buf_add_char(out, '-');
        add_operand(expr->args[0], table, out);
        return;
    case FH_EXPR_IS_NULL:
    case FH_EXPR_IS_NOT_NULL:
        add_operand(expr->args[0], table, out);
        fh_buf_add_text(out, expr->kind == FH_EXPR_IS_NULL ? " is null" : " is not null");
        return;
    case FH_EXPR_IN:
        add_operand(expr->args[0], table, out);
        fh_buf_add_text(out, " in ");
        add_args(expr, 1, table, out);
        return;
    case FH_EXPR_LENGTH:
        fh_buf_add_text(out, "length");
        add_args(expr, 0, table, out);
        return;
    case FH_EXPR_OCTET_LENGTH:
        fh_buf_add_text(out, "octet_length");
        add_args(expr, 0, table, out);
        return;
    case FH_EXPR_COALESCE:
        fh_buf_add_text(out, "coalesce");
        add_args(expr, 0, table, out);
        return;
    default:
        add_infix(expr, operator_of(expr->kind), table, out);
        return;
    }
}

void fh_schema_text_type(const struct fh_column *column, struct fh_buf *out)
{
    if (column->type == FH_TYPE_NUMERIC) {
        fh_buf_printf(out, "numeric(%u,%u)", (unsigned)column->precision, (unsigned)column->scale);
    } else if (column->type == FH_TYPE_TEXT && column->length_max > 0) {
        fh_buf_printf(out, "varchar(%u)", column->length_max);
    } else if (column->type == FH_TYPE_TIMESTAMP) {
        fh_buf_add_text(out, "timestamptz");
    } else {
        fh_buf_add_text(out, fh_type_name(column->type));
    }
}

void fh_schema_text_default(const struct fh_column *column, struct fh_buf *out)
{
    switch (column->default_kind) {
    case FH_DEFAULT_NONE:
        return;
    case FH_DEFAULT_CONSTANT:
        fh_schema_text_constant(&column->default_value, column->scale, out);
        return;
    case FH_DEFAULT_NOW:
        fh_buf_add_text(out, "now()");
        return;
    case FH_DEFAULT_UUID:
        fh_buf_add_text(out, "gen_random_uuid()");
        return;
    }
}

void fh_schema_text_column(const struct fh_column *column, const struct fh_table *table,
                           struct fh_buf *out)
{
    fh_schema_text_name(column->name, out);
    fh_buf_add_char(out, ' ');
    fh_schema_text_type(column, out);
    if (column->not_null) {
        fh_buf_add_text(out, " not null");
    }
    if (column->default_kind != FH_DEFAULT_NONE) {
        fh_buf_add_text(out, " default ");
        fh_schema_text_default(column, out);
    }
    if (column->generated != NULL) {
        fh_buf_add_text(out, " generated always as (");
        fh_schema_text_expr(column->generated, table, out);
        fh_buf_add_text(out, ") stored");
    }
}

void fh_schema_text_names(const struct fh_table *table, const uint16_t *columns, size_t count,
                          struct fh_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        fh_buf_add_text(out, i > 0 ? ", " : "");
        fh_schema_text_name(table->columns[columns[i]].name, out);
    }
}

void fh_schema_text_reference(const struct fh_foreign_key *key, const struct fh_table *table,
                              struct fh_buf *out)
{
    fh_buf_add_text(out, "foreign key (");
    fh_schema_text_names(table, key->columns, key->column_count, out);
    fh_buf_add_text(out, ") references ");
    fh_schema_text_name(key->target->name, out);
    switch (key->on_delete) {
    case FH_REFERENCE_RESTRICT:
        return;
    case FH_REFERENCE_CASCADE:
        fh_buf_add_text(out, " on delete cascade");
        return;
    case FH_REFERENCE_SET_NULL:
        fh_buf_add_text(out, " on delete set null");
        return;
    }
}
