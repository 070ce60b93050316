#include "config.h"

#include "master/master.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/board.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/proc.h"
#include "common/tlsctx.h"
#include "master/conf_load.h"
#include "master/daemon.h"
#include "master/feed.h"
#include "master/heritage.h"
#include "master/inherited.h"
#include "master/leftover.h"
#include "master/logfile.h"
#include "master/master_parts.h"
#include "master/notify.h"
#include "master/pidfile.h"
#include "master/reload.h"
#include "master/settle.h"
#include "master/signals.h"
#include "master/source.h"
#include "master/zones.h"

#define EVENTS_A_TURN 64
#define START_LIMIT_MS 60000    /* for the first children to say READY */
#define KILL_AFTER_MS 3000      /* what children have after TERM */
#define RECALL_MS 1000          /* until workers that could not be started are tried again */

/* --- TLS that all workers share --- */

static void
await_rotation(struct master *m)
{
	loop_timer_set(m->loop, &m->tickets, tlspool_ticket_period(m->means.tls) * UINT64_C(1000));
}

void
master_rotate_tickets(struct master *m)
{
	m->tickets_due = false;
	tlspool_rotate_tickets(m->means.tls);
	await_rotation(m);
}

/* During an upgrade the old master makes no key that the new one does not have. */
static void
on_rotation(struct loop_timer *timer)
{
	struct master *m = LIST_ENTRY(timer, struct master, tickets);

	if (upgrade_child(m->upgrade) == 0)
		master_rotate_tickets(m);
	else
		m->tickets_due = true;
}

static void
on_place_awaited(void *ctx, struct place *place)
{
	settle_awaited(((struct master *)ctx)->settle, place);
}

static bool
on_place_left(void *ctx, struct place *place)
{
	struct master *m = ctx;

	tlspool_unlock_dead(m->means.tls, BOARD_ONE(place->slot));
	zones_unlock_dead(m->means.zones, BOARD_ONE(place->slot));
	return settle_left(m->settle, place, zones_are_held(m->means.zones));
}

static bool
on_settled(void *ctx, struct place *place, const struct ipc_message *message)
{
	struct master *m = ctx;

	if (!settle_answered(m->settle, place, message))
		return false;
	loop_again(m->loop, &m->look);
	return true;
}

/* --- the end --- */

static void
leave_if_empty(struct master *m)
{
	if (m->phase >= QUITTING && spawn_is_empty(m->spawn))
		loop_stop(m->loop);
}

static void
on_kill(struct loop_timer *timer)
{
	spawn_signal_all(LIST_ENTRY(timer, struct master, limit)->spawn, SIGKILL);
}

/* Sockets close, children get `signal`, and nobody is started any more. */
static void
wind_up(struct master *m, enum phase phase, int signal)
{
	if (m->phase >= phase)
		return;
	m->phase = phase;
	if (!master_has_company(m))
		notify_stopping(m->notify, phase == STOPPING ? "Stopping" : "Waiting for the last sessions to end");
	loop_timer_stop(&m->limit);
	reload_cancel(m->reload);
	master_look_who_listens(m);
	generations_end(&m->means, signal);
	if (phase == STOPPING) {
		spawn_no_more(m->spawn);
		m->limit.on_time = on_kill;
		loop_timer_set(m->loop, &m->limit, KILL_AFTER_MS);
	}
	leave_if_empty(m);
}

static void
stop_in_vain(struct master *m)
{
	m->status = EXIT_FAILURE;
	wind_up(m, STOPPING, SIGTERM);
}

/* --- the start --- */

/* Our lines have the time zone of the workers' lines; our own environment stays what `env NAME` takes from. */
static void
use_time_zone(const struct conf *conf)
{
	char **saved = environ;

	environ = (char **)(void *)conf->environment;
	tzset();
	environ = saved;
}

static bool
writes_to_stderr(const struct log *log)
{
	for (const struct log_target *t = log->targets; t != NULL; t = t->next)
		if (t->kind == LOG_TO_STDERR)
			return true;
	return false;
}

