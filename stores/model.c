#include "stores/model.h"

const struct fh_table *fh_schema_table(const struct fh_schema *schema, struct fh_str name)
{
    for (uint32_t i = 0; i < schema->table_count; i++) {
        if (fh_str_eq(schema->tables[i]->name, name)) {
            return schema->tables[i];
        }
    }
    return NULL;
}

const struct fh_table *fh_schema_table_by_id(const struct fh_schema *schema, uint16_t id)
{
    for (uint32_t i = 0; i < schema->table_count; i++) {
        if (schema->tables[i]->id == id) {
            return schema->tables[i];
        }
    }
    return NULL;
}

const struct fh_schema *fh_schema_at(const struct fh_schema *schema, uint32_t version)
{
    while (schema != NULL && schema->version > version) {
        schema = schema->previous;
    }
    return schema != NULL && schema->version == version ? schema : NULL;
}

const struct fh_column *fh_table_column(const struct fh_table *table, struct fh_str name)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (fh_str_eq(table->columns[i].name, name)) {
            return &table->columns[i];
        }
    }
    return NULL;
}

const struct fh_column *fh_table_column_by_id(const struct fh_table *table, uint16_t id)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].id == id) {
            return &table->columns[i];
        }
    }
    return NULL;
}
