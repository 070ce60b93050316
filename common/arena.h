/*
 * arena - memory that is built up piece by piece and let go whole
 *
 * A configuration and the memory of one login are such things. Nothing in an arena is
 * freed alone. Built on: mem, must.
 */
#ifndef POSTERN_COMMON_ARENA_H
#define POSTERN_COMMON_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);

/* Wipes and frees everything, and leaves NULL. NULL is fine. */
void arena_free(struct arena **arenap);

/* `size` bytes, all zero, aligned for anything. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_dup(struct arena *arena, const void *bytes, size_t len);
char *arena_strdup(struct arena *arena, const char *text);      /* NULL gives NULL */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Appends to an array of pointers that the arena holds and NULL ends. *listp (of any
 * pointer type) is NULL at first, and nobody else makes such a list or adds to it: the
 * room in it follows from its length.
 */
void arena_append(struct arena *arena, void *listp, const void *item);

#endif
