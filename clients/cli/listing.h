/* A List method, paged: as a table page by page, as one JSON document, or as one item a line.
 *
 * Takes --page-size, --page-token, --all and --limit from the session's arguments. One thread.
 */
#ifndef FH_CLIENTS_CLI_LISTING_H
#define FH_CLIENTS_CLI_LISTING_H

#include <protobuf-c/protobuf-c.h>

#include "clients/cli/grid.h"
#include "clients/cli/session.h"

struct fh_listing {
    struct fh_client *client;
    const ProtobufCServiceDescriptor *service;
    const char *method;
    /* Its fields page_size and page_token are set here; the response's first repeated field is the
     * items. */
    ProtobufCMessage *request;
    /* Names the columns; sees the first page. */
    void (*head)(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count, void *arg);
    void (*row)(struct fh_grid *grid, const ProtobufCMessage *item, void *arg);
    void *arg;
};

/* Options for a command's table. */
#define FH_LISTING_OPTIONS                                                          \
    {"page-size", 0, "N", "items a page (the server has a default and a maximum)"}, \
        {"page-token", 0, "TOKEN", "go on behind an earlier page"},                 \
        {"all", 'a', NULL, "every page, to the end"},                               \
    {                                                                               \
        "limit", 'n', "N", "stop after so many items"                               \
    }

int fh_listing_run(struct fh_session *session, const struct fh_listing *listing);

#endif
