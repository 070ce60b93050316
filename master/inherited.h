/*
 * inherited - listening sockets that the process was started with
 *
 * Whoever started us may have bound our sockets before: a service manager, or the master
 * that this one follows. What a descriptor is, the kernel is asked and nobody else. A
 * configuration claims what it listens on; the rest is closed. Built on: conf, log, mem, leftover.
 */
#ifndef POSTERN_MASTER_INHERITED_H
#define POSTERN_MASTER_INHERITED_H

#include <stdbool.h>
#include <stddef.h>

struct conf_listen;
struct inherited;

struct inherited *inherited_new(void);

/*
 * Takes `fd` over, which is close-on-exec then. `lent`: it stays its giver's, too; if it is
 * a UNIX socket, its file is none of ours to change or to remove. Returns NULL, or a static
 * phrase saying why it can be none of ours ("is not a listening socket"): then it stays the
 * caller's.
 */
const char *inherited_add(struct inherited *inherited, int fd, bool lent);

/* The descriptors that wait to be claimed, and how many there are; an array of the caller's. */
int *inherited_fds(const struct inherited *inherited, size_t *count);

/* As sock_share_port() for those on the port of `listen`. Returns how many there are. */
size_t inherited_share_port(const struct inherited *inherited, const struct conf_listen *listen, bool shared);

/*
 * Gives `listen` the socket of its address if there is one: sets its fd and `lent`. The socket
 * is nonblocking then, and leaves `inherited`. Returns whether there was one.
 */
bool inherited_claim(struct inherited *inherited, struct conf_listen *listen);

/*
 * Closes what nobody has claimed, and says so of each; its file goes too, unless it is lent. NULL
 * is fine; leaves NULL.
 */
void inherited_close(struct inherited **inheritedp);

/* The same without a word. */
void inherited_free(struct inherited **inheritedp);

#endif
