#include "common/loop.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/wheel.h"

#define COSTLY_NS 2000000u      /* what loop_costly() may take of one turn */

struct loop {
	int epoll;
	bool stopped, turning;
	unsigned resolution_ms;
	uint64_t now_ms;
	struct loop_io **ios;           /* owned array, by descriptor; NULL: not watched */
	size_t io_count;
	uint32_t registrations;
	struct epoll_event *events;     /* owned */
	int event_count;
	struct list again;              /* for the next turn */
	struct list ready;              /* of them those of the present turn */
	struct list costly, dead;
	struct wheel wheel;
};

static uint64_t
clock_ns(void)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
read_clock(struct loop *loop)
{
	uint64_t ms = clock_ns() / 1000000u;

	if (loop->resolution_ms > 0)
		ms -= ms % loop->resolution_ms;
	if (ms > loop->now_ms)
		loop->now_ms = ms;
}

struct loop *
loop_new(unsigned events_a_turn)
{
	struct loop *loop = mem_alloc(sizeof(*loop));

	MUST(events_a_turn > 0 && events_a_turn <= INT_MAX / sizeof(struct epoll_event));
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll == -1)
		must_die("epoll_create1() failed");
	loop->events = mem_array(events_a_turn, sizeof(*loop->events));
	loop->event_count = (int)events_a_turn;
	list_init(&loop->again);
	list_init(&loop->ready);
	list_init(&loop->costly);
	list_init(&loop->dead);
	read_clock(loop);
	wheel_init(&loop->wheel, loop->now_ms);
	return loop;
}

static void
run_first(struct list *row)
{
	struct loop_task *task = LIST_ENTRY(row->next, struct loop_task, node);

	list_remove(&task->node);
	task->run(task);
}

static void
run_all(struct list *row)
{
	while (!list_is_empty(row))
		run_first(row);
}

void
loop_free(struct loop **loopp)
{
	struct loop *loop = *loopp;

	if (loop == NULL)
		return;
	run_all(&loop->dead);   /* who died behind the last turn */
	close(loop->epoll);
	mem_free(loop->ios);
	mem_free(loop->events);
	mem_free(loop);
	*loopp = NULL;
}

uint64_t
loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

/* ---- descriptors ---- */

static bool
is_watched(const struct loop *loop, const struct loop_io *io)
{
	return io->fd >= 0 && (size_t)io->fd < loop->io_count && loop->ios[io->fd] == io;
}

static void
make_room(struct loop *loop, int fd)
{
	size_t count = loop->io_count > 0 ? loop->io_count : 64;

	if ((size_t)fd < loop->io_count)
		return;
	while (count <= (size_t)fd)
		count *= 2;
	loop->ios = mem_resize(loop->ios, count * sizeof(struct loop_io *));
	memset(loop->ios + loop->io_count, 0, (count - loop->io_count) * sizeof(struct loop_io *));
	loop->io_count = count;
}

/*
 * An event carries the descriptor and the number of the registration. If that is not
 * the number of whoever has the descriptor by now, the event is stale; its io, whose
 * memory may be gone, is never looked at.
 */
static int
control(struct loop *loop, int operation, struct loop_io *io, uint32_t events)
{
	uint32_t turn = ++loop->registrations;
	struct epoll_event event = { .events = events, .data.u64 = (uint64_t)turn << 32 | (uint32_t)io->fd };

	if (epoll_ctl(loop->epoll, operation, io->fd, &event) == -1)
		return -1;
	io->turn = turn;
	return 0;
}

int
loop_watch(struct loop *loop, struct loop_io *io, uint32_t events)
{
	MUST(io->fd >= 0 && io->on_events != NULL);
	make_room(loop, io->fd);
	MUST(loop->ios[io->fd] == NULL);
	if (control(loop, EPOLL_CTL_ADD, io, events) == -1)
		return -1;
	loop->ios[io->fd] = io;
	return 0;
}

int
loop_rewatch(struct loop *loop, struct loop_io *io, uint32_t events)
{
	MUST(is_watched(loop, io));
	/* What was fetched for the old events is dropped; the kernel looks afresh and reports again. */
	return control(loop, EPOLL_CTL_MOD, io, events);
}

void
loop_unwatch(struct loop *loop, struct loop_io *io)
{
	if (!is_watched(loop, io))
		return;
	loop->ios[io->fd] = NULL;
	MUST(epoll_ctl(loop->epoll, EPOLL_CTL_DEL, io->fd, NULL) == 0);
}

