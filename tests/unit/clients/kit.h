/* A folder of its own for a test, files in it, and input from bytes. */
#ifndef FH_TESTS_UNIT_CLIENTS_KIT_H
#define FH_TESTS_UNIT_CLIENTS_KIT_H

#include <stddef.h>

struct kit {
    char dir[256];
};

void kit_open(struct kit *kit);
/* Removes the folder and what is in it. */
void kit_close(struct kit *kit);
/* The path of a name in the folder; static memory, four in turn. */
const char *kit_path(const struct kit *kit, const char *name);
void kit_mkdir(const struct kit *kit, const char *name);
void kit_write(const struct kit *kit, const char *name, const char *text, unsigned mode);
/* A descriptor that reads these bytes. */
int kit_fd(const void *data, size_t len);

#endif
