#include "worker/helper/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/packet.h"
#include "common/proc.h"
#include "common/sandbox.h"
#include "worker/helper/codec.h"
#include "worker/helper/helper_log.h"
#include "worker/helper/watchdog.h"

#define SETTING_MAX 65536       /* bytes of a setting's text */
#define GRACE_MS 1000           /* behind a request's deadline, before a process that hangs is killed */

struct helper {
	const struct helper_kind *kind;
	char *label, *settings;         /* owned */
	pthread_mutex_t lock;           /* of `loaded` */
	void *loaded;                   /* owned; the kind's; NULL until the first file */
	uint64_t epoch;                 /* the number of its file */
	bool has_file;                  /* the master will feed one */
	unsigned answers;               /* given */
};

/* What the master said, in a memfd. Returns *len bytes and a NUL, the caller's; NULL if it cannot be read. */
static char *
read_text(int fd, size_t *len)
{
	struct stat st;
	char *text;
	ssize_t got;

	if (fd == -1 || fstat(fd, &st) == -1 || st.st_size < 0 || st.st_size > SETTING_MAX)
		return NULL;
	text = mem_alloc((size_t)st.st_size + 1);
	if ((got = pread(fd, text, (size_t)st.st_size, 0)) == -1) {
		mem_free(text);
		return NULL;
	}
	*len = (size_t)got;
	return text;
}

/* Takes one setting; `fd` is its to close or keep. */
static void
set(struct helper *h, const struct ipc_message *message, int fd)
{
	size_t len = 0;
	char *text;

	if (message->index == IPC_SET_LOG_FILE) {
		helper_log_file(message->value, fd);
		return;
	}
	text = read_text(fd, &len);
	if (text != NULL && message->index == IPC_SET_LOG_SYSLOG) {
		helper_log_syslog(message->value, text, len);
	} else if (text != NULL && (message->index == IPC_SET_LABEL || message->index == IPC_SET_SOURCE)) {
		char **kept = message->index == IPC_SET_LABEL ? &h->label : &h->settings;

		mem_free(*kept);
		*kept = text;
		text = NULL;
	}
	mem_free(text);
	if (fd != -1)
		close(fd);
}

char *
helper_setting_next(const char **at, const char *name)
{
	size_t len = strlen(name);

	while (**at != '\0') {
		const char *line = *at, *end = strchrnul(line, '\n');

		*at = *end == '\0' ? end : end + 1;
		if (strncmp(line, name, len) == 0 && line[len] == '=')
			return mem_strndup(line + len + 1, (size_t)(end - line) - len - 1);
	}
	return NULL;
}

char *
helper_setting(const char *settings, const char *name)
{
	return helper_setting_next(&settings, name);
}

static void
tell_master(uint32_t kind, uint32_t index, int64_t value)
{
	const struct ipc_message message = { .kind = kind, .index = index, .value = value };

	/* If the master cannot be told, it is dead, and the channel says so next. */
	ipc_send(IPC_HELPER_CHANNEL, &message, -1);
}

/* What can be answered from it; 0: whatever the configuration says. */
static unsigned
methods_of(const struct helper *h, const void *loaded)
{
	return h->kind->methods == NULL ? 0 : h->kind->methods(loaded);
}

/* Is the other end gone? An empty packet would look like it, too. */
static bool
has_ended(int socket)
{
	struct pollfd p = { .fd = socket, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP)) != 0;
}

