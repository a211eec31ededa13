/* Happy path: a token is minted, or a child prints one into a pipe, which is read to its end; the
 * child ends with 0.
 *
 * Failures: a command that cannot start, ends otherwise, prints nothing, too much, or takes too
 * long. It is killed by its process id then. What it printed is not repeated; its stderr is ours.
 */
#include "clients/cli/canary_token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "clients/attack/forgery.h"

#define ROLES "reader,writer,admin"
#define TTL_S 900 /* longer than a run may take */
#define LOOK_MS 200
#define END_LOOK_MS 5
#define VARIABLES_MAX 1024

bool fh_token_source_is_there(const struct fh_token_source *source, const char **why)
{
    *why = "no tokens of the canaries: give --token-command CMD, or --data-dir DIR of a server "
           "with development keys";
    return source->command != NULL || source->session->context.keys_dir[0] != '\0';
}

static enum fh_code mint(const struct fh_token_source *source, const char *uid, int64_t ago_s,
                         int64_t ttl_s, struct fh_buf *out, struct fh_error *error)
{
    static const char *const roles[] = {"reader", "writer", "admin"};
    const struct fh_devtoken request = {
        .operators = uid == NULL,
        .tenant = fh_str_of(uid),
        .subject = FH_STR("freehold-probe"),
        .roles = roles,
        .role_count = sizeof(roles) / sizeof(roles[0]),
        .issued_s = fh_clock_realtime_us(fh_clock_system()) / 1000000 - ago_s,
        .ttl_s = ttl_s,
    };
    fh_buf_clear(out);
    return fh_devtoken_mint(source->session->context.keys_dir, &request, out, error);
}

/* -- The command --------------------------------------------------------------------------------
 */

/* The environment of ours and two variables more; freed with fh_free() but for the strings. */
static char **environment(char *uid, char *roles)
{
    size_t count = 0;
    while (environ[count] != NULL && count < VARIABLES_MAX) {
        count++;
    }
    char **list = fh_calloc(count + 3, sizeof(*list));
    if (list != NULL) {
        list[0] = uid;
        list[1] = roles;
        memcpy(list + 2, environ, count * sizeof(*list));
    }
    return list;
}

/* The child's signals are as at a start, whatever is blocked here. */
static int spawn(const struct fh_token_source *source, const char *uid, int out_fd, pid_t *pid)
{
    char uid_variable[64];
    char roles_variable[] = "FREEHOLD_ROLES=" ROLES;
    char shell[] = "sh";
    char option[] = "-c";
    char *words[] = {shell, option, (char *)(uintptr_t)source->command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t pipes; /* ignored here */
    (void)snprintf(uid_variable, sizeof(uid_variable), "FREEHOLD_TENANT_UID=%s", uid);
    char **variables = environment(uid_variable, roles_variable);
    if (variables == NULL) {
        return ENOMEM;
    }
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc == 0) {
        rc = posix_spawnattr_init(&attributes);
        if (rc == 0) {
            (void)sigemptyset(&none);
            (void)sigemptyset(&pipes);
            (void)sigaddset(&pipes, SIGPIPE);
            (void)posix_spawnattr_setsigmask(&attributes, &none);
            (void)posix_spawnattr_setsigdefault(&attributes, &pipes);
            (void)posix_spawnattr_setpgroup(&attributes, 0);
            (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                                            POSIX_SPAWN_SETSIGDEF |
                                                            POSIX_SPAWN_SETPGROUP);
            rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
            rc = rc == 0 ? posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO) : rc;
            rc =
                rc == 0 ? posix_spawn(pid, "/bin/sh", &actions, &attributes, words, variables) : rc;
            (void)posix_spawnattr_destroy(&attributes);
        }
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    fh_free(variables);
    return rc;
}

static enum fh_code may_go_on(const struct fh_token_source *source, int64_t until_us,
                              struct fh_error *error)
{
    const int64_t now_us = fh_clock_monotonic_us(fh_clock_system());
    if (now_us >= source->deadline_at_us) {
        return fh_error_set(error, FH_DEADLINE, "the run's time is over");
    }
    if (now_us >= until_us) {
        return fh_error_set(error, FH_DEADLINE, "the token command took longer than %d s",
                            FH_TOKEN_COMMAND_S);
    }
    return source->stop_cb != NULL && source->stop_cb(source->stop_arg)
               ? fh_error_set(error, FH_CANCELLED, "stopped")
               : FH_OK;
}

