#include "common/board.h"

#include <string.h>

#include "test/unit/child.h"
#include "test/unit/unit.h"

START_TEST(slots_of_a_half_are_given_lowest_first_until_all_are_taken)
{
	struct board *board = board_new((unsigned)_i);
	uint32_t first = _i == 0 ? 0 : BOARD_HALF, workers;

	for (uint32_t i = 0; i < BOARD_HALF; i++)
		ck_assert_uint_eq(board_take(board, BOARD_WORKER, 1), first + i);
	ck_assert_uint_eq(board_take(board, BOARD_WORKER, 1), BOARD_NO_SLOT);
	board_mean_sessions(board, 1, &workers);
	ck_assert_uint_eq(workers, BOARD_HALF);
	board_release(board, first + 7);
	board_release(board, first + 3);
	ck_assert_uint_eq(board_take(board, BOARD_HELPER, 2), first + 3);
	ck_assert_uint_eq(board_take(board, BOARD_HELPER, 2), first + 7);
	board_free(&board);
	ck_assert_ptr_null(board);
}
END_TEST

START_TEST(a_slot_taken_again_keeps_counters_and_loses_gauges)
{
	struct board *board = board_new(0);
	uint32_t index = board_take(board, BOARD_WORKER, 1);
	struct board_slot *slot = board_slot(board, index);

	slot->pid = 4711;
	slot->sessions = slot->logged_in = slot->paused = slot->draining = 5;
	slot->accepted = slot->logins = slot->failures = slot->bytes_in = slot->bytes_out = 6;
	strcpy(slot->last_words, "alas");
	board_release(board, index);
	ck_assert(slot->kind == BOARD_FREE && slot->sessions == 0);
	ck_assert_str_eq(slot->last_words, "alas");
	ck_assert_uint_eq(board_take(board, BOARD_HELPER, 2), index);
	ck_assert(slot->kind == BOARD_HELPER && slot->generation == 2 && slot->pid == 0);
	ck_assert(slot->sessions == 0 && slot->logged_in == 0 && slot->paused == 0 && slot->draining == 0);
	ck_assert(slot->accepted == 6 && slot->logins == 6 && slot->failures == 6);
	ck_assert(slot->bytes_in == 6 && slot->bytes_out == 6);
	ck_assert_str_eq(slot->last_words, "");
	board_free(&board);
}
END_TEST

static int
go_mad(void *data)
{
	struct board *board = data;

	for (uint32_t i = 0; i < BOARD_SLOTS; i++)
		memset(board_slot(board, i), 0xff, sizeof(struct board_slot));
	for (uint32_t i = 0; i < BOARD_SLOTS; i++)
		board_slot(board, i)->kind = BOARD_FREE;
	return 0;
}

START_TEST(a_mad_child_does_not_make_the_master_give_a_slot_twice)
{
	struct board *board = board_new(0);
	uint32_t workers;

	ck_assert_uint_eq(board_take(board, BOARD_WORKER, 1), 0);
	ck_assert_int_eq(child_run(go_mad, board), 0);
	ck_assert_uint_eq(board_take(board, BOARD_WORKER, 1), 1);
	ck_assert_uint_eq(board_slot(board, 1)->sessions, 0);
	board_mean_sessions(board, 1, &workers);
	ck_assert_uint_eq(workers, 1);
	board_free(&board);
}
END_TEST

static int
take_numbers(void *data)
{
	for (int i = 0; i < 10000; i++)
		board_next_connection(data);
	return 0;
}

START_TEST(connection_numbers_are_unique_over_all_children)
{
	struct board *board = board_new(0);
	pid_t children[3];

	ck_assert_uint_eq(board_next_connection(board), 1);
	for (int i = 0; i < 3; i++)
		children[i] = child_start(take_numbers, board);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(child_wait(children[i]), 0);
	ck_assert_uint_eq(board_next_connection(board), 30002);
	board_free(&board);
}
END_TEST

/* Generation 3 is asked for. */
static const struct {
	enum board_kind kind;
	uint32_t generation, sessions, draining, paused;
} children[] = {
	{ BOARD_WORKER, 3, 10,  0, 0 },
	{ BOARD_HELPER, 3, 500, 0, 0 },
	{ BOARD_WORKER, 2, 500, 0, 0 },
	{ BOARD_WORKER, 3, 500, 1, 0 },
	{ BOARD_WORKER, 3, 21,  0, 0 },
	{ BOARD_WORKER, 3, 500, 0, 1 },
};

START_TEST(the_mean_is_that_of_the_accepting_workers_of_a_generation)
{
	struct board *board = board_new(0);
	uint32_t workers = 9;

	ck_assert_uint_eq(board_mean_sessions(board, 3, &workers), 0);
	ck_assert_uint_eq(workers, 0);
	for (int i = 0; i < UNIT_COUNT(children); i++) {
		struct board_slot *slot =
		    board_slot(board, board_take(board, children[i].kind, children[i].generation));

		slot->sessions = children[i].sessions;
		slot->draining = children[i].draining;
		slot->paused = children[i].paused;
	}
	ck_assert_uint_eq(board_mean_sessions(board, 3, &workers), 15);
	ck_assert_uint_eq(workers, 2);
	board_slot(board, 0)->sessions = board_slot(board, 4)->sessions = UINT32_MAX;
	ck_assert_uint_eq(board_mean_sessions(board, 3, &workers), UINT32_MAX);
	board_free(&board);
}
END_TEST

Suite *
board_suite(void)
{
	Suite *suite = suite_create("board");
	TCase *tcase = tcase_create("board");

	tcase_add_loop_test(tcase, slots_of_a_half_are_given_lowest_first_until_all_are_taken, 0, 2);
	tcase_add_test(tcase, a_slot_taken_again_keeps_counters_and_loses_gauges);
	tcase_add_test(tcase, a_mad_child_does_not_make_the_master_give_a_slot_twice);
	tcase_add_test(tcase, connection_numbers_are_unique_over_all_children);
	tcase_add_test(tcase, the_mean_is_that_of_the_accepting_workers_of_a_generation);
	suite_add_tcase(suite, tcase);
	return suite;
}
