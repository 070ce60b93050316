#include "master/reload.h"

#include "common/conf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "master/conf_check.h"
#include "master/conf_load.h"
#include "master/generation.h"
#include "master/names.h"

#define START_LIMIT_MS 60000    /* for all new children to say READY */

struct reload {
	struct loop *loop;
	struct generation_means *means;
	struct conf_request *request;
	reload_callback *done;
	void *ctx;
	struct generation *current;     /* borrowed: in force */
	/* at most one of them is there, in this order */
	struct conf *conf;              /* owned, while `names` resolves its names */
	struct names *names;
	struct generation *starting;
	struct loop_timer limit;        /* while `starting` is there */
	struct loop_task task;          /* to go on outside of others' callbacks */
	bool again;                     /* asked for meanwhile */
};

static void
say_kept(void)
{
	log_say(LOG_ERROR, "reload failed, the configuration in force is kept");
}

static void
end(struct reload *reload)
{
	loop_timer_stop(&reload->limit);
	if (reload->again)
		loop_again(reload->loop, &reload->task);
}

/* Ends the generation on its way. */
static void
discard(struct reload *reload)
{
	struct generation *starting = reload->starting;

	reload->starting = NULL;
	if (starting != NULL)
		generation_discard(starting, reload->current);
}

static void
fail(struct reload *reload)
{
	discard(reload);
	names_free(&reload->names);
	if (reload->conf != NULL)
		conf_free(&reload->conf);
	say_kept();
	end(reload);
	reload->done(reload->ctx, NULL);
}

static void
on_limit(struct loop_timer *timer)
{
	log_say(LOG_ALERT, "the new processes are not ready in time");
	fail(LIST_ENTRY(timer, struct reload, limit));
}

/* All names have their addresses. */
static void
start(struct reload *reload)
{
	struct conf *conf = reload->conf;

	names_free(&reload->names);
	if (conf_check(conf, reload->request) == -1) {
		fail(reload);
		return;
	}
	reload->conf = NULL;    /* generation_open() takes it over */
	reload->starting = generation_open(reload->means, conf, reload->current);
	if (reload->starting == NULL || generation_start(reload->starting) == -1) {
		fail(reload);
		return;
	}
	loop_timer_set(reload->loop, &reload->limit, START_LIMIT_MS);
}

static void
on_names(void *ctx, bool resolved)
{
	struct reload *reload = ctx;

	if (resolved)
		start(reload);
	else
		fail(reload);
}

static void
begin(struct reload *reload)
{
	reload->request->generation++;
	reload->conf = conf_load(reload->request);
	if (reload->conf == NULL) {
		fail(reload);
		return;
	}
	reload->names = names_start(reload->loop, reload->conf, on_names, reload);
	if (reload->names == NULL)
		fail(reload);
}

/* The new generation is in force from here. */
static void
succeed(struct reload *reload)
{
	reload->current = reload->starting;
	reload->starting = NULL;
	end(reload);
	reload->done(reload->ctx, reload->current);
}

static void
look(struct reload *reload)
{
	enum generation_state state = generation_state(reload->starting);

	if (state == GENERATION_FAILED || state == GENERATION_UNFIT)
		fail(reload);
	else if (state == GENERATION_SERVING)
		succeed(reload);
}

static void
on_task(struct loop_task *task)
{
	struct reload *reload = LIST_ENTRY(task, struct reload, task);

	if (reload->starting != NULL) {
		look(reload);
	} else if (reload->again) {
		reload->again = false;
		begin(reload);
	}
}

struct reload *
reload_new(struct loop *loop, struct generation_means *means, struct conf_request *request, reload_callback *done,
    void *ctx)
{
	struct reload *reload = mem_alloc(sizeof(*reload));

	*reload = (struct reload){ .loop = loop, .means = means, .request = request, .done = done, .ctx = ctx };
	reload->limit.on_time = on_limit;
	reload->task.run = on_task;
	return reload;
}

void
reload_free(struct reload **reloadp)
{
	if (*reloadp == NULL)
		return;
	reload_cancel(*reloadp);
	mem_free(*reloadp);
	*reloadp = NULL;
}

bool
reload_is_under_way(const struct reload *reload)
{
	return reload->conf != NULL || reload->starting != NULL || reload->again;
}

void
reload_begin(struct reload *reload, struct generation *current)
{
	reload->current = current;
	if (reload_is_under_way(reload))
		reload->again = true;
	else
		begin(reload);
}

void
reload_look(struct reload *reload)
{
	if (reload->starting != NULL)
		loop_again(reload->loop, &reload->task);
}

void
reload_cancel(struct reload *reload)
{
	reload->again = false;
	loop_timer_stop(&reload->limit);
	loop_drop(&reload->task);
	discard(reload);
	names_free(&reload->names);
	if (reload->conf != NULL)
		conf_free(&reload->conf);
}

bool
reload_reaped(struct reload *reload, pid_t pid)
{
	return names_reaped(reload->names, pid);
}
