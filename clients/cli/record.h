/* Records for people, and `freehold data list`. */
#ifndef FH_CLIENTS_CLI_RECORD_H
#define FH_CLIENTS_CLI_RECORD_H

#include "clients/cli/args.h"
#include "clients/cli/session.h"
#include "freehold/v1/data.pb-c.h"

/* A field a line. */
int fh_record_print(struct fh_session *session, const Freehold__V1__Record *record);

extern const struct fh_option fh_record_list_options[];
int fh_record_list_run(struct fh_session *session);

#endif
