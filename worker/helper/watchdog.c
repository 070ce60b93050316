#include "worker/helper/watchdog.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "common/must.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t at_ms;         /* 0: never */
	pid_t worker;           /* the thread that may hang, and whose children go along */
} dog = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What the thread has started and not waited for: "12 13 ". A number that is cut by the end of `pids` is not taken. */
static void
kill_children(void)
{
	char path[64], pids[4096];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)dog.worker);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	got = read(fd, pids, sizeof(pids) - 1);
	close(fd);
	pids[got > 0 ? got : 0] = '\0';
	for (char *at = pids, *end; *at != '\0'; at = end + 1) {
		long pid = strtol(at, &end, 10);

		if (pid <= 0 || *end != ' ')
			return;
		kill((pid_t)pid, SIGKILL);
		/* Scripts have started others; behind the first kill, for who is dead makes no group any more. */
		kill(-(pid_t)pid, SIGKILL);
	}
}

static void *
watch(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&dog.lock);
	for (;;) {
		uint64_t at_ms = dog.at_ms;
		const struct timespec when = {
			.tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000) * 1000000,
		};
		struct timespec now;

		if (at_ms == 0) {
			pthread_cond_wait(&dog.changed, &dog.lock);
			continue;
		}
		pthread_cond_timedwait(&dog.changed, &dog.lock, &when);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (dog.at_ms != at_ms || (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 < at_ms)
			continue;
		kill_children();
		kill(getpid(), SIGKILL);
	}
	return NULL;
}

/* No lock: the thread that hangs may hold any, and the other dog does no harm. */
_Noreturn void
watchdog_end(void)
{
	if (dog.worker != 0)
		kill_children();
	_exit(EXIT_SUCCESS);
}

int
watchdog_raise(void)
{
	pthread_condattr_t monotonic;
	pthread_t thread;

	dog.worker = gettid();
	MUST(pthread_condattr_init(&monotonic) == 0);
	MUST(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
	MUST(pthread_cond_init(&dog.changed, &monotonic) == 0);
	return pthread_create(&thread, NULL, watch, NULL);
}

/* Nobody is woken to hear that the time was put off: it looks when the earlier time has come. */
void
watchdog_set(uint64_t at_ms)
{
	bool was_idle;

	pthread_mutex_lock(&dog.lock);
	was_idle = dog.at_ms == 0;
	dog.at_ms = at_ms;
	if (was_idle && at_ms != 0)
		pthread_cond_signal(&dog.changed);
	pthread_mutex_unlock(&dog.lock);
}
