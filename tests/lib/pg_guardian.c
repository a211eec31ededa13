/* Happy path: 's' starts the server as a child, other commands signal it and its children, a closed
 * channel (the test ended, crashed or was killed) stops the server, removes its System V segment
 * and the directory, and the guardian exits.
 *
 * Being a subreaper, the guardian inherits the back ends of a killed postmaster, so "all are gone"
 * is "no children left".
 */
#include "tests/lib/pg_guardian.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCENDANTS_MAX 1024
#define REAP_TRIES_MAX 3000 /* of 10 ms */

int pg_guardian_drop_root(uid_t uid, gid_t gid)
{
    if (geteuid() != 0) {
        return 0;
    }
    if (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0) {
        return -1;
    }
    return 0;
}

static pid_t parent_of(pid_t pid)
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t len = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (len <= 0) {
        return -1;
    }
    text[len] = '\0';
    /* The name is in parentheses and may hold anything: the last one ends it. */
    const char *after = strrchr(text, ')');
    /* ") S 4711 ...": state, then the parent. */
    if (after == NULL || strlen(after) < 5) {
        return -1;
    }
    char *end = NULL;
    long parent = strtol(after + 3, &end, 10);
    return end == after + 3 ? -1 : (pid_t)parent;
}

/* Children of ours and their children: postmaster and back ends, before and after the postmaster
 * died. */
static size_t descendants(pid_t *out)
{
    static pid_t pids[DESCENDANTS_MAX * 4];
    static pid_t parents[DESCENDANTS_MAX * 4];
    size_t seen = 0;
    size_t count = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return 0;
    }
    struct dirent *entry;
    while ((entry = readdir(proc)) != NULL && seen < DESCENDANTS_MAX * 4) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid > 1) {
            pids[seen] = (pid_t)pid;
            parents[seen] = parent_of((pid_t)pid);
            seen++;
        }
    }
    (void)closedir(proc);
    pid_t self = getpid();
    for (size_t i = 0; i < seen; i++) {
        bool ours = parents[i] == self;
        for (size_t j = 0; j < seen && !ours; j++) {
            ours = pids[j] == parents[i] && parents[j] == self;
        }
        if (ours && count < DESCENDANTS_MAX) {
            out[count++] = pids[i];
        }
    }
    return count;
}

static void signal_all(int signal_number)
{
    pid_t pids[DESCENDANTS_MAX];
    size_t count = descendants(pids);
    for (size_t i = 0; i < count; i++) {
        (void)kill(pids[i], signal_number);
    }
}

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

/* Waits until no child is left; after a while, kills what is. */
static void reap_all(void)
{
    for (int i = 0; i < REAP_TRIES_MAX; i++) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD) {
            return;
        }
        if (pid == 0) {
            pause_ms(10);
            if (i % 100 == 99) {
                signal_all(SIGKILL);
            }
        }
    }
}

/* A killed server leaves its System V segment behind; line 7 of its lock file names it. */
static void remove_segment(const char *data)
{
    char path[512];
    char line[256];
    (void)snprintf(path, sizeof(path), "%s/postmaster.pid", data);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    for (int i = 1; fgets(line, sizeof(line), file) != NULL; i++) {
        if (i != 7) {
            continue;
        }
        /* The segment's key, then its identifier. */
        char *after_key = NULL;
        char *end = NULL;
        (void)strtoul(line, &after_key, 10);
        long id = strtol(after_key, &end, 10);
        if (after_key != line && end != after_key && id >= 0) {
            (void)shmctl((int)id, IPC_RMID, NULL);
        }
    }
    (void)fclose(file);
}

static pid_t start_server(const struct pg_guardian_plan *plan)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    char log[512];
    (void)snprintf(log, sizeof(log), "%s/log", plan->directory);
    if (pg_guardian_drop_root(plan->uid, plan->gid) != 0) {
        _exit(126);
    }
    /* After the change of user, which clears it: the server never outlives the guardian. */
    (void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent) {
        _exit(126);
    }
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
        _exit(126);
    }
    (void)execl(plan->postgres, plan->postgres, "-D", plan->data, (char *)NULL);
    _exit(127);
}

static void stop_server(pid_t server)
{
    if (server > 0) {
        signal_all(SIGCONT);
        (void)kill(server, SIGQUIT);
    }
    reap_all();
}

static void remove_directory(const char *directory)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/rm", "rm", "-rf", "--", directory, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
}

_Noreturn void pg_guardian_run(const struct pg_guardian_plan *plan)
{
    pid_t server = -1;
    char command = 0;
    (void)setsid(); /* the terminal's interrupt ends the test, which ends us in order */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (;;) {
        ssize_t got = read(plan->channel, &command, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != 1) {
            break;
        }
        int32_t answer = 0;
        switch (command) {
        case PG_GUARDIAN_START:
            server = start_server(plan);
            answer = (int32_t)server;
            break;
        case PG_GUARDIAN_STOP:
            stop_server(server);
            server = -1;
            break;
        case PG_GUARDIAN_KILL:
            signal_all(SIGKILL);
            reap_all();
            server = -1;
            break;
        case PG_GUARDIAN_FREEZE:
            signal_all(SIGSTOP);
            break;
        case PG_GUARDIAN_THAW:
            signal_all(SIGCONT);
            break;
        default:
            answer = -1;
            break;
        }
        if (write(plan->channel, &answer, sizeof(answer)) != (ssize_t)sizeof(answer)) {
            break;
        }
    }
    stop_server(server);
    remove_segment(plan->data);
    remove_directory(plan->directory);
    _exit(0);
}
