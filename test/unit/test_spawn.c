#include "master/spawn.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ipc.h"
#include "test/unit/capture.h"
#include "test/unit/unit.h"

static struct loop *loop;
static struct board *board;
static struct spawn *spawn;

/* What happened, in memory that the children share. */
static struct {
	_Atomic int births, ready, room, failed, gone, reads;
} *seen;

/* What the next children do. */
static enum { SERVE, DIE, SPEAK_NONSENSE, SEND_NOTHING, READ_LATE, DIE_FATALLY, FAIL, BE_ANOTHER } manner;

static void
send_nonsense(int channel)
{
	static const struct ipc_message unknown = { .kind = 4711 };

	ipc_send(channel, &unknown, STDERR_FILENO);
	if (send(channel, "rubbish", 7, 0) != 7)
		_exit(9);
}

static _Noreturn void
read_late(int channel)
{
	struct ipc_message message;
	int fd;

	for (;;)
		if (seen->reads == 0 || ipc_recv(channel, &message, &fd) != 1)
			usleep(1000);
}

static void
become(struct place *place, int channel)
{
	const struct ipc_message ready = { .kind = IPC_READY, .index = ipc_version() + (manner == BE_ANOTHER) };
	const struct ipc_message failed = { .kind = IPC_FAILED, .index = ipc_version(), .value = -1 };

	seen->births++;
	if (manner == SPEAK_NONSENSE)
		send_nonsense(channel);
	if (manner == FAIL)
		ipc_send(channel, &failed, -1);
	if (manner == DIE || manner == FAIL)
		_exit(1);
	ipc_send(channel, &ready, -1);
	if (manner == DIE_FATALLY)
		_exit(IPC_EXIT_FATAL);
	if (manner == SEND_NOTHING)
		send(channel, "", 0, 0);
	if (manner == READ_LATE)
		read_late(channel);
	strcpy(board_slot(spawn_board(place->spawn), place->slot)->last_words, "I was\nhere");
	for (;;)
		pause();
}

static void
on_ready(struct place *place, int64_t value)
{
	ck_assert(place->proven);
	ck_assert_int_eq(value, 0);
	seen->ready++;
}

static void
on_room(struct place *place)
{
	ck_assert_int_gt(place->pid, 0);
	seen->room++;
}

static void
on_failed(struct place *place)
{
	ck_assert_int_eq(place->pid, 0);
	seen->failed++;
}

static void
on_gone(struct place *place)
{
	ck_assert_ptr_null(place->spawn);
	seen->gone++;
}

static const struct place_role role = {
	.name = "test process", .kind = BOARD_WORKER, .knows_end = true, .become = become, .ready = on_ready, .room = on_room,
	.failed = on_failed, .gone = on_gone,
};

static void
set_up(void)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(seen, MAP_FAILED);
	loop = loop_new(8);
	board = board_new(0);
	spawn = spawn_new(loop, board, true);
	capture_begin();
}

static void
tear_down(void)
{
	capture_end();
	spawn_free(&spawn);
	board_free(&board);
	loop_free(&loop);
	munmap(seen, sizeof(*seen));
}

static void
open_place(struct place *place)
{
	ck_assert_int_eq(place_open(spawn, place, &role, 1), 0);
}

static void
wait_until(_Atomic int *count, int value)
{
	while (*count < value)
		loop_turn(loop, -1);
}

/* The master's SIGCHLD, at once. */
static void
reap_one(void)
{
	int status;
	pid_t pid = waitpid(-1, &status, 0);

	ck_assert_int_gt(pid, 0);
	ck_assert(spawn_reaped(spawn, pid, status));
}

static void
end_place(struct place *place)
{
	place_retire(place, SIGKILL);
	if (place->spawn != NULL)
		reap_one();
	ck_assert(spawn_is_empty(spawn));
}

