/* `freehold context ...`: what is set, where it comes from, and writing the context file. */
#include <stdio.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/grid.h"
#include "clients/cli/json.h"
#include "clients/cli/session.h"

static const char *shown_value(const struct fh_context *context, int setting)
{
    const char *value = context->settings[setting].value;
    if (!fh_setting_infos[setting].secret) {
        return value != NULL ? value : "";
    }
    const bool mintable = context->keys_dir[0] != '\0';
    return value != NULL ? "(set, not shown)" : mintable ? "(made from development keys)" : "";
}

static void add_json(struct fh_buf *out, const struct fh_context *context)
{
    fh_buf_add_text(out, "{\"file\":");
    fh_json_add_string(out, context->file);
    fh_buf_add_text(out, ",\"settings\":{");
    for (int i = 0; i < FH_SETTING_COUNT; i++) {
        const char *source = context->settings[i].source;
        fh_buf_printf(out, "%s\"%s\":{\"value\":", i > 0 ? "," : "", fh_setting_infos[i].key);
        fh_json_add_string(out, shown_value(context, i));
        fh_buf_add_text(out, ",\"source\":");
        fh_json_add_string(out, source != NULL ? source : "");
        fh_buf_add_char(out, '}');
    }
    fh_buf_add_text(out, "}}\n");
}

static enum fh_code add_grid(struct fh_buf *out, const struct fh_context *context)
{
    struct fh_grid grid;
    fh_grid_init(&grid, 0);
    fh_grid_column(&grid, "SETTING", false);
    fh_grid_column(&grid, "VALUE", false);
    fh_grid_column(&grid, "FROM", false);
    for (int i = 0; i < FH_SETTING_COUNT; i++) {
        const char *source = context->settings[i].source;
        fh_grid_text(&grid, fh_setting_infos[i].key);
        fh_grid_text(&grid, shown_value(context, i));
        fh_grid_text(&grid, source != NULL ? source : "-");
    }
    enum fh_code code = fh_grid_flush(&grid, out);
    fh_grid_close(&grid);
    fh_buf_printf(out, "\ncontext file: %s%s\n", context->file,
                  context->file_read ? "" : " (not there)");
    if (context->server_found) {
        fh_buf_printf(out, "development server: process %lld, %s, data in %s\n",
                      context->server.pid, context->server.running ? "running" : "not running",
                      context->keys_dir);
    }
    return code;
}

static int show_run(struct fh_session *session)
{
    struct fh_buf out;
    enum fh_code code = FH_OK;
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    if (session->output == FH_OUTPUT_TABLE) {
        code = add_grid(&out, &session->context);
    } else {
        add_json(&out, &session->context);
    }
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    return exit_code;
}

static int set_run(struct fh_session *session)
{
    struct fh_error error = FH_ERROR_INIT;
    bool any = false;
    for (int i = 0; i < FH_SETTING_COUNT; i++) {
        any = any || fh_args_has(session->args, fh_setting_infos[i].option);
    }
    if (!any) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "set what? Give --address, --operator-address, --token-file, "
                               "--operator-token-file, --ca, --data-dir or --tenant");
    }
    if (fh_context_save(&session->context, &error) != FH_OK) {
        return fh_session_fail_error(session, &error);
    }
    fh_session_note(session, "wrote %s", session->context.file);
    return FH_EXIT_OK;
}

const struct fh_command fh_context_commands[] = {
    {"context", "show", "", "Show the settings and where they come from", NULL, NULL, 0, 0,
     show_run},
    {"context", "set", "", "Keep the options given in the context file",
     "  freehold context set --address HOST:PORT --token-file FILE --ca FILE\n\n"
     "Settings not given stay as they are. The file can be read by its owner only.",
     NULL, 0, 0, set_run},
    {0},
};
