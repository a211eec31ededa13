/* Messages to writes: one record or name, or one freehold.v1.Write of a commit. Pure but for the
 * call's arena. */
#ifndef FH_SERVER_HANDLERS_WRITE_PARSE_H
#define FH_SERVER_HANDLERS_WRITE_PARSE_H

#include "base/code.h"
#include "base/error.h"
#include "freehold/v1/data.pb-c.h"
#include "server/handlers/tenant_call.h"
#include "stores/write.h"

/* A message, and what errors call it. */
struct fh_record_source {
    const Freehold__V1__Record *record; /* NULL is refused */
    const char *field;
    const Google__Protobuf__FieldMask *mask; /* may be NULL */
    const char *mask_field;
};
/* Key and assignments from a record. */
FH_MUST_CHECK enum fh_code fh_write_set_record(const struct fh_tenant_call *tenant_call,
                                               const struct fh_record_source *source,
                                               struct fh_write *write, struct fh_error *error);
FH_MUST_CHECK enum fh_code fh_write_set_name(const struct fh_tenant_call *tenant_call,
                                             const char *name, const char *field,
                                             struct fh_write *write, struct fh_error *error);
/* `index` names the write in errors. */
FH_MUST_CHECK enum fh_code fh_write_from_proto(const struct fh_tenant_call *tenant_call,
                                               const Freehold__V1__Write *in, size_t index,
                                               struct fh_write *write, struct fh_error *error);
/* FH_INVALID when two writes name the same record. */
FH_MUST_CHECK enum fh_code fh_writes_check_distinct(const struct fh_write *writes, size_t count,
                                                    struct fh_arena *arena, struct fh_error *error);

#endif
