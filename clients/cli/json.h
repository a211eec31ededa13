/* Any message of the API as JSON text, by its descriptor: names in lowerCamelCase, as in the JSON
 * mapping of protobuf, with these turns that make it good for scripts: a record's values stand for
 * themselves (1, "x", null), 64-bit integers are numbers, every plain field is there even when
 * empty; bytes are base64, times RFC 3339.
 *
 * Pure; depth bounded by the messages' own.
 */
#ifndef FH_CLIENTS_CLI_JSON_H
#define FH_CLIENTS_CLI_JSON_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"

/* `indent` < 0: on one line. Otherwise the level of the object's own braces. */
void fh_json_add_message(struct fh_buf *out, const ProtobufCMessage *message, int indent);
/* A quoted string. */
void fh_json_add_string(struct fh_buf *out, const char *text);

#endif
