#include "common/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"

#define SMALLEST_BLOCK ((size_t)256)

char buf_nothing[1];

void
buf_init(struct buf *b, size_t limit)
{
	MUST(limit < SIZE_MAX / 4);     /* no sum of sizes here wraps */
	*b = (struct buf){ .limit = limit };
}

void
buf_reset(struct buf *b)
{
	mem_wipe(b->block, b->size);
	mem_free(b->block);
	*b = (struct buf){ .limit = b->limit };
}

/* Moves what is held to the front of the block; nothing stays behind where it was. */
static void
compact(struct buf *b)
{
	size_t used = b->start + b->len;

	memmove(b->block, b->block + b->start, b->len);
	mem_wipe(b->block + b->len, used - b->len);
	b->start = 0;
}

static void
grow(struct buf *b, size_t need)
{
	size_t size = b->size < SMALLEST_BLOCK ? SMALLEST_BLOCK : 2 * b->size;
	char *block;

	if (size > b->limit + 1)
		size = b->limit + 1;
	if (size < need)
		size = need;
	block = mem_alloc(size);
	memcpy(block, buf_head(b), b->len);
	mem_wipe(b->block, b->size);
	mem_free(b->block);
	b->block = block;
	b->size = size;
	b->start = 0;
}

/* Makes room for `want` bytes behind those held; the callers have asked the limit. */
static char *
reserve(struct buf *b, size_t want)
{
	size_t need = b->len + want;

	if (b->block == NULL || need > b->size)
		grow(b, need);
	else if (b->start + need > b->size)
		compact(b);
	return b->block + b->start + b->len;
}

int
buf_add(struct buf *b, const void *bytes, size_t len)
{
	if (len > buf_left(b))
		return -1;
	if (len > 0)
		memcpy(reserve(b, len), bytes, len);
	b->len += len;
	return 0;
}

int
buf_add_text(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

int
buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	MUST(len >= 0);
	if ((size_t)len > buf_left(b)) {
		len = -1;
	} else {
		vsnprintf(reserve(b, (size_t)len + 1), (size_t)len + 1, format, again);
		b->len += (size_t)len;
	}
	va_end(again);
	va_end(args);
	return len == -1 ? -1 : 0;
}

char *
buf_room(struct buf *b, size_t want)
{
	return want > buf_left(b) ? NULL : reserve(b, want);
}

void
buf_added(struct buf *b, size_t len)
{
	MUST(len <= buf_left(b) && len <= b->size - b->start - b->len);
	b->len += len;
}

void
buf_take(struct buf *b, size_t len)
{
	MUST(len <= b->len);
	mem_wipe(buf_head(b), len);
	b->len -= len;
	b->start = b->len == 0 ? 0 : b->start + len;
}
