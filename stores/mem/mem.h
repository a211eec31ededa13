/* The memory engine's table of operations; see stores/store.h for the contract. */
#ifndef FH_STORES_MEM_MEM_H
#define FH_STORES_MEM_MEM_H

#include "stores/store.h"

extern const struct fh_store_ops fh_store_mem_ops;

#endif
