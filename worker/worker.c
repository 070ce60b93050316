#include "worker/worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/capability.h"
#include "common/ipc.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/proc.h"
#include "common/sandbox.h"
#include "common/tlsctx.h"
#include "worker/accept.h"
#include "worker/session.h"
#include "worker/shift.h"

struct worker {
	const struct worker_birth *birth;
	struct shift shift;
	struct accept *accept;
	struct loop_io signals, channel;
	struct loop_timer shutdown;
	bool draining;
};

static _Noreturn void
fail(const struct worker *w, const char *what, int error)
{
	struct ipc_message message = { .kind = IPC_FAILED, .index = ipc_version(), .value = error };

	log_say(LOG_EMERG, "worker: %s failed %s", what, log_errno(error));
	ipc_send(w->birth->channel, &message, -1);
	exit(IPC_EXIT_FATAL);
}

/* The mask of this worker, the last of the list for those that are left; without a mask all CPUs that we may use. */
static int
mask_of(const struct conf *conf, unsigned index, cpu_set_t *set)
{
	size_t which = index < conf->affinity_count ? index : conf->affinity_count - 1;

	CPU_ZERO(set);
	if (conf->affinity_count == 0)
		return sched_getaffinity(0, sizeof(*set), set);
	for (unsigned cpu = 0; cpu < 1024 && cpu < CPU_SETSIZE; cpu++)
		if (conf->affinity_masks[which][cpu / 64] >> cpu % 64 & 1)
			CPU_SET(cpu, set);
	return 0;
}

/* Leaves one CPU in the set: workers take turns. */
static void
leave_one(cpu_set_t *set, unsigned index)
{
	unsigned count = (unsigned)CPU_COUNT(set), seen = 0;

	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set) && seen++ != index % count)
			CPU_CLR(cpu, set);
}

static void
set_affinity(const struct conf *conf, unsigned index)
{
	cpu_set_t set;

	if (conf->affinity == AFFINITY_NONE)
		return;
	if (mask_of(conf, index, &set) == -1) {
		log_say(LOG_ALERT, "sched_getaffinity() failed %s", log_errno(errno));
		return;
	}
	if (conf->affinity == AFFINITY_AUTO)
		leave_one(&set, index);
	if (sched_setaffinity(0, sizeof(set), &set) == -1)
		log_say(LOG_ALERT, "sched_setaffinity() failed %s", log_errno(errno));
}

/* What only root may do, then root no more. */
static void
become(const struct worker *w)
{
	const struct conf *conf = w->birth->conf;
	uint64_t kept = conf->transparent ? CAPABILITY(CAP_NET_RAW) : 0;

	if (conf->worker_priority != 0 && setpriority(PRIO_PROCESS, 0, conf->worker_priority) == -1)
		log_say(LOG_ALERT, "setpriority(%d) failed %s", conf->worker_priority, log_errno(errno));
	if (proc_limit(RLIMIT_NOFILE, conf->rlimit_nofile) == -1)
		log_say(LOG_ALERT, "setrlimit(RLIMIT_NOFILE, %lld) failed %s", conf->rlimit_nofile, log_errno(errno));
	if (proc_limit(RLIMIT_CORE, conf->rlimit_core) == -1)
		log_say(LOG_ALERT, "setrlimit(RLIMIT_CORE, %lld) failed %s", conf->rlimit_core, log_errno(errno));
	set_affinity(conf, w->birth->index);
	if (proc_become(conf->user, conf->uid, conf->gid, kept) == -1)
		fail(w, "giving up root", errno);
	if (conf->working_directory != NULL && chdir(conf->working_directory) == -1)
		fail(w, "chdir() to working_directory", errno);
}

static unsigned
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	if (dir == NULL)
		return 64;
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

/* Those that some server asks how its clients are called. */
static void
open_hostnames(struct worker *w)
{
	const struct conf *conf = w->birth->conf;
	struct shift *shift = &w->shift;
	const char *why;

	shift->hostnames = mem_array(conf->resolver_count, sizeof(struct hostnames *));
	for (size_t i = 0; i < conf->server_count; i++) {
		const struct server *server = conf->servers[i];
		struct hostnames **names;

		if (server->resolver == NULL || server->protocol != PROTOCOL_SMTP)
			continue;
		names = &shift->hostnames[server->resolver->index];
		if (*names == NULL && (*names = hostnames_new(shift->loop, server->resolver, &why)) == NULL) {
			log_say(LOG_EMERG, "resolver %s: %s", server->resolver->text, why);
			fail(w, "resolver", EINVAL);
		}
	}
}

