/* Happy path of start: directory, initdb as the unprivileged user, configuration, guardian forked,
 * server started on a free port, polled until it answers, roles and database made. A port taken
 * meanwhile: another one, five times. Any other failure: the guardian's channel is closed, which
 * removes everything.
 */
#include "tests/lib/postgres.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "stores/pg/admin_sql.h"
#include "tests/lib/pg_guardian.h"

#define READY_TRIES_MAX 600 /* of 50 ms */
#define PORT_TRIES_MAX 5
#define PATH_SIZE 256
#define DSN_SIZE 512
#define SCRIPT_BYTES_MAX (64u * 1024)
#define HOMES_MAX 4096

struct fh_pgtest {
    char directory[PATH_SIZE];
    char data[PATH_SIZE + 8];
    char dsn[FH_PGTEST_ROLE_COUNT][2][DSN_SIZE];
    struct fh_pgtest_options options;
    uid_t uid;
    gid_t gid;
    unsigned port;
    pid_t guardian;
    pid_t server;
    int channel;
};

static const char *const role_names[FH_PGTEST_ROLE_COUNT] = {"postgres", "freehold_owner",
                                                             "freehold_app", "freehold_bypass"};

static void complain(const char *what)
{
    (void)fprintf(stderr, "postgres harness: %s: %s\n", what, strerror(errno));
}

static enum fh_code find_user(struct fh_pgtest *pg)
{
    pg->uid = geteuid();
    pg->gid = getegid();
    if (pg->uid != 0) {
        return FH_OK;
    }
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL) {
        user = getpwnam("nobody");
    }
    if (user == NULL) {
        complain("no unprivileged user to run PostgreSQL as");
        return FH_UNAVAILABLE;
    }
    pg->uid = user->pw_uid;
    pg->gid = user->pw_gid;
    return FH_OK;
}

static enum fh_code make_directory(struct fh_pgtest *pg)
{
    const char *base = getenv("TMPDIR");
    /* A socket's path has 107 bytes at most. */
    if (base == NULL || base[0] != '/' || strlen(base) > 60) {
        base = "/tmp";
    }
    (void)snprintf(pg->directory, sizeof(pg->directory), "%s/fh-pg-XXXXXX", base);
    if (mkdtemp(pg->directory) == NULL) {
        pg->directory[0] = '\0';
        complain("temporary directory");
        return FH_UNAVAILABLE;
    }
    (void)snprintf(pg->data, sizeof(pg->data), "%s/data", pg->directory);
    if (geteuid() == 0 && chown(pg->directory, pg->uid, pg->gid) != 0) {
        complain("chown");
        return FH_UNAVAILABLE;
    }
    return FH_OK;
}

static enum fh_code run_initdb(const struct fh_pgtest *pg)
{
    pid_t pid = fork();
    if (pid < 0) {
        return FH_UNAVAILABLE;
    }
    if (pid == 0) {
        char log[PATH_SIZE + 16];
        (void)snprintf(log, sizeof(log), "%s/initdb.log", pg->directory);
        if (pg_guardian_drop_root(pg->uid, pg->gid) != 0 || chdir(pg->directory) != 0) {
            _exit(126);
        }
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        (void)execl(FH_TEST_PG_BINDIR "/initdb", FH_TEST_PG_BINDIR "/initdb", "-D", pg->data, "-U",
                    "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
                    "--no-instructions", (char *)NULL);
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        (void)fprintf(stderr, "postgres harness: initdb failed (%s)\n", FH_TEST_PG_BINDIR);
        return FH_UNAVAILABLE;
    }
    return FH_OK;
}

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned port = 0;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
        port = ntohs(address.sin_port);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return port;
}