/* An answer under way may take long, and longer than the master lives. */
static void
lock_loaded(struct helper *h)
{
	struct timespec until;

	do {
		if (has_ended(IPC_HELPER_CHANNEL))
			watchdog_end();
		MUST(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
		until.tv_sec++;
	} while (pthread_mutex_clocklock(&h->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT);
}

/*
 * Reads a fresh file and, if it is good, answers from it from now on; else nothing
 * changes. Answers under way keep the old one locked until they are done. The master hears
 * what has become of it, and sends no other before; number 0: there is no file.
 */
static int
feed(struct helper *h, int fd, int64_t number)
{
	const struct helper_source source = { .label = h->label, .settings = h->settings, .fd = fd };
	char *why = NULL;
	void *fresh = h->kind->load(&source, &why), *old;
	unsigned methods = fresh == NULL ? 0 : methods_of(h, fresh);

	if (fd != -1)
		close(fd);
	if (fresh == NULL && h->loaded == NULL)
		log_say(LOG_EMERG, "%s", why);
	else if (fresh == NULL)
		log_say(LOG_ERROR, "%s, what was read before stays in force", why);
	mem_free(why);
	if (fresh == NULL && number != 0)
		tell_master(IPC_UNFED, 0, number);
	if (fresh == NULL)
		return -1;
	lock_loaded(h);
	old = h->loaded;
	h->loaded = fresh;
	h->epoch = (uint64_t)number;
	pthread_mutex_unlock(&h->lock);
	if (old != NULL)
		h->kind->unload(&old);
	if (number != 0)
		tell_master(IPC_FED, methods, number);
	return 0;
}

/* One message of the master. Returns its kind; 0 for none that could be read. Ends with the master. */
static uint32_t
hear(struct helper *h)
{
	struct ipc_message message;
	int fd, got = ipc_recv(IPC_HELPER_CHANNEL, &message, &fd);

	if (got == 0 || (got == -1 && errno != EPROTO))
		watchdog_end();
	if (got == -1)
		return 0;
	if (message.kind == IPC_SETTING) {
		set(h, &message, fd);
	} else if (message.kind == IPC_LOGFILE) {
		helper_log_reopened(message.index, fd);
	} else if (message.kind == IPC_FEED && fd != -1) {
		if (feed(h, fd, message.value) == -1 && h->loaded == NULL)
			return IPC_FAILED;
	} else if (fd != -1) {
		close(fd);
	}
	if (message.kind == IPC_START)
		h->has_file = h->kind->wants_file || message.value != 0;
	return message.kind;
}

static void *
listen_to_master(void *ctx)
{
	for (;;)
		hear(ctx);
	return NULL;
}

static _Noreturn void
give_up(const char *step, int error)
{
	log_say(LOG_EMERG, "%s failed %s", step, log_errno(error));
	tell_master(IPC_FAILED, ipc_version(), error);
	_exit(EXIT_FAILURE);
}

/*
 * Only its own end of the channel and the mailbox come from the master; both are to be
 * waited at, and no program that a PAM module runs gets them.
 */
static void
take_inheritance(const struct helper_kind *kind)
{
	const int sockets[] = { IPC_HELPER_CHANNEL, IPC_HELPER_MAILBOX };

	for (size_t i = 0; i < 2; i++) {
		struct stat st;
		int flags = fcntl(sockets[i], F_GETFL);

		if (fstat(sockets[i], &st) == -1 || !S_ISSOCK(st.st_mode) ||
		    fcntl(sockets[i], F_SETFL, flags & ~O_NONBLOCK) == -1 ||
		    fcntl(sockets[i], F_SETFD, FD_CLOEXEC) == -1) {
			fprintf(stderr, "%s: runs only under postern, which starts it for %s\n", kind->program,
			    kind->name);
			exit(EXIT_FAILURE);
		}
	}
	if (proc_hold_standard() == -1)
		give_up("opening /dev/null", errno);
	proc_close_others(IPC_HELPER_MAILBOX + 1, NULL, 0);
}

/* What a terminal or an operator sends to all of us is the master's to hear; the channel ends us, or TERM. */
static void
ignore_signals(void)
{
	const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGSYS };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* From here on: no paths, no programs, no core image, and nobody traces us who could not before. */
static void
settle_in(struct helper *h)
{
	char *title = mem_printf("%s %s", h->kind->name, h->label);

	proc_title(title);
	mem_free(title);
	prctl(PR_SET_NAME, h->kind->program, 0, 0, 0);  /* it was started by a descriptor, which has no name */
	tzset();
	log_tick();
	h->kind->prepare();
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		give_up("prctl(PR_SET_DUMPABLE)", errno);
	if (sandbox_enter(h->kind->sandbox) == -1)
		give_up("entering the sandbox", errno);
}

/* The reason has been logged. */
static _Noreturn void
fail_to_start(void)
{
	tell_master(IPC_FAILED, ipc_version(), 0);
	_exit(EXIT_FAILURE);
}

/* The asker of an answer that does not come sees the end of its socket, and the master fills the place again. */
static void
set_watchdog(const struct helper *h, uint64_t at_ms)
{
	if (h->kind->may_hang)
		watchdog_set(at_ms);
}

static void
start(struct helper *h)
{
	pthread_t thread;
	unsigned methods;
	uint32_t kind;
	int error;

	while (hear(h) != IPC_START)
		continue;
	settle_in(h);
	if (!h->has_file && feed(h, -1, 0) == -1)
		fail_to_start();
	while (h->loaded == NULL)
		if ((kind = hear(h)) == IPC_FAILED)
			fail_to_start();
	if (h->kind->may_hang && (error = watchdog_raise()) != 0)
		give_up("starting the watchdog", error);
	methods = methods_of(h, h->loaded);     /* the other thread may load another one */
	/* What the other thread has to say of a file comes after this. */
	pthread_mutex_lock(&h->lock);
	if ((error = pthread_create(&thread, NULL, listen_to_master, h)) != 0)
		give_up("pthread_create()", error);
	tell_master(IPC_READY, ipc_version(), methods);
	pthread_mutex_unlock(&h->lock);
}

static bool
is_late(const struct helper_request *request)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 > request->deadline_ms;
}

static bool
has_gone(int asker)
{
	struct pollfd p = { .fd = asker };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

/* Sends what fits into a packet, which ours do; if one does not, that is no yes. */
static void
send_reply(int asker, const struct helper_reply *reply)
{
	const struct helper_reply unavailable = { .outcome = HELPER_UNAVAILABLE };
	char packet[CODEC_MAX];
	ssize_t len = helper_reply_encode(packet, sizeof(packet), reply);

	if (len == -1)
		len = helper_reply_encode(packet, sizeof(packet), &unavailable);
	MUST(len != -1);
	/* An asker that has gone by now gets nothing. */
	packet_send(asker, packet, (size_t)len, -1);
	mem_wipe(packet, (size_t)len);
}

/* The sum may not come round to a time that has passed. */
static uint64_t
bites_at(const struct helper_request *request)
{
	return request->deadline_ms > UINT64_MAX - GRACE_MS ? UINT64_MAX : request->deadline_ms + GRACE_MS;
}

static void
serve(struct helper *h, const char *packet, size_t len, int asker)
{
	struct helper_request request;
	struct helper_reply reply = { .outcome = HELPER_UNAVAILABLE };

	if (helper_request_decode(&request, packet, len) == -1) {
		log_say(LOG_ALERT, "%s %s: a worker sent no request", h->kind->name, h->label);
		return;
	}
	if (is_late(&request) || has_gone(asker))
		return;
	set_watchdog(h, bites_at(&request));
	pthread_mutex_lock(&h->lock);
	h->kind->answer(h->loaded, &request, &reply);
	reply.epoch = h->epoch;
	pthread_mutex_unlock(&h->lock);
	h->answers++;
	set_watchdog(h, 0);
	send_reply(asker, &reply);
	helper_reply_reset(&reply);
}

/*
 * Where a module leaks descriptors there is no room for another one some day, and every
 * request that is taken out of the mailbox here would be lost.
 */
static void
end_without_room(const struct helper *h)
{
	int spare = fcntl(IPC_HELPER_MAILBOX, F_DUPFD_CLOEXEC, 0);

	if (spare == -1) {
		log_say(LOG_ALERT, "%s %s: no descriptor is left for a request %s, ending for another to begin",
		    h->kind->name, h->label, log_errno(errno));
		_exit(EXIT_FAILURE);
	}
	close(spare);
}

/* Has it served long enough? Siblings that started together do not end together. */
static bool
is_worn(const struct helper *h)
{
	unsigned most = h->kind->recycle_after;

	return most != 0 && h->answers >= most + (unsigned)getpid() % (most / 8 + 1);
}

static void
serve_next(struct helper *h)
{
	char packet[CODEC_MAX];
	int asker;
	ssize_t len = packet_recv(IPC_HELPER_MAILBOX, packet, sizeof(packet), &asker);

	if (len == -1 && errno != EPROTO)
		give_up("recvmsg() on the mailbox", errno);
	/* Any worker could send an empty packet, or shut the mailbox down for all. */
	if (len == 0 && has_ended(IPC_HELPER_MAILBOX)) {
		log_say(LOG_ALERT, "%s %s: the mailbox has been shut down, the next reload makes another",
		    h->kind->name, h->label);
		_exit(EXIT_FAILURE);
	}
	if (len > 0 && asker != -1)
		serve(h, packet, (size_t)len, asker);
	if (asker != -1)
		close(asker);
	else
		end_without_room(h);
	mem_wipe(packet, sizeof(packet));
}

_Noreturn void
helper_run(int argc, char **argv, const struct helper_kind *kind)
{
	struct helper h = {
		.kind = kind, .label = mem_strdup(""), .settings = mem_strdup(""), .lock = PTHREAD_MUTEX_INITIALIZER
	};

	proc_init(argc, argv);
	ignore_signals();
	take_inheritance(kind);
	start(&h);
	while (!is_worn(&h))
		serve_next(&h);
	log_say(LOG_INFO, "%s %s: %u answers are enough for one process", kind->name, h.label, h.answers);
	/* Whoever is still in the mailbox is the siblings', or the next one's. */
	_exit(EXIT_SUCCESS);
}
