/* The small HTTP side: /metrics, /healthz, /readyz. libmicrohttpd, driven by the loop.
 *
 * GET and HEAD only; at most 64 connections, 10 s each, 8 KiB of request; everything else is 404 or
 * 405. No caller's data passes here.
 */
#ifndef FH_SERVER_HTTP_HTTP_H
#define FH_SERVER_HTTP_HTTP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/env.h"
#include "base/error.h"

struct fh_http;

struct fh_http_options {
    const char *address; /* "127.0.0.1:0" picks a free port */
    bool insecure;       /* permit an address beyond loopback (there is no TLS here) */
    void (*metrics)(struct fh_buf *out, void *arg);
    bool (*ready)(const char **why_not, void *arg); /* /readyz: 200 or 503 with the reason */
    void *arg;
};

FH_MUST_CHECK enum fh_code fh_http_start(const struct fh_env *env,
                                         const struct fh_http_options *options,
                                         struct fh_http **out, struct fh_error *error);
int fh_http_port(const struct fh_http *http);
void fh_http_stop(struct fh_http *http, void (*stopped_cb)(void *arg), void *arg);

#endif
