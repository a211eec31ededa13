/* The schema versions of the application as this process knows them: migration records and the
 * models they lead to, in a row from version 1 to the newest.
 *
 * What was adopted stays until close; models and records are borrowed from here for as long. Loop
 * thread only.
 */
#ifndef FH_ROUTER_SCHEMA_VERSIONS_H
#define FH_ROUTER_SCHEMA_VERSIONS_H

#include "router/catalog.h"
#include "stores/model.h"
#include "stores/schema/parse.h"

struct fh_schema_version {
    struct fh_arena arena;
    const struct fh_schema *schema;
    struct fh_migration_record record; /* texts in the arena */
};

struct fh_schema_versions {
    struct fh_schema empty;          /* version 0 */
    const struct fh_schema *current; /* NULL: not loaded */
    struct fh_schema_version *versions[FH_MIGRATIONS_MAX];
    struct fh_migration_record records[FH_MIGRATIONS_MAX]; /* those of versions, in a row */
    size_t count;
};

void fh_schema_versions_close(struct fh_schema_versions *versions);

/* The version after `migration` on top of `base` (NULL: nothing). Copies the migration. */
FH_MUST_CHECK enum fh_code fh_schema_version_make(const struct fh_schema *base,
                                                  const struct fh_migration *migration,
                                                  struct fh_schema_version **out,
                                                  struct fh_error *error);
void fh_schema_version_free(struct fh_schema_version *version);

/* Takes the version as the newest. */
void fh_schema_versions_adopt(struct fh_schema_versions *versions,
                              struct fh_schema_version *version, int64_t applied_at_us);
/* Adopts what the catalog holds beyond what is known. FH_CORRUPT: it is not what was applied. */
FH_MUST_CHECK enum fh_code fh_schema_versions_learn(struct fh_schema_versions *versions,
                                                    const struct fh_migration_record *records,
                                                    size_t count, struct fh_error *error);
/* Whether `files` begin with what is known, unchanged, and stand in order. */
FH_MUST_CHECK enum fh_code fh_schema_versions_compare(const struct fh_schema_versions *versions,
                                                      const struct fh_migration *files,
                                                      size_t count, struct fh_error *error);

/* The models that `files` lead to on top of what is known, nothing being kept: `visit_cb` sees the
 * newest, borrowed for the call; its `previous` lead back to what is known. */
typedef enum fh_code fh_schema_visit_cb(const struct fh_schema *newest, void *arg);
FH_MUST_CHECK enum fh_code fh_schema_versions_try(const struct fh_schema_versions *versions,
                                                  const struct fh_migration *files, size_t count,
                                                  fh_schema_visit_cb *visit_cb, void *arg,
                                                  struct fh_error *error);

#endif
