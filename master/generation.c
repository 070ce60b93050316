#include "master/generation.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/proc.h"
#include "master/helper.h"
#include "master/listener.h"
#include "master/logfile.h"
#include "master/source.h"
#include "master/tls_build.h"
#include "master/zones.h"

/* A place for one worker. */
struct post {
	struct list node;               /* generation->posts */
	struct place place;
	struct generation *generation;
	unsigned index;
	unsigned next_log;              /* of the files: the first whose reopening its process has yet to be told */
};

struct generation {
	struct list node;                       /* means->all */
	struct generation_means *means;         /* borrowed */
	struct conf *conf;                      /* owned, with its log files and sockets */
	struct source **sources;                /* owned array; those of conf->sources that have helpers, else NULL */
	struct list posts;                      /* owned; those of retired workers go with them */
	unsigned post_count, ready_count;       /* how many workers there are to be, and have once been ready */
	unsigned holds;
	int bell;
	bool failed, retired;
	bool resting;                           /* its workers are retired, and perhaps others come back */
	bool judged, unfit;                     /* its sources were asked what they serve, and it is not enough */
};

/* --- in the worker --- */

/* A worker keeps what its configuration opened, its channel and the bell: no end of another's channel above all. */
static void
close_others(const struct generation *g, int channel)
{
	struct proc_keep keep = { 0 };

	logfile_each_fd(g->conf, proc_keep_add, &keep);
	for (size_t i = 0; i < g->conf->listen_count; i++)
		proc_keep_add(&keep, g->conf->listens[i]->fd);
	for (size_t i = 0; i < g->conf->source_count; i++)
		proc_keep_add(&keep, g->conf->sources[i]->mailbox);
	proc_keep_add(&keep, g->bell);
	proc_keep_add(&keep, g->means->pipe);
	proc_keep_add(&keep, channel);
	proc_keep_only(STDERR_FILENO + 1, &keep);
}

static void
become_worker(struct place *place, int channel)
{
	const struct post *post = LIST_ENTRY(place, struct post, place);
	const struct generation *g = post->generation;
	struct generation_birth birth = {
		.conf = g->conf,
		.board = spawn_board(place->spawn),
		.slot = place->slot,
		.index = post->index,
		.channel = channel,
		.bell = g->bell,
	};

	birth.zones = zones_held(g->means->zones, &birth.zone_count);
	must_set_action(g->conf->debug_stop ? MUST_STOP : MUST_ABORT);
	log_use(g->conf->log);
	logfile_take_stderr(g->conf);
	close_others(g, channel);
	environ = (char **)(void *)g->conf->environment;
	g->means->run(&birth);
}

/* --- in the master --- */

static void
on_ready(struct place *place, int64_t value)
{
	struct generation *g = LIST_ENTRY(place, struct post, place)->generation;

	(void)value;
	g->ready_count++;
	if (!g->retired)
		g->means->changed(g->means->ctx);
}

static void
on_failed(struct place *place)
{
	struct generation *g = LIST_ENTRY(place, struct post, place)->generation;

	g->failed = true;
	if (!g->retired)
		g->means->changed(g->means->ctx);
}

static void
leave_sources(struct generation *g)
{
	for (size_t i = 0; i < g->conf->source_count; i++)
		source_leave(&g->sources[i]);
}

static void
free_generation(struct generation *g)
{
	list_remove(&g->node);
	leave_sources(g);
	logfile_close_all(g->conf);
	tls_release(g->conf);
	zones_leave(g->means->zones, g->conf);
	conf_free(&g->conf);
	if (g->bell != -1)
		close(g->bell);
	mem_free(g->sources);
	mem_free(g);
}

/* Helpers go when nobody is left who could ask them; the rest when nobody holds it. */
static void
go_if_empty(struct generation *g)
{
	if (!g->retired || !list_is_empty(&g->posts))
		return;
	if (g->holds == 0)
		free_generation(g);
	else
		leave_sources(g);
}

