/* kill -9 in the middle of groups: what was acknowledged is there afterwards, what was not is there
 * or not, and asking again with the same request id answers it once. */
#include "tests/unit/stores_sqlite/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 6
#define IN_FLIGHT 48
#define COMMITS_MAX 4000

struct commit {
    struct fh_request request;
    struct fh_arena arena;
    struct child *child;
    int number;
};

struct child {
    struct fixture f;
    struct commit commits[IN_FLIGHT];
    int next;
    int end;
    int acks; /* the pipe's end */
};

/* Everything in `arena`, which is empty. */
static struct fh_request make(struct fixture *f, int number, struct fh_arena *arena)
{
    static const struct fh_assignment name = {
        .column = ITEM_NAME, .value = {.type = FH_TYPE_TEXT, .as.bytes = {.data = "n", .len = 1}}};
    struct fh_write *write = FH_ARENA_NEW(arena, struct fh_write);
    *write = (struct fh_write){.op = FH_WRITE_INSERT,
                               .key = fixture_item(number),
                               .assignments = &name,
                               .assignment_count = 1};
    struct fh_request request = fixture_commit(f, &f->a, write);
    request.arena = arena;
    request.as.commit.request_id = fh_str_of(fh_arena_printf(arena, "commit-%d", number));
    memcpy(request.as.commit.request_hash, &number, sizeof(number));
    return request;
}

static void start(struct commit *commit);

static void done_cb(struct fh_request *request)
{
    struct commit *commit = request->arg;
    struct child *child = commit->child;
    if (request->code != FH_OK ||
        write(child->acks, &commit->number, sizeof(commit->number)) != sizeof(commit->number)) {
        _exit(2);
    }
    start(commit);
}

static void start(struct commit *commit)
{
    struct child *child = commit->child;
    if (child->next == child->end) {
        return;
    }
    commit->number = child->next++;
    fh_arena_reset(&commit->arena);
    commit->request = make(&child->f, commit->number, &commit->arena);
    commit->request.arg = commit;
    commit->request.done_cb = done_cb;
    if (fh_store_submit(child->f.store, &commit->request) != FH_OK) {
        _exit(3);
    }
}

/* Commits from `first` on until it is killed. */
static void be_child(const struct fixture *parent, int first, int acks)
{
    static struct child child;
    child.f = *parent; /* the directory and the tenants; the rest is made anew */
    if (uv_loop_init(&child.f.loop) != 0) {
        _exit(4);
    }
    child.f.clock.arg = &child.f;
    child.f.env = (struct fh_env){.loop = &child.f.loop, .clock = &child.f.clock};
    fh_arena_init(&child.f.arena, (size_t)256 << 20);
    struct fh_error error = FH_ERROR_INIT;
    if (fixture_try_open(&child.f, &error) != FH_OK) {
        _exit(5);
    }
    child.acks = acks;
    child.next = first;
    child.end = first + COMMITS_MAX;
    for (int i = 0; i < IN_FLIGHT; i++) {
        child.commits[i].child = &child;
        fh_arena_init(&child.commits[i].arena, 1 << 20);
        start(&child.commits[i]);
    }
    uv_run(&child.f.loop, UV_RUN_DEFAULT);
    for (;;) { /* the parent wanted more than there was: wait for the kill */
        pause();
    }
}

/* Reads acknowledgements until `wanted` have come, kills, reads the rest. Answers how many there
 * are. */
static int reap(pid_t pid, int acks, int wanted, bool *acknowledged)
{
    int count = 0;
    int number = 0;
    while (read(acks, &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        assert_in_range(number, 0, ROUNDS * COMMITS_MAX - 1);
        assert_false(acknowledged[number]);
        acknowledged[number] = true;
        if (++count == wanted) {
            assert_int_equal(kill(pid, SIGKILL), 0);
        }
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return count;
}

static void verify(struct fixture *f, int first, const bool *acknowledged)
{
    struct fh_row *row = NULL;
    for (int number = first; number < first + COMMITS_MAX; number++) {
        /* Groups are in order: behind a gap as wide as what can be in flight there is nothing. */
        bool last = true;
        for (int i = number; i < number + IN_FLIGHT && i < first + COMMITS_MAX; i++) {
            last = last && !acknowledged[i];
        }
        assert_code(fixture_get(f, &f->a, number, &row), FH_OK);
        bool stored = row != NULL;
        if (acknowledged[number]) {
            assert_true(stored);
        }
        struct fh_request again = make(f, number, &f->arena);
        assert_code(fixture_run(f, &again), FH_OK);
        assert_int_equal(again.as.commit.replayed, stored);
        assert_code(fixture_get(f, &f->a, number, &row), FH_OK);
        assert_int_equal(row->version, 1);
        if (last) {
            return;
        }
    }
}

static void test_kill(void **state)
{
    static bool acknowledged[ROUNDS * COMMITS_MAX + IN_FLIGHT];
    struct fixture *f = *state;
    srand(20261121);
    fixture_shut(f);
    for (int round = 0; round < ROUNDS; round++) {
        int first = round * COMMITS_MAX;
        int wanted = 1 + rand() % 600;
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(pipes[0]);
            be_child(f, first, pipes[1]);
        }
        close(pipes[1]);
        int count = reap(pid, pipes[0], wanted, acknowledged);
        close(pipes[0]);
        assert_true(count >= wanted);
        fixture_open(f);
        verify(f, first, acknowledged);
        struct fh_request check = fixture_request(f, FH_OP_CHECK, NULL);
        assert_code(fixture_run(f, &check), FH_OK);
        for (size_t i = 0; i < check.as.check.count; i++) {
            assert_true(check.as.check.findings[i].ok);
        }
        fixture_shut(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {FIXTURE_TEST(test_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
