#include "common/ipc.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/packet.h"

int
ipc_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

int
ipc_send(int channel, const struct ipc_message *message, int fd)
{
	return packet_send(channel, message, sizeof(*message), fd);
}

int
ipc_recv(int channel, struct ipc_message *message, int *fd)
{
	ssize_t len = packet_recv(channel, message, sizeof(*message), fd);

	if (len == -1)
		return -1;
	if (len == 0 && *fd == -1)
		return 0;
	if ((size_t)len == sizeof(*message))
		return 1;
	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = EPROTO;
	return -1;
}
