/* Happy path: parse on top of the newest, keep the text, its checksum and the model together.
 *
 * Failures: a parse error names file, line and column; a record that is not what was applied once
 * is damage of the catalog and ends everything.
 */
#include "router/schema_versions.h"

#include <openssl/evp.h>

#include "base/alloc.h"
#include "base/assert.h"

#define MODEL_BYTES_MAX ((size_t)16 * 1024 * 1024)

void fh_schema_version_free(struct fh_schema_version *version)
{
    if (version != NULL) {
        fh_arena_close(&version->arena);
        fh_free(version);
    }
}

static bool checksum_of(struct fh_str sql, uint8_t out[32])
{
    unsigned int len = 0;
    return EVP_Digest(sql.len > 0 ? sql.data : "", sql.len, out, &len, EVP_sha256(), NULL) == 1 &&
           len == 32;
}

/* The model after `migration` on top of `base`. */
enum fh_code fh_schema_version_make(const struct fh_schema *base,
                                    const struct fh_migration *migration,
                                    struct fh_schema_version **out, struct fh_error *error)
{
    struct fh_parse_error parse_error = {0};
    struct fh_schema_version *version = fh_calloc(1, sizeof(*version));
    if (version == NULL) {
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    fh_arena_init(&version->arena, MODEL_BYTES_MAX);
    struct fh_migration own = *migration;
    enum fh_code code = fh_arena_str(&version->arena, migration->name, &own.name);
    if (code == FH_OK) {
        code = fh_arena_str(&version->arena, migration->sql, &own.sql);
    }
    if (code != FH_OK) {
        (void)fh_error_set(error, code, "%s", fh_code_text(code));
        goto free_it;
    }
    if (!checksum_of(own.sql, version->record.checksum)) {
        code = fh_error_set(error, FH_NOMEM, "the file's checksum cannot be computed");
        goto free_it;
    }
    code = fh_schema_apply_migration(base, &own, &version->arena, &version->schema, &parse_error);
    if (code != FH_OK) {
        *error = parse_error.error;
        error->code = code;
        goto free_it;
    }
    FH_ASSERT(version->schema != NULL);
    version->record.version = version->schema->version;
    version->record.name = own.name;
    version->record.sql = own.sql;
    *out = version;
    return FH_OK;

free_it:
    fh_schema_version_free(version);
    return code;
}

void fh_schema_versions_adopt(struct fh_schema_versions *versions,
                              struct fh_schema_version *version, int64_t applied_at_us)
{
    FH_ASSERT(version != NULL && versions->count < FH_MIGRATIONS_MAX);
    version->record.applied_at_us = applied_at_us;
    versions->versions[versions->count] = version;
    versions->records[versions->count] = version->record;
    versions->count++;
    versions->current = version->schema;
}

/* Models of what the catalog holds beyond what is known here. */
enum fh_code fh_schema_versions_learn(struct fh_schema_versions *versions,
                                      const struct fh_migration_record *records, size_t count,
                                      struct fh_error *error)
{
    if (count > FH_MIGRATIONS_MAX || count < versions->count) {
        return fh_error_set(error, FH_CORRUPT, "the catalog has lost migrations");
    }
    for (size_t i = 0; i < count; i++) {
        const struct fh_migration_record *record = &records[i];
        uint8_t checksum[32];
        if (record->version != i + 1 || !checksum_of(record->sql, checksum) ||
            memcmp(checksum, record->checksum, sizeof(checksum)) != 0 ||
            (i < versions->count &&
             memcmp(checksum, versions->records[i].checksum, sizeof(checksum)) != 0)) {
            return fh_error_set(error, FH_CORRUPT,
                                "migration %u in the catalog is not the file that was applied",
                                record->version);
        }
        if (i < versions->count) {
            continue;
        }
        struct fh_migration migration = {.name = record->name, .sql = record->sql};
        struct fh_schema_version *version = NULL;
        enum fh_code code =
            fh_schema_version_make(i > 0 ? versions->current : NULL, &migration, &version, error);
        if (code != FH_OK) {
            return code;
        }
        fh_schema_versions_adopt(versions, version, record->applied_at_us);
    }
    if (versions->current == NULL) {
        versions->current = &versions->empty;
    }
    return FH_OK;
}

/* The files that are known must stand where they stood, unchanged. */
enum fh_code fh_schema_versions_compare(const struct fh_schema_versions *versions,
                                        const struct fh_migration *files, size_t count,
                                        struct fh_error *error)
{
    for (size_t i = 1; i < count; i++) {
        if (fh_str_cmp(files[i - 1].name, files[i].name) >= 0) {
            return fh_error_field(error, FH_INVALID, "migrations",
                                  "names must sort in the order of application: %.*s comes after "
                                  "%.*s",
                                  FH_STR_ARG(files[i].name), FH_STR_ARG(files[i - 1].name));
        }
    }
    for (size_t i = 0; i < versions->count; i++) {
        const struct fh_migration_record *record = &versions->records[i];
        uint8_t checksum[32];
        if (i >= count || !fh_str_eq(files[i].name, record->name)) {
            return fh_error_field(error, FH_PRECONDITION, "migrations",
                                  "%.*s, applied as number %u, is missing at its place; give the "
                                  "whole list",
                                  FH_STR_ARG(record->name), record->version);
        }
        if (!checksum_of(files[i].sql, checksum) ||
            memcmp(checksum, record->checksum, sizeof(checksum)) != 0) {
            return fh_error_field(error, FH_PRECONDITION, "migrations",
                                  "%.*s was changed after it was applied; restore it and put the "
                                  "change into a new file",
                                  FH_STR_ARG(record->name));
        }
    }
    return FH_OK;
}

enum fh_code fh_schema_versions_try(const struct fh_schema_versions *versions,
                                    const struct fh_migration *files, size_t count,
                                    fh_schema_visit_cb *visit_cb, void *arg, struct fh_error *error)
{
    if (versions->current == NULL) {
        return fh_error_set(error, FH_UNAVAILABLE, "the schema is not loaded yet; retry");
    }
    enum fh_code code = fh_schema_versions_compare(versions, files, count, error);
    if (code != FH_OK) {
        return code;
    }
    size_t room = count - versions->count + 1;
    struct fh_schema_version **made = fh_calloc(room, sizeof(struct fh_schema_version *));
    if (made == NULL) {
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    const struct fh_schema *newest = versions->count > 0 ? versions->current : NULL;
    size_t made_count = 0;
    for (size_t i = versions->count; i < count && code == FH_OK; i++) {
        code = fh_schema_version_make(newest, &files[i], &made[made_count], error);
        if (code == FH_OK) {
            newest = made[made_count++]->schema;
        }
    }
    if (code == FH_OK) {
        code = visit_cb(newest != NULL ? newest : versions->current, arg);
    }
    while (made_count > 0) {
        fh_schema_version_free(made[--made_count]);
    }
    fh_free(made);
    return code;
}

void fh_schema_versions_close(struct fh_schema_versions *versions)
{
    for (size_t i = 0; i < versions->count; i++) {
        fh_schema_version_free(versions->versions[i]);
    }
    versions->count = 0;
    versions->current = NULL;
}
