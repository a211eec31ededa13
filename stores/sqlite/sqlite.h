/* The sqlite engine's table of operations; see stores/store.h for the contract. */
#ifndef FH_STORES_SQLITE_SQLITE_H
#define FH_STORES_SQLITE_SQLITE_H

#include "stores/store.h"

extern const struct fh_store_ops fh_store_sqlite_ops;

#endif
