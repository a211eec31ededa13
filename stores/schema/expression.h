/* Between expression.c, which reads the syntax tree, and operation.c, which types and makes nodes.
 */
#ifndef FH_STORES_SCHEMA_EXPRESSION_H
#define FH_STORES_SCHEMA_EXPRESSION_H

#include "stores/expr.h"
#include "stores/schema/build.h"

#define FH_DDL_SCALE_MAX 18

struct fh_ddl_reader {
    struct fh_ddl_build *build;
    const struct fh_ddl_table *table;
    bool generated; /* no other generated column may be read */
};

/* Either a tree, or a constant that has no type yet. */
struct fh_ddl_operand {
    const struct fh_expr *expr; /* NULL: a constant */
    struct fh_ddl_constant constant;
    const PgQuery__TypeName *cast; /* of the constant; NULL: none */
    int64_t offset;
    size_t nodes;
    size_t depth;
};

struct fh_ddl_operands {
    struct fh_ddl_operand *list; /* in scratch */
    size_t count;
};

/* "what is not supported in an expression: advice" */
enum fh_code fh_ddl_operation_refuse(const struct fh_ddl_reader *reader, int64_t offset,
                                     const char *what, const char *advice);
enum fh_code fh_ddl_operation_constants_only(const struct fh_ddl_reader *reader, int64_t offset);
FH_MUST_CHECK enum fh_code fh_ddl_operands_room(const struct fh_ddl_reader *reader, size_t count,
                                                struct fh_ddl_operands *out);
enum fh_type fh_ddl_type_widened(enum fh_type type);
/* INT64 and NUMERIC; they and FLOAT64. */
bool fh_ddl_type_is_exact(enum fh_type type);
bool fh_ddl_type_is_number(enum fh_type type);
uint8_t fh_ddl_expr_scale(const struct fh_expr *expr);
/* `draft` over its arguments, whose constants have types by now. */
FH_MUST_CHECK enum fh_code fh_ddl_operation_make(const struct fh_ddl_reader *reader,
                                                 const struct fh_expr *draft,
                                                 const struct fh_ddl_operand *args, size_t count,
                                                 int64_t offset, struct fh_ddl_operand *out);
/* Types the operands' constants; all must be of `type`. */
FH_MUST_CHECK enum fh_code fh_ddl_operand_need(const struct fh_ddl_reader *reader,
                                               struct fh_ddl_operand *operand, enum fh_type type,
                                               const char *what);
/* Each types the operands' constants, checks the types and makes the node. */
FH_MUST_CHECK enum fh_code fh_ddl_operation_chain(const struct fh_ddl_reader *reader,
                                                  enum fh_expr_kind kind, enum fh_type type,
                                                  const struct fh_ddl_operands *operands,
                                                  int64_t offset, struct fh_ddl_operand *out);
FH_MUST_CHECK enum fh_code fh_ddl_operation_compare(const struct fh_ddl_reader *reader,
                                                    enum fh_expr_kind kind,
                                                    struct fh_ddl_operands *operands,
                                                    int64_t offset, struct fh_ddl_operand *out);
FH_MUST_CHECK enum fh_code fh_ddl_operation_arithmetic(const struct fh_ddl_reader *reader,
                                                       enum fh_expr_kind kind,
                                                       struct fh_ddl_operands *operands,
                                                       int64_t offset, struct fh_ddl_operand *out);
FH_MUST_CHECK enum fh_code fh_ddl_operation_concatenate(const struct fh_ddl_reader *reader,
                                                        struct fh_ddl_operands *operands,
                                                        int64_t offset, struct fh_ddl_operand *out);
FH_MUST_CHECK enum fh_code fh_ddl_operation_coalesce(const struct fh_ddl_reader *reader,
                                                     struct fh_ddl_operands *operands,
                                                     int64_t offset, struct fh_ddl_operand *out);

#endif
