/*
 * sockfile - the file of a UNIX socket
 *
 * It is born with its mode, replaced where nobody listens any more, and adjusted while it
 * lives. What is not ours to replace stays: the file of a socket that lives, also one that
 * is just being made by another start of ours, and whatever is no socket.
 * Built on: addr, sock_options, mem.
 */
#ifndef POSTERN_COMMON_SOCKFILE_H
#define POSTERN_COMMON_SOCKFILE_H

#include <sys/socket.h>

struct endpoint;
struct sock_options;

/*
 * Binds `fd` to at->path, whose form for the kernel is `sa`, and listens. The file has its
 * mode and owner before anyone is let in; the umask of the process changes for a moment.
 * Returns 0, or -1 with errno and *step, a static word: "bind", "chown", "listen".
 */
int sockfile_listen(int fd, const struct endpoint *at, const struct sockaddr_storage *sa, socklen_t sa_len,
    const struct sock_options *options, const char **step);

/*
 * Gives a living socket's file the mode and owner that a new one would have; never what else
 * stands there by now. Returns 0, or -1 with errno.
 */
int sockfile_adjust(const char *path, const struct sock_options *options);

#endif
