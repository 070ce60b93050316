/*
 * arena - memory that is built up piece by piece and let go whole
 *
 * A configuration and the memory of one login are such things. Nothing in an arena is
 * freed alone. Built on: mem.
 */
#ifndef POSTERN_COMMON_ARENA_H
#define POSTERN_COMMON_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);

/* Wipes and frees everything. */
void arena_free(struct arena **arenap);

/* `size` bytes, all zero, aligned for anything. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_dup(struct arena *arena, const void *bytes, size_t len);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends to an array of pointers that the arena holds and NULL ends: *listp may be NULL at first. */
void arena_append(struct arena *arena, void *listp, void *item);

#endif
