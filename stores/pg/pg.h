/* The postgresql engine's table of operations; see stores/store.h for the contract. */
#ifndef FH_STORES_PG_PG_H
#define FH_STORES_PG_PG_H

#include "stores/store.h"

extern const struct fh_store_ops fh_store_pg_ops;

#endif
