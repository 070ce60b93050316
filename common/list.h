/*
 * list - things in a row, linked through a node that each carries
 *
 * A struct list is both the head of a row and the node in it. Whoever embeds the
 * node owns the thing; a row owns nothing. An unlinked node points at itself, so
 * list_remove() twice is harmless. Built on: nothing.
 */
#ifndef POSTERN_COMMON_LIST_H
#define POSTERN_COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* The thing of type `type` whose node `member` is at `node`. */
#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))

/* Walks a row; the present thing may be removed on the way. */
#define LIST_EACH(node, head) \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
	    node = node##_next, node##_next = node->next)

static inline void
list_init(struct list *node)
{
	node->next = node->prev = node;
}

static inline bool
list_is_empty(const struct list *head)
{
	return head->next == head;
}

/* Appends at the end of the row. */
static inline void
list_add(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Takes all of `from` to the end of `head`, in order, and leaves `from` empty. */
static inline void
list_move_all(struct list *head, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	list_init(from);
}

#endif
