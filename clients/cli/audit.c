/* `freehold audit list`: a tenant's own trail. */
#include "freehold/v1/audit.pb-c.h"

#include <stdio.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/listing.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"

#define CHANGES_SHOWN 3

static void event_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count,
                       void *arg)
{
    (void)items;
    (void)count;
    (void)arg;
    fh_grid_column(grid, "TIME", false);
    fh_grid_column(grid, "EVENT", false);
    fh_grid_column(grid, "ACTOR", false);
    fh_grid_column(grid, "FROM", false);
    fh_grid_column(grid, "CHANGES", false);
}

static const char *operation_name(Freehold__V1__Change__Operation operation)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &freehold__v1__change__operation__descriptor, (int)operation);
    return value != NULL && strncmp(value->name, "OPERATION_", 10) == 0 ? value->name + 10
                                                                        : "UNKNOWN";
}

static void add_changes(struct fh_buf *out, const Freehold__V1__Event *event)
{
    for (size_t i = 0; i < event->n_changes && i < CHANGES_SHOWN; i++) {
        const char *name = event->changes[i]->record_name;
        struct fh_str table = fh_text_record_table(name);
        fh_buf_printf(out, "%s%s ", i > 0 ? "; " : "",
                      operation_name(event->changes[i]->operation));
        fh_buf_add_str(out, table);
        fh_buf_add_char(out, ' ');
        fh_text_add_record_key(out, name);
    }
    if (event->n_changes > CHANGES_SHOWN) {
        fh_buf_printf(out, "; and %zu more", event->n_changes - CHANGES_SHOWN);
    }
}

static void event_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const Freehold__V1__Event *event = (const Freehold__V1__Event *)item;
    struct fh_buf text;
    (void)arg;
    fh_buf_init(&text, 65536);
    if (event->time != NULL) {
        fh_text_add_time(&text, event->time->seconds, event->time->nanos);
    }
    fh_grid_cell(grid, fh_buf_str(&text));
    fh_grid_text(grid, strncmp(event->name, "events/", 7) == 0 ? event->name + 7 : event->name);
    fh_grid_text(grid, event->actor);
    fh_grid_text(grid, event->address);
    fh_buf_clear(&text);
    add_changes(&text, event);
    fh_grid_cell(grid, fh_buf_str(&text));
    fh_buf_close(&text);
}

static int list_run(struct fh_session *session)
{
    Freehold__V1__ListEventsRequest request = FREEHOLD__V1__LIST_EVENTS_REQUEST__INIT;
    struct fh_listing listing = {
        .service = &freehold__v1__audit_service__descriptor,
        .method = "ListEvents",
        .request = &request.base,
        .head = event_head,
        .row = event_row,
    };
    const int exit_code = fh_session_tenant(session, &listing.client);
    return exit_code == FH_EXIT_OK ? fh_listing_run(session, &listing) : exit_code;
}

static const struct fh_option list_options[] = {
    FH_LISTING_OPTIONS,
    {0},
};

const struct fh_command fh_audit_commands[] = {
    {"audit", "list", "", "List a tenant's commits, newest first",
     "Needs the role admin. -o json shows every change with the record before and after.",
     list_options, 0, 0, list_run},
    {0},
};
