#include "master/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/memfd.h"
#include "common/must.h"
#include "master/conf_chain.h"
#include "master/feed.h"
#include "master/helper.h"
#include "master/programs.h"
#include "master/spawn.h"

#define EPOCH_BYTES 4096u
#define DEATHS_MAX 3            /* of helpers while they read a file that is new: then it is the file */

struct sources {
	struct spawn *spawn;
	struct feed *feed;
	void (*changed)(void *ctx);
	void *ctx;
	int64_t last_number;            /* of a file; no two have the same, whatever source they are of */
	bool terminal, rehearsal;
	struct programs *programs;      /* owned */
	struct list in_use;             /* of struct source */
};

/* A place for one helper. */
struct seat {
	struct place place;
	struct source *source;
	int64_t given;                  /* number of the file that its process was sent last; 0: none yet */
	bool reading;                   /* it has not said yet what has become of that */
};

struct source {
	struct list node;               /* sources->in_use, while it is */
	struct sources *sources;
	struct helper_plan *plan;       /* owned */
	struct feed_watch *watch;       /* owned; of its file, if it has one */
	char *path;                     /* owned; of its file, or NULL */
	int mailbox;                    /* owned: the end that workers write to */
	_Atomic uint64_t *epoch;        /* owned page, of this process alone; NULL: it has no file */
	const _Atomic uint64_t *epoch_view;     /* owned: the same as children see it */
	unsigned methods;               /* what its helpers say of theirs */
	struct seat *seats;             /* owned array */
	unsigned seat_count, open_count, ready_count;
	unsigned users;                 /* generations */
	unsigned deaths;                /* of helpers that were reading plan->fresh */
	bool failed;
};

/*
 * At random, for an auth_cache may go from one master to the next, or be shared by two for a
 * while: none may take another's number for its own, whatever the clock says.
 */
static int64_t
first_number(void)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		must_die("no randomness for the numbers of files");
	return (int64_t)(random >> 2) + 1;
}

struct sources *
sources_new(struct spawn *spawn, struct feed *feed, void (*changed)(void *ctx), void *ctx)
{
	struct sources *sources = mem_alloc(sizeof(*sources));

	*sources = (struct sources){ .spawn = spawn, .feed = feed, .changed = changed, .ctx = ctx, .terminal = true };
	list_init(&sources->in_use);
	sources->last_number = first_number();
	sources->programs = programs_new();
	return sources;
}

void
sources_rehearse(struct sources *sources)
{
	sources->rehearsal = true;
}

void
sources_free(struct sources **sourcesp)
{
	programs_free(&(*sourcesp)->programs);
	mem_free(*sourcesp);
	*sourcesp = NULL;
}

/* --- its helpers --- */

static struct seat *
seat_of(struct place *place)
{
	return LIST_ENTRY(place, struct seat, place);
}

static struct source *
source_of(struct place *place)
{
	return seat_of(place)->source;
}

static void
become_helper(struct place *place, int channel)
{
	helper_become(source_of(place)->plan, channel);
}

/*
 * Sends the newest file that a helper does not have yet. One at a time: who is slow, or has
 * stopped, holds no more than that, and of what changed meanwhile gets only the last. Returns 0,
 * or -1 with the reason logged.
 */
static int
offer(struct seat *seat)
{
	const struct helper_plan *plan = seat->source->plan;
	/* What is good comes first: what is new may turn out to be nonsense. */
	bool fresh = plan->fresh != -1 && seat->given != 0;
	int64_t number = fresh ? plan->fresh_number : plan->file_number;

	if (seat->place.pid == 0 || seat->reading || plan->file == -1 || seat->given == number)
		return 0;
	if (helper_feed(plan, &seat->place, fresh) == -1)
		return -1;
	seat->given = number;
	seat->reading = true;
	return 0;
}

/* If its process has died of the fresh file, as others have, then nobody gets that any more. */
static void
judge_death(const struct seat *seat)
{
	struct source *source = seat->source;
	struct helper_plan *plan = source->plan;

	if (!seat->reading || plan->fresh == -1 || seat->given != plan->fresh_number || ++source->deaths < DEATHS_MAX)
		return;
	log_say(LOG_ERROR, "helper processes die while they read \"%s\", what was read before stays in force",
	    source->path);
	close(plan->fresh);
	plan->fresh = -1;
}

static int
on_started(struct place *place)
{
	struct seat *seat = seat_of(place);

	judge_death(seat);
	seat->given = 0;
	seat->reading = false;
	if (helper_instruct(seat->source->plan, place) == -1)
		return -1;
	return offer(seat);
}

/* From now on answers from any other file are void. */
static void
set_epoch(struct source *source, int64_t number)
{
	if (source->epoch != NULL)
		atomic_store(source->epoch, (uint64_t)number);
}