START_TEST(a_process_that_was_ready_is_replaced_at_once)
{
	struct place place = { 0 };
	pid_t first;

	manner = SERVE;
	open_place(&place);
	first = place.pid;
	wait_until(&seen->ready, 1);
	kill(first, SIGKILL);
	reap_one();
	ck_assert_int_gt(place.pid, 0);
	ck_assert_int_ne(place.pid, first);
	ck_assert_ptr_nonnull(strstr(capture_text(), "exited on signal 9\n"));
	end_place(&place);
	ck_assert_int_eq(seen->ready, 1);
	ck_assert_int_eq(seen->gone, 1);
}
END_TEST

START_TEST(a_process_of_another_version_is_none)
{
	struct place place = { 0 };

	manner = BE_ANOTHER;
	open_place(&place);
	while (strstr(capture_text(), "is of another version than its master") == NULL)
		loop_turn(loop, 100);
	reap_one();
	ck_assert_int_eq(seen->ready, 0);
	ck_assert_int_eq(seen->failed, 1);
	end_place(&place);
}
END_TEST

START_TEST(who_keeps_dying_is_waited_for_with_growing_patience)
{
	struct place place = { 0 };

	manner = SERVE;
	open_place(&place);
	wait_until(&seen->ready, 1);
	kill(place.pid, SIGKILL);
	manner = DIE;
	reap_one();
	for (uint64_t patience_ms = 1000; patience_ms <= 64000; patience_ms *= 2) {
		reap_one();
		ck_assert_int_eq(place.pid, 0);
		ck_assert(loop_timer_is_set(&place.timer));
		ck_assert_uint_eq(place.timer.due_ms - loop_now_ms(loop), patience_ms < 30000 ? patience_ms : 30000);
		place.timer.on_time(&place.timer);
	}
	reap_one();
	end_place(&place);
	ck_assert_int_eq(seen->failed, 0);
}
END_TEST

START_TEST(who_dies_before_it_was_ever_ready_is_not_replaced)
{
	struct place place = { 0 };

	manner = _i == 0 ? DIE : FAIL;
	open_place(&place);
	reap_one();
	ck_assert_int_eq(seen->failed, 1);
	ck_assert_int_eq(place.pid, 0);
	ck_assert_int_eq(seen->births, 1);
	end_place(&place);
}
END_TEST

START_TEST(a_fatal_exit_is_not_replaced)
{
	struct place place = { 0 };

	manner = DIE_FATALLY;
	open_place(&place);
	wait_until(&seen->ready, 1);
	reap_one();
	ck_assert_int_eq(seen->failed, 1);
	ck_assert_ptr_nonnull(strstr(capture_text(), "exited with fatal code 2 and cannot be respawned\n"));
	end_place(&place);
}
END_TEST

/* A module of PAM may call exit(2). */
START_TEST(where_foreign_code_runs_no_exit_is_fatal)
{
	static struct place_role foreign;
	struct place place = { 0 };

	foreign = role;
	foreign.knows_end = false;
	manner = DIE_FATALLY;
	ck_assert_int_eq(place_open(spawn, &place, &foreign, 1), 0);
	wait_until(&seen->ready, 1);
	manner = SERVE;
	reap_one();
	ck_assert_int_gt(place.pid, 0);
	ck_assert_int_eq(seen->failed, 0);
	ck_assert_ptr_nonnull(strstr(capture_text(), "exited with code 2\n"));
	end_place(&place);
}
END_TEST

START_TEST(nonsense_is_ignored_and_said_once)
{
	struct place place = { 0 };
	const char *line;

	manner = SPEAK_NONSENSE;
	open_place(&place);
	wait_until(&seen->ready, 1);
	line = strstr(capture_text(), "sent a message that means nothing, ignored\n");
	ck_assert_ptr_nonnull(line);
	ck_assert_ptr_null(strstr(line + 1, "sent a message"));
	end_place(&place);
}
END_TEST

START_TEST(last_words_are_logged_in_one_line)
{
	struct place place = { 0 };
	char want[128];

	manner = SERVE;
	open_place(&place);
	wait_until(&seen->ready, 1);
	snprintf(want, sizeof(want), "last words of test process %ld: I was\\x0Ahere\n", (long)place.pid);
	while (board_slot(board, place.slot)->last_words[9] == '\0')
		usleep(1000);
	end_place(&place);
	ck_assert_ptr_nonnull(strstr(capture_text(), want));
}
END_TEST

