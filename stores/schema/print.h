/* A whole schema as one migration file, canonical: what the parser makes of it is the same schema
 * up to ids and version, unless it is longer than a file may be. For people, for comparing files
 * with what runs, and for starting anew. */
#ifndef FH_STORES_SCHEMA_PRINT_H
#define FH_STORES_SCHEMA_PRINT_H

#include "base/buf.h"
#include "stores/model.h"

/* Errors stick in `out`. Pure, any thread. */
void fh_schema_print(const struct fh_schema *schema, struct fh_buf *out);

#endif
