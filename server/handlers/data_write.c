/* Create, Update, Delete, Undelete, Purge and Commit: all become one commit of one or more writes.
 * Each handler only says how its message reads as writes and how the answer looks; the rest is
 * commit_call. */
#include <stdio.h>

#include "server/handlers/data.h"
#include "server/handlers/record_name.h"
#include "server/handlers/records.h"
#include "server/handlers/refusal.h"
#include "server/handlers/request_hash.h"
#include "server/handlers/tenant_call.h"
#include "server/handlers/values.h"
#include "server/handlers/write_parse.h"

#define ANSWER_BYTES_MAX ((size_t)16 * 1024 * 1024) /* fh_rpc_options.response_bytes_max */

struct commit_call {
    struct fh_tenant_call base; /* first */
    struct fh_write *writes;
    size_t count;
    const char *method;
    const char *request_id;
    bool several; /* Commit: refusals name the write */
    bool validate_only;
};

/* A commit that is made is not refused any more, whatever becomes of its answer. */
static void fail_answer(struct fh_tenant_call *base, enum fh_code code)
{
    if (base->routed.request.as.commit.validate_only) {
        fh_call_fail_code(base->call, code);
    } else {
        fh_call_fail_unanswered(base->call, code);
    }
}

/* Replies unless the message is larger than the server sends. Its size is asked for only when it
 * may be: the rows are in the arena, too. */
static void reply(struct fh_tenant_call *base, const ProtobufCMessage *message)
{
    if (fh_call_arena(base->call)->bytes_used > ANSWER_BYTES_MAX &&
        protobuf_c_message_get_packed_size(message) > ANSWER_BYTES_MAX) {
        fail_answer(base, FH_TOO_LARGE);
        return;
    }
    fh_call_reply(base->call, message);
}

/* The one row of a single write as the answer. */
static void answer_record(struct fh_tenant_call *base)
{
    Freehold__V1__Record *record = NULL;
    const struct fh_row *row = base->routed.request.as.commit.rows[0];
    enum fh_code code = fh_record_from_row(row, NULL, fh_call_arena(base->call), &record);
    if (code != FH_OK) {
        fail_answer(base, code);
        return;
    }
    reply(base, &record->base);
}

static void answer_purge(struct fh_tenant_call *base)
{
    Freehold__V1__PurgeRecordResponse out = FREEHOLD__V1__PURGE_RECORD_RESPONSE__INIT;
    fh_call_reply(base->call, &out.base);
}

static enum fh_code fill_results(const struct fh_op_commit *commit, struct fh_arena *arena,
                                 Freehold__V1__CommitResponse *out)
{
    out->results = FH_ARENA_ARRAY(arena, Freehold__V1__WriteResult *, commit->count);
    Freehold__V1__WriteResult *results =
        FH_ARENA_ARRAY(arena, Freehold__V1__WriteResult, commit->count);
    out->commit_time = fh_timestamp_to_proto(commit->at_us, arena);
    if (out->results == NULL || results == NULL || out->commit_time == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < commit->count; i++) {
        freehold__v1__write_result__init(&results[i]);
        out->results[i] = &results[i];
        if (commit->rows[i] != NULL) {
            enum fh_code code =
                fh_record_from_row(commit->rows[i], NULL, arena, &results[i].record);
            if (code != FH_OK) {
                return code;
            }
        }
    }
    out->n_results = commit->count;
    out->replayed = commit->replayed;
    return FH_OK;
}

static void answer_commit(struct fh_tenant_call *base)
{
    Freehold__V1__CommitResponse out = FREEHOLD__V1__COMMIT_RESPONSE__INIT;
    enum fh_code code =
        fill_results(&base->routed.request.as.commit, fh_call_arena(base->call), &out);
    if (code != FH_OK) {
        fail_answer(base, code);
        return;
    }
    reply(base, &out.base);
}

