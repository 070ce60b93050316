#include "master/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/must.h"

#define QUICK_DEATH_MS 5000u    /* who dies sooner after its start than this had no good reason to be started */
#define PATIENCE_MAX_MS 30000u
#define HANG_UP_MS 5000u        /* what a process may take to notice that its channel is closed */
#define COMPLAINT_MS 1000u      /* no more than one line about nonsense from children in this time */

struct spawn {
	struct loop *loop;
	struct board *board;
	struct list places;
	bool respawn;
	uint64_t complained_ms, births;
	const struct spawn_heir *heir;  /* borrowed; NULL: there is none */
};

static void fill_again(struct place *place);

struct spawn *
spawn_new(struct loop *loop, struct board *board, bool respawn)
{
	struct spawn *spawn = mem_alloc(sizeof(*spawn));

	*spawn = (struct spawn){ .loop = loop, .board = board, .respawn = respawn };
	list_init(&spawn->places);
	return spawn;
}

void
spawn_free(struct spawn **spawnp)
{
	MUST(list_is_empty(&(*spawnp)->places));
	mem_free(*spawnp);
	*spawnp = NULL;
}

void
spawn_no_more(struct spawn *spawn)
{
	spawn->respawn = false;
}

struct board *
spawn_board(const struct spawn *spawn)
{
	return spawn->board;
}

void
spawn_set_heir(struct spawn *spawn, const struct spawn_heir *heir)
{
	spawn->heir = heir;
}

struct place *
spawn_find(struct spawn *spawn, bool (*visit)(void *ctx, struct place *place), void *ctx)
{
	LIST_EACH(node, &spawn->places) {
		struct place *place = LIST_ENTRY(node, struct place, node);

		if (visit(ctx, place))
			return place;
	}
	return NULL;
}

bool
spawn_is_empty(const struct spawn *spawn)
{
	return list_is_empty(&spawn->places);
}

/* --- what children say --- */

static void
complain(struct place *place, const char *what)
{
	uint64_t now_ms = loop_now_ms(place->spawn->loop);

	if (place->spawn->complained_ms != 0 && now_ms - place->spawn->complained_ms < COMPLAINT_MS)
		return;
	place->spawn->complained_ms = now_ms;
	log_say(LOG_ALERT, "%s %ld sent %s, ignored", place->role->name, (long)place->pid, what);
}

static void
take_ready(struct place *place, int64_t value)
{
	if (place->proven || place->retired)
		return;
	place->proven = true;
	place->role->ready(place, value);
}

/* Its program was replaced beneath us, or we were started beside another one. */
static void
refuse_stranger(struct place *place)
{
	log_say(LOG_EMERG,
	    "%s %ld is of another version than its master: upgrade the running master (SIGUSR2), or install "
	    "the programs of one version",
	    place->role->name, (long)place->pid);
	kill(place->pid, SIGKILL);
}

/* A process has one thing to say, once; a helper also what it has read, a worker what it has settled. */
static void
take_message(struct place *place, const struct ipc_message *message)
{
	const struct spawn_heir *heir = place->spawn->heir;

	if (message->kind == IPC_SETTLED && heir != NULL && heir->settled(heir->ctx, place, message))
		return;
	if ((message->kind == IPC_FED || message->kind == IPC_UNFED) && place->role->fed != NULL) {
		place->role->fed(place, message);
		return;
	}
	if (place->heard || (message->kind != IPC_READY && message->kind != IPC_FAILED)) {
		complain(place, "a message that means nothing");
		return;
	}
	place->heard = true;
	if (message->index != ipc_version())
		refuse_stranger(place);
	else if (message->kind == IPC_READY)
		take_ready(place, message->value);
	else if (message->value == 0)
		log_say(LOG_EMERG, "%s %ld cannot start", place->role->name, (long)place->pid);
	else
		log_say(LOG_EMERG, "%s %ld cannot start %s", place->role->name, (long)place->pid,
		    log_errno((int)(message->value & 0xffff)));
}

static void
hang_up(struct place *place)
{
	/* The kernel would go on reporting while a child that is just being forked has a copy. */
	loop_unwatch(place->spawn->loop, &place->channel);
	loop_close(place->spawn->loop, &place->channel);
}

