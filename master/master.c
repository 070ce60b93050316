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

#include "common/bequest.h"
#include "common/board.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/proc.h"
#include "common/tlsctx.h"
#include "common/tlsticket.h"
#include "master/conf_load.h"
#include "master/daemon.h"
#include "master/feed.h"
#include "master/generation.h"
#include "master/heritage.h"
#include "master/inherited.h"
#include "master/leftover.h"
#include "master/listener.h"
#include "master/logfile.h"
#include "master/notify.h"
#include "master/pidfile.h"
#include "master/reload.h"
#include "master/settle.h"
#include "master/signals.h"
#include "master/source.h"
#include "master/spawn.h"
#include "master/upgrade.h"
#include "master/zones.h"

#define EVENTS_A_TURN 64
#define START_LIMIT_MS 60000    /* for the first children to say READY */
#define KILL_AFTER_MS 3000      /* what children have after TERM */

enum phase { STARTING, SERVING, QUITTING, STOPPING };

struct master {
	enum phase phase;
	int status;                     /* to exit with */
	struct loop *loop;
	struct board *board;
	struct spawn *spawn;
	struct spawn_heir heir;
	struct settle *settle;
	struct feed *feed;
	struct sources *sources;
	struct generation_means means;
	struct notify *notify;
	struct generation *current;     /* held: in force, or about to be; its log is the process's */
	const struct master_order *order;
	struct upgrade *upgrade;
	struct upgrade_events others;
	bool upgrade_wanted;            /* asked for, and to be begun as soon as that can be */
	pid_t parent;                   /* the master that this one came from, gone or not; 0: none */
	struct reload *reload;
	bool reload_wanted;             /* asked for before there was anything to reload */
	char *pid_path;                 /* owned; NULL until the file is written */
	struct loop_io signals;
	struct loop_timer limit;        /* of the start, later of the stop */
	struct loop_timer tickets;      /* until the keys of session tickets are due */
	struct loop_task look;          /* at what has changed, outside of others' callbacks */
	/* While we start, what is severe is said on the terminal too. */
	struct log starting;
	struct log_target terminal;
};

/* --- TLS that all workers share --- */

static void
await_rotation(struct master *m)
{
	loop_timer_set(m->loop, &m->tickets, tlspool_ticket_period(m->means.tls) * UINT64_C(1000));
}

/* Keys of the master before are as old as they are. */
static void
await_first_rotation(struct master *m, const struct heritage *heritage)
{
	uint64_t now_ms = loop_now_ms(m->loop), due_ms = now_ms;

	await_rotation(m);
	if (heritage == NULL || !heritage->has_tickets || heritage->tickets_due_ms >= m->tickets.due_ms)
		return;
	if (heritage->tickets_due_ms > now_ms)
		due_ms = heritage->tickets_due_ms;
	loop_timer_set(m->loop, &m->tickets, due_ms - now_ms);
}