static void
close_hostnames(struct worker *w)
{
	for (size_t i = 0; i < w->birth->conf->resolver_count; i++)
		hostnames_free(&w->shift.hostnames[i]);
	mem_free(w->shift.hostnames);
}

/* Sockets to name servers, which are few: one to each of them for all questions, and some by TCP. */
static unsigned
hostnames_descriptors(const struct worker *w)
{
	unsigned count = 0;

	for (size_t i = 0; i < w->birth->conf->resolver_count; i++)
		count += w->shift.hostnames[i] != NULL ? 8 : 0;
	return count;
}

static void
init_seats(struct worker *w)
{
	const struct conf *conf = w->birth->conf;
	struct rlimit limit = { .rlim_cur = 1024 };

	getrlimit(RLIMIT_NOFILE, &limit);
	/* Some for the resolver's sockets and the questions to helpers. */
	seats_init(&w->shift.seats, conf->worker_connections, limit.rlim_cur,
	    open_descriptors() + 16 + hostnames_descriptors(w));
}

static void
leave_if_empty(struct worker *w)
{
	if (w->draining && w->shift.session_count == 0)
		loop_stop(w->shift.loop);
}

static void
on_leave(struct shift *shift)
{
	struct worker *w = shift->owner;

	accept_resume(w->accept);
	leave_if_empty(w);
}

/* Every client is told, then closed. */
static void
end_sessions(struct worker *w)
{
	LIST_EACH(node, &w->shift.sessions)
		session_goodbye(LIST_ENTRY(node, struct session, node), GOODBYE_SHUTDOWN);
}

static void
on_shutdown_timeout(struct loop_timer *timer)
{
	struct worker *w = LIST_ENTRY(timer, struct worker, shutdown);

	log_say(LOG_NOTICE, "shutdown timeout");
	end_sessions(w);
}

static int obey(struct worker *w);

static void
drain(struct worker *w)
{
	if (w->draining)
		return;
	log_say(LOG_NOTICE, "gracefully shutting down");
	w->draining = true;
	proc_title("worker process is shutting down");
	atomic_store(&w->shift.slot->draining, 1);
	(void)obey(w);  /* which doors nobody else will open was said before */
	accept_close(w->accept);
	if (w->birth->conf->shutdown_timeout > 0) {
		w->shutdown.on_time = on_shutdown_timeout;
		loop_timer_set(w->shift.loop, &w->shutdown, w->birth->conf->shutdown_timeout);
	}
	leave_if_empty(w);
}

static void
stop(struct worker *w)
{
	accept_close(w->accept);
	w->draining = true;
	end_sessions(w);
	leave_if_empty(w);
}

static void
on_signal(struct loop_io *io, uint32_t events)
{
	struct worker *w = LIST_ENTRY(io, struct worker, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(io->fd, &info, sizeof(info)) == sizeof(info)) {
		int signal = (int)info.ssi_signo;

		log_say(LOG_NOTICE, "signal %d (SIG%s) received from %u", signal, proc_signal_name(signal),
		    info.ssi_pid);
		if (signal == SIGQUIT)
			drain(w);
		else if (signal == SIGTERM || signal == SIGINT)
			stop(w);
		else
			log_say(LOG_NOTICE, "ignoring SIG%s: it is the master's", proc_signal_name(signal));
	}
}