void
generation_hold(struct generation *g)
{
	g->holds++;
}

void
generation_release(struct generation *g)
{
	g->holds--;
	go_if_empty(g);
}

static void
on_gone(struct place *place)
{
	struct post *post = LIST_ENTRY(place, struct post, place);
	struct generation *g = post->generation;

	list_remove(&post->node);
	mem_free(post);
	go_if_empty(g);
}

/* As many of the reopened files as the process takes now. One that has come meanwhile was born with all of them. */
static void
send_logs(struct place *place)
{
	struct post *post = LIST_ENTRY(place, struct post, place);
	const struct conf *conf = post->generation->conf;

	for (; post->next_log < conf->file_count; post->next_log++) {
		const struct ipc_message message = { .kind = IPC_LOGFILE, .index = post->next_log };
		int fd = conf->files[post->next_log]->fd;

		if (fd != -1 && place_tell(place, &message, fd) == 1)
			return;
	}
}

static const struct place_role worker_role = {
	.name = "worker process",
	.kind = BOARD_WORKER,
	.knows_end = true,
	.become = become_worker,
	.ready = on_ready,
	.room = send_logs,
	.failed = on_failed,
	.gone = on_gone,
};

static int
use_sources(struct generation *g)
{
	struct conf *conf = g->conf;

	for (size_t i = 0; i < conf->source_count; i++) {
		if (!helper_is_needed(conf->sources[i]))
			continue;
		g->sources[i] = source_use(g->means->sources, conf, conf->sources[i]);
		if (g->sources[i] == NULL)
			return -1;
		conf->sources[i]->mailbox = source_mailbox(g->sources[i]);
		conf->sources[i]->epoch = source_epoch(g->sources[i]);
	}
	return 0;
}

static int
open_bell(struct generation *g)
{
	g->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (g->bell == -1)
		log_say(LOG_EMERG, "eventfd() failed %s", log_errno(errno));
	return g->bell == -1 ? -1 : 0;
}

struct generation *
generation_open(struct generation_means *means, struct conf *conf, const struct generation *old)
{
	struct generation *g = mem_alloc(sizeof(*g));

	*g = (struct generation){ .means = means, .conf = conf, .bell = -1 };
	list_add(&means->all, &g->node);
	g->post_count = conf->master_process ? conf->worker_processes : 1;
	list_init(&g->posts);
	g->sources = mem_array(conf->source_count, sizeof(struct source *));
	for (size_t i = 0; i < conf->source_count; i++)
		conf->sources[i]->mailbox = -1;
	/* Sockets last: they are what others can see. */
	if (logfile_open_all(conf) == 0 && open_bell(g) == 0 && tls_build(means->tls, conf) == 0 &&
	    zones_use(means->zones, conf) == 0 &&
	    listener_open(conf, old == NULL ? NULL : old->conf, means->inherited) == 0)
		return g;
	free_generation(g);
	return NULL;
}

static int
open_post(struct generation *g, unsigned index)
{
	struct post *post = mem_alloc(sizeof(*post));

	post->generation = g;
	post->index = index;
	if (place_open(g->means->spawn, &post->place, &worker_role, g->conf->generation) == -1) {
		mem_free(post);
		return -1;
	}
	list_add(&g->posts, &post->node);
	return 0;
}

static int
open_posts(struct generation *g)
{
	for (unsigned i = 0; i < g->post_count; i++)
		if (open_post(g, i) == -1)
			return -1;
	return 0;
}

int
generation_start(struct generation *g)
{
	return use_sources(g) == 0 && open_posts(g) == 0 ? 0 : -1;
}

static enum source_state
state_of_sources(const struct generation *g)
{
	enum source_state all = SOURCE_READY;

	for (size_t i = 0; i < g->conf->source_count; i++) {
		enum source_state state = g->sources[i] == NULL ? SOURCE_READY : source_state(g->sources[i]);

		if (state == SOURCE_FAILED)
			return SOURCE_FAILED;
		if (state == SOURCE_STARTING)
			all = SOURCE_STARTING;
	}
	return all;
}

