/* grpc.reflection v1 and v1alpha over the descriptor set embedded in the program.
 *
 * Stateless; loop thread only. Services listed are those of the listener asked; descriptors are of
 * the whole set. Extensions do not exist in proto3: always NOT_FOUND.
 */
#ifndef FH_SERVER_RPC_REFLECTION_H
#define FH_SERVER_RPC_REFLECTION_H

#include "server/rpc/server.h"

struct rpc_listener;

struct fh_rpc_service fh_rpc_reflection_service(struct rpc_listener *listener);
struct fh_rpc_service fh_rpc_reflection_service_v1alpha(struct rpc_listener *listener);

#endif
