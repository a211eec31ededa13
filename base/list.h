/* Intrusive doubly linked list. One thread. A node is on one list at most. */
#ifndef FH_BASE_LIST_H
#define FH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct fh_list {
    struct fh_list *next;
    struct fh_list *prev;
};

#define FH_CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void fh_list_init(struct fh_list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool fh_list_empty(const struct fh_list *head)
{
    return head->next == head;
}

static inline void fh_list_push_back(struct fh_list *head, struct fh_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void fh_list_push_front(struct fh_list *head, struct fh_list *node)
{
    fh_list_push_back(head->next, node);
}

/* Leaves the node pointing at itself, so removing twice is harmless. */
static inline void fh_list_remove(struct fh_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    fh_list_init(node);
}

static inline struct fh_list *fh_list_pop_front(struct fh_list *head)
{
    if (fh_list_empty(head)) {
        return NULL;
    }
    struct fh_list *node = head->next;
    fh_list_remove(node);
    return node;
}

#endif