static bool
same_file(int a, int b)
{
	struct stat left, right;

	return fstat(a, &left) == 0 && fstat(b, &right) == 0 &&
	    left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

/* The log file `index` was reopened: the new descriptor takes the number that all the logs know. */
static void
swap_log(struct worker *w, unsigned index, int fd)
{
	const struct conf *conf = w->birth->conf;
	int old;

	if (fd == -1 || index >= conf->file_count || conf->files[index]->fd == -1)
		return;
	old = conf->files[index]->fd;
	/* A library's last words go where the log goes. */
	if ((same_file(old, STDERR_FILENO) && dup2(fd, STDERR_FILENO) == -1) || dup3(fd, old, O_CLOEXEC) == -1)
		log_say(LOG_ALERT, "swapping a reopened log failed %s", log_errno(errno));
}

/* Gives back what dead workers held, of any generation, and tells the master, who keeps their slots until then. */
static void
settle(struct worker *w, const struct ipc_message *question)
{
	const struct board_span dead = { question->index, (uint32_t)question->value };
	struct ipc_message done = { .kind = IPC_SETTLED, .index = dead.first, .value = 1 };

	if (dead.first > BOARD_SLOTS || dead.count > BOARD_SLOTS - dead.first ||
	    (w->birth->slot >= dead.first && w->birth->slot - dead.first < dead.count))
		return;
	for (size_t i = 0; i < w->birth->zone_count; i++)
		if (!zone_settle(w->birth->zones[i], w->birth->slot, dead))
			done.value = 0;
	if (ipc_send(w->birth->channel, &done, -1) == -1)
		log_say(LOG_ALERT, "telling the master what is settled failed %s", log_errno(errno));
}

/* Does what the master says. Returns 0, or -1: it is gone. */
static int
obey(struct worker *w)
{
	struct ipc_message message;
	int fd, got;

	while ((got = ipc_recv(w->birth->channel, &message, &fd)) == 1) {
		if (message.kind == IPC_LOGFILE)
			swap_log(w, message.index, fd);
		else if (message.kind == IPC_SETTLE)
			settle(w, &message);
		else if (message.kind == IPC_GIVEN_UP && message.value > 0)
			accept_give_up(w->accept, message.index, (size_t)message.value);
		if (fd != -1)
			close(fd);
	}
	return got == -1 && (errno == EAGAIN || errno == EPROTO) ? 0 : -1;
}

static void
on_channel(struct loop_io *io, uint32_t events)
{
	struct worker *w = LIST_ENTRY(io, struct worker, channel);

	(void)events;
	if (obey(w) == 0)
		return;
	log_say(LOG_ALERT, "the master process is gone: closing");
	loop_unwatch(w->shift.loop, io);
	stop(w);
}

static void
watch_master(struct worker *w)
{
	static const int handled[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH };
	int fd = proc_signalfd(handled, sizeof(handled) / sizeof(handled[0]));

	if (fd == -1)
		fail(w, "signalfd()", errno);
	w->signals = (struct loop_io){ .fd = fd, .on_events = on_signal };
	w->channel = (struct loop_io){ .fd = w->birth->channel, .on_events = on_channel };
	if (loop_watch(w->shift.loop, &w->signals, EPOLLIN) == -1 ||
	    loop_watch(w->shift.loop, &w->channel, EPOLLIN) == -1)
		fail(w, "epoll_ctl()", errno);
}

/* Everything that needs a path or a right that will be gone. */
static void
prepare(struct worker *w)
{
	const struct conf *conf = w->birth->conf;
	struct shift *shift = &w->shift;
	const char *why;

	become(w);
	tzset();
	shift->conf = conf;
	shift->board = w->birth->board;
	shift->number = w->birth->slot;
	shift->slot = board_slot(w->birth->board, w->birth->slot);
	tlsctx_use_slot(w->birth->slot);
	must_set_last_words(shift->slot->last_words, sizeof(shift->slot->last_words));
	shift->loop = loop_new(conf->epoll_events);
	loop_set_resolution(shift->loop, conf->timer_resolution);
	if ((shift->resolver = resolver_new(shift->loop, &why)) == NULL) {
		log_say(LOG_EMERG, "resolver: %s", why);
		fail(w, "resolver", EINVAL);
	}
	open_hostnames(w);
	shift->auth = auth_new(conf, shift->loop, shift->resolver, w->birth->slot);
	if (getrandom(&shift->tag, sizeof(shift->tag), 0) != sizeof(shift->tag))
		fail(w, "getrandom()", errno);
	list_init(&shift->sessions);
	shift->on_leave = on_leave;
	shift->owner = w;
	init_seats(w);
}

static void
serve(struct worker *w)
{
	struct ipc_message ready = { .kind = IPC_READY, .index = ipc_version() };
	const struct conf *conf = w->birth->conf;

	w->accept = accept_new(&w->shift, w->birth->bell);
	/* What was to be settled when there was no worker comes before all clients. */
	if (obey(w) == -1)
		fail(w, "reading the channel", ECONNRESET);
	watch_master(w);
	if (accept_open(w->accept) == -1)
		fail(w, "epoll_ctl()", errno);
	if (sandbox_enter(conf->binding ? SANDBOX_BINDING : SANDBOX_CLOSED) == -1)
		fail(w, "entering the sandbox", errno);
	if (ipc_send(w->birth->channel, &ready, -1) == -1)
		fail(w, "saying ready", errno);
	loop_run(w->shift.loop);
}

_Noreturn void
worker_run(const struct worker_birth *birth)
{
	struct worker *w = mem_alloc(sizeof(*w));

	w->birth = birth;
	proc_title("worker process");
	prepare(w);
	serve(w);
	log_say(LOG_NOTICE, "exiting");
	accept_free(&w->accept);
	auth_free(&w->shift.auth);
	close_hostnames(w);
	resolver_free(&w->shift.resolver);
	loop_free(&w->shift.loop);
	mem_free(w);
	exit(EXIT_SUCCESS);
}
