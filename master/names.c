#include "master/names.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/proc.h"
#include "master/conf_say.h"

#define NAMES_LIMIT_MS 10000
#define NAMES_MAX_ADDRESSES 64          /* of one name; what a resolver answers beyond them is left out */

/*
 * What comes down the pipe. A record is far smaller than PIPE_BUF, so it arrives whole.
 */
struct record {
	uint32_t name;          /* index in conf->names; name_count: all names are done */
	int32_t error;          /* of getaddrinfo(3), where there is no address */
	struct addr addr;
};

struct names {
	struct loop *loop;
	struct conf *conf;      /* borrowed; its names are filled in */
	names_callback *done;
	void *ctx;
	struct loop_io io;      /* the reading end */
	struct loop_timer limit;
	pid_t pid;              /* 0 once it was reaped */
};

/* --- in the child --- */

static void
tell(int out, const struct record *record)
{
	if (write(out, record, sizeof(*record)) != (ssize_t)sizeof(*record))
		_exit(EXIT_FAILURE);
}

/* Tells the addresses of one name, each once. */
static void
look_up(int out, uint32_t index, const struct conf_name *name)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	struct record record = { .name = index };
	unsigned count = 0;

	record.error = getaddrinfo(name->host, NULL, &hints, &found);
	if (record.error != 0) {
		tell(out, &record);
		return;
	}
	for (struct addrinfo *ai = found; ai != NULL && count < NAMES_MAX_ADDRESSES; ai = ai->ai_next) {
		struct sockaddr_storage sa = { 0 };

		memcpy(&sa, ai->ai_addr, ai->ai_addrlen < sizeof(sa) ? ai->ai_addrlen : sizeof(sa));
		addr_from_sockaddr(&record.addr, &sa);
		record.addr.port = 0;
		tell(out, &record);
		count++;
	}
	freeaddrinfo(found);
}

/* Strangers' answers are not read as root, if there is an account for it. */
static void
drop_privileges(const struct conf *conf)
{
	const char *user = conf->user != NULL ? conf->user : POSTERN_USER;
	const struct passwd *account = geteuid() == 0 ? getpwnam(user) : NULL;

	if (account != NULL && proc_become(user, account->pw_uid, account->pw_gid, 0) == -1)
		_exit(EXIT_FAILURE);
}

static _Noreturn void
look_all_up(const struct conf *conf, int out)
{
	struct record end = { .name = (uint32_t)conf->name_count };

	proc_title("name resolver");
	proc_default_signals();
	proc_close_others(STDERR_FILENO + 1, &out, 1);
	drop_privileges(conf);
	alarm(NAMES_LIMIT_MS / 1000 + 1);       /* also where the master has died meanwhile */
	for (uint32_t i = 0; i < conf->name_count; i++)
		if (conf->names[i]->host != NULL)
			look_up(out, i, conf->names[i]);
	tell(out, &end);
	_exit(EXIT_SUCCESS);
}

/* --- in the master --- */

/* Believes one address of one name, unless it is nonsense or one too many. */
static void
add(struct conf *conf, struct conf_name *name, const struct addr *addr)
{
	struct endpoint *end;

	if ((addr->family != AF_INET && addr->family != AF_INET6) || name->found_count == NAMES_MAX_ADDRESSES)
		return;
	if (name->found == NULL)
		name->found = arena_alloc(conf->arena, NAMES_MAX_ADDRESSES * sizeof(*name->found));
	end = &name->found[name->found_count];
	*end = (struct endpoint){ .addr = *addr };
	end->addr.port = (uint16_t)name->port;
	for (size_t i = 0; i < name->found_count; i++)
		if (addr_equal(&name->found[i].addr, &end->addr))
			return;
	name->found_count++;
}

static struct conf_name *
first_unresolved(const struct conf *conf)
{
	for (size_t i = 0; i < conf->name_count; i++)
		if (conf->names[i]->host != NULL && conf->names[i]->found_count == 0)
			return conf->names[i];
	return NULL;
}

