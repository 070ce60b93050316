#include "config.h"

#include "common/ipc.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/packet.h"

/* FNV-1a. */
uint32_t
ipc_version(void)
{
	/* It stays in the file, so that strings(1) can tell of which version a program is. */
	static const volatile char text[] = "postern ipc " PACKAGE_VERSION "/" IPC_REVISION;
	uint32_t hash = 2166136261u;

	for (const volatile char *byte = text; *byte != '\0'; byte++)
		hash = (hash ^ (unsigned char)*byte) * 16777619u;
	return hash;
}

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
