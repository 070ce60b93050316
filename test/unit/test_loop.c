#include "common/loop.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "test/unit/unit.h"

static struct loop *loop;
static char diary[64];

/* One end of a socket pair, watched; the test writes into the other. */
struct end {
	struct loop_io io;
	int other;
	unsigned events;        /* how often it was called */
	uint32_t last;          /* with what */
};

static void
note(struct loop_io *io, uint32_t events)
{
	struct end *end = LIST_ENTRY(io, struct end, io);

	end->events++;
	end->last = events;
}

static void
open_end(struct end *end, uint32_t events)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	*end = (struct end){ .io = { note, ends[0], 0 }, .other = ends[1] };
	ck_assert_int_eq(loop_watch(loop, &end->io, events), 0);
}

static void
poke(const struct end *end)
{
	ck_assert_int_eq(write(end->other, "x", 1), 1);
}

static void
close_end(struct end *end)
{
	loop_close(loop, &end->io);
	close(end->other);
}

static void
make_loop(void)
{
	loop = loop_new(16);
	memset(diary, 0, sizeof(diary));
}

static void
free_loop(void)
{
	loop_free(&loop);
	ck_assert_ptr_null(loop);
}

START_TEST(an_event_reaches_its_io)
{
	struct end a, b;

	open_end(&a, EPOLLIN);
	open_end(&b, EPOLLIN);
	loop_turn(loop, 0);
	ck_assert(a.events == 0 && b.events == 0);
	poke(&b);
	loop_turn(loop, -1);
	ck_assert(a.events == 0 && b.events == 1 && b.last == EPOLLIN);
	close_end(&a);
	close_end(&b);
	ck_assert_int_eq(b.io.fd, -1);
	loop_close(loop, &b.io);
}
END_TEST

START_TEST(edge_triggered_events_come_once)
{
	struct end a;

	open_end(&a, EPOLLIN | EPOLLOUT | EPOLLET);
	poke(&a);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	ck_assert_uint_eq(a.events, 1);
	ck_assert_uint_eq(a.last, EPOLLIN | EPOLLOUT);
	close_end(&a);
}
END_TEST

START_TEST(rewatching_changes_the_events)
{
	struct end a;

	open_end(&a, EPOLLIN);
	ck_assert_int_eq(loop_rewatch(loop, &a.io, EPOLLOUT), 0);
	loop_turn(loop, 0);
	ck_assert_uint_eq(a.last, EPOLLOUT);
	loop_unwatch(loop, &a.io);
	loop_unwatch(loop, &a.io);
	loop_turn(loop, 0);
	ck_assert_uint_eq(a.events, 1);
	ck_assert_int_eq(loop_watch(loop, &a.io, EPOLLOUT), 0);
	loop_turn(loop, 0);
	ck_assert_uint_eq(a.events, 2);
	close_end(&a);
}
END_TEST

START_TEST(what_cannot_be_watched_is_an_error)
{
	struct loop_io io = { note, open("/dev/null", O_RDONLY | O_CLOEXEC), 0 };

	/* epoll takes /dev/null as little as any file; the next user of the number is not hindered. */
	ck_assert_int_eq(loop_watch(loop, &io, EPOLLIN), -1);
	ck_assert_int_eq(loop_watch(loop, &io, EPOLLIN), -1);
	loop_close(loop, &io);
	ck_assert_int_eq(io.fd, -1);
}
END_TEST

/* Of two ends that are both ready, the one called first does something to the other. */
static struct end first, second, *third;
static void (*treat)(struct end *victim);

static void
treat_other(struct loop_io *io, uint32_t events)
{
	struct end *other = io == &first.io ? &second : &first;

	note(io, events);
	if (treat != NULL)
		treat(other);
	treat = NULL;
}

static void
unwatch_it(struct end *victim)
{
	loop_unwatch(loop, &victim->io);
}

static void
close_it(struct end *victim)
{
	loop_close(loop, &victim->io);
}

/* The number goes to a new descriptor at once, and its io lies elsewhere. */
static void
reuse_number(struct end *victim)
{
	int number = victim->io.fd;

	loop_close(loop, &victim->io);
	third = mem_alloc(sizeof(*third));
	open_end(third, EPOLLIN);
	ck_assert_int_eq(third->io.fd, number);
}

/* The same io and the same number: as a connection's memory that is used again. */
static void
reuse_both(struct end *victim)
{
	int ends[2], number = victim->io.fd;

	loop_close(loop, &victim->io);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	ck_assert_int_eq(ends[0], number);
	victim->io.fd = ends[0];
	ck_assert_int_eq(loop_watch(loop, &victim->io, EPOLLIN), 0);
}

static void
watch_again(struct end *victim)
{
	loop_unwatch(loop, &victim->io);
	ck_assert_int_eq(loop_watch(loop, &victim->io, EPOLLPRI), 0);
}

static void
ask_for_less(struct end *victim)
{
	ck_assert_int_eq(loop_rewatch(loop, &victim->io, EPOLLPRI), 0);
}