static void
prepare_log(struct master *m)
{
	const struct log *log = generation_conf(m->current)->log;

	use_time_zone(generation_conf(m->current));
	m->terminal = (struct log_target){ .kind = LOG_TO_TERMINAL, .level = LOG_WARN, .fd = -1 };
	m->starting = *log;
	/* Of an upgrade nobody waits to see the outcome, and stderr is the log of the master before. */
	if (!writes_to_stderr(log) && m->order->heritage == NULL) {
		m->terminal.next = log->targets;
		m->starting.targets = &m->terminal;
		m->starting.level = log->level > LOG_WARN ? log->level : LOG_WARN;
	}
	log_use(&m->starting);
}

static void
use_log(const struct master *m)
{
	const struct conf *conf = generation_conf(m->current);

	use_time_zone(conf);
	log_use(conf->log);
	logfile_take_stderr(conf);
}

static int
write_pid(struct master *m)
{
	const char *path = generation_conf(m->current)->pid_path;

	if (pidfile_write(path, getpid()) == -1)
		return -1;
	/* Left by one that was killed, where numbers begin anew with each start of a machine or container. */
	pidfile_remove_old(path, getpid());
	m->pid_path = mem_strdup(path);
	return 0;
}

static void
begin_reload(struct master *m)
{
	notify_reloading(m->notify);
	reload_begin(m->reload, m->current);
}

static void
begin_to_serve(struct master *m)
{
	loop_timer_stop(&m->limit);
	if (write_pid(m) == -1) {
		stop_in_vain(m);
		return;
	}
	m->phase = SERVING;
	use_log(m);
	if (upgrade_parent(m->upgrade) != 0)
		log_say(LOG_NOTICE, "new binary process serves beside %ld", (long)upgrade_parent(m->upgrade));
	sources_leave_terminal(m->sources);
	daemon_succeed();
	notify_ready(m->notify, "Serving");
	if (m->reload_wanted)
		begin_reload(m);
}

static void
on_start_limit(struct loop_timer *timer)
{
	log_say(LOG_EMERG, "the first processes are not ready in time");
	stop_in_vain(LIST_ENTRY(timer, struct master, limit));
}

static void
say_why_not_started(const struct master *m)
{
	const struct conf *conf = generation_conf(m->current);
	const char *log = conf->file_count > 0 ? conf->files[0]->path : "error log";

	log_say(LOG_EMERG, "a process ended before it was ready, see \"%s\"", log);
}

static void
look_at_start(struct master *m)
{
	switch (generation_state(m->current)) {
	case GENERATION_STARTING:
		break;
	case GENERATION_SERVING:
		begin_to_serve(m);
		break;
	case GENERATION_FAILED:
		say_why_not_started(m);
		stop_in_vain(m);
		break;
	case GENERATION_UNFIT:
		stop_in_vain(m);
	}
}

/* --- what happens while it serves --- */

static void
on_look(struct loop_task *task)
{
	struct master *m = LIST_ENTRY(task, struct master, look);

	if (m->phase == STARTING) {
		look_at_start(m);
	} else if (m->phase == SERVING) {
		if (!generation_conf(m->current)->master_process && generation_state(m->current) == GENERATION_FAILED)
			stop_in_vain(m);
		else
			reload_look(m->reload);
		master_pursue_upgrade(m);
	}
}

static void
on_changed(void *ctx)
{
	struct master *m = ctx;

	loop_again(m->loop, &m->look);
}

/* Of two masters the new one speaks for the service. */
static void
say_ready(const struct master *m, const char *status)
{
	if (upgrade_child(m->upgrade) == 0)
		notify_ready(m->notify, status);
}

/* The pid file may have another name now. If that cannot be had, the old one stays. */
static void
move_pid_file(struct master *m)
{
	char *old = m->pid_path;

	if (strcmp(old, generation_conf(m->current)->pid_path) == 0 || write_pid(m) == -1)
		return;
	pidfile_remove(old, getpid());
	mem_free(old);
}

