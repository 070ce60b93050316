#include "master/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/list.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/snapshot.h"

#define SETTLE_MS 50            /* a burst of changes is told once */
#define LOOK_MS 2000            /* how often every file is looked at */

/*
 * Who has a file open for writing, and does not write for so long, is not waited for: while its
 * owner has nothing, and later.
 */
#define FIRST_PATIENCE_MS 2000
#define PATIENCE_MS 60000

/* Not IN_CREATE: who creates a file has yet to write it, and is heard when it closes it. */
#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR)

struct feed {
	struct loop *loop;              /* borrowed */
	struct loop_io inotify;         /* fd -1: there is none, and looking has to do */
	struct loop_timer settle, look;
	struct list watches;
};

struct feed_watch {
	struct list node;               /* in feed->watches */
	struct feed *feed;              /* borrowed */
	char *path;                     /* owned */
	char *directory;                /* owned */
	const char *name;               /* in path: behind the last slash */
	int wd;                         /* inotify's number of the directory, shared by all watches there; -1: none */
	bool pending;                   /* inotify has named it */
	bool secret;
	struct snapshot_stamp told, seen;       /* what the owner has, and what there was at the last look */
	struct snapshot_stamp wanted;   /* what is being copied */
	struct snapshot *copy;          /* owned; NULL: none is being made */
	struct loop_task task;          /* copies on, and looks at the file for the first time */
	feed_callback *changed;         /* NULL: unwatched, waits for its burial */
	void *ctx;
	struct loop_task burial;
};

static const struct snapshot_stamp nothing;

static struct snapshot_stamp
stamp_now(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? snapshot_stamp(&st) : nothing;
}