static const struct {
	const char *name;
	void (*treat)(struct end *victim);
} treatments[] = {
	{ "unwatched", unwatch_it },
	{ "closed", close_it },
	{ "closed, its number reused", reuse_number },
	{ "closed, its number and its memory reused", reuse_both },
	{ "watched for something else", watch_again },
	{ "rewatched for less", ask_for_less },
};

START_TEST(an_event_fetched_earlier_in_the_turn_is_not_delivered)
{
	open_end(&first, EPOLLIN);
	open_end(&second, EPOLLIN);
	first.io.on_events = second.io.on_events = treat_other;
	poke(&first);
	poke(&second);
	treat = treatments[_i].treat;
	loop_turn(loop, 0);
	ck_assert_msg(first.events + second.events == 1, "%s", treatments[_i].name);
	ck_assert(third == NULL || third->events == 0);
}
END_TEST

#define CROWD 8

static struct end *crowd[CROWD];
static unsigned calls;

static void
free_crowd(struct loop_io *io, uint32_t events)
{
	(void)io;
	(void)events;
	calls++;
	for (int i = 0; i < CROWD; i++) {
		close_end(crowd[i]);
		mem_free(crowd[i]);
	}
}

/* Under AddressSanitizer a look at one of the freed would show. */
START_TEST(an_event_of_an_io_that_was_freed_touches_no_memory)
{
	calls = 0;
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = mem_alloc(sizeof(*crowd[i]));
		open_end(crowd[i], EPOLLIN);
		crowd[i]->io.on_events = free_crowd;
		poke(crowd[i]);
	}
	loop_turn(loop, 0);
	ck_assert_uint_eq(calls, 1);
}
END_TEST

/* Timers and tasks write their letter into the diary, so that the order can be read. */
struct entry {
	struct loop_task task;
	struct loop_timer timer;
	char letter;
	void (*then)(struct entry *entry);
};

static void
write_letter(struct entry *entry)
{
	size_t len = strlen(diary);

	if (len + 1 < sizeof(diary))
		diary[len] = entry->letter;
	if (entry->then != NULL)
		entry->then(entry);
}

static void
run_task(struct loop_task *task)
{
	write_letter(LIST_ENTRY(task, struct entry, task));
}

static void
run_timer(struct loop_timer *timer)
{
	write_letter(LIST_ENTRY(timer, struct entry, timer));
}

#define ENTRY(x, next) { .task.run = run_task, .timer.on_time = run_timer, .letter = (x), .then = (next) }

static void
again(struct entry *entry)
{
	loop_again(loop, &entry->task);
}

static void
costly(struct entry *entry)
{
	loop_costly(loop, &entry->task);
}

static void
bury(struct entry *entry)
{
	loop_bury(loop, &entry->task);
}

START_TEST(a_turn_runs_timers_then_ready_then_costly_then_burials)
{
	struct entry t = ENTRY('t', NULL), a = ENTRY('a', NULL), c = ENTRY('c', NULL), d = ENTRY('d', NULL);

	bury(&d);
	costly(&c);
	again(&a);
	loop_timer_set(loop, &t.timer, 0);
	nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	loop_turn(loop, -1);
	ck_assert_str_eq(diary, "tacd");
}
END_TEST

START_TEST(who_dies_behind_the_last_turn_is_buried_with_the_loop)
{
	struct entry a = ENTRY('a', NULL), d = ENTRY('d', NULL);

	again(&a);
	bury(&d);
	loop_free(&loop);
	ck_assert_str_eq(diary, "d");
}
END_TEST

START_TEST(what_asks_for_another_turn_gets_one_a_turn)
{
	struct entry a = ENTRY('a', again), c = ENTRY('c', costly);

	again(&a);
	again(&a);
	costly(&c);
	costly(&c);
	loop_turn(loop, -1);
	ck_assert_str_eq(diary, "ac");
	loop_turn(loop, -1);
	ck_assert_str_eq(diary, "acac");
	loop_drop(&a.task);
	loop_drop(&a.task);
	loop_turn(loop, -1);
	ck_assert_str_eq(diary, "acacc");
}
END_TEST

/* The clock stands for the work: 3 ms are more than a turn has. */
static void
take_long(struct entry *entry)
{
	struct timespec start, now;

	(void)entry;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 3000000);
}

static void
take_long_and_again(struct entry *entry)
{
	take_long(entry);
	costly(entry);
}

START_TEST(costly_work_is_shared_out_over_turns_oldest_first)
{
	struct entry a = ENTRY('a', take_long_and_again), b = ENTRY('b', take_long), c = ENTRY('c', take_long);
	struct entry x = ENTRY('.', again);

	costly(&a);
	costly(&b);
	costly(&c);
	costly(&a);     /* keeps its place */
	again(&x);
	for (int i = 0; i < 4; i++)
		loop_turn(loop, -1);
	ck_assert_str_eq(diary, ".a.b.c.a");
}
END_TEST

static struct entry grave = ENTRY('g', NULL);