static void
on_reloaded(void *ctx, struct generation *generation)
{
	struct master *m = ctx;
	struct generation *old = m->current;

	loop_again(m->loop, &m->look);
	if (generation == NULL) {
		notify_ready(m->notify, "Serving; the last reload failed, the configuration in force is kept");
		return;
	}
	master_look_who_listens(m);
	generation_hold(generation);
	m->current = generation;
	generation_succeed(generation, old);
	use_log(m);
	move_pid_file(m);
	log_say(LOG_NOTICE, "reconfigured");
	say_ready(m, "Serving");
	generation_retire(old, SIGQUIT);
	generation_release(old);
}

static void
reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!spawn_reaped(m->spawn, pid, status) && !upgrade_reaped(m->upgrade, pid, status))
			reload_reaped(m->reload, pid);
	leave_if_empty(m);
}

static void
reopen_logs(struct master *m)
{
	generations_reopen_logs(&m->means);
	sources_reopen_logs(m->sources);
	if (m->phase != STARTING)
		logfile_take_stderr(generation_conf(m->current));
}

int
master_recall(struct master *m)
{
	loop_timer_stop(&m->recall);
	if (generation_resume(m->current) == 0)
		return 0;
	loop_timer_set(m->loop, &m->recall, RECALL_MS);
	return -1;
}

static void
on_recall(struct loop_timer *timer)
{
	struct master *m = LIST_ENTRY(timer, struct master, recall);

	if (m->phase == SERVING && generation_rests(m->current) && master_recall(m) == 0)
		log_say(LOG_NOTICE, "workers are back with the configuration in force");
}

/* The configuration may already be one that only the new binary understands. */
static void
call_workers_back(struct master *m)
{
	if (!generation_rests(m->current))
		log_say(LOG_NOTICE, "the configuration is not read while a new binary's process runs");
	else if (master_recall(m) == 0)
		log_say(LOG_NOTICE, "workers are back with the configuration in force");
}

static void
reload(struct master *m)
{
	if (m->phase == STARTING)
		m->reload_wanted = true;
	else if (m->phase == SERVING && upgrade_child(m->upgrade) != 0)
		call_workers_back(m);
	else if (m->phase == SERVING)
		begin_reload(m);
}

/* What is on its way is given up, or its workers would come in the stead of those that go. */
static void
rest(struct master *m)
{
	loop_timer_stop(&m->recall);
	if (m->phase != SERVING || !generation_conf(m->current)->master_process || generation_rests(m->current))
		return;
	if (reload_is_under_way(m->reload))
		log_say(LOG_NOTICE, "the reload on its way is given up");
	reload_cancel(m->reload);
	loop_again(m->loop, &m->look);
	generation_rest(m->current);
	say_ready(m, "Resting without workers (WINCH)");
}

static void
act(struct master *m, enum signals_action action)
{
	switch (action) {
	case SIGNALS_STOP:
		wind_up(m, STOPPING, SIGTERM);
		break;
	case SIGNALS_QUIT:
		wind_up(m, QUITTING, SIGQUIT);
		break;
	case SIGNALS_RELOAD:
		reload(m);
		break;
	case SIGNALS_REOPEN:
		reopen_logs(m);
		break;
	case SIGNALS_UPGRADE:
		master_upgrade(m);
		break;
	case SIGNALS_REST:
		rest(m);
		break;
	case SIGNALS_REAP:
		reap(m);
		break;
	case SIGNALS_IGNORE:
		break;
	}
}

/* A terminal sends WINCH to all in its foreground when its window changes; only who means it uses kill(2). */
static bool
is_meant(const struct signalfd_siginfo *info)
{
	return info->ssi_signo != SIGWINCH || info->ssi_code != SI_KERNEL;
}

static void
on_signal(struct loop_io *io, uint32_t events)
{
	struct master *m = LIST_ENTRY(io, struct master, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(io->fd, &info, sizeof(info)) == sizeof(info)) {
		const struct signals_row *row = signals_find((int)info.ssi_signo);

		if (!is_meant(&info))
			continue;
		log_say(LOG_NOTICE, "signal %u (SIG%s) received from %u%s", info.ssi_signo,
		    proc_signal_name((int)info.ssi_signo), info.ssi_pid, row->doing);
		act(m, row->action);
	}
}