static enum fh_code write_configuration(struct fh_pgtest *pg)
{
    char path[PATH_SIZE + 32];
    pg->port = free_port();
    /* Loaded after initdb's own file; rewritten whole when another port is tried. */
    (void)snprintf(path, sizeof(path), "%s/postgresql.auto.conf", pg->data);
    FILE *file = fopen(path, "we");
    if (file == NULL || pg->port == 0) {
        complain("configuration");
        if (file != NULL) {
            (void)fclose(file);
        }
        return FH_UNAVAILABLE;
    }
    (void)fprintf(file,
                  "listen_addresses = '127.0.0.1'\nport = %u\nunix_socket_directories = '%s'\n"
                  "max_connections = %u\nshared_buffers = '16MB'\nfsync = %s\n"
                  "dynamic_shared_memory_type = mmap\nautovacuum_naptime = '10s'\n"
                  "max_wal_size = '256MB'\nmax_wal_senders = 0\nwal_level = minimal\n"
                  "superuser_reserved_connections = 2\nlog_destination = stderr\n"
                  "logging_collector = off\ntimezone = 'UTC'\n",
                  pg->port, pg->directory,
                  pg->options.connections_max != 0 ? pg->options.connections_max : 50,
                  pg->options.fsync_off ? "off" : "on");
    if (!pg->options.logs_statements) {
        (void)fprintf(file, "log_error_verbosity = terse\nlog_min_error_statement = panic\n"
                            "log_parameter_max_length_on_error = 0\nlog_statement = none\n"
                            "log_min_duration_statement = -1\n");
    }
    if (fclose(file) != 0 || (geteuid() == 0 && chown(path, pg->uid, pg->gid) != 0)) {
        complain("configuration");
        return FH_UNAVAILABLE;
    }
    return FH_OK;
}

/* The superuser's too, but for set-up, when there is no database yet. */
static void write_dsns(struct fh_pgtest *pg, bool sets_up)
{
    const char *database = sets_up ? "postgres" : "freehold";
    char directory[PATH_SIZE]; /* a copy: gcc fears that source and target overlap */
    memcpy(directory, pg->directory, sizeof(directory));
    for (int i = 0; i < FH_PGTEST_ROLE_COUNT; i++) {
        (void)snprintf(pg->dsn[i][FH_PGTEST_UNIX], DSN_SIZE, "host=%s port=%u dbname=%s user=%s",
                       directory, pg->port, database, role_names[i]);
        (void)snprintf(pg->dsn[i][FH_PGTEST_TCP], DSN_SIZE,
                       "hostaddr=127.0.0.1 port=%u dbname=%s user=%s", pg->port, database,
                       role_names[i]);
    }
}

static enum fh_code fork_guardian(struct fh_pgtest *pg)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        complain("socketpair");
        return FH_UNAVAILABLE;
    }
    pg->guardian = fork();
    if (pg->guardian < 0) {
        complain("fork");
        (void)close(pair[0]);
        (void)close(pair[1]);
        return FH_UNAVAILABLE;
    }
    if (pg->guardian == 0) {
        /* Nothing of the test's is kept open: not its output (whoever reads that would wait for
         * us), not its sockets. */
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, 0);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        if (pair[1] != 3) {
            (void)dup2(pair[1], 3);
        }
        (void)close_range(4, ~0U, 0);
        (void)fcntl(3, F_SETFD, FD_CLOEXEC);
        const struct pg_guardian_plan plan = {.directory = pg->directory,
                                              .data = pg->data,
                                              .postgres = FH_TEST_PG_BINDIR "/postgres",
                                              .uid = pg->uid,
                                              .gid = pg->gid,
                                              .channel = 3};
        pg_guardian_run(&plan);
    }
    (void)close(pair[1]);
    pg->channel = pair[0];
    return FH_OK;
}

