#include "master/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "master/feed.h"
#include "master/helper.h"
#include "master/spawn.h"

struct sources {
	struct spawn *spawn;
	struct feed *feed;
	void (*changed)(void *ctx);
	void *ctx;
	bool terminal;
	struct list in_use;             /* of struct source */
};

/* A place for one helper. */
struct seat {
	struct place place;
	struct source *source;
};

struct source {
	struct list node;               /* sources->in_use, while it is */
	struct sources *sources;
	struct helper_plan *plan;       /* owned */
	struct feed_watch *watch;       /* owned; of its file, if it has one */
	char *path;                     /* owned; of its file, or NULL */
	int mailbox;                    /* owned: the end that workers write to */
	struct seat *seats;             /* owned array */
	unsigned seat_count, open_count, ready_count;
	unsigned users;                 /* generations */
	bool failed;
};

struct sources *
sources_new(struct spawn *spawn, struct feed *feed, void (*changed)(void *ctx), void *ctx)
{
	struct sources *sources = mem_alloc(sizeof(*sources));

	*sources = (struct sources){ .spawn = spawn, .feed = feed, .changed = changed, .ctx = ctx, .terminal = true };
	list_init(&sources->in_use);
	return sources;
}

void
sources_free(struct sources **sourcesp)
{
	mem_free(*sourcesp);
	*sourcesp = NULL;
}

/* --- its helpers --- */

static struct source *
source_of(struct place *place)
{
	return LIST_ENTRY(place, struct seat, place)->source;
}

static void
become_helper(struct place *place, int channel)
{
	helper_become(source_of(place)->plan, channel);
}

static int
on_started(struct place *place)
{
	return helper_instruct(source_of(place)->plan, place);
}

static void
on_ready(struct place *place)
{
	struct source *source = source_of(place);

	if (++source->ready_count == source->seat_count)
		source->sources->changed(source->sources->ctx);
}

static void
on_failed(struct place *place)
{
	struct source *source = source_of(place);

	/* Later on the others serve; the log has said which one does no more. */
	if (source->ready_count == source->seat_count)
		return;
	source->failed = true;
	source->sources->changed(source->sources->ctx);
}

static void
free_source(struct source *source)
{
	if (source->plan != NULL)
		helper_plan_free(&source->plan);
	if (source->mailbox != -1)
		close(source->mailbox);
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
on_fed(struct place *place, int64_t number)
{
	struct helper_plan *plan = source_of(place)->plan;

	if (plan->fresh == -1 || number != plan->fresh_number)
		return;
	close(plan->file);
	plan->file = plan->fresh;
	plan->fresh = -1;
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

static void
on_file(void *ctx, int fd)
{
	struct source *source = ctx;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy == -1) {
		log_say(LOG_ALERT, "fcntl() for \"%s\" failed %s", source->path, log_errno(errno));
		return;
	}
	if (source->plan->fresh != -1)
		close(source->plan->fresh);
	source->plan->fresh = copy;
	source->plan->fresh_number++;
	for (unsigned i = 0; i < source->seat_count; i++)
		if (source->seats[i].place.pid > 0)
			helper_feed(source->plan, &source->seats[i].place);
		else
			place_hurry(&source->seats[i].place);
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

/* Takes the plan over. NULL with the reason logged. */
static struct source *
start(struct sources *sources, struct helper_plan *plan, const struct conf_source *settings)
{
	struct source *source = mem_alloc(sizeof(*source));

	*source = (struct source){ .sources = sources, .plan = plan, .path = mem_strdup(settings->path), .mailbox = -1,
	    .users = 1 };
	source->seat_count = settings->helpers;
	source->seats = mem_array(source->seat_count, sizeof(*source->seats));
	plan->terminal = sources->terminal;
	list_add(&sources->in_use, &source->node);
	/* Watched before it is opened: what changes from now on is told. */
	if (source->path != NULL)
		source->watch = feed_watch(sources->feed, source->path, on_file, source);
	if ((source->path == NULL || (plan->file = feed_open(source->path, LOG_EMERG)) != -1) &&
	    open_mailbox(source) == 0 && open_seats(source) == 0)
		return source;
	source_leave(&source);
	return NULL;
}

int
source_check(const struct conf *conf, const struct conf_source *settings)
{
	struct helper_plan *plan = helper_plan_new(conf, settings);
	int fd;

	if (plan == NULL)
		return -1;
	helper_plan_free(&plan);
	if (settings->path == NULL)
		return 0;
	if ((fd = feed_open(settings->path, LOG_EMERG)) == -1)
		return -1;
	close(fd);
	return 0;
}

struct source *
source_use(struct sources *sources, const struct conf *conf, const struct conf_source *settings)
{
	struct helper_plan *plan = helper_plan_new(conf, settings);

	if (plan == NULL)
		return NULL;
	LIST_EACH(node, &sources->in_use) {
		struct source *source = LIST_ENTRY(node, struct source, node);

		if (source->failed || strcmp(source->plan->key, plan->key) != 0)
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