/* To the end of the pipe, or of the room for a token. */
static enum fh_code read_all(const struct fh_token_source *source, int fd, int64_t until_us,
                             struct fh_buf *out, struct fh_error *error)
{
    char chunk[1024];
    ssize_t got = 1;
    while (got > 0 && fh_buf_code(out) == FH_OK) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        const enum fh_code code = may_go_on(source, until_us, error);
        if (code != FH_OK) {
            return code;
        }
        if (poll(&ready, 1, LOOK_MS) > 0) {
            got = read(fd, chunk, sizeof(chunk));
            fh_buf_add(out, chunk, got > 0 ? (size_t)got : 0);
            explicit_bzero(chunk, sizeof(chunk));
        }
    }
    while (fh_buf_code(out) == FH_OK && out->len > 0 &&
           (unsigned char)out->data[out->len - 1] <= ' ') {
        out->data[--out->len] = '\0';
    }
    if (fh_buf_code(out) != FH_OK || out->len == 0) {
        return fh_error_set(error, FH_INVALID, "the token command printed %s",
                            fh_buf_code(out) == FH_TOO_LARGE ? "more than a token" : "no token");
    }
    return FH_OK;
}

/* It may have closed its output and go on. */
static enum fh_code await_end(const struct fh_token_source *source, pid_t pid, int64_t until_us,
                              int *status, struct fh_error *error)
{
    for (;;) {
        const pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended == pid) {
            return FH_OK;
        }
        const enum fh_code code = may_go_on(source, until_us, error);
        if (code != FH_OK) {
            return code;
        }
        (void)poll(NULL, 0, END_LOOK_MS);
    }
}

static enum fh_code run(const struct fh_token_source *source, const char *uid, struct fh_buf *out,
                        struct fh_error *error)
{
    const struct sigaction heard = {.sa_handler = SIG_DFL};
    struct sigaction before;
    int ends[2];
    pid_t pid = -1;
    int status = 0;
    fh_buf_clear(out);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return fh_error_set(error, FH_UNAVAILABLE, "no pipe for the token command");
    }
    /* Where it is ignored, as a supervisor may have left it, a child's end is not told to anybody.
     */
    (void)sigaction(SIGCHLD, &heard, &before);
    const int rc = spawn(source, uid, ends[1], &pid);
    (void)close(ends[1]);
    if (rc != 0) {
        (void)close(ends[0]);
        (void)sigaction(SIGCHLD, &before, NULL);
        return fh_error_set(error, FH_UNAVAILABLE, "the token command cannot be started: %s",
                            strerror(rc));
    }
    const int64_t until_us =
        fh_clock_monotonic_us(fh_clock_system()) + FH_TOKEN_COMMAND_S * 1000000LL;
    enum fh_code code = read_all(source, ends[0], until_us, out, error);
    (void)close(ends[0]);
    if (code == FH_OK) {
        code = await_end(source, pid, until_us, &status, error);
    }
    if (code != FH_OK) { /* its own process group, so what it started goes with it */
        (void)kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    (void)sigaction(SIGCHLD, &before, NULL);
    if (code == FH_OK && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        code = fh_error_set(error, FH_UNAVAILABLE, "the token command failed (status %d)",
                            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    return code;
}

enum fh_code fh_token_source_get(const struct fh_token_source *source, const char *uid,
                                 struct fh_buf *out, struct fh_error *error)
{
    return source->command != NULL ? run(source, uid, out, error)
                                   : mint(source, uid, 0, TTL_S, out, error);
}

enum fh_code fh_token_source_expired(const struct fh_token_source *source, const char *uid,
                                     struct fh_buf *out, struct fh_error *error)
{
    if (source->command != NULL || source->session->context.keys_dir[0] == '\0') {
        return fh_error_set(error, FH_UNIMPLEMENTED,
                            "only development keys can sign a token that has expired");
    }
    return mint(source, uid, 7200, 3600, out, error);
}

enum fh_code fh_token_source_operator(const struct fh_token_source *source, struct fh_buf *out,
                                      struct fh_error *error)
{
    const struct fh_context *context = &source->session->context;
    const char *token = fh_context_get(context, FH_SETTING_OPERATOR_TOKEN);
    if (token == NULL) {
        return mint(source, NULL, 0, TTL_S, out, error);
    }
    fh_buf_clear(out);
    fh_buf_add_text(out, token);
    return fh_buf_code(out);
}
