#include "master/settle.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ipc.h"
#include "master/spawn.h"
#include "test/unit/capture.h"
#include "test/unit/unit.h"

#define WORKERS 4

static struct loop *loop;
static struct board *board;
static struct spawn *spawn;
static struct settle *settle;
static bool held;
static int ready;

/* What children do and have done, in memory that they share. */
static struct {
	_Atomic int asked, refuse, silent, early, mute;
	_Atomic int first, count, pid;  /* of the last question, and who was asked */
} *seen;

/* --- the children --- */

static void
answer(int channel, const struct ipc_message *question)
{
	struct ipc_message done = { .kind = IPC_SETTLED, .index = question->index, .value = 1 };

	seen->first = (int)question->index;
	seen->count = (int)question->value;
	seen->pid = getpid();
	seen->asked++;
	if (seen->refuse > 0) {
		seen->refuse--;
		done.value = 0;
	}
	if (!seen->silent)
		ipc_send(channel, &done, -1);
}

static void
become(struct place *place, int channel)
{
	const struct ipc_message is_ready = { .kind = IPC_READY, .index = ipc_version() };
	static const struct ipc_message strange = { .kind = IPC_SETTLED, .index = 900 };
	struct ipc_message message;
	int fd;

	(void)place;
	while (ipc_recv(channel, &message, &fd) == 1) {
		seen->early++;
		answer(channel, &message);
	}
	if (!seen->mute)
		ipc_send(channel, &is_ready, -1);
	ipc_send(channel, &strange, -1);
	for (;;)
		if (ipc_recv(channel, &message, &fd) == 1)
			answer(channel, &message);
		else
			usleep(500);
}

static void
on_ready(struct place *place, int64_t value)
{
	(void)place;
	(void)value;
	ready++;
}

static void
on_end(struct place *place)
{
	(void)place;
}

static const struct place_role worker = {
	.name = "worker", .kind = BOARD_WORKER, .become = become, .ready = on_ready, .failed = on_end, .gone = on_end,
};

static const struct place_role helper = {
	.name = "helper", .kind = BOARD_HELPER, .become = become, .ready = on_ready, .failed = on_end, .gone = on_end,
};

/* --- the master --- */

static void
on_awaited(void *ctx, struct place *place)
{
	(void)ctx;
	settle_awaited(settle, place);
}

static bool
on_left(void *ctx, struct place *place)
{
	(void)ctx;
	return settle_left(settle, place, held);
}

static bool
on_settled(void *ctx, struct place *place, const struct ipc_message *message)
{
	(void)ctx;
	return settle_answered(settle, place, message);
}

static const struct spawn_heir heir = { NULL, on_awaited, on_left, on_settled };

static void
set_up(void)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(seen, MAP_FAILED);
	loop = loop_new(8);
	board = board_new(0);
	spawn = spawn_new(loop, board, true);
	settle = settle_new(loop, spawn);
	spawn_set_heir(spawn, &heir);
	held = true;
	ready = 0;
	capture_begin();
}

static void
tear_down(void)
{
	capture_end();
	settle_free(&settle);
	spawn_free(&spawn);
	board_free(&board);
	loop_free(&loop);
	munmap(seen, sizeof(*seen));
}

static void
open_place(struct place *place, const struct place_role *role, uint32_t generation)
{
	int before = ready;

	ck_assert_int_eq(place_open(spawn, place, role, generation), 0);
	while (ready == before && !seen->mute)
		loop_turn(loop, -1);
}

static void
reap_one(void)
{
	int status;
	pid_t pid = waitpid(-1, &status, 0);

	ck_assert(spawn_reaped(spawn, pid, status));
}

static void
kill_one(struct place *place)
{
	kill(place->pid, SIGKILL);
	reap_one();
}

static void
end_place(struct place *place)
{
	place_retire(place, SIGKILL);
	if (place->spawn != NULL)
		reap_one();
}

