/*
 * filetext - a file's text in memory, shared with whoever else reads it where that is safe
 *
 * A frozen memfd cannot change any more, so it is mapped, and all helpers of a source
 * have one text between them. Any other file is copied: what is mapped could shrink.
 * Either stays out of core images. Built on: mem, memfd.
 */
#ifndef POSTERN_WORKER_HELPER_FILETEXT_H
#define POSTERN_WORKER_HELPER_FILETEXT_H

#include <stdbool.h>
#include <stddef.h>

struct filetext {
	char *bytes;            /* owned; read only */
	size_t len;
	bool is_mapped;
};

/*
 * The whole file as it is now, from its beginning, wherever the descriptor stands.
 * Returns 0, or -1 with errno and nothing: EFBIG when it is longer than `max`.
 */
int filetext_read(struct filetext *text, int fd, size_t max);

/* Wipes a copy, lets go of a map, and leaves nothing. */
void filetext_reset(struct filetext *text);

#endif
