/* Happy path: fetch a page, print it, go on with its token until the end, the limit, or one page
 * was asked for. Failure in the middle: what was printed stays, the exit code tells. */
#include "clients/cli/listing.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "clients/cli/json.h"

#define CELL_LEN_MAX 60
#define TOKEN_SIZE 4096

struct run {
    struct fh_session *session;
    const struct fh_listing *listing;
    struct fh_grid grid;
    struct fh_buf out;
    long long left; /* items still wanted */
    bool started;
    bool any;
    char token[TOKEN_SIZE]; /* of the next page */
};

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessageDescriptor *message,
                                                const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message, name);
    FH_ASSERT(field != NULL);
    return field;
}

static void set_request(const struct run *run, long long page_size)
{
    ProtobufCMessage *request = run->listing->request;
    const int32_t size = (int32_t)page_size;
    const char *token = run->token;
    memcpy((char *)request + field_of(request->descriptor, "page_size")->offset, &size,
           sizeof(size));
    memcpy((char *)request + field_of(request->descriptor, "page_token")->offset, &token,
           sizeof(token));
}

static void print_json(struct run *run, const char *name, ProtobufCMessage *const *items,
                       size_t count)
{
    const bool lines = run->session->output == FH_OUTPUT_NDJSON;
    if (!lines && !run->started) {
        fh_buf_printf(&run->out, "{\n  \"%s\": [", name);
    }
    for (size_t i = 0; i < count; i++) {
        if (!lines) {
            fh_buf_add_text(&run->out, run->any ? ",\n    " : "\n    ");
        }
        fh_json_add_message(&run->out, items[i], lines ? -1 : 2);
        if (lines) {
            fh_buf_add_char(&run->out, '\n');
        }
        run->any = true;
    }
}

static void print_grid(struct run *run, ProtobufCMessage *const *items, size_t count)
{
    const struct fh_listing *listing = run->listing;
    if (!run->started) {
        listing->head(&run->grid, items, count, listing->arg);
    }
    for (size_t i = 0; i < count; i++) {
        listing->row(&run->grid, items[i], listing->arg);
    }
    const enum fh_code code = fh_grid_flush(&run->grid, &run->out);
    if (code != FH_OK) {
        run->out.code = code;
    }
}

static int print_page(struct run *run, const ProtobufCMessage *response)
{
    const ProtobufCFieldDescriptor *items_field = &response->descriptor->fields[0];
    ProtobufCMessage **items;
    size_t count;
    const char *token;
    FH_ASSERT(items_field->label == PROTOBUF_C_LABEL_REPEATED);
    memcpy(&count, (const char *)response + items_field->quantifier_offset, sizeof(count));
    memcpy(&items, (const char *)response + items_field->offset, sizeof(items));
    memcpy(&token,
           (const char *)response + field_of(response->descriptor, "next_page_token")->offset,
           sizeof(token));
    if ((long long)count > run->left) {
        count = (size_t)run->left;
    }
    run->left -= (long long)count;
    if (run->session->output == FH_OUTPUT_TABLE) {
        print_grid(run, items, count);
    } else {
        print_json(run, items_field->name, items, count);
    }
    run->started = true;
    if (strlen(token) >= sizeof(run->token)) {
        return fh_session_fail(run->session, FH_EXIT_LOCAL, "the server's page token is too long");
    }
    (void)snprintf(run->token, sizeof(run->token), "%s", token);
    return fh_session_write(run->session, &run->out);
}

static int finish(struct run *run)
{
    if (run->session->output == FH_OUTPUT_JSON) {
        fh_buf_add_text(&run->out,
                        run->any ? "\n  ],\n  \"nextPageToken\": " : "],\n  \"nextPageToken\": ");
        fh_json_add_string(&run->out, run->token);
        fh_buf_add_text(&run->out, "\n}\n");
    } else if (run->token[0] != '\0' && !fh_args_has(run->session->args, "limit")) {
        fh_session_note(run->session, "There is more: add --all, or --page-token %s", run->token);
    }
    return fh_session_write(run->session, &run->out);
}

static int run_pages(struct run *run, long long page_size)
{
    const struct fh_listing *listing = run->listing;
    const bool on =
        fh_args_has(run->session->args, "all") || fh_args_has(run->session->args, "limit");
    do {
        ProtobufCMessage *response = NULL;
        set_request(run, page_size);
        int exit_code = fh_session_invoke(run->session, listing->client, listing->service,
                                          listing->method, listing->request, &response);
        if (exit_code == FH_EXIT_OK) {
            exit_code = print_page(run, response);
        }
        fh_client_message_free(response);
        if (exit_code != FH_EXIT_OK) {
            return exit_code;
        }
    } while (on && run->left > 0 && run->token[0] != '\0');
    return finish(run);
}

int fh_listing_run(struct fh_session *session, const struct fh_listing *listing)
{
    struct run run = {.session = session, .listing = listing, .left = INT64_MAX};
    struct fh_error error = FH_ERROR_INIT;
    long long page_size = 0;
    const char *token = fh_args_value(session->args, "page-token");
    if (fh_args_number(session->args, "page-size", 1, 1000, &page_size, &error) != FH_OK ||
        fh_args_number(session->args, "limit", 1, INT64_MAX, &run.left, &error) != FH_OK) {
        return fh_session_fail_error(session, &error);
    }
    if (token != NULL && strlen(token) >= sizeof(run.token)) {
        return fh_session_fail(session, FH_EXIT_USAGE, "that is not a page token: too long");
    }
    if (token != NULL) {
        (void)snprintf(run.token, sizeof(run.token), "%s", token);
    }
    if (page_size == 0 && run.left < 1000) {
        page_size = run.left;
    }
    fh_grid_init(&run.grid, session->out_is_terminal ? CELL_LEN_MAX : 0);
    fh_buf_init(&run.out, FH_OUTPUT_BYTES_MAX);
    const int exit_code = run_pages(&run, page_size);
    fh_buf_close(&run.out);
    fh_grid_close(&run.grid);
    return exit_code;
}