static void
on_ready(struct place *place, int64_t methods)
{
	struct source *source = source_of(place);

	if (source->ready_count++ == 0) {
		source->methods = (unsigned)methods;
		set_epoch(source, source->plan->file_number);
		programs_prove(source->sources->programs, source->plan->program_path, source->plan->executable);
	}
	if (source->ready_count == source->seat_count)
		source->sources->changed(source->sources->ctx);
}

static void
fail(struct source *source)
{
	/* Later on the others serve; the log has said which one does no more. */
	if (source->ready_count == source->seat_count)
		return;
	source->failed = true;
	source->sources->changed(source->sources->ctx);
}

static void
on_failed(struct place *place)
{
	fail(source_of(place));
}

static void
free_source(struct source *source)
{
	if (source->plan != NULL)
		helper_plan_free(&source->plan);
	if (source->mailbox != -1)
		close(source->mailbox);
	if (source->epoch != NULL) {
		munmap(source->epoch, EPOCH_BYTES);
		munmap((void *)(uintptr_t)source->epoch_view, EPOCH_BYTES);
	}
	mem_free(source->path);
	mem_free(source->seats);
	mem_free(source);
}

static void
on_gone(struct place *place)
{
	struct source *source = source_of(place);

	if (--source->open_count == 0 && source->users == 0)
		free_source(source);
}

/* One of them can read it: from now on those that are started anew begin with it. */
static void
believe_in_fresh(struct source *source, unsigned methods)
{
	struct helper_plan *plan = source->plan;

	close(plan->file);
	plan->file = plan->fresh;
	plan->file_number = plan->fresh_number;
	plan->fresh = -1;
	source->methods = methods;
	set_epoch(source, plan->file_number);
}

static void
on_fed(struct place *place, const struct ipc_message *message)
{
	struct seat *seat = seat_of(place);
	const struct helper_plan *plan = seat->source->plan;

	if (!seat->reading || message->value != seat->given)
		return;
	seat->reading = false;
	if (message->kind == IPC_FED && plan->fresh != -1 && seat->given == plan->fresh_number)
		believe_in_fresh(seat->source, message->index);
	offer(seat);
}

static const struct place_role helper_role = {
	.name = "helper process",
	.kind = BOARD_HELPER,
	.become = become_helper,
	.started = on_started,
	.ready = on_ready,
	.fed = on_fed,
	.failed = on_failed,
	.gone = on_gone,
};

/* --- its file --- */

/* Takes the first one over: without it no helper is ready. */
static void
begin_with(struct source *source, int fd)
{
	source->plan->file = fd;
	source->plan->file_number = ++source->sources->last_number;
	for (unsigned i = 0; i < source->seat_count; i++)
		offer(&source->seats[i]);
}

/* Takes a later one over. */
static void
go_on_with(struct source *source, int fd)
{
	struct helper_plan *plan = source->plan;

	if (plan->fresh != -1)
		close(plan->fresh);
	plan->fresh = fd;
	plan->fresh_number = ++source->sources->last_number;
	source->deaths = 0;
	for (unsigned i = 0; i < source->seat_count; i++)
		if (source->seats[i].place.pid > 0)
			offer(&source->seats[i]);
		else
			place_hurry(&source->seats[i].place);
}

static void
on_file(void *ctx, int fd)
{
	struct source *source = ctx;
	int copy = fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (fd != -1 && copy == -1)
		log_say(LOG_ALERT, "fcntl() for \"%s\" failed %s", source->path, log_errno(errno));
	if (copy == -1 && source->plan->file == -1)
		fail(source);
	else if (copy != -1 && source->plan->file == -1)
		begin_with(source, copy);
	else if (copy != -1)
		go_on_with(source, copy);
}

/* --- its life --- */