static enum fh_code command(struct fh_pgtest *pg, char byte, int32_t *answer)
{
    int32_t got = -1;
    if (write(pg->channel, &byte, 1) != 1) {
        return FH_UNAVAILABLE;
    }
    struct pollfd fd = {.fd = pg->channel, .events = POLLIN};
    if (poll(&fd, 1, 40000) != 1 || read(pg->channel, &got, sizeof(got)) != (ssize_t)sizeof(got)) {
        complain("guardian does not answer");
        return FH_UNAVAILABLE;
    }
    if (answer != NULL) {
        *answer = got;
    }
    return got < 0 ? FH_UNAVAILABLE : FH_OK;
}

/* Whether the process runs: a dead server shows as a zombie until the guardian looks. */
static bool is_alive(pid_t pid)
{
    char path[64];
    char text[256] = {0};
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t len = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    const char *after = strrchr(text, ')');
    return len > 0 && after != NULL && after[1] == ' ' && after[2] != 'Z';
}

static enum fh_code start_server(struct fh_pgtest *pg)
{
    int32_t pid = -1;
    if (command(pg, PG_GUARDIAN_START, &pid) != FH_OK) {
        return FH_UNAVAILABLE;
    }
    pg->server = pid;
    for (int i = 0; i < READY_TRIES_MAX; i++) {
        if (PQping(pg->dsn[FH_PGTEST_SUPERUSER][FH_PGTEST_UNIX]) == PQPING_OK) {
            return FH_OK;
        }
        if (!is_alive(pg->server)) {
            return FH_UNAVAILABLE;
        }
        (void)poll(NULL, 0, 50);
    }
    return FH_DEADLINE;
}

static void print_log(const struct fh_pgtest *pg)
{
    char path[PATH_SIZE + 16];
    char line[512];
    (void)snprintf(path, sizeof(path), "%s/log", pg->directory);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        (void)fputs(line, stderr);
    }
    (void)fclose(file);
}

static enum fh_code make_roles(struct fh_pgtest *pg)
{
    static const char *const statements[] = {
        "create role freehold_owner login nosuperuser createdb nocreaterole nobypassrls",
        "create role freehold_app login nosuperuser nobypassrls noinherit nocreatedb nocreaterole",
        ("create role freehold_bypass login nosuperuser bypassrls inherit in role freehold_app, "
         "freehold_owner"),
        "grant set on parameter session_replication_role to freehold_app, freehold_owner",
        "create database freehold owner freehold_owner template template0",
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (!fh_pgtest_exec(pg, FH_PGTEST_SUPERUSER, statements[i])) {
            return FH_INTERNAL;
        }
    }
    return FH_OK;
}

static bool install_functions(struct fh_pgtest *pg)
{
    struct fh_buf script;
    fh_buf_init(&script, SCRIPT_BYTES_MAX);
    bool ok = fh_pg_admin_script(role_names[FH_PGTEST_OWNER], role_names[FH_PGTEST_APP], &script) ==
                  FH_OK &&
              fh_pgtest_exec(pg, FH_PGTEST_SUPERUSER, script.data);
    fh_buf_close(&script);
    return ok;
}

enum fh_code fh_pgtest_start(const struct fh_pgtest_options *options, struct fh_pgtest **out)
{
    struct fh_pgtest *pg = fh_calloc(1, sizeof(*pg));
    if (pg == NULL) {
        return FH_NOMEM;
    }
    pg->channel = -1;
    if (options != NULL) {
        pg->options = *options;
    }
    enum fh_code code = find_user(pg);
    if (code == FH_OK) {
        code = make_directory(pg);
    }
    if (code == FH_OK) {
        /* From here on the guardian removes the directory, whatever happens to us. */
        code = fork_guardian(pg);
    }
    if (code == FH_OK) {
        code = run_initdb(pg);
    }
    if (code != FH_OK) {
        goto fail;
    }
    for (int i = 0; i < PORT_TRIES_MAX; i++) {
        code = write_configuration(pg);
        if (code != FH_OK) {
            goto fail;
        }
        write_dsns(pg, true);
        code = start_server(pg);
        if (code == FH_OK || code == FH_DEADLINE) {
            break;
        }
    }
    if (code == FH_OK) {
        code = make_roles(pg);
    }
    if (code != FH_OK) {
        print_log(pg);
        goto fail;
    }
    write_dsns(pg, false);
    if (!install_functions(pg)) {
        code = FH_INTERNAL;
        goto fail;
    }
    *out = pg;
    return FH_OK;
fail:
    fh_pgtest_stop(pg);
    return code;
}

