/*
 * packet - one message of a SOCK_SEQPACKET socket, with a descriptor beside it
 *
 * The channel between the master and a child and the mailbox between workers and
 * helpers are made of these. Whoever is at the other end may be hostile: what it sends
 * too much of is closed again. Built on: nothing.
 */
#ifndef POSTERN_COMMON_PACKET_H
#define POSTERN_COMMON_PACKET_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Sends without ever waiting, `fd` (-1: none) attached; it stays the caller's. Returns 0, or
 * -1 with errno (EAGAIN: the other end's queue is full; ETOOMANYREFS: too many descriptors
 * are under way).
 */
int packet_send(int socket, const void *bytes, size_t len, int fd);

/*
 * Receives one, waiting if the socket does. *fd is -1 or a descriptor that is now the
 * caller's, close-on-exec. Returns its length, which is 0 at end of file, too, or -1 with
 * errno (EPROTO: longer than `size`, or with several descriptors).
 */
ssize_t packet_recv(int socket, void *bytes, size_t size, int *fd);

#endif