int
feed_open(const char *path, enum log_level level)
{
	/* Nonblocking, because a FIFO in its place may not stop us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1) {
		log_say(level, "open() \"%s\" failed %s", path, log_errno(errno));
	} else if (!S_ISREG(st.st_mode)) {
		log_say(level, "\"%s\" is not a regular file", path);
	} else {
		return fd;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

/* What the configuration names has been judged at its load; this is about what has come since. */
static void
warn_of_readers(const struct feed_watch *watch, const struct stat *st)
{
	if (watch->secret && !snapshot_same(&watch->told, &nothing) && (st->st_mode & S_IROTH) != 0)
		log_say(LOG_WARN, "\"%s\" holds secrets and everybody may read it", watch->path);
}

/* As if it had been announced. */
static void
look_soon(struct feed_watch *watch)
{
	watch->pending = true;
	if (!loop_timer_is_set(&watch->feed->settle))
		loop_timer_set(watch->feed->loop, &watch->feed->settle, SETTLE_MS);
}

/* Begins to copy the open file, if this is the time for it. Takes `fd` over. */
static void
copy(struct feed_watch *watch, int fd, const struct stat *st)
{
	bool first = snapshot_same(&watch->told, &nothing);

	switch (snapshot_judge(fd, st, first ? FIRST_PATIENCE_MS : PATIENCE_MS)) {
	case SNAPSHOT_RESTS:
		warn_of_readers(watch, st);
		watch->wanted = snapshot_stamp(st);
		watch->copy = snapshot_new(fd, st);
		loop_again(watch->feed->loop, &watch->task);
		return;
	case SNAPSHOT_FRESH:
		look_soon(watch);
		break;
	case SNAPSHOT_OPEN:
		break;          /* closing it is announced; and there is the next look */
	}
	close(fd);
}

/* Gets the owner what is there now, unless it has that already or is about to. */
static void
tell(struct feed_watch *watch)
{
	struct snapshot_stamp now = stamp_now(watch->path);
	struct stat st;
	int fd;

	if (watch->changed == NULL || watch->copy != NULL || snapshot_same(&now, &nothing) ||
	    snapshot_same(&now, &watch->told))
		return;
	if ((fd = feed_open(watch->path, LOG_ERROR)) != -1 && fstat(fd, &st) == 0) {
		copy(watch, fd, &st);
		return;
	}
	if (fd != -1)
		close(fd);
	watch->told = now;
	watch->changed(watch->ctx, -1);
}

static void
fail(struct feed_watch *watch)
{
	/* Want of memory passes; a size stays. */
	if (errno == EFBIG)
		watch->told = watch->wanted;
	log_say(LOG_ERROR, "\"%s\" cannot be copied %s", watch->path, log_errno(errno));
	snapshot_free(&watch->copy);
	watch->changed(watch->ctx, -1);
}

static void
hand_over(struct feed_watch *watch)
{
	struct snapshot *done = watch->copy;

	watch->copy = NULL;
	watch->told = watch->wanted;
	watch->changed(watch->ctx, snapshot_fd(done));
	snapshot_free(&done);
}

static void
on_task(struct loop_task *task)
{
	struct feed_watch *watch = LIST_ENTRY(task, struct feed_watch, task);

	if (watch->changed == NULL)
		return;
	if (watch->copy == NULL) {
		tell(watch);
		return;
	}
	switch (snapshot_step(watch->copy)) {
	case SNAPSHOT_MORE:
		loop_again(watch->feed->loop, task);
		break;
	case SNAPSHOT_DONE:
		hand_over(watch);
		break;
	case SNAPSHOT_CHANGED:
		snapshot_free(&watch->copy);
		look_soon(watch);
		break;
	case SNAPSHOT_FAILED:
		fail(watch);
	}
}

static void
on_settle(struct loop_timer *timer)
{
	struct feed *feed = LIST_ENTRY(timer, struct feed, settle);

	LIST_EACH(node, &feed->watches) {
		struct feed_watch *watch = LIST_ENTRY(node, struct feed_watch, node);

		if (watch->pending) {
			watch->pending = false;
			tell(watch);
		}
	}
}

static void
on_event(struct feed *feed, const struct inotify_event *event)
{
	const char *name = event->len > 0 ? event->name : "";

	LIST_EACH(node, &feed->watches) {
		struct feed_watch *watch = LIST_ENTRY(node, struct feed_watch, node);

		if ((event->mask & IN_Q_OVERFLOW) != 0)
			watch->pending = true;
		else if (event->wd != watch->wd)
			continue;
		else if ((event->mask & IN_IGNORED) != 0)
			watch->wd = -1;
		else if (strcmp(name, watch->name) == 0)
			watch->pending = true;
		if (watch->pending && !loop_timer_is_set(&feed->settle))
			loop_timer_set(feed->loop, &feed->settle, SETTLE_MS);
	}
}

static void
on_inotify(struct loop_io *io, uint32_t events)
{
	struct feed *feed = LIST_ENTRY(io, struct feed, inotify);
	_Alignas(struct inotify_event) char bytes[4096];
	ssize_t len;

	(void)events;
	while ((len = read(io->fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0; at < len;) {
			const struct inotify_event *event = (const void *)(bytes + at);

			on_event(feed, event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
}

/* Directories are watched once for all files in them. */
static void
leave_directory(struct feed_watch *watch)
{
	struct feed *feed = watch->feed;
	bool shared = false;

	LIST_EACH(node, &feed->watches) {
		const struct feed_watch *other = LIST_ENTRY(node, struct feed_watch, node);

		shared |= other != watch && other->wd == watch->wd;
	}
	if (watch->wd != -1 && !shared)
		inotify_rm_watch(feed->inotify.fd, watch->wd);
	watch->wd = -1;
}

/* The directory may have come, or another have taken its place: asking again for the same one changes nothing. */
static void
enter_directory(struct feed_watch *watch)
{
	int wd = -1;

	if (watch->feed->inotify.fd != -1)
		wd = inotify_add_watch(watch->feed->inotify.fd, watch->directory, EVENTS);
	if (wd != watch->wd)
		leave_directory(watch);
	watch->wd = wd;
}

static void
look_at(struct feed_watch *watch)
{
	struct snapshot_stamp now = stamp_now(watch->path);

	enter_directory(watch);
	if (snapshot_same(&now, &watch->seen))
		tell(watch);
	watch->seen = now;
}

static void
on_look(struct loop_timer *timer)
{
	struct feed *feed = LIST_ENTRY(timer, struct feed, look);

	LIST_EACH(node, &feed->watches)
		look_at(LIST_ENTRY(node, struct feed_watch, node));
	if (!list_is_empty(&feed->watches))
		loop_timer_set(feed->loop, &feed->look, LOOK_MS);
}

struct feed *
feed_new(struct loop *loop)
{
	struct feed *feed = mem_alloc(sizeof(*feed));

	*feed = (struct feed){
		.loop = loop, .inotify = { .on_events = on_inotify },
		.settle.on_time = on_settle, .look.on_time = on_look,
	};
	list_init(&feed->watches);
	feed->inotify.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (feed->inotify.fd != -1 && loop_watch(loop, &feed->inotify, EPOLLIN) == 0)
		return feed;
	log_say(LOG_WARN, "inotify is not to be had %s, changed files are noticed later", log_errno(errno));
	if (feed->inotify.fd != -1)
		close(feed->inotify.fd);
	feed->inotify.fd = -1;
	return feed;
}

static void
bury(struct feed_watch *watch)
{
	leave_directory(watch);
	list_remove(&watch->node);
	loop_drop(&watch->task);
	snapshot_free(&watch->copy);
	mem_free(watch->path);
	mem_free(watch->directory);
	mem_free(watch);
}

static void
on_burial(struct loop_task *task)
{
	bury(LIST_ENTRY(task, struct feed_watch, burial));
}

void
feed_free(struct feed **feedp)
{
	struct feed *feed = *feedp;

	if (feed == NULL)
		return;
	LIST_EACH(node, &feed->watches) {
		struct feed_watch *watch = LIST_ENTRY(node, struct feed_watch, node);

		MUST(watch->changed == NULL);
		loop_drop(&watch->burial);
		bury(watch);
	}
	loop_timer_stop(&feed->settle);
	loop_timer_stop(&feed->look);
	if (feed->inotify.fd != -1) {
		loop_unwatch(feed->loop, &feed->inotify);
		close(feed->inotify.fd);
	}
	mem_free(feed);
	*feedp = NULL;
}

struct feed_watch *
feed_watch(struct feed *feed, const char *path, bool secret, feed_callback *changed, void *ctx)
{
	struct feed_watch *watch = mem_alloc(sizeof(*watch));
	const char *slash = strrchr(path, '/');

	MUST(slash != NULL && changed != NULL);
	*watch = (struct feed_watch){
		.feed = feed, .path = mem_strdup(path), .wd = -1, .secret = secret,
		.changed = changed, .ctx = ctx, .task.run = on_task, .burial.run = on_burial,
	};
	watch->directory = mem_strndup(path, slash > path ? (size_t)(slash - path) : 1);
	watch->name = watch->path + (slash - path) + 1;
	watch->seen = stamp_now(path);
	list_add(&feed->watches, &watch->node);
	enter_directory(watch);
	if (!loop_timer_is_set(&feed->look))
		loop_timer_set(feed->loop, &feed->look, LOOK_MS);
	loop_again(feed->loop, &watch->task);
	return watch;
}

void
feed_unwatch(struct feed_watch **watchp)
{
	struct feed_watch *watch = *watchp;

	*watchp = NULL;
	if (watch == NULL)
		return;
	/* The list may be walked just now: it leaves at the end of the turn. */
	watch->changed = NULL;
	loop_drop(&watch->task);
	loop_bury(watch->feed->loop, &watch->burial);
}
