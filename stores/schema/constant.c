/* Constants of DEFAULT and of expressions: read as values of a column, exactly. What PostgreSQL
 * would round, cut or convert on the way is refused. */
#include "stores/schema/build.h"

#include "base/codec.h"

int64_t fh_ddl_place(int64_t location, int64_t fallback)
{
    return location > 0 ? location : fallback;
}

enum fh_code fh_ddl_constant_read(struct fh_ddl_build *build, const PgQuery__AConst *node,
                                  int64_t offset, const char *where, struct fh_ddl_constant *out)
{
    out->offset = fh_ddl_place(node->location, offset);
    if (node->isnull) {
        out->kind = FH_DDL_CONSTANT_NULL;
        return FH_OK;
    }
    char *digits = NULL;
    switch (node->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        digits = fh_arena_printf(build->scratch, "%d", (int)node->ival->ival);
        if (digits == NULL) {
            return fh_ddl_nomem(&build->source);
        }
        out->kind = FH_DDL_CONSTANT_NUMBER;
        out->text = fh_str_of(digits);
        return FH_OK;
    case PG_QUERY__A__CONST__VAL_FVAL:
        out->kind = FH_DDL_CONSTANT_NUMBER;
        out->text = fh_str_of(node->fval->fval);
        return FH_OK;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        out->kind = FH_DDL_CONSTANT_BOOLEAN;
        out->text = node->boolval->boolval ? FH_STR("true") : FH_STR("false");
        return FH_OK;
    case PG_QUERY__A__CONST__VAL_SVAL:
        out->kind = FH_DDL_CONSTANT_STRING;
        out->text = fh_str_of(node->sval->sval);
        return FH_OK;
    default:
        return fh_ddl_fail(&build->source, FH_INVALID, out->offset,
                           "%s with a bit string is not supported: use a constant of another kind",
                           where);
    }
}

bool fh_ddl_is_minus(const PgQuery__AExpr *expression)
{
    return expression->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && expression->lexpr == NULL &&
           expression->n_name == 1 && strcmp(fh_ddl_string(expression->name[0]), "-") == 0;
}

enum fh_code fh_ddl_constant_negate(struct fh_ddl_build *build, struct fh_ddl_constant *constant)
{
    if (constant->text.len > 0 && constant->text.data[0] == '-') {
        constant->text.data++;
        constant->text.len--;
        return FH_OK;
    }
    char *text = fh_arena_printf(build->scratch, "-%s", constant->text.data);
    if (text == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    constant->text = fh_str_of(text);
    return FH_OK;
}

const char *fh_ddl_construct_name(const PgQuery__Node *node)
{
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return "AND, OR or NOT";
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return "a column or an unquoted word";
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return "ARRAY";
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return "CASE";
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return "a subquery";
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return "COALESCE";
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return "GREATEST or LEAST";
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return "COLLATE";
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return "ROW";
    case PG_QUERY__NODE__NODE_PARAM_REF:
        return "a parameter";
    default:
        return "this expression";
    }
}

int64_t fh_ddl_expression_place(const PgQuery__Node *node, int64_t fallback)
{
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_EXPR:
        return fh_ddl_place(node->a_expr->location, fallback);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return fh_ddl_place(node->bool_expr->location, fallback);
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return fh_ddl_place(node->column_ref->location, fallback);
    default:
        return fallback;
    }
}

/* PostgreSQL's spellings of constants that fh_value_parse() has otherwise: '\x00ff', 't',
 * '2026-01-02 03:04:05+00'. */
static enum fh_code respell(struct fh_ddl_build *build, const struct fh_column *column,
                            struct fh_ddl_constant *constant)
{
    struct fh_str text = constant->text;
    if (column->type == FH_TYPE_BOOL && fh_str_eq(text, FH_STR("t"))) {
        constant->text = FH_STR("true");
    } else if (column->type == FH_TYPE_BOOL && fh_str_eq(text, FH_STR("f"))) {
        constant->text = FH_STR("false");
    } else if (column->type == FH_TYPE_TIMESTAMP && text.len > 13 && text.data[10] == ' ') {
        char *copy = fh_arena_printf(build->scratch, "%s", text.data);
        if (copy == NULL) {
            return fh_ddl_nomem(&build->source);
        }
        copy[10] = 'T';
        if (strcmp(copy + text.len - 3, "+00") == 0) {
            copy[text.len - 3] = 'Z';
            copy[text.len - 2] = '\0';
        }
        constant->text = fh_str_of(copy);
    }
    return FH_OK;
}

static enum fh_code parse_bytea(struct fh_ddl_build *build, const struct fh_ddl_constant *constant,
                                const char *where, struct fh_value *value)
{
    struct fh_str text = constant->text;
    bool hex = fh_str_starts_with(text, FH_STR("\\x")) && text.len % 2 == 0;
    size_t len = hex ? text.len / 2 - 1 : 0;
    uint8_t *bytes = fh_arena_alloc(build->arena, len + 1);
    if (bytes == NULL) {
        return fh_ddl_nomem(&build->source);
    }
    struct fh_str digits = {.data = text.data + 2, .len = len * 2};
    if (!hex || (len > 0 && !fh_hex_decode(digits, bytes, len))) {
        return fh_ddl_fail(&build->source, FH_INVALID, constant->offset,
                           "%s: a bytea constant must be hexadecimal: '\\x00ff'", where);
    }
    value->type = FH_TYPE_BYTES;
    value->as.bytes = (struct fh_str){.data = (const char *)bytes, .len = len};
    return FH_OK;
}

static bool kind_fits(enum fh_ddl_constant_kind kind, enum fh_type type)
{
    switch (type) {
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
    case FH_TYPE_NUMERIC:
        return kind == FH_DDL_CONSTANT_NUMBER || kind == FH_DDL_CONSTANT_STRING;
    case FH_TYPE_BOOL:
        return kind == FH_DDL_CONSTANT_BOOLEAN || kind == FH_DDL_CONSTANT_STRING;
    default:
        return kind == FH_DDL_CONSTANT_STRING;
    }
}

enum fh_code fh_ddl_constant_value(struct fh_ddl_build *build, struct fh_ddl_constant *constant,
                                   const struct fh_column *column, const char *where,
                                   struct fh_value *out)
{
    if (!kind_fits(constant->kind, column->type)) {
        return fh_ddl_fail(&build->source, FH_INVALID, constant->offset,
                           "this %s is not a constant of the column's type, %s", where,
                           fh_type_name(column->type));
    }
    struct fh_error error = FH_ERROR_INIT;
    struct fh_value value = {0};
    enum fh_code code = respell(build, column, constant);
    if (code != FH_OK) {
        return code;
    }
    if (column->type == FH_TYPE_BYTES) {
        code = parse_bytea(build, constant, where, &value);
        if (code != FH_OK) {
            return code;
        }
    } else {
        code = fh_value_parse(constant->text, column, build->arena, &value, &error);
    }
    if (code == FH_OK) {
        code = fh_value_canonicalize(&value, column, build->arena, &error);
    }
    if (code == FH_INVALID) {
        return fh_ddl_fail(&build->source, FH_INVALID, constant->offset,
                           "this %s does not fit the column: %s", where, fh_error_text(&error));
    }
    if (code != FH_OK) {
        return fh_ddl_nomem(&build->source); /* the text is far below the bound of a value */
    }
    *out = value;
    return FH_OK;
}
