/* What every main of a server does: settings, loop, application, exit status. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/assert.h"
#include "server/app.h"
#include "server/config.h"
#include "server/files.h"
#include "server/version.h"

#define CONFIG_BYTES_MAX (256 * 1024)

static int serve(enum fh_app_kind kind, const struct fh_config *config,
                 const struct fh_store_ops *const *engines, size_t engine_count)
{
    struct fh_app app;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_file_limit files;
    uv_loop_t loop;
    fh_file_limit_raise(&files);
    if (uv_loop_init(&loop) != 0) {
        (void)fprintf(stderr, "freeholdd: cannot make an event loop\n");
        return EXIT_FAILURE;
    }
    if (fh_app_start(&app, kind, config, engines, engine_count, &loop, &error) != FH_OK) {
        fh_app_fail(&app, "cannot start", &error);
    }
    FH_LOG(app.env.log, INFO, "server.descriptors", FH_KV_INT("limit", files.now),
           FH_KV_INT("before", files.before));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    bool failed = app.failed;
    fh_app_close(&app);
    int rc = uv_loop_close(&loop);
    FH_ASSERT(rc == 0); /* a handle left open is a bug of ours */
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int fh_app_main(enum fh_app_kind kind, int argc, char *const *argv,
                const struct fh_store_ops *const *engines, size_t engine_count)
{
    struct fh_config config;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_arena arena;
    int status = EXIT_SUCCESS;
    fh_arena_init(&arena, CONFIG_BYTES_MAX);
    if (fh_config_load(argc, argv, &arena, &config, &error) != FH_OK) {
        (void)fprintf(stderr, "freeholdd: %s\n", fh_error_text(&error));
        status = 2;
    } else if (config.once && kind != FH_APP_MIGRATOR) {
        (void)fprintf(stderr, "freeholdd: once is for freehold-migrator\n");
        status = 2;
    } else if (config.moves_max == 0 && kind == FH_APP_MIGRATOR && !config.help &&
               !config.version) { /* with once it would claim that all is done */
        (void)fprintf(stderr, "freehold-migrator: with a moves_max of 0 nothing would be moved\n");
        status = 2;
    } else if (config.help) {
        fh_config_print_help();
    } else if (config.version) {
        (void)printf("freeholdd %s\n", FH_VERSION);
    } else {
        status = serve(kind, &config, engines, engine_count);
    }
    fh_arena_close(&arena);
    return status;
}