/* One message a turn and child: no child keeps the master from the others. */
static void
hear(struct place *place)
{
	struct ipc_message message;
	int got, fd = -1;

	got = ipc_recv(place->channel.fd, &message, &fd);
	if (fd != -1)
		close(fd);
	if (got == 1)
		take_message(place, &message);
	else if (got == -1 && errno == EPROTO)
		complain(place, "a message of wrong size");
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		hang_up(place);         /* SIGCHLD says the rest */
}

static void
on_channel(struct loop_io *io, uint32_t events)
{
	struct place *place = LIST_ENTRY(io, struct place, channel);

	if ((events & EPOLLOUT) != 0 && loop_rewatch(place->spawn->loop, io, EPOLLIN) == 0)
		place->role->room(place);
	else
		hear(place);
}

/* --- birth --- */

static int
cannot(const struct place *place, const char *call)
{
	log_say(LOG_ALERT, "%s failed while spawning \"%s\" %s", call, place->role->name, log_errno(errno));
	return -1;
}

static void
leave_slot(struct place *place)
{
	const struct spawn *spawn = place->spawn;

	board_vacate(spawn->board, place->slot);
	if (spawn->heir == NULL || spawn->heir->left(spawn->heir->ctx, place))
		board_release(spawn->board, place->slot);
	place->slot = BOARD_NO_SLOT;
}

/* In the child. */
static _Noreturn void
be_born(struct place *place, int channel)
{
	struct board_slot *slot = board_slot(place->spawn->board, place->slot);

	atomic_store(&slot->pid, (uint32_t)getpid());
	must_set_last_words(slot->last_words, sizeof(slot->last_words));
	place->role->become(place, channel);
	_exit(EXIT_FAILURE);
}

/* Forks with the channel's ends at hand. Returns 0, or -1 with the reason logged and nothing left behind. */
static int
fork_child(struct place *place, const int ends[2])
{
	place->pid = fork();
	if (place->pid == 0)
		be_born(place, ends[1]);
	if (place->pid == -1) {
		place->pid = 0;
		return cannot(place, "fork()");
	}
	log_say(LOG_NOTICE, "start %s %ld", place->role->name, (long)place->pid);
	return 0;
}

/* Returns 0, or -1 with the reason logged. */
static int
fill(struct place *place)
{
	struct spawn *spawn = place->spawn;
	int ends[2];

	place->started_ms = loop_now_ms(spawn->loop);
	place->heard = false;
	place->slot = board_take(spawn->board, place->role->kind, place->generation);
	if (place->slot == BOARD_NO_SLOT) {
		errno = EAGAIN;
		return cannot(place, "board_take()");
	}
	if (ipc_pair(ends) == -1) {
		leave_slot(place);
		return cannot(place, "socketpair()");
	}
	place->channel.fd = ends[0];
	place->birth = ++spawn->births;
	if (spawn->heir != NULL)
		spawn->heir->awaited(spawn->heir->ctx, place);
	if (loop_watch(spawn->loop, &place->channel, EPOLLIN) == -1 || fork_child(place, ends) == -1) {
		hang_up(place);
		close(ends[1]);
		leave_slot(place);
		return -1;
	}
	close(ends[1]);
	if (place->role->started != NULL && place->role->started(place) == -1)
		kill(place->pid, SIGKILL);
	return 0;
}

static void
on_timer(struct loop_timer *timer)
{
	struct place *place = LIST_ENTRY(timer, struct place, timer);

	if (place->retired && place->pid > 0)
		kill(place->pid, SIGKILL);
	else if (!place->retired && place->spawn->respawn)
		fill_again(place);
}

int
place_open(struct spawn *spawn, struct place *place, const struct place_role *role, uint32_t generation)
{
	MUST(place->spawn == NULL);
	place->spawn = spawn;
	place->role = role;
	place->generation = generation;
	place->slot = BOARD_NO_SLOT;
	place->channel = (struct loop_io){ .on_events = on_channel, .fd = -1 };
	place->timer.on_time = on_timer;
	if (fill(place) == -1) {
		place->spawn = NULL;
		return -1;
	}
	list_add(&spawn->places, &place->node);
	return 0;
}

/* --- life --- */

int
place_offer(struct place *place, const struct ipc_message *message)
{
	return place->channel.fd == -1 ? -1 : ipc_send(place->channel.fd, message, -1);
}

int
place_tell(struct place *place, const struct ipc_message *message, int fd)
{
	if (place->pid == 0 || place->channel.fd == -1 || ipc_send(place->channel.fd, message, fd) == 0)
		return 0;
	if (errno == EAGAIN && place->role->room != NULL &&
	    loop_rewatch(place->spawn->loop, &place->channel, EPOLLIN | EPOLLOUT) == 0)
		return 1;
	log_say(LOG_ALERT, "sending to %s %ld failed %s", place->role->name, (long)place->pid, log_errno(errno));
	return -1;
}

