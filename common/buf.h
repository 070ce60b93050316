/*
 * buf - a queue of bytes with a limit
 *
 * What comes in at the end leaves at the front. A buf owns no memory until the
 * first byte, never holds more than its limit, and forgets by overwriting: every
 * block it lets go is wiped, because passwords pass through here. Built on: mem, must.
 */
#ifndef POSTERN_COMMON_BUF_H
#define POSTERN_COMMON_BUF_H

#include <stddef.h>

struct buf {
	char *block;            /* owned; NULL until the first byte */
	size_t start, len;      /* the bytes held are block[start .. start + len - 1] */
	size_t size;            /* of block */
	size_t limit;           /* len never passes it */
};

extern char buf_nothing[1];     /* where an empty buf's head is */

void buf_init(struct buf *b, size_t limit);

/* Wipes and frees the memory; the buf stays usable and empty. */
void buf_reset(struct buf *b);

/* The bytes held, `b->len` of them; not NUL-terminated, never NULL. Valid until the next call that adds. */
static inline char *
buf_head(const struct buf *b)
{
	return b->block == NULL ? buf_nothing : b->block + b->start;
}

/* How many more bytes the limit allows. */
static inline size_t
buf_left(const struct buf *b)
{
	return b->limit - b->len;
}

/* Appends all of it and returns 0, or nothing and returns -1 if the limit would be passed. */
int buf_add(struct buf *b, const void *bytes, size_t len);
int buf_add_text(struct buf *b, const char *text);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Room for `want` more bytes at the end, to read into; buf_added() then says how many
 * came. NULL if the limit does not allow `want`.
 */
char *buf_room(struct buf *b, size_t want);
void buf_added(struct buf *b, size_t len);

/* Drops `len` bytes at the front; they are overwritten. */
void buf_take(struct buf *b, size_t len);

#endif