static void
wait_settled(void)
{
	while (settle_count(settle) > 0)
		loop_turn(loop, -1);
}

static void
wait_asked(int count)
{
	while (seen->asked < count)
		loop_turn(loop, 1);
}

/* --- the tests --- */

START_TEST(a_dead_workers_slot_is_kept_until_it_is_settled)
{
	struct place places[2] = { 0 };
	uint32_t slot;

	open_place(&places[0], &worker, 1);
	open_place(&places[1], &worker, 1);
	slot = places[0].slot;
	kill_one(&places[0]);
	ck_assert_uint_eq(settle_count(settle), 1);
	ck_assert_uint_eq(board_slot(board, slot)->kind, BOARD_FREE);
	ck_assert_uint_ne(places[0].slot, slot);        /* it was filled again at once */
	wait_settled();
	ck_assert_int_eq(seen->asked, 1);
	ck_assert_int_eq(seen->early, 0);
	ck_assert_uint_eq(board_take(board, BOARD_WORKER, 1), slot);
	end_place(&places[0]);
	end_place(&places[1]);
}
END_TEST

START_TEST(who_has_nothing_to_leave_leaves_its_slot_at_once)
{
	struct place places[2] = { 0 };
	uint32_t slot;

	held = _i != 0;
	open_place(&places[0], _i == 1 ? &helper : &worker, 1);
	open_place(&places[1], &worker, 1);
	slot = places[0].slot;
	if (_i == 2)
		held = false;
	kill_one(&places[0]);
	ck_assert_uint_eq(settle_count(settle), 0);
	ck_assert_uint_eq(places[0].slot, slot);
	held = false;
	end_place(&places[0]);
	end_place(&places[1]);
	ck_assert_int_eq(seen->asked, 0);
}
END_TEST

START_TEST(where_no_worker_lives_the_next_one_settles_before_it_is_ready)
{
	struct place place = { 0 };
	uint32_t slot;

	open_place(&place, &worker, 1);
	slot = place.slot;
	kill_one(&place);
	ck_assert_int_gt(place.pid, 0);
	ck_assert_uint_ne(place.slot, slot);
	wait_settled();
	ck_assert_int_eq(seen->early, 1);
	end_place(&place);
}
END_TEST

/* The question has all of them in it; nobody's slot is ours to free. */
START_TEST(the_dead_of_another_master_are_settled_by_one_of_ours)
{
	struct place places[2] = { 0 };
	struct board_span theirs = BOARD_HALF_OF(1);

	open_place(&places[0], &worker, 2);
	open_place(&places[1], &worker, 3);
	settle_others(settle, theirs, 3);
	ck_assert(settle_owes_others(settle));
	wait_settled();
	ck_assert(!settle_owes_others(settle));
	ck_assert_int_eq(seen->first, BOARD_HALF);
	ck_assert_int_eq(seen->count, BOARD_HALF);
	ck_assert_int_eq(seen->pid, places[1].pid);     /* the other has not all zones */
	kill_one(&places[0]);
	ck_assert_uint_eq(settle_count(settle), 1);
	ck_assert(!settle_owes_others(settle));
	wait_settled();
	end_place(&places[0]);
	end_place(&places[1]);
}
END_TEST

START_TEST(who_dies_over_it_is_settled_in_turn)
{
	struct place places[WORKERS] = { 0 };

	for (int i = 0; i < WORKERS; i++)
		open_place(&places[i], &worker, 1);
	seen->silent = 1;
	kill_one(&places[0]);
	wait_asked(1);
	kill_one(&places[1]);           /* the first that could be asked */
	ck_assert_uint_eq(settle_count(settle), 2);
	wait_asked(3);
	seen->silent = 0;
	for (int i = 0; i < WORKERS; i++)       /* whoever it was that did not answer */
		if (places[i].pid != 0)
			kill_one(&places[i]);
	for (int i = 0; i < WORKERS; i++)
		if (places[i].pid == 0)
			places[i].timer.on_time(&places[i].timer);
	wait_settled();
	for (int i = 0; i < WORKERS; i++)
		end_place(&places[i]);
}
END_TEST

