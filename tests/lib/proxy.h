/* A TCP proxy on loopback that can cut what it carries: for tests of connections that die in
 * mid-pipeline.
 *
 * One thread of its own. Any thread may call the functions. At most 32 connections at once; beyond,
 * new ones are refused.
 */
#ifndef FH_TESTS_LIB_PROXY_H
#define FH_TESTS_LIB_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/code.h"

struct fh_proxy;

enum fh_proxy_direction { FH_PROXY_TO_SERVER, FH_PROXY_TO_CLIENT };

/* Listens on 127.0.0.1 at a free port and carries each connection to 127.0.0.1:target_port. */
FH_MUST_CHECK enum fh_code fh_proxy_start(unsigned target_port, struct fh_proxy **out);
void fh_proxy_stop(struct fh_proxy *proxy); /* NULL is fine */
unsigned fh_proxy_port(const struct fh_proxy *proxy);

/* Counting from now over all connections, the connection that would carry byte `bytes` + 1 in this
 * direction is reset on both sides; the bytes before it arrive. Once: to cut again, arm again. */
void fh_proxy_cut_after(struct fh_proxy *proxy, enum fh_proxy_direction direction, size_t bytes);
/* Cuts made since the start. */
unsigned fh_proxy_cuts(struct fh_proxy *proxy);
/* While set, nothing is carried in either direction and connections stay open. */
void fh_proxy_hold(struct fh_proxy *proxy, bool hold);
/* Bytes carried since the start. */
size_t fh_proxy_carried(struct fh_proxy *proxy, enum fh_proxy_direction direction);

#endif
