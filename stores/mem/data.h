/* What the memory engine keeps: homes, their tenants, and each tenant's own rows and commit
 * records.
 *
 * There is no table that holds two tenants' rows: a tenant's data hangs on its own struct, and
 * whoever has not got that struct cannot reach it. That is this engine's layer two of the
 * isolation.
 *
 * Thread: the loop's. Ownership: a stored row or record is one allocation, owned by the array it is
 * in, and never changed. Limits: FH_MEM_BYTES_MAX for rows and records together (FH_DISK_FULL:
 * memory is this engine's disk), the maps' maxima.
 */
#ifndef FH_STORES_MEM_DATA_H
#define FH_STORES_MEM_DATA_H

#include "base/map.h"
#include "stores/store.h"

#define FH_MEM_BYTES_MAX ((size_t)1 << 30)
#define FH_MEM_HOMES_MAX 65536
#define FH_MEM_TENANTS_MAX 1000000
#define FH_MEM_REQUEST_IDS_MAX 1000000 /* one tenant's */

struct fh_mem_row {
    size_t bytes; /* of this allocation */
    struct fh_row row;
    struct fh_value values[]; /* then their bytes */
};

/* Sorted by key. */
struct fh_mem_table {
    struct fh_mem_row **rows;
    size_t count;
    size_t capacity;
};

struct fh_mem_record {
    size_t bytes;
    struct fh_commit_record header; /* changes unset */
    uint8_t request_hash[32];
    struct fh_str changes;
    struct fh_str images;
    char data[];
};

struct fh_mem_tenant {
    struct fh_uuid id;
    struct fh_fence fence;
    struct fh_mem_table *tables; /* by the table's id; grows with the schema */
    size_t table_count;
    struct fh_mem_record **records; /* by (epoch, seq) */
    size_t record_count;
    size_t record_capacity;
    struct fh_map by_request_id;
    uint64_t seq_last;
    struct fh_str move_state; /* owned; data NULL: none */
};

/* All stored rows are as `schema` has them: a schema change makes them anew (schema.h). */
struct fh_mem_home {
    struct fh_home id; /* padded with zeros: it is the key */
    const struct fh_schema *schema;
    struct fh_map tenants; /* of a dedicated one: its own */
};

struct fh_mem_data {
    struct fh_map homes;
    uint32_t schema_homes; /* of the schema tier */
    size_t bytes;
    uint64_t txid_last;
};

void fh_mem_data_init(struct fh_mem_data *data);
void fh_mem_data_close(struct fh_mem_data *data);

struct fh_mem_home *fh_mem_home_find(const struct fh_mem_data *data, const struct fh_home *id);
FH_MUST_CHECK enum fh_code fh_mem_home_create(struct fh_mem_data *data, const struct fh_home *id,
                                              const struct fh_schema *schema,
                                              struct fh_mem_home **out);
/* Its tenants were erased. */
void fh_mem_home_drop(struct fh_mem_data *data, struct fh_mem_home *home);

struct fh_mem_tenant *fh_mem_tenant_find(const struct fh_mem_home *home,
                                         const struct fh_uuid *tenant);
FH_MUST_CHECK enum fh_code fh_mem_tenant_create(struct fh_mem_home *home,
                                                const struct fh_uuid *tenant,
                                                const struct fh_fence *fence);
/* A tenant of its own with the same content, in no home: a view. Freed by fh_mem_tenant_free(). */
FH_MUST_CHECK enum fh_code fh_mem_tenant_copy(struct fh_mem_data *data,
                                              const struct fh_mem_tenant *tenant,
                                              struct fh_mem_tenant **out);
uint64_t fh_mem_tenant_free(struct fh_mem_data *data, struct fh_mem_tenant *tenant);
/* Answers how many rows and records went. */
uint64_t fh_mem_tenant_erase(struct fh_mem_data *data, struct fh_mem_home *home,
                             struct fh_mem_tenant *tenant);

/* NULL when nothing was ever stored there. */
struct fh_mem_table *fh_mem_table_at(const struct fh_mem_tenant *tenant, uint16_t id);
/* Makes room for `more` rows, so that inserting them cannot fail. */
FH_MUST_CHECK enum fh_code fh_mem_table_reserve(struct fh_mem_tenant *tenant, uint16_t id,
                                                size_t more);
/* The first index whose key is not less than `key`; *found when it is equal. */
size_t fh_mem_table_seek(const struct fh_mem_table *table, const struct fh_key *key, bool *found);
struct fh_mem_row *fh_mem_table_get(const struct fh_mem_table *table, const struct fh_key *key);
/* Puts, replaces or (NULL) removes the row of `key`; room was reserved. Frees nothing. */
void fh_mem_table_set(struct fh_mem_table *table, const struct fh_key *key, struct fh_mem_row *row);

FH_MUST_CHECK enum fh_code fh_mem_row_store(struct fh_mem_data *data, const struct fh_row *row,
                                            struct fh_mem_row **out);
void fh_mem_row_free(struct fh_mem_data *data, struct fh_mem_row *row); /* NULL is fine */
/* A copy in the arena, as a row of `table`: the home's version of it. NULL: out of memory. */
FH_MUST_CHECK struct fh_row *fh_mem_row_read(const struct fh_mem_row *stored,
                                             const struct fh_table *table, struct fh_arena *arena);

/* Copies header strings, changes and images (data NULL stays NULL: redacted). */
FH_MUST_CHECK enum fh_code fh_mem_record_create(struct fh_mem_data *data,
                                                const struct fh_commit_record *header,
                                                const uint8_t request_hash[32],
                                                struct fh_str changes, struct fh_str images,
                                                struct fh_mem_record **out);
void fh_mem_record_free(struct fh_mem_data *data, struct fh_mem_record *record);
/* Takes the record unless it fails: FH_NOMEM, FH_FULL, FH_EXISTS (its request id is another's). Its
 * (epoch, seq) is not there yet. */
FH_MUST_CHECK enum fh_code fh_mem_record_add(struct fh_mem_tenant *tenant,
                                             struct fh_mem_record *record);
/* Gives back what was added. */
void fh_mem_record_take(struct fh_mem_tenant *tenant, struct fh_mem_record *record);
/* The index of the first record that is not before (epoch, seq); *found when it is that one. */
size_t fh_mem_record_seek(const struct fh_mem_tenant *tenant, uint64_t epoch, uint64_t seq,
                          bool *found);

#endif