/* The store knows writes and columns, the caller a request: says it in the request's terms. */
static void explain(struct fh_tenant_call *base, struct fh_error *error)
{
    static const char *const operations[] = {
        [FH_WRITE_INSERT] = "insert",     [FH_WRITE_UPSERT] = "upsert",
        [FH_WRITE_UPDATE] = "update",     [FH_WRITE_DELETE] = "delete",
        [FH_WRITE_UNDELETE] = "undelete", [FH_WRITE_PURGE] = "purge",
    };
    const struct commit_call *commit = (const struct commit_call *)base;
    size_t index = base->routed.request.as.commit.failed_write;
    bool column = error->field[0] != '\0';
    char field[FH_ERROR_FIELD_MAX];
    if (index >= commit->count || (!commit->several && !column)) {
        return;
    }
    if (!commit->several) {
        (void)snprintf(field, sizeof(field), "record.fields.%.63s", error->field);
    } else if (!column) {
        (void)snprintf(field, sizeof(field), "writes[%zu]", index);
    } else {
        (void)snprintf(field, sizeof(field), "writes[%zu].%s.fields.%.63s", index,
                       operations[commit->writes[index].op], error->field);
    }
    (void)fh_error_field(error, error->code, field, "%s", fh_error_text(error));
}

/* The state of a commit of `count` writes; NULL: out of memory. */
static struct commit_call *begin(struct fh_tenant_call *base, size_t count, const char *method,
                                 const char *request_id, protobuf_c_boolean validate_only)
{
    struct commit_call *commit = (struct commit_call *)base;
    commit->method = method;
    commit->count = count;
    commit->request_id = request_id;
    commit->validate_only = validate_only != 0;
    commit->writes = FH_ARENA_ARRAY(fh_call_arena(base->call), struct fh_write, count);
    return commit->writes != NULL ? commit : NULL;
}

static enum fh_code check_request_id(const char *request_id, struct fh_error *error)
{
    size_t len = strlen(request_id);
    for (size_t i = 0; i < len; i++) {
        if (request_id[i] <= ' ' || request_id[i] > '~') {
            return fh_error_field(error, FH_INVALID, "request_id",
                                  "request_id takes visible ASCII characters only");
        }
    }
    if (len > FH_REQUEST_ID_MAX) {
        return fh_error_field(error, FH_INVALID, "request_id",
                              "request_id is longer than %d characters", FH_REQUEST_ID_MAX);
    }
    return FH_OK;
}

/* The writes as one request. */
static enum fh_code finish(struct commit_call *commit, struct fh_error *error)
{
    struct fh_tenant_call *base = &commit->base;
    struct fh_op_commit *op = &base->routed.request.as.commit;
    base->routed.request.op = FH_OP_COMMIT;
    *op = (struct fh_op_commit){
        .writes = commit->writes,
        .count = commit->count,
        .request_id = fh_str_of(commit->request_id),
        .actor = base->principal->subject,
        .address = fh_call_peer(base->call),
        .validate_only = commit->validate_only,
        .failed_write = SIZE_MAX,
    };
    if (op->address.len > FH_ADDRESS_MAX) {
        op->address.len = FH_ADDRESS_MAX;
    }
    enum fh_code code = check_request_id(commit->request_id, error);
    if (code == FH_OK) {
        code = fh_writes_check_distinct(commit->writes, commit->count, fh_call_arena(base->call),
                                        error);
    }
    if (code == FH_OK && op->request_id.len > 0) {
        code = fh_request_hash(commit->method, commit->writes, commit->count, op->request_hash);
    }
    return code;
}

static enum fh_code read_create(struct fh_tenant_call *base, struct fh_error *error)
{
    const Freehold__V1__CreateRecordRequest *in =
        (const Freehold__V1__CreateRecordRequest *)fh_call_request(base->call);
    struct commit_call *commit = begin(base, 1, "CreateRecord", in->request_id, in->validate_only);
    if (commit == NULL) {
        return FH_NOMEM;
    }
    commit->writes[0].op = FH_WRITE_INSERT;
    const struct fh_record_source source = {.record = in->record, .field = "record"};
    enum fh_code code = fh_write_set_record(base, &source, &commit->writes[0], error);
    return code == FH_OK ? finish(commit, error) : code;
}

static enum fh_code read_update(struct fh_tenant_call *base, struct fh_error *error)
{
    const Freehold__V1__UpdateRecordRequest *in =
        (const Freehold__V1__UpdateRecordRequest *)fh_call_request(base->call);
    struct commit_call *commit = begin(base, 1, "UpdateRecord", in->request_id, in->validate_only);
    if (commit == NULL) {
        return FH_NOMEM;
    }
    commit->writes[0].op = FH_WRITE_UPDATE;
    commit->writes[0].insert_if_missing = in->allow_missing != 0;
    const struct fh_record_source source = {.record = in->record,
                                            .field = "record",
                                            .mask = in->update_mask,
                                            .mask_field = "update_mask"};
    enum fh_code code = fh_write_set_record(base, &source, &commit->writes[0], error);
    if (code == FH_OK) {
        code = fh_etag_parse(in->record->etag, "record.etag", &commit->writes[0], error);
    }
    return code == FH_OK ? finish(commit, error) : code;
}

