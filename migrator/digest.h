/* A digest of a range of rows or commit records: SHA-256 over their canonical bytes, so that two
 * homes of different engines are compared without either being trusted. One thread. */
#ifndef FH_MIGRATOR_DIGEST_H
#define FH_MIGRATOR_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/code.h"
#include "stores/move.h"
#include "stores/row.h"

struct fh_digest {
    void *context; /* the library's */
    uint64_t count;
    uint8_t value[32]; /* once it is finished */
};

/* Begins anew; the first time the digest is all zero. FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_digest_begin(struct fh_digest *digest);
FH_MUST_CHECK enum fh_code fh_digest_rows(struct fh_digest *digest, struct fh_row *const *rows,
                                          size_t count);
/* All but the transaction id, which is the store's own. */
FH_MUST_CHECK enum fh_code fh_digest_journal(struct fh_digest *digest,
                                             const struct fh_journal_row *rows, size_t count);
FH_MUST_CHECK enum fh_code fh_digest_finish(struct fh_digest *digest);
bool fh_digest_equal(const struct fh_digest *a, const struct fh_digest *b); /* counts too */
void fh_digest_close(struct fh_digest *digest);

#endif
