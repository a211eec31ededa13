/* One process makes and erases a home again and again, another writes to it all the while: what was
 * acknowledged while the home stood is in the home, never in a file that has lost its name. */
#include "tests/unit/stores_sqlite/tiers.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 25
#define WRITES_A_ROUND 3  /* at least, while the home stands */
#define WRITES_MAX 100000 /* of the child */
#define WAITS_MAX 60000   /* milliseconds, against hanging */
#define ATTEMPTS_MAX 1000

/* Shared by both; all of it atomic. */
struct board {
    uint32_t phase; /* even: the home stands; odd: it is being erased and made */
    uint32_t acknowledged;
    uint32_t phases[WRITES_MAX]; /* of the acknowledged writes; the key is the index */
    int32_t keys[WRITES_MAX];
    bool stop;
};

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_SEQ_CST)
#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_SEQ_CST)

/* What a write may meet while a home goes and comes. */
static bool may_be(enum fh_code code)
{
    return code == FH_OK || code == FH_NO_TENANT || code == FH_MOVED || code == FH_UNAVAILABLE;
}

static void write_on(const struct fixture *parent, enum fh_tier tier, struct board *board)
{
    static struct fixture child;
    struct fh_error error = FH_ERROR_INIT;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails does not wait for it */
    child = *parent; /* the directory and the tenants; the rest is made anew */
    if (uv_loop_init(&child.loop) != 0) {
        _exit(4);
    }
    child.clock.arg = &child;
    child.env = (struct fh_env){.loop = &child.loop, .clock = &child.clock};
    fh_arena_init(&child.arena, (size_t)64 << 20);
    if (fixture_try_open(&child, &error) != FH_OK) {
        _exit(5);
    }
    for (int32_t key = 0; key < WRITES_MAX && !LOAD(board->stop); key++) {
        uint32_t before = LOAD(board->phase);
        enum fh_code code = tier_put(&child, tier, &child.a, key);
        if (!may_be(code)) {
            _exit(6);
        }
        if (code == FH_OK && before % 2 == 0 && LOAD(board->phase) == before) {
            uint32_t at = LOAD(board->acknowledged);
            STORE(board->keys[at], key);
            STORE(board->phases[at], before);
            STORE(board->acknowledged, at + 1);
        }
        fh_arena_reset(&child.arena);
    }
    _exit(0);
}

static void await_writes(struct board *board, pid_t pid, uint32_t from)
{
    int waits = 0;
    while (LOAD(board->acknowledged) < from + WRITES_A_ROUND) {
        struct timespec millisecond = {.tv_nsec = 1000000};
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        assert_true(++waits < WAITS_MAX);
        nanosleep(&millisecond, NULL);
    }
}

/* The other process' lock may be in the way. */
static void change(struct fixture *f, enum fh_tier tier, uint64_t generation, bool erase)
{
    enum fh_code code = FH_UNAVAILABLE;
    for (int i = 0; i < ATTEMPTS_MAX && code == FH_UNAVAILABLE; i++) {
        code = erase ? tier_erase(f, tier, &f->a, generation)
                     : tier_create(f, tier, &f->a, generation);
    }
    assert_code(code, FH_OK);
}

static void look_for_all(struct fixture *f, enum fh_tier tier, struct board *board, uint32_t from,
                         uint32_t phase)
{
    uint32_t end = LOAD(board->acknowledged);
    for (uint32_t i = from; i < end; i++) {
        bool found = false;
        if (LOAD(board->phases[i]) != phase) {
            continue;
        }
        assert_code(tier_get(f, tier, &f->a, LOAD(board->keys[i]), &found), FH_OK);
        assert_true(found);
    }
    fh_arena_reset(&f->arena);
}

static void run_rounds(struct fixture *f, enum fh_tier tier)
{
    struct board *board =
        mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(board != MAP_FAILED);
    assert_code(tier_create(f, tier, &f->a, 1), FH_OK);
    fixture_shut(f);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        write_on(f, tier, board);
    }
    fixture_open(f);
    for (uint64_t generation = 1; generation <= ROUNDS; generation++) {
        uint32_t phase = LOAD(board->phase);
        uint32_t from = LOAD(board->acknowledged);
        await_writes(board, pid, from);
        STORE(board->phase, phase + 1);
        look_for_all(f, tier, board, from, phase);
        change(f, tier, generation, true);
        change(f, tier, generation + 1, false);
        STORE(board->phase, phase + 2);
    }
    STORE(board->stop, true);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(tier_check(f, ""), 0);
    change(f, tier, ROUNDS + 1, true);
    munmap(board, sizeof(*board));
}

static void test_a_file(void **state)
{
    run_rounds(*state, FH_TIER_DATABASE);
}

static void test_tables_of_a_bridge_file(void **state)
{
    run_rounds(*state, FH_TIER_SCHEMA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_file),
        FIXTURE_TEST(test_tables_of_a_bridge_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
