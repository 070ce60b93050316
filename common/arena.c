#include "common/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"

#define FIRST_CHUNK ((size_t)1024)      /* a login often needs no more */
#define LARGEST_CHUNK ((size_t)64 * 1024)
#define FIRST_LIST ((size_t)4)

struct chunk {
	struct chunk *next;     /* owned */
	size_t size, used;      /* of bytes */
	alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct chunk *chunks;   /* owned; the newest first: only that one has room */
	size_t next_size;       /* of the next chunk: each is twice the one before */
};

struct arena *
arena_new(void)
{
	struct arena *arena = mem_alloc(sizeof(*arena));

	arena->next_size = FIRST_CHUNK;
	return arena;
}

void
arena_free(struct arena **arenap)
{
	struct arena *arena = *arenap;

	if (arena == NULL)
		return;
	for (struct chunk *chunk; (chunk = arena->chunks) != NULL; mem_free(chunk)) {
		arena->chunks = chunk->next;
		mem_wipe(chunk->bytes, chunk->used);
	}
	mem_free(arena);
	*arenap = NULL;
}

static struct chunk *
chunk_new(struct arena *arena, size_t at_least)
{
	size_t size = arena->next_size;
	struct chunk *chunk;

	if (arena->next_size < LARGEST_CHUNK)
		arena->next_size *= 2;
	if (size < at_least)
		size = at_least;
	chunk = mem_alloc(sizeof(*chunk) + size);
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
	struct chunk *chunk = arena->chunks;
	void *bytes;

	MUST(size <= SIZE_MAX / 2);
	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (chunk == NULL || chunk->size - chunk->used < size)
		chunk = chunk_new(arena, size);
	bytes = chunk->bytes + chunk->used;
	chunk->used += size;
	return bytes;
}

void *
arena_dup(struct arena *arena, const void *bytes, size_t len)
{
	void *copy = arena_alloc(arena, len);

	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

char *
arena_strdup(struct arena *arena, const char *text)
{
	return text == NULL ? NULL : arena_dup(arena, text, strlen(text) + 1);
}

char *
arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args, again;
	char *text;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	MUST(len >= 0);
	text = arena_alloc(arena, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}

/* A list of `count` items and its NULL fill their array exactly when their number is a power of two. */
static const void **
list_grown(struct arena *arena, const void **list, size_t count)
{
	size_t room = count == 0 ? FIRST_LIST : 2 * (count + 1);
	const void **grown;

	if (count > 0 && (count + 1 < FIRST_LIST || (count & (count + 1)) != 0))
		return list;
	MUST(room <= SIZE_MAX / sizeof(*grown));
	grown = arena_alloc(arena, room * sizeof(*grown));
	if (count > 0)
		memcpy(grown, list, count * sizeof(*grown));
	return grown;
}

void
arena_append(struct arena *arena, void *listp, const void *item)
{
	const void **list;
	size_t count = 0;

	MUST(item != NULL);
	memcpy(&list, listp, sizeof(list));     /* what type the caller's pointer has is not ours to know */
	while (list != NULL && list[count] != NULL)
		count++;
	list = list_grown(arena, list, count);
	list[count] = item;
	list[count + 1] = NULL;
	memcpy(listp, &list, sizeof(list));
}