void fh_pgtest_stop(struct fh_pgtest *pg)
{
    if (pg == NULL) {
        return;
    }
    if (pg->channel >= 0) {
        (void)close(pg->channel);
        while (waitpid(pg->guardian, NULL, 0) < 0 && errno == EINTR) {
        }
    } else if (pg->directory[0] != '\0') {
        (void)rmdir(pg->directory);
    }
    fh_free(pg);
}

const char *fh_pgtest_dsn(struct fh_pgtest *pg, enum fh_pgtest_role role, enum fh_pgtest_via via)
{
    return pg->dsn[role][via];
}

unsigned fh_pgtest_port(const struct fh_pgtest *pg)
{
    return pg->port;
}

const char *fh_pgtest_directory(const struct fh_pgtest *pg)
{
    return pg->directory;
}

enum fh_code fh_pgtest_kill9(struct fh_pgtest *pg)
{
    pg->server = -1;
    return command(pg, PG_GUARDIAN_KILL, NULL);
}

enum fh_code fh_pgtest_freeze(struct fh_pgtest *pg)
{
    return command(pg, PG_GUARDIAN_FREEZE, NULL);
}

enum fh_code fh_pgtest_thaw(struct fh_pgtest *pg)
{
    return command(pg, PG_GUARDIAN_THAW, NULL);
}

enum fh_code fh_pgtest_restart(struct fh_pgtest *pg)
{
    if (pg->server > 0 && command(pg, PG_GUARDIAN_STOP, NULL) != FH_OK) {
        return FH_UNAVAILABLE;
    }
    pg->server = -1;
    enum fh_code code = start_server(pg);
    if (code != FH_OK) {
        print_log(pg);
    }
    return code;
}

static void ignore_notice_cb(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static PGresult *run(struct fh_pgtest *pg, enum fh_pgtest_role role, const char *sql, PGconn **conn)
{
    *conn = PQconnectdb(pg->dsn[role][FH_PGTEST_UNIX]);
    if (PQstatus(*conn) != CONNECTION_OK) {
        (void)fprintf(stderr, "postgres harness: %s", PQerrorMessage(*conn));
        return NULL;
    }
    (void)PQsetNoticeProcessor(*conn, ignore_notice_cb, NULL);
    PGresult *result = PQexec(*conn, sql);
    if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
        (void)fprintf(stderr, "postgres harness: %s", PQresultErrorMessage(result));
        PQclear(result);
        return NULL;
    }
    return result;
}

bool fh_pgtest_exec(struct fh_pgtest *pg, enum fh_pgtest_role role, const char *sql)
{
    PGconn *conn = NULL;
    PGresult *result = run(pg, role, sql, &conn);
    bool ok = result != NULL;
    PQclear(result);
    PQfinish(conn);
    return ok;
}

