#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/tlsctx.h"
#include "common/tlsticket.h"
#include "master/heritage.h"
#include "master/leftover.h"
#include "master/listener.h"
#include "master/master.h"
#include "master/master_parts.h"
#include "master/notify.h"
#include "master/pidfile.h"
#include "master/reload.h"
#include "master/settle.h"
#include "master/zones.h"

/* --- the other master --- */

bool
master_has_company(const struct master *m)
{
	return upgrade_parent(m->upgrade) != 0 || upgrade_child(m->upgrade) != 0;
}

void
master_look_who_listens(const struct master *m)
{
	leftover_share(master_has_company(m));
}

/* All is ours again, as it was before. */
static void
on_failed(void *ctx)
{
	struct master *m = ctx;

	master_look_who_listens(m);
	pidfile_step_back(m->pid_path, getpid());
	if (m->tickets_due)
		master_rotate_tickets(m);
	if (m->phase != SERVING)
		return;
	notify_ready(m->notify, "Serving; the new binary has gone");
	listener_adjust(generation_conf(m->current));
	if (generation_rests(m->current))
		master_recall(m);
}

/* What its processes held in zones, nobody gives back but us. */
static void
on_alone(void *ctx, struct board_span dead)
{
	struct master *m = ctx;

	tlspool_unlock_dead(m->means.tls, dead);
	zones_unlock_dead(m->means.zones, dead);
	if (zones_are_held(m->means.zones))
		settle_others(m->settle, dead, generation_conf(m->current)->generation);
	/* One that was killed has left it. */
	if (m->parent != 0)
		pidfile_remove_old(m->parent_pid_path, m->parent);
	master_look_who_listens(m);
	loop_again(m->loop, &m->look);
}

/* --- coming after another --- */

struct generation *
master_open_first(struct master *m)
{
	const struct heritage *heritage = m->order->heritage;
	struct generation *first;

	if (heritage != NULL) {
		leftover_share(true);
		zones_inherit(m->means.zones, heritage->zones);
		tlspool_inherit(m->means.tls, heritage->zones);
		if (heritage->has_tickets)
			tlspool_import_tickets(m->means.tls, &heritage->tickets);
	}
	first = generation_open(&m->means, m->order->conf, NULL);
	zones_inherit(m->means.zones, NULL);
	tlspool_inherit(m->means.tls, NULL);
	return first;
}

/* Keys of the master before are as old as they are. */
static void
hasten_rotation(struct master *m, const struct heritage *heritage)
{
	uint64_t now_ms = loop_now_ms(m->loop), due_ms = heritage->tickets_due_ms;

	if (heritage->has_tickets && due_ms < m->tickets.due_ms)
		loop_timer_set(m->loop, &m->tickets, due_ms > now_ms ? due_ms - now_ms : 0);
}

void
master_set_up_upgrade(struct master *m)
{
	const struct heritage *heritage = m->order->heritage;

	m->others = (struct upgrade_events){ m, on_failed, on_alone };
	m->upgrade = upgrade_new(m->loop, heritage, &m->others);
	m->means.pipe = upgrade_pipe(m->upgrade);
	if (heritage == NULL)
		return;
	m->parent = heritage->parent;
	m->parent_pid_path = mem_strdup(
	    *heritage->pid_path != '\0' ? heritage->pid_path : generation_conf(m->current)->pid_path);
	hasten_rotation(m, heritage);
}

/* --- having another come --- */

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
	if (strlen(m->pid_path) < sizeof(heritage->pid_path))
		strcpy(heritage->pid_path, m->pid_path);
	return heritage;
}

/* In the process that becomes it. */
static void
prepare(void *ctx)
{
	notify_hand_on(((struct master *)ctx)->notify);
}

static void
start(struct master *m)
{
	struct heritage *heritage;

	if (pidfile_step_aside(m->pid_path, getpid()) == -1)
		return;
	heritage = make_heritage(m);
	if (upgrade_start(m->upgrade, m->order->program, m->order->argv, heritage, prepare) == -1)
		pidfile_step_back(m->pid_path, getpid());
	heritage_free(&heritage);
	master_look_who_listens(m);
}

static const char *
why_not(const struct master *m)
{
	if (m->phase != SERVING)
		return "this one does not serve";
	if (!generation_conf(m->current)->master_process)
		return "the master process is off";
	if (generation_conf(m->current)->listen_count > HERITAGE_SOCKETS_MAX)
		return "there are too many sockets";
	if (upgrade_parent(m->upgrade) != 0)
		return "the old binary's process still runs";
	if (upgrade_child(m->upgrade) != 0)
		return "a new binary's process runs already";
	if (m->order->program == NULL)
		return "it is not known where this one's file is";
	return NULL;
}

/* The new one may get slots of those that have just gone, and takes what a reload is about to change. */
static bool
must_wait(const struct master *m)
{
	return reload_is_under_way(m->reload) || upgrade_has_others(m->upgrade) || settle_owes_others(m->settle);
}

/* Has it to be given up? */
static bool
is_refused(const struct master *m)
{
	const char *why = why_not(m);

	if (why != NULL)
		log_say(LOG_CRIT, "the changing binary signal is ignored: %s", why);
	return why != NULL;
}

/* What has been waited for may have changed that. */
void
master_pursue_upgrade(struct master *m)
{
	if (!m->upgrade_wanted || must_wait(m))
		return;
	m->upgrade_wanted = false;
	if (!is_refused(m))
		start(m);
}

void
master_upgrade(struct master *m)
{
	if (is_refused(m))
		return;
	m->upgrade_wanted = true;
	if (must_wait(m))
		log_say(LOG_NOTICE, "the new binary waits for the end of a reload, or of processes of another master");
	master_pursue_upgrade(m);
}
