#include "master/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"

static int waiting_parent = -1; /* the pipe to it */

static int
fail(const char *call)
{
	log_say(LOG_EMERG, "%s failed %s", call, log_errno(errno));
	return -1;
}

static _Noreturn void
wait_for_truth(int pipe_end)
{
	ssize_t got;
	char byte;

	do
		got = read(pipe_end, &byte, 1);
	while (got == -1 && errno == EINTR);
	_exit(got == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int
leave_terminal(void)
{
	int null;

	if (setsid() == -1)
		return fail("setsid()");
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		return fail("open() \"/dev/null\"");
	if (dup2(null, STDIN_FILENO) == -1 || dup2(null, STDOUT_FILENO) == -1)
		return fail("dup2()");
	if (null > STDERR_FILENO)
		close(null);
	return 0;
}

int
daemon_begin(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) == -1)
		return fail("pipe2()");
	switch (fork()) {
	case -1:
		close(ends[0]);
		close(ends[1]);
		return fail("fork()");
	case 0:
		close(ends[0]);
		waiting_parent = ends[1];
		return leave_terminal();
	default:
		close(ends[1]);
		wait_for_truth(ends[0]);
	}
}

void
daemon_succeed(void)
{
	if (waiting_parent == -1)
		return;
	/* A parent that was killed misses nothing. SIGPIPE is ignored by then. */
	if (write(waiting_parent, "", 1) == -1 && errno != EPIPE)
		log_say(LOG_ALERT, "write() to the start command failed %s", log_errno(errno));
	close(waiting_parent);
	waiting_parent = -1;
}
