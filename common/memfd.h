/*
 * memfd - shared memory behind a descriptor, of a size that nobody can change
 *
 * The seals against growing and shrinking make it safe to map: no process that has
 * the descriptor can cut the memory off under another. Pages that nobody has touched
 * take no memory. The map stays out of core images. Built on: nothing.
 */
#ifndef POSTERN_COMMON_MEMFD_H
#define POSTERN_COMMON_MEMFD_H

#include <stddef.h>

/* A new one of `bytes` zeros; `name` shows in /proc. Returns the descriptor, close-on-exec, or -1 with errno. */
int memfd_new(const char *name, size_t bytes);

/* Maps `fd` for reading and writing. NULL with errno: EINVAL when it is not sealed or not of `bytes`. Free with munmap(2). */
void *memfd_map(int fd, size_t bytes);

#endif
