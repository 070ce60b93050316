#include "master/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/list.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/heritage.h"

struct upgrade {
	struct loop *loop;
	const struct upgrade_events *events;    /* borrowed */
	unsigned half;
	int ours[2];            /* owned: the ends of our pipe */
	struct loop_io others;  /* owned: the reading end of that of the other master; -1: there is none */
	pid_t parent;           /* 0: started plainly */
	pid_t child;            /* 0: there is none */
};

/* --- the others --- */

static void
close_others(struct upgrade *u)
{
	if (u->others.fd == -1)
		return;
	loop_unwatch(u->loop, &u->others);
	close(u->others.fd);
	u->others.fd = -1;
}

/* Their pipe has no writing end any more. */
static void
on_others(struct loop_io *io, uint32_t events)
{
	struct upgrade *u = LIST_ENTRY(io, struct upgrade, others);

	(void)events;
	close_others(u);
	/* It may be about to end, and still be our parent for a moment. */
	u->parent = 0;
	u->events->alone(u->events->ctx, BOARD_HALF_OF(1 - u->half));
}

/* Only the end of the pipe is of interest; whatever is written there wakes nobody. */
static int
watch(struct upgrade *u)
{
	return loop_watch(u->loop, &u->others, 0);
}

static void
take_over(struct upgrade *u, const struct heritage *heritage)
{
	u->half = heritage->half;
	u->parent = heritage->parent;
	u->ours[0] = heritage->ours[0];
	u->ours[1] = heritage->ours[1];
	u->others.fd = heritage->others;
	if (watch(u) == -1)
		must_die("the pipe of the old master cannot be watched");
}

struct upgrade *
upgrade_new(struct loop *loop, const struct heritage *heritage, const struct upgrade_events *events)
{
	struct upgrade *u = mem_alloc(sizeof(*u));

	*u = (struct upgrade){ .loop = loop, .events = events, .others = { .on_events = on_others, .fd = -1 } };
	if (heritage != NULL)
		take_over(u, heritage);
	else if (pipe2(u->ours, O_CLOEXEC | O_NONBLOCK) == -1)
		must_die("no descriptors for a pipe");
	return u;
}

void
upgrade_free(struct upgrade **upgradep)
{
	struct upgrade *u = *upgradep;

	close_others(u);
	close(u->ours[0]);
	close(u->ours[1]);
	mem_free(u);
	*upgradep = NULL;
}

unsigned
upgrade_half(const struct upgrade *u)
{
	return u->half;
}

int
upgrade_pipe(const struct upgrade *u)
{
	return u->ours[1];
}

pid_t
upgrade_parent(const struct upgrade *u)
{
	/* Who loses its parent gets another one at once. */
	return getppid() == u->parent ? u->parent : 0;
}

pid_t
upgrade_child(const struct upgrade *u)
{
	return u->child;
}

bool
upgrade_has_others(const struct upgrade *u)
{
	return u->others.fd != -1;
}

/* --- the new one --- */

/* Signals stay blocked over exec: what comes before the new master listens waits for it. */
static _Noreturn void
become(const char *program, char *const *argv, const struct heritage *heritage, int table, void (*prepare)(void *ctx),
    void *ctx)
{
	prepare(ctx);
	if (heritage_release(heritage, table) == 0)
		execv(program, argv);
	log_say(LOG_ALERT, "execve() failed while executing new binary process \"%s\" %s", program, log_errno(errno));
	_exit(EXIT_FAILURE);
}

static int
say_failure(const char *call)
{
	log_say(LOG_ALERT, "%s failed while starting a new binary process %s", call, log_errno(errno));
	return -1;
}

/* The child holds its copies of `table` and of the writing end. */
static int
start(struct upgrade *u, const char *program, char *const *argv, const struct heritage *heritage,
    void (*prepare)(void *ctx))
{
	int table = heritage_pack(heritage);

	if (table == -1)
		return say_failure("memfd_create()");
	u->child = fork();
	if (u->child == 0)
		become(program, argv, heritage, table, prepare, u->events->ctx);
	close(table);
	if (u->child > 0)
		return 0;
	u->child = 0;
	return say_failure("fork()");
}

int
upgrade_start(struct upgrade *u, const char *program, char *const *argv, struct heritage *heritage,
    void (*prepare)(void *ctx))
{
	int ends[2], result;

	MUST(u->child == 0 && u->others.fd == -1);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1)
		return say_failure("pipe2()");
	heritage->parent = getpid();
	heritage->whole = true;
	heritage->half = 1 - u->half;
	heritage->others = u->ours[0];
	heritage->ours[0] = ends[0];
	heritage->ours[1] = ends[1];
	u->others.fd = ends[0];
	result = watch(u);
	if (result == 0)
		result = start(u, program, argv, heritage, prepare);
	else
		say_failure("epoll_ctl()");
	close(ends[1]);
	if (result == 0)
		log_say(LOG_NOTICE, "start new binary process %ld", (long)u->child);
	else
		close_others(u);
	return result;
}

static void
say_end(pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		log_say(LOG_ALERT, "new binary process %ld exited on signal %d%s", (long)pid, WTERMSIG(status),
		    WCOREDUMP(status) ? " (core dumped)" : "");
	else
		log_say(LOG_NOTICE, "new binary process %ld exited with code %d", (long)pid, WEXITSTATUS(status));
}

bool
upgrade_reaped(struct upgrade *u, pid_t pid, int status)
{
	if (u->child == 0 || pid != u->child)
		return false;
	u->child = 0;
	say_end(pid, status);
	u->events->failed(u->events->ctx);
	return true;
}
