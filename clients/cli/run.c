/* From argv to a command's own function. */
#include "clients/cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "clients/cli/session.h"

#define COMMANDS_MAX 64
#define HELP_BYTES_MAX 65536
#define VERSION "0.1.0"

const struct fh_option fh_common_options[] = {
    {"output", 'o', "FORMAT", "table (default), json or ndjson"},
    {"tenant", 't', "SLUG|UUID", "whose records"},
    {"address", 0, "HOST:PORT", "the tenants' listener"},
    {"operator-address", 0, "HOST:PORT", "the operators' listener"},
    {"token-file", 0, "FILE", "holds the tenant's token"},
    {"operator-token-file", 0, "FILE", "holds the operator's token"},
    {"ca", 0, "FILE", "PEM certificates to trust; connects with TLS"},
    {"tls", 0, NULL, "connect with TLS, trusting the system's authorities"},
    {"insecure", 0, NULL, "allow plaintext to another machine"},
    {"data-dir", 0, "DIR", "a server's data directory on this machine"},
    {"context", 0, "FILE", "the context file"},
    {"timeout", 0, "TIME", "for each call, retries included: 30s, 5m"},
    {"help", 'h', NULL, "this text"},
    {0},
};

size_t fh_commands_all(struct fh_command *out, size_t max)
{
    const struct fh_command *const tables[] = {
        fh_tenant_commands, fh_store_commands, fh_move_commands,
        fh_schema_commands, fh_token_commands, fh_data_commands,
        fh_audit_commands,  fh_probe_commands, fh_context_commands,
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct fh_command *command = tables[i]; command->group != NULL; command++) {
            FH_ASSERT(count + 1 < max);
            out[count++] = *command;
        }
    }
    out[count] = (struct fh_command){0};
    return count;
}

static int print_help(const struct fh_args *args, const struct fh_command *commands)
{
    struct fh_buf help;
    fh_buf_init(&help, HELP_BYTES_MAX);
    fh_args_help(args, commands, fh_common_options, &help);
    const int exit_code =
        fh_buf_code(&help) == FH_OK && fputs(help.data, stdout) >= 0 && fflush(stdout) == 0
            ? FH_EXIT_OK
            : FH_EXIT_LOCAL;
    fh_buf_close(&help);
    return exit_code;
}

int fh_cli_run(int argc, char **argv)
{
    struct fh_command commands[COMMANDS_MAX];
    struct fh_args args;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_session session;
    (void)fh_commands_all(commands, COMMANDS_MAX);
    if (fh_args_parse(argc, argv, commands, fh_common_options, &args, &error) != FH_OK) {
        (void)fprintf(stderr, "freehold: %s\n", fh_error_text(&error));
        return FH_EXIT_USAGE;
    }
    if (args.help) {
        return print_help(&args, commands);
    }
    if (args.version) {
        return puts("freehold " VERSION) >= 0 ? FH_EXIT_OK : FH_EXIT_LOCAL;
    }
    int exit_code = fh_session_open(&session, &args);
    if (exit_code == FH_EXIT_OK) {
        exit_code = args.command->run(&session);
    }
    fh_session_close(&session);
    return exit_code;
}
