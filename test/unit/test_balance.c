#include "worker/net/balance.h"

#include <string.h>

#include "test/unit/unit.h"

#define TIMEOUT 10000
#define SERVERS(servers) balance_new(servers, UNIT_COUNT(servers))

static struct balance *balance;

static void
teardown(void)
{
	balance_free(&balance);
}

/* A question that is answered by the first server it comes to: its letter. */
static char
ask(uint64_t now_ms)
{
	bool tried[8] = { false };
	size_t which = balance_pick(balance, tried, now_ms);

	ck_assert(which != BALANCE_NONE && tried[which]);
	return (char)('a' + which);
}

/* A question that nobody answers: the servers in the order in which they are tried. */
static const char *
try_all(uint64_t now_ms)
{
	static char order[9];
	bool tried[8] = { false };
	size_t which, count = 0;

	while ((which = balance_pick(balance, tried, now_ms)) != BALANCE_NONE)
		order[count++] = (char)('a' + which);
	order[count] = '\0';
	return order;
}

static void
check_round(const char *wanted, uint64_t now_ms)
{
	for (const char *letter = wanted; *letter != '\0'; letter++)
		ck_assert_msg(ask(now_ms) == *letter, "%s at %td", wanted, letter - wanted);
}

static const struct {
	unsigned weights[3];
	const char *round;
} rounds[] = {
	{ { 1, 1, 1 }, "abcabcabc" },
	{ { 5, 1, 1 }, "aabacaaaabacaa" },
	{ { 1, 2, 1 }, "bacbbacb" },
	{ { 1, 1000000, 1 }, "bbbb" },
};

START_TEST(servers_take_turns_by_their_weights)
{
	const unsigned *weights = rounds[_i].weights;
	const struct balance_server servers[] = {
		{ .weight = weights[0] }, { .weight = weights[1] }, { .weight = weights[2] },
	};

	balance = SERVERS(servers);
	check_round(rounds[_i].round, 0);
}
END_TEST

START_TEST(a_question_tries_each_server_once_and_backups_last)
{
	static const struct balance_server servers[] = {
		{ .weight = 9, .backup = true }, { .weight = 1 }, { .weight = 2 }, { .weight = 1, .backup = true },
	};
	bool tried[4] = { false };

	balance = SERVERS(servers);
	ck_assert_str_eq(try_all(0), "cbad");
	ck_assert_uint_eq(balance_left(balance, tried, 0), 4);
	balance_pick(balance, tried, 0);
	ck_assert_uint_eq(balance_left(balance, tried, 0), 3);
}
END_TEST

static const struct balance_server pair[] = {
	{ .weight = 1, .max_fails = 2, .fail_timeout_ms = TIMEOUT },
	{ .weight = 1, .max_fails = 2, .fail_timeout_ms = TIMEOUT },
};

START_TEST(a_server_that_fails_too_often_is_put_aside)
{
	bool tried[2] = { false };

	balance = SERVERS(pair);
	ck_assert(!balance_failed(balance, 0, 1000));
	ck_assert(balance_failed(balance, 0, 2000));
	ck_assert(!balance_failed(balance, 0, 2001));
	ck_assert_uint_eq(balance_left(balance, tried, 2001), 1);
	check_round("bbbb", 12000);
	ck_assert_str_eq(try_all(12000), "ba");
}
END_TEST

START_TEST(failures_further_apart_than_fail_timeout_do_not_add_up)
{
	balance = SERVERS(pair);
	for (uint64_t now = 1; now < 100 * TIMEOUT; now += TIMEOUT + 1)
		ck_assert(!balance_failed(balance, 0, now));
	ck_assert(balance_failed(balance, 0, 100 * TIMEOUT));
}
END_TEST

/* Between two failures others may have been answered: a server that loses each third question is not well. */
START_TEST(an_answer_does_not_wipe_out_the_failures_before_it)
{
	balance = SERVERS(pair);
	ck_assert(!balance_failed(balance, 0, 1));
	ck_assert(!balance_worked(balance, 0));
	ck_assert(balance_failed(balance, 0, 2));
}
END_TEST