/* Both masters open tickets of either: the old one makes no key that the new one does not have. */
static void
on_rotation(struct loop_timer *timer)
{
	struct master *m = LIST_ENTRY(timer, struct master, tickets);

	if (upgrade_child(m->upgrade) == 0)
		tlspool_rotate_tickets(m->means.tls);
	await_rotation(m);
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

/* Is there another master, with which the service goes on if this one ends? */
static bool
has_company(const struct master *m)
{
	return upgrade_parent(m->upgrade) != 0 || upgrade_child(m->upgrade) != 0;
}

static void
look_who_listens(const struct master *m)
{
	leftover_share(has_company(m));
}

/* Of two masters the new one speaks for the service. */
static void
say_ready(const struct master *m, const char *status)
{
	if (upgrade_child(m->upgrade) == 0)
		notify_ready(m->notify, status);
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
	if (!has_company(m))
		notify_stopping(m->notify, phase == STOPPING ? "Stopping" : "Waiting for the last sessions to end");
	loop_timer_stop(&m->limit);
	reload_cancel(m->reload);
	look_who_listens(m);
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
	m->pid_path = mem_strdup(path);
	return 0;
}

static void pursue_upgrade(struct master *m);

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

/* --- a new binary --- */

/* What goes along. */
static struct heritage *
make_heritage(const struct master *m)
{
	const struct conf *conf = generation_conf(m->current);
	struct heritage *heritage = heritage_new();

	for (size_t i = 0; i < conf->listen_count; i++)
		if (conf->listens[i]->fd != -1)
			heritage_add_socket(heritage, conf->listens[i]->fd, conf->listens[i]->lent);
	zones_leave_to(m->means.zones, heritage->zones);
	tlspool_leave_to(m->means.tls, heritage->zones);
	tlspool_export_tickets(m->means.tls, &heritage->tickets);
	heritage->has_tickets = true;
	heritage->tickets_due_ms = m->tickets.due_ms;
	return heritage;
}

/* In the process that becomes it. */
static void
on_new_binary(void *ctx)
{
	notify_hand_on(((struct master *)ctx)->notify);
}

static void
start_new_binary(struct master *m)
{
	const struct master_order *order = m->order;
	struct heritage *heritage;

	if (pidfile_step_aside(m->pid_path, getpid()) == -1)
		return;
	heritage = make_heritage(m);
	if (upgrade_start(m->upgrade, order->program, order->argv, heritage, on_new_binary) == -1)
		pidfile_step_back(m->pid_path, getpid());
	heritage_free(&heritage);
	look_who_listens(m);
}

static const char *
why_no_new_binary(const struct master *m)
{
	if (m->phase != SERVING)
		return "this one does not serve";
	if (!generation_conf(m->current)->master_process)
		return "the master process is off";
	if (upgrade_parent(m->upgrade) != 0)
		return "the old binary's process still runs";
	if (upgrade_child(m->upgrade) != 0)
		return "a new binary's process runs already";
	if (m->order->program == NULL)
		return "it is not known where this one's file is";
	return NULL;
}

/* The new one may have the slots of those that have just gone, and takes what a reload is about to change. */
static bool
must_wait(const struct master *m)
{
	return reload_is_under_way(m->reload) || upgrade_has_others(m->upgrade) || settle_owes_others(m->settle);
}

static void
pursue_upgrade(struct master *m)
{
	if (!m->upgrade_wanted || must_wait(m))
		return;
	m->upgrade_wanted = false;
	if (why_no_new_binary(m) == NULL)
		start_new_binary(m);
}

static void
upgrade(struct master *m)
{
	const char *why = why_no_new_binary(m);

	if (why != NULL) {
		log_say(LOG_CRIT, "the changing binary signal is ignored: %s", why);
		return;
	}
	m->upgrade_wanted = true;
	if (must_wait(m))
		log_say(LOG_NOTICE, "a new binary has to wait for the end of a reload, or of processes of another master");
	pursue_upgrade(m);
}

/* Everything is ours again, as it was before. */
static void
on_upgrade_failed(void *ctx)
{
	struct master *m = ctx;

	look_who_listens(m);
	pidfile_step_back(m->pid_path, getpid());
	if (m->phase != SERVING)
		return;
	notify_ready(m->notify, "Serving; the new binary has gone");
	listener_adjust(generation_conf(m->current));
	if (generation_rests(m->current))
		generation_resume(m->current);
}

/* A hold in a zone that no process of ours has is not known to be given back but by us. */
static void
on_alone(void *ctx, struct board_span dead)
{
	struct master *m = ctx;

	tlspool_unlock_dead(m->means.tls, dead);
	zones_unlock_dead(m->means.zones, dead);
	if (zones_are_held(m->means.zones))
		settle_others(m->settle, dead, generation_conf(m->current)->generation);
	if (m->pid_path != NULL)
		pidfile_remove_old(m->pid_path, m->parent);
	look_who_listens(m);
	loop_again(m->loop, &m->look);
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
		pursue_upgrade(m);
	}
}

static void
on_changed(void *ctx)
{
	struct master *m = ctx;

	loop_again(m->loop, &m->look);
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
	look_who_listens(m);
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

/* The configuration may already be one that only the new binary understands. */
static void
call_workers_back(struct master *m)
{
	if (!generation_rests(m->current))
		log_say(LOG_NOTICE, "the configuration is not read while a new binary's process runs");
	else if (generation_resume(m->current) == 0)
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
	if (m->phase != SERVING || !generation_conf(m->current)->master_process || generation_rests(m->current))
		return;
	if (reload_is_under_way(m->reload))
		log_say(LOG_NOTICE, "the reload on its way is given up");
	reload_cancel(m->reload);
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
		upgrade(m);
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
	m->others = (struct upgrade_events){ m, on_upgrade_failed, on_alone };
	m->upgrade = upgrade_new(m->loop, order->heritage, &m->others);
	m->means.pipe = upgrade_pipe(m->upgrade);
	m->parent = upgrade_parent(m->upgrade);
	m->board = board_new(upgrade_half(m->upgrade));
	m->spawn = spawn_new(m->loop, m->board, generation_conf(m->current)->master_process);
	m->feed = feed_new(m->loop);
	m->sources = sources_new(m->spawn, m->feed, on_changed, m);
	m->settle = settle_new(m->loop, m->spawn);
	m->heir = (struct spawn_heir){ m, on_place_awaited, on_place_left, on_settled };
	spawn_set_heir(m->spawn, &m->heir);
	m->tickets.on_time = on_rotation;
	tlspool_settle(m->means.tls);
	await_first_rotation(m, order->heritage);
	m->means.spawn = m->spawn;
	m->means.sources = m->sources;
	m->reload = reload_new(m->loop, &m->means, order->request, on_reloaded, m);
	m->look.run = on_look;
	m->limit.on_time = on_start_limit;
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
	loop_timer_stop(&m->limit);
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

/* What the master before has left is there for the first generation, and for no other. */
static struct generation *
open_first(struct master *m, const struct master_order *order)
{
	struct heritage *heritage = order->heritage;
	struct generation *first;

	if (heritage != NULL) {
		leftover_share(true);
		zones_inherit(m->means.zones, heritage->zones);
		tlspool_inherit(m->means.tls, heritage->zones);
		if (heritage->has_tickets)
			tlspool_import_tickets(m->means.tls, &heritage->tickets);
	}
	first = generation_open(&m->means, order->conf, NULL);
	zones_inherit(m->means.zones, NULL);
	tlspool_inherit(m->means.tls, NULL);
	return first;
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
	m.current = open_first(&m, order);
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