static bool value_of(PGresult *result, PGconn *conn, char *out, size_t size)
{
    bool ok = PQntuples(result) > 0;
    (void)snprintf(out, ok ? size : 0, "%s", ok ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(conn);
    return ok;
}

bool fh_pgtest_value(struct fh_pgtest *pg, enum fh_pgtest_role role, const char *sql, char *out,
                     size_t size)
{
    PGconn *conn = NULL;
    PGresult *result = run(pg, role, sql, &conn);
    return value_of(result, conn, out, size);
}

static PGconn *connect_as(const struct fh_pgtest *pg, const char *database, const char *user,
                          const char *password)
{
    char port[16];
    (void)snprintf(port, sizeof(port), "%u", pg->port);
    return PQsetdbLogin(pg->directory, port, NULL, NULL, database, user, password);
}

bool fh_pgtest_value_in(struct fh_pgtest *pg, const char *database, const char *sql, char *out,
                        size_t size)
{
    PGconn *conn = connect_as(pg, database, "postgres", NULL);
    return value_of(PQexec(conn, sql), conn, out, size);
}

/* Each statement that the query gives, one after the other; false when one fails. */
static bool exec_each(PGconn *conn, const char *query)
{
    PGresult *statements = PQexec(conn, query);
    bool ok = PQresultStatus(statements) == PGRES_TUPLES_OK && PQntuples(statements) < HOMES_MAX;
    for (int i = 0; ok && i < PQntuples(statements); i++) {
        PGresult *result = PQexec(conn, PQgetvalue(statements, i, 0));
        ok = PQresultStatus(result) != PGRES_FATAL_ERROR;
        PQclear(result);
    }
    PQclear(statements);
    return ok;
}

bool fh_pgtest_reset_homes(struct fh_pgtest *pg)
{
    static const char *const queries[] = {
        "select format('drop database %I with (force)', datname) from pg_database where datname ~ "
        "'^(t|fh_home_[0-9]+_t)_[0-9a-f]{32}$'",
        "select format('drop schema %I cascade', nspname) from pg_namespace where nspname ~ "
        "'^t_[0-9a-f]{32}$' or nspname = 'fh_shared'",
        "select format('revoke set on parameter session_replication_role from %1$I; drop owned by "
        "%1$I; drop role %1$I', rolname) from pg_roles where rolname ~ '^t_[0-9a-f]{32}(_|$)'",
    };
    PGconn *conn = PQconnectdb(pg->dsn[FH_PGTEST_SUPERUSER][FH_PGTEST_UNIX]);
    bool ok = PQstatus(conn) == CONNECTION_OK;
    (void)PQsetNoticeProcessor(conn, ignore_notice_cb, NULL);
    for (size_t i = 0; ok && i < sizeof(queries) / sizeof(queries[0]); i++) {
        ok = exec_each(conn, queries[i]);
    }
    if (!ok) {
        (void)fprintf(stderr, "postgres harness: %s", PQerrorMessage(conn));
    }
    PQfinish(conn);
    return ok;
}

const char *fh_pgtest_try(struct fh_pgtest *pg, const char *database, const char *user,
                          const char *password, const char *sql)
{
    static char state[8];
    PGconn *conn = connect_as(pg, database, user, password);
    if (PQstatus(conn) != CONNECTION_OK) {
        PQfinish(conn);
        return "connect";
    }
    PGresult *result = PQexec(conn, sql);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    (void)snprintf(state, sizeof(state), "%s", sqlstate != NULL ? sqlstate : "");
    PQclear(result);
    PQfinish(conn);
    return state;
}

struct fh_pgtest_session {
    PGconn *conn;
};

struct fh_pgtest_session *fh_pgtest_session_open(struct fh_pgtest *pg, enum fh_pgtest_role role,
                                                 const char *sql)
{
    struct fh_pgtest_session *session = fh_calloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    PGresult *result = run(pg, role, sql, &session->conn);
    if (result == NULL) {
        fh_pgtest_session_close(session);
        return NULL;
    }
    PQclear(result);
    return session;
}

bool fh_pgtest_session_exec(struct fh_pgtest_session *session, const char *sql)
{
    PGresult *result = PQexec(session->conn, sql);
    bool ok = PQresultStatus(result) != PGRES_FATAL_ERROR;
    if (!ok) {
        (void)fprintf(stderr, "%s", PQerrorMessage(session->conn));
    }
    PQclear(result);
    return ok;
}

void fh_pgtest_session_close(struct fh_pgtest_session *session)
{
    if (session != NULL) {
        PQfinish(session->conn);
        fh_free(session);
    }
}
