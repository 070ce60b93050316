#include "common/ipc.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Control messages are aligned as their header is. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

int
ipc_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

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
ipc_send(int channel, const struct ipc_message *message, int fd)
{
	struct ipc_message copy = *message;
	struct iovec whole = { &copy, sizeof(copy) };
	struct msghdr header = { .msg_iov = &whole, .msg_iovlen = 1 };
	union control control = { .room = "" };
	ssize_t len;

	if (fd != -1)
		attach(&header, &control, fd);
	do
		len = sendmsg(channel, &header, MSG_NOSIGNAL);
	while (len == -1 && errno == EINTR);
	return len == -1 ? -1 : 0;
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

static int
refuse(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = EPROTO;
	return -1;
}

int
ipc_recv(int channel, struct ipc_message *message, int *fd)
{
	struct iovec whole = { message, sizeof(*message) };
	union control control;
	struct msghdr header = {
		.msg_iov = &whole, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t len;
	bool others;

	*fd = -1;
	/* ECONNRESET says, once, that the dead peer had left messages unread; its own are still to come. */
	do
		len = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
	while (len == -1 && (errno == EINTR || errno == ECONNRESET));
	if (len == -1)
		return -1;
	others = detach(&header, fd);
	if (others || (header.msg_flags & MSG_TRUNC) != 0)
		return refuse(fd);
	if (len == 0 && *fd == -1)
		return 0;
	return (size_t)len == sizeof(*message) ? 1 : refuse(fd);
}