/* --- from birth to death --- */

static void
set_up(struct master *m, const struct master_order *order)
{
	m->loop = loop_new(EVENTS_A_TURN);
	m->tickets.on_time = on_rotation;
	await_rotation(m);
	master_set_up_upgrade(m);
	m->board = board_new(upgrade_half(m->upgrade));
	m->spawn = spawn_new(m->loop, m->board, generation_conf(m->current)->master_process);
	m->feed = feed_new(m->loop);
	m->sources = sources_new(m->spawn, m->feed, on_changed, m);
	m->settle = settle_new(m->loop, m->spawn);
	m->heir = (struct spawn_heir){ m, on_place_awaited, on_place_left, on_settled };
	spawn_set_heir(m->spawn, &m->heir);
	tlspool_settle(m->means.tls);
	m->means.spawn = m->spawn;
	m->means.sources = m->sources;
	m->reload = reload_new(m->loop, &m->means, order->request, on_reloaded, m);
	m->look.run = on_look;
	m->limit.on_time = on_start_limit;
	m->recall.on_time = on_recall;
	notify_watch(m->notify, m->loop);
	m->signals = (struct loop_io){ .on_events = on_signal, .fd = signals_open() };
	if (m->signals.fd == -1 || loop_watch(m->loop, &m->signals, EPOLLIN) == -1)
		must_die("signalfd() failed");
}

static void
tear_down(struct master *m)
{
	if (m->pid_path != NULL) {
		pidfile_remove(m->pid_path, getpid());
		pidfile_remove_old(m->pid_path, getpid());
	}
	mem_free(m->pid_path);
	mem_free(m->parent_pid_path);
	loop_timer_stop(&m->limit);
	loop_timer_stop(&m->recall);
	loop_timer_stop(&m->tickets);
	loop_close(m->loop, &m->signals);
	reload_free(&m->reload);
	notify_free(&m->notify);
	log_say(LOG_NOTICE, "exit");
	log_use(NULL);
	generation_release(m->current);
	sources_free(&m->sources);
	feed_free(&m->feed);
	settle_free(&m->settle);
	upgrade_free(&m->upgrade);
	leftover_forget();
	spawn_free(&m->spawn);
	board_free(&m->board);
	loop_free(&m->loop);
	tlspool_free(&m->means.tls);
	zones_free(&m->means.zones);
}

static void
serve(struct master *m)
{
	log_say(LOG_NOTICE, PACKAGE_NAME "/" PACKAGE_VERSION " (compatible with nginx/1.31.5)");
	loop_timer_set(m->loop, &m->limit, START_LIMIT_MS);
	if (generation_start(m->current) == -1)
		stop_in_vain(m);
	loop_run(m->loop);
}

/* Goes to the background, unless the master before is there already. Returns 0, or -1 with the reason logged. */
static int
leave_foreground(const struct master_order *order, const struct conf *conf)
{
	return conf->daemon && conf->master_process && order->heritage == NULL ? daemon_begin() : 0;
}

int
master_run(const struct master_order *order)
{
	struct master m = { .order = order,
	    .means = { .inherited = order->inherited, .run = order->run, .changed = on_changed, .ctx = &m } };
	struct heritage *heritage = order->heritage;

	list_init(&m.means.all);
	m.means.tls = tlspool_new();
	m.means.zones = zones_new();
	m.notify = notify_new();
	m.current = master_open_first(&m);
	if (m.current != NULL && leave_foreground(order, generation_conf(m.current)) == -1) {
		generation_discard(m.current, NULL);
		m.current = NULL;
	}
	if (m.current == NULL) {
		inherited_free(&m.means.inherited);
		heritage_free(&heritage);
		notify_free(&m.notify);
		tlspool_free(&m.means.tls);
		zones_free(&m.means.zones);
		return EXIT_FAILURE;
	}
	generation_hold(m.current);
	prepare_log(&m);
	inherited_close(&m.means.inherited);
	proc_title(order->title);
	set_up(&m, order);
	heritage_free(&heritage);
	serve(&m);
	tear_down(&m);
	return m.status;
}