/* Once: later on their files may change. */
static bool
is_fit(struct generation *g)
{
	if (!g->judged)
		g->unfit = sources_judge(g->conf, g->sources) == -1;
	g->judged = true;
	return !g->unfit;
}

enum generation_state
generation_state(struct generation *g)
{
	enum source_state sources = state_of_sources(g);

	if (g->failed || sources == SOURCE_FAILED)
		return GENERATION_FAILED;
	if (sources == SOURCE_READY && !is_fit(g))
		return GENERATION_UNFIT;
	return sources == SOURCE_READY && g->ready_count == g->post_count ? GENERATION_SERVING : GENERATION_STARTING;
}

struct conf *
generation_conf(struct generation *g)
{
	return g->conf;
}

static void
tell_given_up(struct generation *g, size_t first, size_t count)
{
	const struct ipc_message message = { .kind = IPC_GIVEN_UP, .index = (uint32_t)first, .value = (int64_t)count };

	/* One whose channel is full closes those doors on whoever waits, as it would without a word. */
	LIST_EACH(node, &g->posts)
		place_tell(&LIST_ENTRY(node, struct post, node)->place, &message, -1);
}

/* Who has connected where nobody will listen any more is still served, as its kin on kept sockets are. */
static void
give_up_listens(struct generation *old, const struct conf *conf)
{
	size_t count = old->conf->listen_count, end;

	for (size_t first = 0; first < count; first = end + 1) {
		for (end = first; end < count && !listener_keeps(conf, old->conf->listens[end]); end++)
			continue;
		if (end > first)
			tell_given_up(old, first, end - first);
	}
}

void
generation_succeed(struct generation *g, struct generation *old)
{
	give_up_listens(old, g->conf);
	listener_commit(g->conf, old->conf);
}

/* Workers that were never ready have no clients, and may deserve another signal. */
static void
retire(struct generation *g, int signal, int signal_of_unready)
{
	generation_hold(g);     /* the last place to go must not take it along before all were told */
	g->retired = true;
	LIST_EACH(node, &g->posts) {
		struct place *place = &LIST_ENTRY(node, struct post, node)->place;

		place_retire(place, place->proven ? signal : signal_of_unready);
	}
	generation_release(g);
}

void
generation_rest(struct generation *g)
{
	g->resting = true;
	LIST_EACH(node, &g->posts)
		place_retire(&LIST_ENTRY(node, struct post, node)->place, SIGQUIT);
}

/* This configuration has been proven: whoever dies before it is ready is replaced as later on. */
int
generation_resume(struct generation *g)
{
	if (open_posts(g) == -1) {
		generation_rest(g);
		return -1;
	}
	g->resting = false;
	LIST_EACH(node, &g->posts) {
		struct place *place = &LIST_ENTRY(node, struct post, node)->place;

		place->proven |= !place->retired;
	}
	return 0;
}

bool
generation_rests(const struct generation *g)
{
	return g->resting;
}

void
generation_retire(struct generation *g, int signal)
{
	retire(g, signal, signal);
}

void
generation_discard(struct generation *g, const struct generation *old)
{
	listener_rollback(g->conf, old == NULL ? NULL : old->conf);
	retire(g, SIGQUIT, SIGKILL);
}

static void
reopen_logs(struct generation *g)
{
	logfile_reopen_all(g->conf);
	LIST_EACH(node, &g->posts) {
		struct post *post = LIST_ENTRY(node, struct post, node);

		post->next_log = 0;
		send_logs(&post->place);
	}
}

void
generations_reopen_logs(struct generation_means *means)
{
	LIST_EACH(node, &means->all)
		reopen_logs(LIST_ENTRY(node, struct generation, node));
}

void
generations_end(struct generation_means *means, int signal)
{
	LIST_EACH(node, &means->all) {
		struct generation *g = LIST_ENTRY(node, struct generation, node);

		listener_close(g->conf);
		generation_retire(g, signal);
	}
}
