#include "master/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/list.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/num.h"

#define MESSAGE_MAX 512
#define AGAIN_MS 100            /* until what found no room is sent again */
#define WATCHDOG_MAX UINT64_C(86400000000)      /* microseconds; rarer signs of life are none */

struct notify {
	int fd;                         /* -1: there is nobody to tell */
	struct sockaddr_un to;
	socklen_t to_len;
	struct loop *loop;              /* borrowed; NULL until notify_watch() */
	uint64_t watchdog_ms;           /* between two signs of life; 0: not asked for */
	struct loop_timer life, again;
	char pending[MESSAGE_MAX];      /* the last that found no room; "" if none. What is newer replaces it */
	bool failing;                   /* that has been said */
};

static uint64_t
now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void
say_failure(struct notify *n, int error)
{
	if (!n->failing)
		log_say(LOG_WARN, "sendto() the service manager failed %s", log_errno(error));
	n->failing = true;
}

/* Returns false if there was no room. */
static bool
deliver(struct notify *n, const char *message)
{
	if (sendto(n->fd, message, strlen(message), MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
	    n->to_len) != -1)
		n->failing = false;
	else if (errno == EAGAIN || errno == ENOBUFS)
		return false;
	else
		say_failure(n, errno);
	return true;
}

/* What must not get lost, if it can be delivered at all. */
static void
tell(struct notify *n, const char *message)
{
	if (n->fd == -1)
		return;
	*n->pending = '\0';
	if (deliver(n, message) || n->loop == NULL)
		return;
	snprintf(n->pending, sizeof(n->pending), "%s", message);
	loop_timer_set(n->loop, &n->again, AGAIN_MS);
}

static void
on_again(struct loop_timer *timer)
{
	struct notify *n = LIST_ENTRY(timer, struct notify, again);

	if (*n->pending == '\0')
		return;
	if (deliver(n, n->pending))
		*n->pending = '\0';
	else
		loop_timer_set(n->loop, &n->again, AGAIN_MS);
}

static void
on_life(struct loop_timer *timer)
{
	struct notify *n = LIST_ENTRY(timer, struct notify, life);

	deliver(n, "WATCHDOG=1");
	loop_timer_set(n->loop, &n->life, n->watchdog_ms);
}

/* Where to: an absolute path, or "@name", which is an abstract one. Returns 0, or -1. */
static int
read_address(struct notify *n, const char *text)
{
	size_t len = strlen(text);

	if ((*text != '/' && *text != '@') || len < 2 || len >= sizeof(n->to.sun_path))
		return -1;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, text, len);
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*text == '/'));
	if (*text == '@')
		n->to.sun_path[0] = '\0';
	return 0;
}

/* Half of the time after which we are taken for dead. 0: nobody asks, or another process is meant. */
static uint64_t
read_watchdog(void)
{
	const char *pid_text = getenv("WATCHDOG_PID"), *usec_text = getenv("WATCHDOG_USEC");
	uint64_t usec;
	unsigned pid;

	if (usec_text == NULL || num_parse_len(usec_text, strlen(usec_text), UINT64_MAX, &usec) == -1)
		return 0;
	if (pid_text != NULL && (num_parse(pid_text, INT_MAX, &pid) == -1 || (pid_t)pid != getpid()))
		return 0;
	if (usec == 0 || usec > WATCHDOG_MAX)
		return 0;
	return usec < 2000 ? 1 : usec / 2000;
}

struct notify *
notify_new(void)
{
	struct notify *n = mem_alloc(sizeof(*n));
	const char *text = getenv("NOTIFY_SOCKET");

	*n = (struct notify){ .fd = -1, .life.on_time = on_life, .again.on_time = on_again };
	if (text == NULL || *text == '\0')
		return n;
	if (read_address(n, text) == -1) {
		log_say(LOG_WARN,
		    "NOTIFY_SOCKET is neither an absolute path nor \"@name\", the service manager is told nothing");
		return n;
	}
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd == -1)
		log_say(LOG_WARN, "socket() failed %s, the service manager is told nothing", log_errno(errno));
	else
		n->watchdog_ms = read_watchdog();
	return n;
}

void
notify_watch(struct notify *n, struct loop *loop)
{
	n->loop = loop;
	if (n->watchdog_ms > 0)
		loop_timer_set(loop, &n->life, n->watchdog_ms);
}

void
notify_ready(struct notify *n, const char *status)
{
	char message[MESSAGE_MAX];

	snprintf(message, sizeof(message), "READY=1\nMAINPID=%ld\nSTATUS=%s", (long)getpid(), status);
	tell(n, message);
}

void
notify_reloading(struct notify *n)
{
	char message[MESSAGE_MAX];

	snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reading the configuration",
	    now_usec());
	tell(n, message);
}

void
notify_stopping(struct notify *n, const char *status)
{
	char message[MESSAGE_MAX];

	snprintf(message, sizeof(message), "STOPPING=1\nSTATUS=%s", status);
	tell(n, message);
}

void
notify_hand_on(const struct notify *n)
{
	char pid[32];

	if (n->watchdog_ms == 0)
		return;
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
}

void
notify_free(struct notify **notifyp)
{
	struct notify *n = *notifyp;

	if (n == NULL)
		return;
	loop_timer_stop(&n->life);
	loop_timer_stop(&n->again);
	if (n->fd != -1)
		close(n->fd);
	mem_free(n);
	*notifyp = NULL;
}
