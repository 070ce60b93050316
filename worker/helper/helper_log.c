#include "worker/helper/helper_log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/log.h"
#include "common/mem.h"

static struct log whole;         /* of the process; its targets live as long */

static bool
is_level(int64_t level)
{
	return level >= LOG_EMERG && level <= LOG_DEBUG;
}

static void
add(const struct log_target *target)
{
	log_add(&whole, mem_dup(target, sizeof(*target)));
	log_use(&whole);
}

void
helper_log_file(int64_t value, int fd)
{
	struct log_target target = {
		.kind = LOG_TO_FILE, .level = (enum log_level)(value & 0xff), .file = (unsigned)(value >> 8), .fd = fd,
	};

	if (fd != -1 && is_level(value & 0xff))
		add(&target);
	else if (fd != -1)
		close(fd);
}

/* The next of several strings, each with its NUL; NULL when there is no more. */
static const char *
next_string(const char **at, const char *end)
{
	const char *string = *at;

	if (string >= end)
		return NULL;
	*at += strlen(string) + 1;
	return string;
}

static int
parse_server(struct endpoint *server, const char *text)
{
	char *host = NULL;
	unsigned port;
	bool is_unix;
	int result = 0;

	if (addr_split(text, 514, &host, &port, &is_unix) != NULL)
		return -1;
	if (is_unix) {
		server->addr.family = AF_UNIX;
		server->path = host;
		return 0;
	}
	result = addr_parse(&server->addr, host, strlen(host));
	server->addr.port = (uint16_t)port;
	mem_free(host);
	return result;
}

void
helper_log_syslog(int64_t value, const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	const char *server = next_string(&at, end), *tag = next_string(&at, end), *hostname = next_string(&at, end);
	int unreachable;
	struct log_target target = {
		.kind = LOG_TO_SYSLOG, .level = (enum log_level)(value & 0xff), .priority = (unsigned)(value >> 8),
	};

	if (hostname == NULL || !is_level(value & 0xff) || parse_server(&target.server, server) == -1)
		return;
	target.tag = mem_strdup(tag);
	target.hostname = hostname[0] != '\0' ? mem_strdup(hostname) : NULL;
	target.fd = log_open_syslog(&target.server, &unreachable);      /* nobody may be there yet */
	add(&target);
}

void
helper_log_reopened(uint32_t index, int fd)
{
	for (struct log_target *target = whole.targets; target != NULL && fd != -1; target = target->next)
		if (target->kind == LOG_TO_FILE && target->file == index)
			dup3(fd, target->fd, O_CLOEXEC);
	if (fd != -1)
		close(fd);
}
