#include "master/rehearsal.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/board.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/proc.h"
#include "master/conf_say.h"
#include "master/feed.h"
#include "master/helper.h"
#include "master/source.h"
#include "master/spawn.h"

#define LIMIT_MS 10000

struct rehearsal {
	const struct conf *conf;        /* borrowed */
	struct loop *loop;
	struct board *board;
	struct spawn *spawn;
	struct feed *feed;
	struct sources *sources;
	struct source **used;           /* owned array: by index of conf->sources; NULL: has no helpers */
	struct loop_io children;        /* SIGCHLD */
	struct loop_timer limit;
	bool late;
};

static void
on_changed(void *ctx)
{
	(void)ctx;              /* each turn looks */
}

static void
on_limit(struct loop_timer *timer)
{
	LIST_ENTRY(timer, struct rehearsal, limit)->late = true;
}

static void
on_children(struct loop_io *io, uint32_t events)
{
	struct rehearsal *r = LIST_ENTRY(io, struct rehearsal, children);
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)events;
	while (read(io->fd, &info, sizeof(info)) == sizeof(info))
		continue;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		spawn_reaped(r->spawn, pid, status);
}

static int
watch_children(struct rehearsal *r)
{
	static const int signals[] = { SIGCHLD };

	r->children = (struct loop_io){ .on_events = on_children, .fd = proc_signalfd(signals, 1) };
	if (r->children.fd != -1 && loop_watch(r->loop, &r->children, EPOLLIN) == 0)
		return 0;
	log_say(LOG_EMERG, "signalfd() failed %s", log_errno(errno));
	return -1;
}

static int
use_sources(struct rehearsal *r)
{
	for (size_t i = 0; i < r->conf->source_count; i++) {
		if (!helper_is_needed(r->conf->sources[i]))
			continue;
		if ((r->used[i] = source_use(r->sources, r->conf, r->conf->sources[i])) == NULL)
			return -1;
	}
	return 0;
}

/* One that has failed; else one that is not ready yet; else NULL. */
static const struct conf_source *
find_unready(const struct rehearsal *r, enum source_state *state)
{
	const struct conf_source *starting = NULL;

	*state = SOURCE_READY;
	for (size_t i = 0; i < r->conf->source_count; i++) {
		enum source_state its = r->used[i] == NULL ? SOURCE_READY : source_state(r->used[i]);

		if (its == SOURCE_READY)
			continue;
		*state = its;
		starting = r->conf->sources[i];
		if (its == SOURCE_FAILED)
			break;
	}
	return starting;
}

static int
await(struct rehearsal *r)
{
	const struct conf_source *source;
	enum source_state state;

	r->limit.on_time = on_limit;
	loop_timer_set(r->loop, &r->limit, LIMIT_MS);
	while ((source = find_unready(r, &state)) != NULL && state == SOURCE_STARTING && !r->late)
		loop_turn(r->loop, -1);
	loop_timer_stop(&r->limit);
	if (source == NULL)
		return sources_judge(r->conf, r->used);
	conf_say(LOG_EMERG, &source->place, "\"%s\" \"%s\" %s", conf_source_directive(source->kind), source->label,
	    state == SOURCE_FAILED ? "cannot be used" : "is not ready in time");
	return -1;
}

static void
end(struct rehearsal *r)
{
	for (size_t i = 0; i < r->conf->source_count; i++)
		source_leave(&r->used[i]);
	while (!spawn_is_empty(r->spawn))
		loop_turn(r->loop, -1);
	loop_turn(r->loop, 0);          /* buries watches */
	loop_close(r->loop, &r->children);
	sources_free(&r->sources);
	feed_free(&r->feed);
	spawn_free(&r->spawn);
	board_free(&r->board);
	loop_free(&r->loop);
	mem_free(r->used);
}

/* What happens to processes here is nobody's concern, unless it goes wrong. */
static int
rehearse(struct rehearsal *r)
{
	struct log_target terminal = { .kind = LOG_TO_TERMINAL, .level = LOG_WARN, .fd = -1 };
	const struct log log = { .targets = &terminal, .level = LOG_WARN }, *before = log_use(&log);
	int result = watch_children(r);

	if (result == 0)
		result = use_sources(r);
	if (result == 0)
		result = await(r);
	end(r);
	log_use(before);
	return result;
}

int
rehearsal(const struct conf *conf)
{
	struct rehearsal r = { .conf = conf };

	r.used = mem_array(conf->source_count, sizeof(struct source *));
	r.loop = loop_new(16);
	r.board = board_new(0);
	r.spawn = spawn_new(r.loop, r.board, false);
	r.feed = feed_new(r.loop);
	r.sources = sources_new(r.spawn, r.feed, on_changed, &r);
	sources_rehearse(r.sources);
	return rehearse(&r);
}
