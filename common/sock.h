/*
 * sock - sockets as we want them: nonblocking, close-on-exec, configured once
 *
 * Built on: addr, sock_options, sockfile.
 */
#ifndef POSTERN_COMMON_SOCK_H
#define POSTERN_COMMON_SOCK_H

#include <stdbool.h>

#include "common/addr.h"
#include "common/sock_options.h"

/*
 * Binds and listens; TCP_NODELAY is set so that accepted sockets inherit it. A UNIX
 * socket file that nobody listens on is removed first, and the new one has its mode and
 * owner before anyone is let in; the umask of the process changes for a moment. Returns the descriptor, or -1
 * with errno, and then *step is a static word: "socket", "setsockopt", "bind" ...
 */
int sock_listen(const struct endpoint *at, const struct sock_options *options, const char **step);

/*
 * Says whether this socket shares its port with others of ours (SO_REUSEPORT). Linux lets a
 * wildcard and a specific address listen on one port only while both say so; once they
 * listen, they may be told to stop, and then nobody else comes beside them. Returns 0, or -1 with errno.
 */
int sock_share_port(int fd, bool shared);

/*
 * Applies what may change on a live listening socket, or what another process that has bound it
 * may have left out: buffers, keepalive, TCP_NODELAY, backlog, mode and owner of its file (which a
 * UNIX socket whose `at` has no path is left with). Returns 0, or -1 with errno.
 */
int sock_adjust(int fd, const struct endpoint *at, const struct sock_options *options);

/* Starts to connect, without waiting. Returns the descriptor, with *pending set while it connects, or -1 with errno. */
int sock_connect(const struct endpoint *to, bool *pending);

/*
 * The same from an address of ours (NULL: any), of the same family; its port is not looked at,
 * the system chooses one. `transparent`: whosever it is (ip(7), IP_TRANSPARENT), which takes
 * CAP_NET_RAW. At -1 *step is a static word, as above, or "connect".
 */
int sock_connect_from(const struct addr *from, bool transparent, const struct endpoint *to, bool *pending,
    const char **step);

/* Would that work now, as far as it can be known without a place to go? Returns as above, but 0. */
int sock_try_from(const struct addr *from, bool transparent, const char **step);

/* The length that sock_connect_from() gives an address in bind(2): the only one that SANDBOX_BINDING lets through. */
#define SOCK_BIND_LEN sizeof(struct sockaddr_storage)

/* The result of a pending connect: 0, or an errno. */
int sock_error(int fd);

#endif