START_TEST(one_question_finds_out_whether_a_server_is_back)
{
	balance = SERVERS(pair);
	balance_failed(balance, 0, 0);
	balance_failed(balance, 0, 0);
	for (int i = 0; i < 4; i++)
		ask(TIMEOUT - 1);
	/* It comes to the server sooner or later, and until it has ended nobody else does. */
	for (int i = 0; ask(TIMEOUT) != 'a'; i++)
		ck_assert_int_lt(i, 4);
	check_round("bbbb", TIMEOUT);
	ck_assert(!balance_failed(balance, 0, TIMEOUT + 1));    /* no news */
	check_round("bbbb", 2 * TIMEOUT);
	for (int i = 0; ask(2 * TIMEOUT + 1) != 'a'; i++)
		ck_assert_int_lt(i, 4);
	ck_assert(balance_worked(balance, 0));
	ck_assert(!balance_worked(balance, 0));
	ck_assert(!balance_failed(balance, 0, 3 * TIMEOUT));    /* which counts from one again */
	ck_assert(strchr("ab", ask(3 * TIMEOUT)) != NULL);
}
END_TEST

/* Its question was cancelled: nobody will ever tell what became of it. */
START_TEST(a_try_without_an_outcome_is_followed_by_another)
{
	balance = SERVERS(pair);
	balance_failed(balance, 0, 0);
	balance_failed(balance, 0, 0);
	for (uint64_t now = TIMEOUT; now < 5 * TIMEOUT; now += TIMEOUT)
		for (int i = 0; ask(now) != 'a'; i++)
			ck_assert_int_lt(i, 4);
}
END_TEST

START_TEST(when_all_are_aside_all_are_tried_backups_last)
{
	static const struct balance_server servers[] = {
		{ .weight = 1, .max_fails = 1, .fail_timeout_ms = TIMEOUT, .backup = true },
		{ .weight = 1, .max_fails = 1, .fail_timeout_ms = TIMEOUT },
		{ .weight = 1, .max_fails = 1, .fail_timeout_ms = TIMEOUT },
	};
	bool tried[3] = { false };

	balance = SERVERS(servers);
	for (size_t i = 0; i < UNIT_COUNT(servers); i++)
		ck_assert(balance_failed(balance, i, 0));
	ck_assert_uint_eq(balance_left(balance, tried, 1), 0);
	ck_assert_str_eq(try_all(1), "bca");
	ck_assert(balance_worked(balance, 0));
	ck_assert_uint_eq(strlen(try_all(2)), 3);
	ck_assert_int_eq(ask(3), 'a');
}
END_TEST

START_TEST(without_max_fails_or_company_nobody_is_put_aside)
{
	static const struct balance_server patient[] = { { .weight = 1 }, { .weight = 1 } };
	static const struct balance_server lone[] = { { .weight = 1, .max_fails = 1, .fail_timeout_ms = TIMEOUT } };

	balance = SERVERS(patient);
	for (int i = 0; i < 9; i++)
		ck_assert(!balance_failed(balance, 0, 0));
	check_round("abab", 0);
	balance_free(&balance);
	balance = SERVERS(lone);
	for (int i = 0; i < 9; i++)
		ck_assert(!balance_failed(balance, 0, 0));
	check_round("aaa", 0);
}
END_TEST

/* What it lost comes back with the questions that are asked: first it lags behind, then it has its half again. */
START_TEST(a_failure_costs_some_of_the_weight_for_a_while)
{
	static const struct balance_server servers[] = {
		{ .weight = 40, .max_fails = 2, .fail_timeout_ms = TIMEOUT },
		{ .weight = 40, .max_fails = 2, .fail_timeout_ms = TIMEOUT },
	};
	unsigned asked = 0;

	balance = SERVERS(servers);
	balance_failed(balance, 0, 0);
	for (int i = 0; i < 12; i++)
		asked += ask(1) == 'a';
	ck_assert_uint_lt(asked, 6);
	for (int i = 0; i < 100; i++)
		ask(1);
	check_round(ask(1) == 'a' ? "baba" : "abab", 1);
}
END_TEST

Suite *
balance_suite(void)
{
	Suite *suite = suite_create("balance");
	TCase *tcase = tcase_create("balance");

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_loop_test(tcase, servers_take_turns_by_their_weights, 0, UNIT_COUNT(rounds));
	tcase_add_test(tcase, a_question_tries_each_server_once_and_backups_last);
	tcase_add_test(tcase, a_server_that_fails_too_often_is_put_aside);
	tcase_add_test(tcase, failures_further_apart_than_fail_timeout_do_not_add_up);
	tcase_add_test(tcase, an_answer_does_not_wipe_out_the_failures_before_it);
	tcase_add_test(tcase, one_question_finds_out_whether_a_server_is_back);
	tcase_add_test(tcase, a_try_without_an_outcome_is_followed_by_another);
	tcase_add_test(tcase, when_all_are_aside_all_are_tried_backups_last);
	tcase_add_test(tcase, without_max_fails_or_company_nobody_is_put_aside);
	tcase_add_test(tcase, a_failure_costs_some_of_the_weight_for_a_while);
	suite_add_tcase(suite, tcase);
	return suite;
}