START_TEST(a_closed_channel_is_how_some_are_told_to_go)
{
	struct place place = { 0 };

	manner = SERVE;
	open_place(&place);
	wait_until(&seen->ready, 1);
	place_retire(&place, 0);
	ck_assert_int_eq(place.channel.fd, -1);
	ck_assert_int_gt(place.pid, 0);
	/* This one does not notice. */
	place.timer.on_time(&place.timer);
	reap_one();
	ck_assert_int_eq(seen->gone, 1);
	ck_assert(spawn_is_empty(spawn));
}
END_TEST

START_TEST(an_empty_place_is_retired_at_once)
{
	struct place place = { 0 };

	manner = DIE;
	open_place(&place);
	reap_one();
	place_retire(&place, SIGQUIT);
	ck_assert_int_eq(seen->gone, 1);
	place_retire(&place, SIGTERM);
	ck_assert_int_eq(seen->gone, 1);
}
END_TEST

START_TEST(nobody_is_told_where_nobody_was_ever_made)
{
	static const struct ipc_message message = { .kind = IPC_LOGFILE };
	struct place place = { 0 };

	ck_assert_int_eq(place_tell(&place, &message, STDERR_FILENO), 0);
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

START_TEST(who_reads_slowly_is_told_the_rest_when_there_is_room)
{
	static const struct ipc_message message = { .kind = IPC_LOGFILE };
	struct place place = { 0 };
	int got;

	manner = READ_LATE;
	open_place(&place);
	wait_until(&seen->ready, 1);
	while ((got = place_tell(&place, &message, -1)) == 0)
		continue;
	ck_assert_int_eq(got, 1);
	loop_turn(loop, 0);
	ck_assert_int_eq(seen->room, 0);
	seen->reads = 1;
	wait_until(&seen->room, 1);
	ck_assert_int_eq(place_tell(&place, &message, -1), 0);
	ck_assert_ptr_null(strstr(capture_text(), "failed"));
	end_place(&place);
	ck_assert_int_eq(seen->room, 1);
}
END_TEST

START_TEST(an_empty_packet_is_a_farewell)
{
	static const struct ipc_message message = { .kind = IPC_LOGFILE };
	struct place place = { 0 };

	manner = SEND_NOTHING;
	open_place(&place);
	wait_until(&seen->ready, 1);
	while (place.channel.fd != -1)
		loop_turn(loop, -1);
	ck_assert_int_eq(place_tell(&place, &message, -1), 0);
	end_place(&place);
}
END_TEST

START_TEST(strangers_are_not_ours)
{
	ck_assert(!spawn_reaped(spawn, 1, 0));
}
END_TEST

Suite *
spawn_suite(void)
{
	Suite *suite = suite_create("spawn");
	TCase *tcase = tcase_create("spawn");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_process_that_was_ready_is_replaced_at_once);
	tcase_add_test(tcase, a_process_of_another_version_is_none);
	tcase_add_test(tcase, who_keeps_dying_is_waited_for_with_growing_patience);
	tcase_add_loop_test(tcase, who_dies_before_it_was_ever_ready_is_not_replaced, 0, 2);
	tcase_add_test(tcase, a_fatal_exit_is_not_replaced);
	tcase_add_test(tcase, where_foreign_code_runs_no_exit_is_fatal);
	tcase_add_test(tcase, nonsense_is_ignored_and_said_once);
	tcase_add_test(tcase, last_words_are_logged_in_one_line);
	tcase_add_test(tcase, a_closed_channel_is_how_some_are_told_to_go);
	tcase_add_test(tcase, an_empty_place_is_retired_at_once);
	tcase_add_test(tcase, nobody_is_told_where_nobody_was_ever_made);
	tcase_add_test(tcase, who_reads_slowly_is_told_the_rest_when_there_is_room);
	tcase_add_test(tcase, an_empty_packet_is_a_farewell);
	tcase_add_test(tcase, strangers_are_not_ours);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}
