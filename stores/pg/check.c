/* Asks the questions of check_sql.h in one group and gathers the answers.
 *
 * For the store: about the shared namespace, every dedicated one, roles, databases and functions.
 * For a home in a database of its own: about what is inside, on the database's own connection. More
 * faults than FH_CHECK_FINDINGS_MAX: the last finding says how many more there are.
 */
#include <stdio.h>
#include <string.h>

#include "stores/pg/check_sql.h"
#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/rows.h"

#define FUNCTIONS_BYTES_MAX (64u * 1024)

struct check_state {
    size_t next;   /* question that the next result answers */
    unsigned more; /* faults that have no place */
    uint8_t more_layers;
};

static bool inside(const struct fh_pg_op *op)
{
    return op->store->parent != NULL;
}

static struct fh_pg_params *params_of(struct fh_pg_op *op)
{
    const char *home = fh_pg_op_namespace(op);
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_bytes(params, fh_str_of(home[0] != '\0' ? home : FH_HOME_SHARED));
    fh_pg_add_bytes(params, FH_STR(FH_PG_POLICY_EXPRESSION));
    return params;
}

static enum fh_code send_functions(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_buf text;
    fh_buf_init(&text, FUNCTIONS_BYTES_MAX);
    fh_pg_check_functions_sql(&text);
    enum fh_code code = fh_buf_code(&text);
    if (code == FH_OK) {
        code = fh_pg_conn_send_text(conn, text.data, params_of(op));
    }
    fh_buf_close(&text);
    return code;
}

static enum fh_code check_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_op_check *check = &op->request->as.check;
    check->count = 0;
    check->findings = FH_ARENA_ARRAY(op->request->arena, struct fh_finding, FH_CHECK_FINDINGS_MAX);
    op->state = FH_ARENA_NEW(op->request->arena, struct check_state);
    enum fh_code code = check->findings != NULL && op->state != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; i < fh_pg_question_count && code == FH_OK; i++) {
        if (!(inside(op) && fh_pg_questions[i].store_only)) {
            code = fh_pg_conn_send_text(conn, fh_pg_questions[i].sql, params_of(op));
        }
    }
    return code == FH_OK && !inside(op) ? send_functions(op, conn) : code;
}

/* The question that is answered now; the index behind the last is the functions'. */
static size_t answered(const struct fh_pg_op *op)
{
    struct check_state *state = op->state;
    while (inside(op) && state->next < fh_pg_question_count &&
           fh_pg_questions[state->next].store_only) {
        state->next++;
    }
    return state->next++;
}

static void add_good(struct fh_op_check *check, size_t question)
{
    bool functions = question >= fh_pg_question_count;
    check->findings[check->count++] = (struct fh_finding){
        .ok = true,
        .subject = functions ? FH_STR("functions") : fh_str_of(fh_pg_questions[question].subject),
        .text = functions ? FH_STR(FH_PG_CHECK_FUNCTIONS_TEXT)
                          : fh_str_of(fh_pg_questions[question].text)};
}

static enum fh_code check_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_check *check = &op->request->as.check;
    struct check_state *state = op->state;
    int rows = PQntuples(result);
    size_t question = answered(op);
    uint8_t layers = question < fh_pg_question_count ? fh_pg_questions[question].layers : 0;
    (void)index;
    if (rows == 0 && check->count < FH_CHECK_FINDINGS_MAX - 1) {
        add_good(check, question);
    }
    for (int i = 0; i < rows; i++) {
        if (check->count == FH_CHECK_FINDINGS_MAX - 1) {
            state->more += (unsigned)(rows - i);
            state->more_layers |= layers;
            return FH_OK;
        }
        struct fh_finding *finding = &check->findings[check->count];
        *finding = (struct fh_finding){.layers = layers};
        enum fh_code code = fh_pg_field_copy(result, i, 0, op->request->arena, &finding->subject);
        if (code == FH_OK) {
            code = fh_pg_field_copy(result, i, 1, op->request->arena, &finding->text);
        }
        if (code != FH_OK) {
            return code;
        }
        check->count++;
    }
    return FH_OK;
}

static enum fh_pg_next check_synced(struct fh_pg_op *op)
{
    struct fh_op_check *check = &op->request->as.check;
    const struct check_state *state = op->state;
    if (state->more > 0) {
        const char *text = fh_arena_printf(
            op->request->arena, "%u more faults are not listed; mend these, then check again",
            state->more);
        op->code = text != NULL ? FH_OK : FH_NOMEM;
        check->findings[check->count++] = (struct fh_finding){
            .layers = state->more_layers, .subject = FH_STR("check"), .text = fh_str_of(text)};
    }
    return FH_PG_DONE;
}

static void check_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (strcmp(op->failure.sqlstate, "42883") == 0) { /* has_parameter_privilege() came with 15 */
        op->failure.code = fh_error_set(&op->request->error, FH_PRECONDITION,
                                        "the server is too old; PostgreSQL 15 or newer is needed");
    }
}

const struct fh_pg_op_kind fh_pg_check_kind = {
    .send = check_send, .result = check_result, .failed = check_failed, .synced = check_synced};
