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

/*
 * Two views of `bytes` zeros: *writable is for this process, and to be kept from children by
 * madvise(MADV_DONTFORK); the other can never be made writable (since Linux 5.1), and is
 * what children see. Returns NULL with errno. Free both with munmap(2).
 */
const void *memfd_views(const char *name, size_t bytes, void **writable);

/* Nobody changes it any more. Returns 0, or -1 with errno. */
int memfd_freeze(int fd);

/*
 * Maps what was frozen, for reading. NULL with errno: EINVAL when somebody could still
 * change it. Free with memfd_leave(); what is empty has a view, too.
 */
const void *memfd_view(int fd, size_t *bytes);
void memfd_leave(const void *view, size_t bytes);

/*
 * Maps `fd` for reading and writing. NULL with errno: EINVAL when it is not sealed or not of
 * `bytes`. Free with munmap(2).
 */
void *memfd_map(int fd, size_t bytes);

#endif