static void
finish(struct names *names, bool resolved)
{
	loop_close(names->loop, &names->io);
	loop_timer_stop(&names->limit);
	names->done(names->ctx, resolved);
}

static void
take(struct names *names, const struct record *record)
{
	struct conf *conf = names->conf;
	struct conf_name *missing;

	if (record->name < conf->name_count && record->error == 0) {
		add(conf, conf->names[record->name], &record->addr);
		return;
	}
	missing = record->name < conf->name_count ? conf->names[record->name] : first_unresolved(conf);
	if (missing != NULL)
		conf_say_name(missing, "host not found");
	finish(names, missing == NULL);
}

static void
on_readable(struct loop_io *io, uint32_t events)
{
	struct names *names = LIST_ENTRY(io, struct names, io);
	struct record record;
	ssize_t got = read(io->fd, &record, sizeof(record));

	(void)events;
	if (got == (ssize_t)sizeof(record)) {
		take(names, &record);
		return;
	}
	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	log_say(LOG_EMERG, "the process that resolves host names ended before it was done");
	finish(names, false);
}

static void
on_limit(struct loop_timer *timer)
{
	struct names *names = LIST_ENTRY(timer, struct names, limit);
	const struct conf_name *missing = first_unresolved(names->conf);

	if (missing != NULL)
		conf_say_name(missing, "host not resolved in time");
	else
		log_say(LOG_EMERG, "host names not resolved in time");
	finish(names, false);
}

/* Forks the child. Returns the reading end of its pipe, or -1 with errno. */
static int
start_child(const struct conf *conf, pid_t *pid)
{
	int ends[2], saved;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && (*pid = fork()) != -1) {
		if (*pid == 0)
			look_all_up(conf, ends[1]);
		close(ends[1]);
		return ends[0];
	}
	saved = errno;
	close(ends[0]);
	close(ends[1]);
	errno = saved;
	return -1;
}

struct names *
names_start(struct loop *loop, struct conf *conf, names_callback *done, void *ctx)
{
	struct names *names = mem_alloc(sizeof(*names));

	*names = (struct names){ .loop = loop, .conf = conf, .done = done, .ctx = ctx };
	names->io = (struct loop_io){ .on_events = on_readable, .fd = start_child(conf, &names->pid) };
	names->limit.on_time = on_limit;
	if (names->io.fd == -1 || loop_watch(loop, &names->io, EPOLLIN) == -1) {
		log_say(LOG_EMERG, "cannot start to resolve host names %s", log_errno(errno));
		names_free(&names);
		return NULL;
	}
	loop_timer_set(loop, &names->limit, NAMES_LIMIT_MS);
	return names;
}

void
names_free(struct names **namesp)
{
	struct names *names = *namesp;

	if (names == NULL)
		return;
	*namesp = NULL;
	if (names->io.fd != -1)
		loop_close(names->loop, &names->io);
	loop_timer_stop(&names->limit);
	if (names->pid > 0 && kill(names->pid, SIGKILL) == 0)
		while (waitpid(names->pid, NULL, 0) == -1 && errno == EINTR)
			;
	mem_free(names);
}

bool
names_reaped(struct names *names, pid_t pid)
{
	if (names == NULL || names->pid != pid)
		return false;
	names->pid = 0;
	return true;
}

/* --- at once --- */

struct outcome {
	bool known, resolved;
};

static void
note_outcome(void *ctx, bool resolved)
{
	*(struct outcome *)ctx = (struct outcome){ .known = true, .resolved = resolved };
}

int
names_resolve(struct conf *conf)
{
	struct outcome outcome = { 0 };
	struct names *names;
	struct loop *loop;

	if (first_unresolved(conf) == NULL)
		return 0;
	loop = loop_new(1);
	names = names_start(loop, conf, note_outcome, &outcome);
	while (names != NULL && !outcome.known)
		loop_turn(loop, -1);
	names_free(&names);
	loop_free(&loop);
	return outcome.resolved ? 0 : -1;
}