/* Delete, undelete and purge: a name and an etag. */
static enum fh_code read_by_name(struct commit_call *commit, enum fh_write_op op, const char *name,
                                 const char *etag, struct fh_error *error)
{
    if (commit == NULL) {
        return FH_NOMEM;
    }
    commit->writes[0].op = op;
    enum fh_code code = fh_write_set_name(&commit->base, name, "name", &commit->writes[0], error);
    if (code == FH_OK) {
        code = fh_etag_parse(etag, "etag", &commit->writes[0], error);
    }
    return code == FH_OK ? finish(commit, error) : code;
}

static enum fh_code read_delete(struct fh_tenant_call *base, struct fh_error *error)
{
    const Freehold__V1__DeleteRecordRequest *in =
        (const Freehold__V1__DeleteRecordRequest *)fh_call_request(base->call);
    return read_by_name(begin(base, 1, "DeleteRecord", in->request_id, in->validate_only),
                        FH_WRITE_DELETE, in->name, in->etag, error);
}

static enum fh_code read_undelete(struct fh_tenant_call *base, struct fh_error *error)
{
    const Freehold__V1__UndeleteRecordRequest *in =
        (const Freehold__V1__UndeleteRecordRequest *)fh_call_request(base->call);
    return read_by_name(begin(base, 1, "UndeleteRecord", in->request_id, in->validate_only),
                        FH_WRITE_UNDELETE, in->name, in->etag, error);
}

static enum fh_code read_purge(struct fh_tenant_call *base, struct fh_error *error)
{
    const Freehold__V1__PurgeRecordRequest *in =
        (const Freehold__V1__PurgeRecordRequest *)fh_call_request(base->call);
    return read_by_name(begin(base, 1, "PurgeRecord", in->request_id, in->validate_only),
                        FH_WRITE_PURGE, in->name, in->etag, error);
}

static enum fh_code read_commit(struct fh_tenant_call *base, struct fh_error *error)
{
    const Freehold__V1__CommitRequest *in =
        (const Freehold__V1__CommitRequest *)fh_call_request(base->call);
    if (in->n_writes == 0 || in->n_writes > FH_COMMIT_WRITES_MAX) {
        return fh_error_field(error, FH_INVALID, "writes", "give 1 to %d writes, not %zu",
                              FH_COMMIT_WRITES_MAX, in->n_writes);
    }
    struct commit_call *commit =
        begin(base, in->n_writes, "Commit", in->request_id, in->validate_only);
    if (commit == NULL) {
        return FH_NOMEM;
    }
    commit->several = true;
    for (size_t i = 0; i < in->n_writes; i++) {
        enum fh_code code = fh_write_from_proto(base, in->writes[i], i, &commit->writes[i], error);
        if (code != FH_OK) {
            return code;
        }
    }
    return finish(commit, error);
}

#define COMMIT_METHOD(how_read, how_answered)                                             \
    {                                                                                     \
        .size = sizeof(struct commit_call), .read = (how_read), .answer = (how_answered), \
        .explain = explain,                                                               \
    }

void fh_data_create_record(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = COMMIT_METHOD(read_create, answer_record);
    fh_tenant_call_run(call, arg, &method);
}

void fh_data_update_record(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = COMMIT_METHOD(read_update, answer_record);
    fh_tenant_call_run(call, arg, &method);
}

void fh_data_delete_record(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = COMMIT_METHOD(read_delete, answer_record);
    fh_tenant_call_run(call, arg, &method);
}

void fh_data_undelete_record(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = COMMIT_METHOD(read_undelete, answer_record);
    fh_tenant_call_run(call, arg, &method);
}

void fh_data_purge_record(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = COMMIT_METHOD(read_purge, answer_purge);
    fh_tenant_call_run(call, arg, &method);
}

void fh_data_commit(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = COMMIT_METHOD(read_commit, answer_commit);
    fh_tenant_call_run(call, arg, &method);
}
