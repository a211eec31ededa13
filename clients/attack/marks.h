/* Whose record is this? The etags of a tenant's records, as its own calls showed them: an etag has
 * the instant of the record's creation in it, so two tenants' records never have the same one.
 *
 * Any message of the API can be searched: records are found wherever they are in it. Bounded:
 * FH_MARKS_MAX etags; of more, the rest is not known. Plain memory; one thread.
 */
#ifndef FH_CLIENTS_ATTACK_MARKS_H
#define FH_CLIENTS_ATTACK_MARKS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#define FH_MARKS_MAX 1024
#define FH_MARK_LEN_MAX 48

struct fh_marks {
    char etags[FH_MARKS_MAX][FH_MARK_LEN_MAX];
    size_t count;
};

/* Takes the etags of all records in the message. NULL: nothing. */
void fh_marks_take(struct fh_marks *marks, const ProtobufCMessage *message);
/* Is one of those records in the message? */
bool fh_marks_are_in(const struct fh_marks *marks, const ProtobufCMessage *message);
/* Does any etag stand in both? */
bool fh_marks_meet(const struct fh_marks *a, const struct fh_marks *b);

#endif
