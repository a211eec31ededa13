/* Rows gathered into one atomic commit.
 *
 * A batch owns the memory of its writes (an arena) and keeps them until it is reset, since a
 * refused commit is cut up and sent again without its wrong rows. One thread. Limits:
 * FH_BATCH_ROWS_MAX rows, FH_BATCH_BYTES_MAX packed bytes; a row over the latter has a batch of its
 * own, up to FH_BATCH_ROW_BYTES_MAX.
 */
#ifndef FH_CLIENTS_CLI_BATCH_H
#define FH_CLIENTS_CLI_BATCH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"
#include "clients/cli/columns.h"
#include "clients/cli/rows.h"
#include "freehold/v1/data.pb-c.h"

#define FH_BATCH_ROWS_MAX 500
#define FH_BATCH_BYTES_MAX (1u << 20)
#define FH_BATCH_ROW_BYTES_MAX (3u << 20)
#define FH_BATCH_REQUEST_ID_MAX 48

struct fh_batch;
struct fh_client_call;

/* A record's name on its way, in the map of all such names. */
struct fh_batch_name {
    struct fh_str name;
    const struct fh_batch *batch;
};

struct fh_batch_row {
    Freehold__V1__Write *write;
    struct fh_batch_name name;
    uint64_t line;
    uint64_t number; /* of the row in the file, from 1 */
};

struct fh_batch {
    struct fh_arena arena;
    struct fh_batch_row rows[FH_BATCH_ROWS_MAX];
    Freehold__V1__Write *writes[FH_BATCH_ROWS_MAX]; /* the same, as the message wants them */
    size_t count;
    size_t bytes;    /* packed */
    uint64_t offset; /* in the file, of the first row */
    bool waits;      /* names a record that an earlier batch under way names */
    char request_id[FH_BATCH_REQUEST_ID_MAX];
    struct fh_client_call *ended; /* its call, when the answer is there; the pipeline's */
};

/* What all batches of an import share. Borrowed by the functions below. */
struct fh_batch_plan {
    const char *tenant; /* UUID, or NULL */
    const char *table;
    const struct fh_columns *columns;
    bool insert;
    const char *salt; /* part of every request id; "" */
};

struct fh_batch *fh_batch_create(void); /* NULL: out of memory */
void fh_batch_destroy(struct fh_batch *batch);
/* Empties the batch and takes its names off the map. */
void fh_batch_reset(struct fh_batch *batch, struct fh_map *names);

/* Builds the row's write as rows[count], without counting it yet; fh_batch_push() does. FH_INVALID:
 * the row is wrong, `error->field` names the column. */
FH_MUST_CHECK enum fh_code fh_batch_prepare(struct fh_batch *batch,
                                            const struct fh_batch_plan *plan,
                                            const struct fh_row *row, uint64_t number,
                                            struct fh_error *error);
/* Must the batch be sent before the prepared row can be added? It is full, or has the same record.
 */
bool fh_batch_must_go(const struct fh_batch *batch, const struct fh_map *names);
/* Counts the prepared row in and puts its name on the map. FH_NOMEM or FH_FULL: it does not fit. */
FH_MUST_CHECK enum fh_code fh_batch_push(struct fh_batch *batch, struct fh_map *names,
                                         uint64_t offset);
/* The request id of writes [from, to): a digest of plan, place and bytes, so that the same rows of
 * the same file make the same id in any run. */
FH_MUST_CHECK enum fh_code fh_batch_request_id(const struct fh_batch_plan *plan, uint64_t offset,
                                               Freehold__V1__Write **writes, size_t count,
                                               char out[FH_BATCH_REQUEST_ID_MAX]);
struct fh_str fh_batch_name_key(const void *item);

#endif
