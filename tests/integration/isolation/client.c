/* Happy path: every client draws, submits, judges the answer and goes on, until the run's bound;
 * then those with a commit that is not settled go on until it is.
 *
 * Failures: a commit that was turned away waits for the next turn of the loop. One that is turned
 * away ATTEMPTS_MAX times is a mismatch, and its slots are given up.
 */
#include "tests/integration/isolation/client.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

#define ARENA_BYTES_MAX ((size_t)64 << 20)
#define PPM 1000000

struct clients {
    struct world *world;
    const struct chaos_run *run;
    struct client all[(size_t)STORES_MAX * CLIENTS_MAX];
    size_t count;
    size_t active;
    struct fh_list waiting;
    uv_idle_t idle;
    uv_timer_t timer;
    bool over; /* time is */
};

static void wait_for_next_turn(struct client *client);

static bool ended(const struct client *client)
{
    const struct chaos_run *run = client->run;
    return run->requests > 0 ? client->store->issued >= run->requests : client->clients->over;
}

/* False: the client is to be woken by an answer, or by the next turn. */
static bool submit(struct client *client)
{
    struct world *world = client->world;
    client_build(client);
    if (random_below(&world->random, PPM) < client->run->forget_ppm) {
        fh_router_invalidate(world->router, &client->tenant->uuid);
    }
    bool cancel = random_below(&world->random, PPM) < client->run->cancel_ppm;
    enum fh_code code = fh_router_submit(world->router, &client->routed);
    if (code == FH_OK) {
        if (cancel) {
            fh_router_cancel(world->router, &client->routed);
        }
        return false;
    }
    if (client_check(client, code)) {
        wait_for_next_turn(client);
        return false;
    }
    return true;
}

static void go_on(struct client *client)
{
    do {
        if (ended(client)) {
            FH_ASSERT(client->clients->active > 0);
            client->clients->active--;
            return;
        }
        client->store->issued++;
        client_draw(client);
    } while (submit(client));
}

static void try_again(struct client *client)
{
    if (client->attempts < ATTEMPTS_MAX) {
        if (submit(client)) {
            go_on(client);
        }
        return;
    }
    world_mismatch(client->world, "%s: commit %u is not settled", client->tenant->slug,
                   client->plan.number);
    if (client->kind == REQUEST_COMMIT) {
        plan_lose(&client->plan, client->tenant);
    }
    go_on(client);
}

static void answered_cb(struct fh_routed *routed)
{
    struct client *client = routed->arg;
    if (client_check(client, routed->code)) {
        wait_for_next_turn(client);
    } else {
        go_on(client);
    }
}

static void idle_cb(uv_idle_t *idle)
{
    struct clients *clients = idle->data;
    struct fh_list due;
    struct fh_list *node = NULL;
    fh_list_init(&due);
    while ((node = fh_list_pop_front(&clients->waiting)) != NULL) {
        fh_list_push_back(&due, node);
    }
    uv_idle_stop(idle);
    while ((node = fh_list_pop_front(&due)) != NULL) {
        try_again(FH_CONTAINER_OF(node, struct client, node));
    }
}

static void wait_for_next_turn(struct client *client)
{
    fh_list_push_back(&client->clients->waiting, &client->node);
    int failed = uv_idle_start(&client->clients->idle, idle_cb);
    FH_ASSERT(failed == 0);
}

static void over_cb(uv_timer_t *timer)
{
    ((struct clients *)timer->data)->over = true;
}

static void closed_cb(uv_handle_t *handle)
{
    (void)handle;
}

static void add_clients(struct clients *clients, struct world_store *store, size_t count)
{
    store->issued = 0;
    for (size_t i = 0; i < count; i++) {
        struct client *client = &clients->all[clients->count++];
        client->world = clients->world;
        client->store = store;
        client->run = clients->run;
        client->clients = clients;
        client->routed.done_cb = answered_cb;
        client->routed.arg = client;
        fh_list_init(&client->node);
        fh_arena_init(&client->arena, ARENA_BYTES_MAX);
    }
}

void chaos_run(struct world *world, const struct chaos_run *run, size_t count)
{
    struct clients *clients = fh_calloc(1, sizeof(*clients));
    assert_non_null(clients);
    assert_true(count <= CLIENTS_MAX);
    clients->world = world;
    clients->run = run;
    fh_list_init(&clients->waiting);
    (void)uv_idle_init(&world->loop, &clients->idle);
    (void)uv_timer_init(&world->loop, &clients->timer);
    clients->idle.data = clients;
    clients->timer.data = clients;
    if (run->requests == 0) {
        (void)uv_timer_start(&clients->timer, over_cb, run->milliseconds, 0);
    }
    for (size_t i = 0; i < world->store_count; i++) {
        add_clients(clients, &world->stores[i], count);
    }
    clients->active = clients->count;
    for (size_t i = 0; i < clients->count; i++) {
        go_on(&clients->all[i]);
    }
    while (clients->active > 0) {
        uv_run(&world->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&clients->idle, closed_cb);
    uv_close((uv_handle_t *)&clients->timer, closed_cb);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < clients->count; i++) {
        fh_arena_close(&clients->all[i].arena);
    }
    fh_free(clients);
}
