/*
 * conf_secret - files that hold a password of ours
 *
 * The path of such a file stands in the configuration, never the password itself. What is
 * wrong with a file is said here. Nobody waits for the other end of a fifo.
 * Built on: arena, conf_say.
 */
#ifndef POSTERN_MASTER_CONF_SECRET_H
#define POSTERN_MASTER_CONF_SECRET_H

#include <stdbool.h>

struct arena;
struct conf_place;

/* Is it there, and a regular file? A secret that everybody may read is warned of. Returns 0, or -1. */
int conf_secret_check(const struct conf_place *place, const char *path, bool secret);

/*
 * The first line of the file, in the arena, which wipes it in the end. NULL for one that
 * cannot be read, is empty, too long, or has a CR or NUL in it.
 */
const char *conf_secret_read(struct arena *arena, const struct conf_place *place, const char *path);

#endif