void
loop_close(struct loop *loop, struct loop_io *io)
{
	if (io->fd == -1)
		return;
	if (is_watched(loop, io))
		loop->ios[io->fd] = NULL;
	close(io->fd);
	io->fd = -1;
}

static void
deliver(struct loop *loop, const struct epoll_event *event)
{
	uint32_t fd = (uint32_t)event->data.u64;
	struct loop_io *io = loop->ios[fd];

	if (io != NULL && io->turn == (uint32_t)(event->data.u64 >> 32))
		io->on_events(io, event->events);
}

/* ---- timers ---- */

void
loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t in_ms)
{
	uint64_t later = in_ms > 0 ? in_ms : 1;

	MUST(timer->on_time != NULL);
	loop_timer_stop(timer);
	if (!loop->turning)     /* the last turn, or loop_new(), may be long ago */
		read_clock(loop);
	wheel_add(&loop->wheel, timer, later < UINT64_MAX - loop->now_ms ? loop->now_ms + later : UINT64_MAX);
}

void
loop_timer_stop(struct loop_timer *timer)
{
	if (timer->due_ms == 0)
		return;
	timer->due_ms = 0;
	list_remove(&timer->node);
}

bool
loop_timer_is_set(const struct loop_timer *timer)
{
	return timer->due_ms != 0;
}

/* ---- tasks ---- */

static bool
is_queued(const struct loop_task *task)
{
	return task->node.next != NULL && task->node.next != &task->node;
}

static void
queue(struct list *row, struct loop_task *task)
{
	MUST(task->run != NULL);
	if (!is_queued(task))
		list_add(row, &task->node);
}

void
loop_again(struct loop *loop, struct loop_task *task)
{
	queue(&loop->again, task);
}

void
loop_costly(struct loop *loop, struct loop_task *task)
{
	queue(&loop->costly, task);
}

void
loop_bury(struct loop *loop, struct loop_task *task)
{
	loop_drop(task);
	queue(&loop->dead, task);
}

void
loop_drop(struct loop_task *task)
{
	if (is_queued(task))
		list_remove(&task->node);
}

/* What asks to be costly once more waits for another turn, behind those that were not reached. */
static void
run_costly(struct loop *loop)
{
	struct list present;
	uint64_t start_ns;

	if (list_is_empty(&loop->costly))
		return;
	list_init(&present);
	list_move_all(&present, &loop->costly);
	start_ns = clock_ns();
	do
		run_first(&present);
	while (!list_is_empty(&present) && clock_ns() - start_ns < COSTLY_NS);
	list_move_all(&present, &loop->costly);
	list_move_all(&loop->costly, &present);
}

/* ---- turns ---- */

void
loop_set_resolution(struct loop *loop, unsigned ms)
{
	loop->resolution_ms = ms;
}

/* How long to wait for events, at most `max_ms` if that is not negative; -1: until one comes. */
static int
wait_ms(struct loop *loop, int max_ms)
{
	uint64_t next_ms = wheel_next(&loop->wheel);
	uint64_t wait = max_ms < 0 ? INT_MAX : (uint64_t)max_ms;
	uint64_t unit = loop->resolution_ms > 0 ? loop->resolution_ms : 1;

	if (!list_is_empty(&loop->ready) || !list_is_empty(&loop->costly) || !list_is_empty(&loop->dead))
		return 0;
	if (next_ms == WHEEL_NEVER)
		return max_ms;
	next_ms = next_ms > loop->now_ms ? next_ms - loop->now_ms : 0;
	if (next_ms >= wait)
		return (int)wait;
	next_ms += (unit - next_ms % unit) % unit;
	return (int)(next_ms < wait ? next_ms : wait);
}

void
loop_turn(struct loop *loop, int max_wait_ms)
{
	int count;

	list_move_all(&loop->ready, &loop->again);
	count = epoll_wait(loop->epoll, loop->events, loop->event_count, wait_ms(loop, max_wait_ms));
	MUST(count >= 0 || errno == EINTR);
	loop->turning = true;
	read_clock(loop);
	for (int i = 0; i < count; i++)
		deliver(loop, &loop->events[i]);
	wheel_turn(&loop->wheel, loop->now_ms);
	run_all(&loop->ready);
	run_costly(loop);
	run_all(&loop->dead);
	loop->turning = false;
}

void
loop_run(struct loop *loop)
{
	while (!loop->stopped)
		loop_turn(loop, -1);
	loop->stopped = false;
}

void
loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
