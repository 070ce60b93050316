#include "common/packet.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Control messages are aligned as their header is. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static void
attach(struct msghdr *header, union control *control, int fd)
{
	struct cmsghdr *rights;

	header->msg_control = control;
	header->msg_controllen = sizeof(*control);
	rights = CMSG_FIRSTHDR(header);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
}

int
packet_send(int socket, const void *bytes, size_t len, int fd)
{
	/* sendmsg(2) does not write to it. */
	struct iovec whole = { (void *)(uintptr_t)bytes, len };
	struct msghdr header = { .msg_iov = &whole, .msg_iovlen = 1 };
	union control control = { .room = "" };
	ssize_t sent;

	if (fd != -1)
		attach(&header, &control, fd);
	do
		sent = sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent == -1 && errno == EINTR);
	return sent == -1 ? -1 : 0;
}

/*
 * Keeps the first descriptor in *fd and closes the others: the room for one is, aligned,
 * room for two, and the sender may be hostile. Says whether there were others.
 */
static bool
detach(struct msghdr *header, int *fd)
{
	bool others = (header->msg_flags & MSG_CTRUNC) != 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
			int one;

			memcpy(&one, CMSG_DATA(c) + at, sizeof(one));
			if (*fd == -1) {
				*fd = one;
			} else {
				close(one);
				others = true;
			}
		}
	}
	return others;
}

ssize_t
packet_recv(int socket, void *bytes, size_t size, int *fd)
{
	struct iovec whole = { bytes, size };
	union control control;
	struct msghdr header = {
		.msg_iov = &whole, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t len;
	bool others;

	*fd = -1;
	/* ECONNRESET says, once, that the dead peer had left messages unread; its own are still to come. */
	do
		len = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (len == -1 && (errno == EINTR || errno == ECONNRESET));
	if (len == -1)
		return -1;
	others = detach(&header, fd);
	if (!others && (header.msg_flags & MSG_TRUNC) == 0)
		return len;
	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = EPROTO;
	return -1;
}
