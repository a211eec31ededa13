/* The commands, one table a group; each ends with a NULL group. */
#ifndef FH_CLIENTS_CLI_COMMANDS_H
#define FH_CLIENTS_CLI_COMMANDS_H

#include "clients/cli/args.h"

extern const struct fh_command fh_tenant_commands[];
extern const struct fh_command fh_store_commands[];
extern const struct fh_command fh_schema_commands[];
extern const struct fh_command fh_token_commands[];
extern const struct fh_command fh_data_commands[];
extern const struct fh_command fh_audit_commands[];
extern const struct fh_command fh_move_commands[];
extern const struct fh_command fh_probe_commands[];
extern const struct fh_command fh_context_commands[];

/* All of them, in the order of help; and the options every command has. */
extern const struct fh_option fh_common_options[];
/* Fills `out` (of `max` rows) with the tables' rows and the end; answers the count without the end.
 */
size_t fh_commands_all(struct fh_command *out, size_t max);

/* Parses, runs, answers the exit code. */
int fh_cli_run(int argc, char **argv);

int fh_import_run(struct fh_session *session);
extern const struct fh_option fh_import_options[];

#endif