static int
open_mailbox(struct source *source)
{
	int ends[2];

	/* Helpers wait in a blocking recvmsg(2), workers never wait. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) {
		log_say(LOG_EMERG, "socketpair() failed %s", log_errno(errno));
		return -1;
	}
	source->plan->mailbox = ends[0];
	source->mailbox = ends[1];
	if (fcntl(source->mailbox, F_SETFL, O_NONBLOCK) == 0)
		return 0;
	log_say(LOG_EMERG, "fcntl() failed %s", log_errno(errno));
	return -1;
}

static int
open_seats(struct source *source)
{
	for (unsigned i = 0; i < source->seat_count; i++) {
		struct seat *seat = &source->seats[i];

		seat->source = source;
		if (place_open(source->sources->spawn, &seat->place, &helper_role, 0) == -1)
			return -1;
		source->open_count++;
	}
	return 0;
}

static int
open_epoch(struct source *source)
{
	void *page;

	source->epoch_view = memfd_views("postern-epoch", EPOCH_BYTES, &page);
	if (source->epoch_view == NULL) {
		log_say(LOG_EMERG, "no memory for the epoch of \"%s\" %s", source->path, log_errno(errno));
		return -1;
	}
	source->epoch = page;
	madvise(page, EPOCH_BYTES, MADV_DONTFORK);
	return 0;
}

/* Keys that tokens are verified with are everybody's to read. */
static bool
holds_secrets(const struct conf_source *settings)
{
	return settings->kind != SOURCE_JWT;
}

/* Looks whether there is a file to begin with, and has it copied. */
static int
open_file(struct source *source, const struct conf_source *settings)
{
	int fd;

	if (source->path == NULL)
		return 0;
	if ((fd = feed_open(source->path, LOG_EMERG)) == -1)
		return -1;
	close(fd);
	source->watch = feed_watch(source->sources->feed, source->path, holds_secrets(settings), on_file, source);
	return open_epoch(source);
}

/* Takes the plan over. NULL with the reason logged. */
static struct source *
start(struct sources *sources, struct helper_plan *plan, const struct conf_source *settings)
{
	struct source *source = mem_alloc(sizeof(*source));

	*source = (struct source){ .sources = sources, .plan = plan, .path = mem_strdup(settings->path), .mailbox = -1,
	    .users = 1 };
	source->seat_count = sources->rehearsal ? 1 : settings->helpers;
	source->seats = mem_array(source->seat_count, sizeof(*source->seats));
	plan->terminal = sources->terminal;
	if (sources->rehearsal)
		plan->log_count = 0;
	list_add(&sources->in_use, &source->node);
	if (open_file(source, settings) == 0 && open_mailbox(source) == 0 && open_seats(source) == 0)
		return source;
	source_leave(&source);
	return NULL;
}

/* All workers have one description of its other end: one that has been taken over can shut it down for all of them. */
static bool
is_shut(int mailbox)
{
	struct pollfd p = { .fd = mailbox, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP)) != 0;
}

struct source *
source_use(struct sources *sources, const struct conf *conf, const struct conf_source *settings)
{
	struct helper_plan *plan = helper_plan_new(conf, settings, sources->programs);

	if (plan == NULL)
		return NULL;
	LIST_EACH(node, &sources->in_use) {
		struct source *source = LIST_ENTRY(node, struct source, node);

		if (source->failed || is_shut(source->plan->mailbox) || strcmp(source->plan->key, plan->key) != 0)
			continue;
		helper_plan_free(&plan);
		source->users++;
		return source;
	}
	return start(sources, plan, settings);
}

void
source_leave(struct source **sourcep)
{
	struct source *source = *sourcep;

	*sourcep = NULL;
	if (source == NULL || --source->users > 0)
		return;
	list_remove(&source->node);
	if (source->watch != NULL)
		feed_unwatch(&source->watch);
	/* The last helper to go takes the source along: not before all were told. */
	source->open_count++;
	for (unsigned i = 0; i < source->seat_count; i++)
		place_retire(&source->seats[i].place, 0);
	if (--source->open_count == 0)
		free_source(source);
}

enum source_state
source_state(const struct source *source)
{
	if (source->failed)
		return SOURCE_FAILED;
	return source->ready_count == source->seat_count ? SOURCE_READY : SOURCE_STARTING;
}

int
source_mailbox(const struct source *source)
{
	return source->mailbox;
}

const _Atomic uint64_t *
source_epoch(const struct source *source)
{
	return source->epoch_view;
}

int
sources_judge(const struct conf *conf, struct source *const *sources)
{
	unsigned *said = mem_array(conf->source_count, sizeof(*said));
	int result;

	for (size_t i = 0; i < conf->source_count; i++)
		said[i] = sources[i] == NULL ? 0 : sources[i]->methods;
	result = conf_chain_confirm(conf, said);
	mem_free(said);
	return result;
}

static void
reopen_logs(struct source *source)
{
	struct place **places = mem_array(source->seat_count, sizeof(*places));

	for (unsigned i = 0; i < source->seat_count; i++)
		places[i] = &source->seats[i].place;
	for (size_t i = 0; i < source->plan->log_count; i++)
		helper_reopen_log(source->plan, i, places, source->seat_count);
	mem_free(places);
}

void
sources_reopen_logs(struct sources *sources)
{
	LIST_EACH(node, &sources->in_use)
		reopen_logs(LIST_ENTRY(node, struct source, node));
}

static void
leave_terminal(struct source *source)
{
	for (unsigned i = 0; i < source->seat_count; i++)
		helper_leave_terminal(source->plan, &source->seats[i].place);
	source->plan->terminal = false;
}

void
sources_leave_terminal(struct sources *sources)
{
	sources->terminal = false;
	LIST_EACH(node, &sources->in_use)
		leave_terminal(LIST_ENTRY(node, struct source, node));
}
