/* freeholdd's settings: one list gives name, type, default and help.
 *
 * A setting is taken from the first that has it: the command line (--data-dir DIR), the environment
 * (FREEHOLDD_DATA_DIR), the file named by --config or FREEHOLDD_CONFIG (lines of `data_dir = DIR`,
 * # comments), the default. Unknown settings are refused.
 */
#ifndef FH_SERVER_CONFIG_H
#define FH_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"

/* TEXT(name, default, help), NUMBER(name, default, min, max, help), FLAG(name, help) */
#define FH_CONFIG(TEXT, NUMBER, FLAG)                                                              \
    TEXT(data_dir, "freehold-data",                                                                \
         "where catalog, keys and SQLite stores live (made, mode 0700)")                           \
    TEXT(listen, "127.0.0.1:7070", "address of the tenants' gRPC listener; port 0 picks one")      \
    TEXT(operator_listen, "127.0.0.1:7071", "address of the operators' gRPC listener")             \
    TEXT(http_listen, "127.0.0.1:7072", "address of /metrics, /healthz and /readyz")               \
    TEXT(tls_certificate, "", "PEM file; needed beyond loopback")                                  \
    TEXT(tls_key, "", "PEM file of its private key")                                               \
    FLAG(insecure, "permit plaintext beyond loopback")                                             \
    TEXT(tenant_issuer, "", "iss of tenants' tokens; empty: development keys")                     \
    TEXT(tenant_audience, "freehold", "aud of tenants' tokens")                                    \
    TEXT(tenant_jwks, "", "JWKS file of that issuer, read again when it changes")                  \
    TEXT(operator_issuer, "", "iss of operators' tokens; empty: development keys")                 \
    TEXT(operator_audience, "freehold-operator", "aud of operators' tokens")                       \
    TEXT(operator_jwks, "", "JWKS file of that issuer")                                            \
    TEXT(catalog, "",                                                                              \
         "connection string of a PostgreSQL catalog that several servers share; empty: "           \
         "catalog.db in data_dir")                                                                 \
    TEXT(default_store, "local", "store of tenants created without one")                           \
    TEXT(credentials_key, "",                                                                      \
         "file of 64 hexadecimal digits from which the passwords of tenants' databases are made, " \
         "the same for every server; empty: one of its own with development keys, else none")      \
    NUMBER(homes_max, 0, 0, 1000000, "schema-tier homes of a store; 0: the engine's default")      \
    NUMBER(open_homes_max, 0, 0, 65536,                                                            \
           "database-tier homes of a store open at once; 0: the engine's default")                 \
    TEXT(log_level, "info", "debug, info, warn or error")                                          \
    NUMBER(access_log_per_mille, 10, 0, 1000, "successful calls logged, of 1000; failures always") \
    NUMBER(calls_max, 4096, 1, 65536, "live calls; beyond: RESOURCE_EXHAUSTED")                    \
    NUMBER(tenant_calls_max, 512, 1, 65536, "live requests of one tenant")                         \
    NUMBER(drain_ms, 10000, 0, 600000, "how long live calls may go on after SIGTERM")              \
    NUMBER(moves_max, 4, 0, 64, "moves of tenants carried out here at once; 0: none")              \
    NUMBER(takeover_ms, 5000, 100, 600000,                                                         \
           "how long another's move must stand still before it is taken over")                     \
    NUMBER(probe_interval_s, 0, 0, 86400,                                                          \
           "seconds between two runs of the prober, which makes canary tenants; 0: none")          \
    FLAG(once, "freehold-migrator only: end when no move is left")                                 \
    FLAG(pump, "use the fallback poller (a pump thread) even if the nested one works")

struct fh_config {
#define FH_CONFIG_TEXT(name, value, help) const char *name;
#define FH_CONFIG_NUMBER(name, value, min, max, help) int64_t name;
#define FH_CONFIG_FLAG(name, help) bool name;
    FH_CONFIG(FH_CONFIG_TEXT, FH_CONFIG_NUMBER, FH_CONFIG_FLAG)
#undef FH_CONFIG_TEXT
#undef FH_CONFIG_NUMBER
#undef FH_CONFIG_FLAG
    bool help; /* --help was asked for */
    bool version;
};

/* Strings live in the arena or in argv/environ. */
FH_MUST_CHECK enum fh_code fh_config_load(int argc, char *const *argv, struct fh_arena *arena,
                                          struct fh_config *out, struct fh_error *error);
/* The help text, to stdout. */
void fh_config_print_help(void);

#endif