void
spawn_signal_all(struct spawn *spawn, int signal)
{
	LIST_EACH(node, &spawn->places) {
		struct place *place = LIST_ENTRY(node, struct place, node);

		if (place->pid > 0)
			kill(place->pid, signal);
	}
}

/* --- death --- */

static void
bury(struct place *place)
{
	loop_timer_stop(&place->timer);
	list_remove(&place->node);
	place->spawn = NULL;
	place->role->gone(place);
}

/* How long to wait before the next try: 0, then 1, 2, 4 ... 30 seconds. */
static uint64_t
patience_ms(const struct place *place)
{
	if (place->quick_deaths == 0)
		return 0;
	return place->quick_deaths <= 5 ? 1000u << (place->quick_deaths - 1) : PATIENCE_MAX_MS;
}

static void
fill_again(struct place *place)
{
	if (fill(place) == 0)
		return;
	place->quick_deaths++;
	loop_timer_set(place->spawn->loop, &place->timer, patience_ms(place));
}

static void
log_last_words(const struct place *place)
{
	char words[sizeof(((struct board_slot *)NULL)->last_words)], shown[1024];
	size_t len;

	memcpy(words, board_slot(place->spawn->board, place->slot)->last_words, sizeof(words));
	len = strnlen(words, sizeof(words));
	if (len > 0)
		log_say(LOG_ALERT, "last words of %s %ld: %s", place->role->name, (long)place->pid,
		    log_text(shown, sizeof(shown), words, len));
}

static bool
is_fatal(const struct place *place, int status)
{
	return place->role->knows_end && WIFEXITED(status) && WEXITSTATUS(status) == IPC_EXIT_FATAL;
}

static void
log_death(const struct place *place, int status)
{
	const char *name = place->role->name;
	long pid = (long)place->pid;

	if (WIFSIGNALED(status))
		log_say(LOG_ALERT, "%s %ld exited on signal %d%s", name, pid, WTERMSIG(status),
		    WCOREDUMP(status) ? " (core dumped)" : "");
	else if (is_fatal(place, status) && !place->retired)
		log_say(LOG_ALERT, "%s %ld exited with fatal code %d and cannot be respawned", name, pid,
		    IPC_EXIT_FATAL);
	else
		log_say(LOG_NOTICE, "%s %ld exited with code %d", name, pid, WEXITSTATUS(status));
	log_last_words(place);
}

static void
note_lifetime(struct place *place)
{
	if (loop_now_ms(place->spawn->loop) - place->started_ms >= QUICK_DEATH_MS)
		place->quick_deaths = 0;
}

/* The place is empty: what next? */
static void
go_on_without(struct place *place, int status)
{
	uint64_t wait_ms;

	if (place->retired) {
		bury(place);
		return;
	}
	if (!place->proven || !place->spawn->respawn || is_fatal(place, status)) {
		place->role->failed(place);
		return;
	}
	note_lifetime(place);
	wait_ms = patience_ms(place);
	place->quick_deaths++;
	if (wait_ms == 0)
		fill_again(place);
	else
		loop_timer_set(place->spawn->loop, &place->timer, wait_ms);
}

bool
spawn_reaped(struct spawn *spawn, pid_t pid, int status)
{
	LIST_EACH(node, &spawn->places) {
		struct place *place = LIST_ENTRY(node, struct place, node);

		if (place->pid != pid)
			continue;
		log_death(place, status);
		hang_up(place);
		leave_slot(place);
		place->pid = 0;
		go_on_without(place, status);
		return true;
	}
	return false;
}

void
place_hurry(struct place *place)
{
	if (place->spawn != NULL && !place->retired && place->pid == 0 && loop_timer_is_set(&place->timer))
		loop_timer_set(place->spawn->loop, &place->timer, 0);
}

void
place_retire(struct place *place, int signal)
{
	if (place->spawn == NULL)
		return;
	place->retired = true;
	loop_timer_stop(&place->timer);
	if (place->pid == 0) {
		bury(place);
	} else if (signal != 0) {
		kill(place->pid, signal);
	} else {
		hang_up(place);
		loop_timer_set(place->spawn->loop, &place->timer, HANG_UP_MS);
	}
}
