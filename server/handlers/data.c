/* DataService: which role each method needs, and who handles it. */
#include "server/handlers/data.h"

#include "freehold/v1/data.pb-c.h"
#include "server/auth/principal.h"
#include "server/handlers/services.h"

static const struct fh_rpc_method methods[] = {
    {"GetRecord", FH_RPC_UNARY, FH_ACCESS_READ, fh_data_get_record},
    {"BatchGetRecords", FH_RPC_UNARY, FH_ACCESS_READ, fh_data_batch_get_records},
    {"ListRecords", FH_RPC_UNARY, FH_ACCESS_READ, fh_data_list_records},
    {"CreateRecord", FH_RPC_UNARY, FH_ACCESS_WRITE, fh_data_create_record},
    {"UpdateRecord", FH_RPC_UNARY, FH_ACCESS_WRITE, fh_data_update_record},
    {"DeleteRecord", FH_RPC_UNARY, FH_ACCESS_WRITE, fh_data_delete_record},
    {"UndeleteRecord", FH_RPC_UNARY, FH_ACCESS_WRITE, fh_data_undelete_record},
    {"PurgeRecord", FH_RPC_UNARY, FH_ACCESS_WRITE, fh_data_purge_record},
    {"Commit", FH_RPC_UNARY, FH_ACCESS_WRITE, fh_data_commit},
};

struct fh_rpc_service fh_data_service(struct fh_services *services)
{
    return (struct fh_rpc_service){
        .descriptor = &freehold__v1__data_service__descriptor,
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(methods[0]),
        .arg = services,
    };
}