static void
bury_grave(struct entry *entry)
{
	(void)entry;
	bury(&grave);
	again(&grave);  /* the dead stay dead */
}

START_TEST(the_dead_are_buried_this_turn_even_if_they_had_other_plans)
{
	struct entry a = ENTRY('a', bury_grave);

	again(&a);
	again(&grave);
	costly(&grave);
	loop_turn(loop, 0);
	ck_assert_str_eq(diary, "ag");
	/* A burial may cause another. */
	grave.then = NULL;
	a.then = bury_grave;
	bury(&a);
	loop_turn(loop, -1);
	ck_assert_str_eq(diary, "agag");
}
END_TEST

START_TEST(the_loop_wakes_for_the_next_timer_and_not_before_it)
{
	struct entry early = ENTRY('e', NULL), late = ENTRY('l', NULL), moved = ENTRY('m', NULL);
	uint64_t start = loop_now_ms(loop);

	loop_timer_set(loop, &late.timer, 30);
	loop_timer_set(loop, &moved.timer, 5);
	loop_timer_set(loop, &early.timer, 10);
	loop_timer_set(loop, &moved.timer, 3600000);
	while (loop_timer_is_set(&late.timer))
		loop_turn(loop, -1);
	ck_assert_str_eq(diary, "el");
	ck_assert_uint_ge(loop_now_ms(loop), start + 30);
	ck_assert(loop_timer_is_set(&moved.timer));
	loop_timer_stop(&moved.timer);
}
END_TEST

START_TEST(the_end_of_time_can_be_asked_for)
{
	struct entry t = ENTRY('t', NULL);

	loop_timer_set(loop, &t.timer, UINT64_MAX);
	loop_turn(loop, 0);
	ck_assert(loop_timer_is_set(&t.timer));
	loop_timer_stop(&t.timer);
	ck_assert_str_eq(diary, "");
}
END_TEST

START_TEST(a_coarse_clock_shows_multiples)
{
	struct entry t = ENTRY('t', NULL);

	loop_set_resolution(loop, 20);
	loop_timer_set(loop, &t.timer, 30);
	while (loop_timer_is_set(&t.timer)) {
		loop_turn(loop, -1);
		ck_assert_uint_eq(loop_now_ms(loop) % 20, 0);
	}
	ck_assert_str_eq(diary, "t");
}
END_TEST

static void
stop(struct entry *entry)
{
	(void)entry;
	loop_stop(loop);
}

START_TEST(a_stopped_loop_finishes_its_turn)
{
	struct entry a = ENTRY('a', stop), d = ENTRY('d', NULL);

	again(&a);
	bury(&d);
	loop_run(loop);
	ck_assert_str_eq(diary, "ad");
	loop_stop(loop);
	loop_run(loop);
}
END_TEST

static void
on_alarm(int number)
{
	(void)number;
}

START_TEST(a_signal_does_no_harm)
{
	struct entry t = ENTRY('t', NULL);
	struct sigaction action = { .sa_handler = on_alarm };
	timer_t timer;
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };

	sigaction(SIGALRM, &action, NULL);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &often, NULL), 0);
	loop_timer_set(loop, &t.timer, 20);
	while (loop_timer_is_set(&t.timer))
		loop_turn(loop, -1);
	timer_delete(timer);
}
END_TEST

Suite *
loop_suite(void)
{
	Suite *suite = suite_create("loop");
	TCase *tcase = tcase_create("loop");

	tcase_add_checked_fixture(tcase, make_loop, free_loop);
	tcase_add_test(tcase, an_event_reaches_its_io);
	tcase_add_test(tcase, edge_triggered_events_come_once);
	tcase_add_test(tcase, rewatching_changes_the_events);
	tcase_add_test(tcase, what_cannot_be_watched_is_an_error);
	tcase_add_loop_test(tcase, an_event_fetched_earlier_in_the_turn_is_not_delivered, 0, UNIT_COUNT(treatments));
	tcase_add_test(tcase, an_event_of_an_io_that_was_freed_touches_no_memory);
	tcase_add_test(tcase, a_turn_runs_timers_then_ready_then_costly_then_burials);
	tcase_add_test(tcase, who_dies_behind_the_last_turn_is_buried_with_the_loop);
	tcase_add_test(tcase, what_asks_for_another_turn_gets_one_a_turn);
	tcase_add_test(tcase, costly_work_is_shared_out_over_turns_oldest_first);
	tcase_add_test(tcase, the_dead_are_buried_this_turn_even_if_they_had_other_plans);
	tcase_add_test(tcase, the_loop_wakes_for_the_next_timer_and_not_before_it);
	tcase_add_test(tcase, the_end_of_time_can_be_asked_for);
	tcase_add_test(tcase, a_coarse_clock_shows_multiples);
	tcase_add_test(tcase, a_stopped_loop_finishes_its_turn);
	tcase_add_test(tcase, a_signal_does_no_harm);
	suite_add_tcase(suite, tcase);
	return suite;
}
