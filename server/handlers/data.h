/* DataService's handlers; the table that names them is in data.c. All are fh_rpc_handler_cb, arg is
 * struct fh_services. */
#ifndef FH_SERVER_HANDLERS_DATA_H
#define FH_SERVER_HANDLERS_DATA_H

#include "server/rpc/call.h"

void fh_data_get_record(struct fh_call *call, void *arg);
void fh_data_batch_get_records(struct fh_call *call, void *arg);
void fh_data_list_records(struct fh_call *call, void *arg);
void fh_data_create_record(struct fh_call *call, void *arg);
void fh_data_update_record(struct fh_call *call, void *arg);
void fh_data_delete_record(struct fh_call *call, void *arg);
void fh_data_undelete_record(struct fh_call *call, void *arg);
void fh_data_purge_record(struct fh_call *call, void *arg);
void fh_data_commit(struct fh_call *call, void *arg);

#endif
