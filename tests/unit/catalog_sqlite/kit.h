/* A catalog on a real file in a directory of its own. Requests go through the loop and the thread
 * as in the server; whoever waits, waits for completions. */
#ifndef FH_TESTS_UNIT_CATALOG_SQLITE_KIT_H
#define FH_TESTS_UNIT_CATALOG_SQLITE_KIT_H

#include "router/catalog_sqlite/catalog_sqlite.h"

struct kit {
    uv_loop_t loop;
    struct fh_env env;
    char dir[64];
    char path[96];
    struct fh_catalog *catalog;
    struct fh_arena arena;
    size_t pending;
    bool closed;
};

/* Fixtures: kit_set_up_empty() opens nothing. */
enum fh_code kit_open(struct kit *f, struct fh_error *error);
void kit_close(struct kit *f);
void kit_closed_cb(void *arg); /* sets closed */
int kit_set_up_empty(void **state);
int kit_set_up(void **state);
int kit_tear_down(void **state);
void kit_prepare(struct kit *f, struct fh_catalog_request *request);
enum fh_code kit_call(struct kit *f, struct fh_catalog_request *request);
enum fh_code kit_add_store(struct kit *f, const char *name);
struct fh_catalog_request kit_creation(const char *slug, const char *request_id);
enum fh_code kit_advance(struct kit *f, const struct fh_uuid *uuid, uint32_t from,
                         uint64_t generation, enum fh_tenant_state to, bool bump,
                         struct fh_tenant *out);
long long kit_peek(struct kit *f, const char *sql);

#endif