START_TEST(what_could_not_all_be_had_is_asked_for_again)
{
	struct place places[2] = { 0 };

	open_place(&places[0], &worker, 1);
	open_place(&places[1], &worker, 1);
	seen->refuse = 2;
	kill_one(&places[0]);
	wait_settled();
	ck_assert_int_eq(seen->asked, 3);
	end_place(&places[0]);
	end_place(&places[1]);
}
END_TEST

START_TEST(an_older_worker_has_not_all_zones_but_one_that_is_forked_now_has)
{
	struct place old = { 0 }, new = { 0 };

	open_place(&old, &worker, 1);
	open_place(&new, &worker, 2);
	place_retire(&new, SIGKILL);
	reap_one();
	ck_assert_uint_eq(settle_count(settle), 1);
	loop_turn(loop, 0);
	ck_assert_int_eq(seen->asked, 0);
	kill_one(&old);                 /* it is started again */
	wait_settled();
	ck_assert_int_eq(seen->early, 2);
	end_place(&old);
}
END_TEST

START_TEST(the_younger_settle_for_the_old)
{
	struct place old = { 0 }, new = { 0 };

	open_place(&old, &worker, 1);
	open_place(&new, &worker, 2);
	place_retire(&old, SIGKILL);
	reap_one();
	wait_settled();
	ck_assert_int_eq(seen->asked, 1);
	ck_assert_int_eq(seen->early, 0);
	end_place(&new);
}
END_TEST

START_TEST(an_answer_that_nobody_asked_for_is_nonsense)
{
	struct place place = { 0 };

	open_place(&place, &worker, 1);
	while (strstr(capture_text(), "a message that means nothing") == NULL)
		loop_turn(loop, 1);
	end_place(&place);
}
END_TEST

/* More than fit into a channel: they die before anybody can settle. */
START_TEST(any_number_is_settled_in_the_end)
{
	struct place places[WORKERS] = { 0 };
	int deaths = 0;

	for (int i = 0; i < WORKERS; i++)
		open_place(&places[i], &worker, 1);
	for (int round = 0; round < 80; round++) {
		for (int i = 0; i < WORKERS; i++) {
			if (places[i].pid == 0)
				places[i].timer.on_time(&places[i].timer);
			kill_one(&places[i]);
			deaths++;
		}
	}
	ck_assert_uint_le(settle_count(settle), (unsigned)deaths);
	for (int i = 0; i < WORKERS; i++)
		if (places[i].pid == 0)
			places[i].timer.on_time(&places[i].timer);
	wait_settled();
	for (int i = 0; i < WORKERS; i++)
		end_place(&places[i]);
}
END_TEST

Suite *
settle_suite(void)
{
	Suite *suite = suite_create("settle");
	TCase *tcase = tcase_create("settle");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_dead_workers_slot_is_kept_until_it_is_settled);
	tcase_add_loop_test(tcase, who_has_nothing_to_leave_leaves_its_slot_at_once, 0, 3);
	tcase_add_test(tcase, where_no_worker_lives_the_next_one_settles_before_it_is_ready);
	tcase_add_test(tcase, the_dead_of_another_master_are_settled_by_one_of_ours);
	tcase_add_test(tcase, who_dies_over_it_is_settled_in_turn);
	tcase_add_test(tcase, what_could_not_all_be_had_is_asked_for_again);
	tcase_add_test(tcase, an_older_worker_has_not_all_zones_but_one_that_is_forked_now_has);
	tcase_add_test(tcase, the_younger_settle_for_the_old);
	tcase_add_test(tcase, an_answer_that_nobody_asked_for_is_nonsense);
	tcase_add_test(tcase, any_number_is_settled_in_the_end);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}
