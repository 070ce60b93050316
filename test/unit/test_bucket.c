#include "worker/bucket.h"

#include "test/unit/unit.h"

/* Six in a minute, three at once: one is forgiven every ten seconds. */
static const struct bucket_terms terms = { .rate = 6, .unit_s = 60, .burst = 3 };

#define START UINT64_C(1000000)

static struct bucket
after(int failures, uint64_t now_ms)
{
	struct bucket b = { 0, 0 };

	for (int i = 0; i < failures; i++)
		bucket_charge(&b, &terms, now_ms);
	return b;
}

static const struct {
	int failures;
	uint64_t later_ms;
	bool room;
} cases[] = {
	{ 0, 0, true }, { 1, 0, true }, { 2, 0, true }, { 3, 0, false },
	{ 3, 9999, false }, { 3, 10000, true }, { 3, UINT64_MAX - START, true },
	{ 1000, 9999, false }, { 1000, 10000, true },   /* nobody owes more than may come at once */
};

START_TEST(so_many_may_fail_and_then_time_has_to_pass)
{
	struct bucket b = after(cases[_i].failures, START);

	ck_assert_int_eq(bucket_has_room(&b, &terms, START + cases[_i].later_ms), cases[_i].room);
}
END_TEST

START_TEST(what_is_forgiven_is_forgiven_one_by_one)
{
	struct bucket b = after(3, START);

	for (uint64_t i = 1; i <= 50; i++) {
		uint64_t now_ms = START + i * 10000;

		ck_assert(!bucket_has_room(&b, &terms, now_ms - 1));
		ck_assert(bucket_has_room(&b, &terms, now_ms));
		bucket_charge(&b, &terms, now_ms);
	}
}
END_TEST

START_TEST(what_was_no_failure_is_taken_back)
{
	struct bucket b = after(3, START);

	bucket_refund(&b, &terms, START);
	ck_assert(bucket_has_room(&b, &terms, START));
	bucket_charge(&b, &terms, START);
	ck_assert(!bucket_has_room(&b, &terms, START));
	for (int i = 0; i < 5; i++)
		bucket_refund(&b, &terms, START);
	ck_assert_uint_eq(b.debt, 0);
}
END_TEST

START_TEST(a_clock_that_goes_back_forgives_nothing)
{
	struct bucket b = after(3, START);

	ck_assert(!bucket_has_room(&b, &terms, 0));
	bucket_charge(&b, &terms, 0);
	ck_assert(!bucket_has_room(&b, &terms, 9999));
	ck_assert(bucket_has_room(&b, &terms, 10000));
}
END_TEST

/* The memory is shared: anything may stand there. */
START_TEST(rubbish_is_a_full_bucket_at_most)
{
	struct bucket b = { UINT64_MAX, START }, future = { 1, UINT64_MAX };

	ck_assert(!bucket_has_room(&b, &terms, START));
	ck_assert(bucket_has_room(&b, &terms, START + 10000));
	ck_assert(bucket_has_room(&future, &terms, START));
	bucket_refund(&b, &terms, START);
	ck_assert(bucket_has_room(&b, &terms, START));
}
END_TEST

START_TEST(the_largest_terms_do_not_wrap)
{
	const struct bucket_terms most = { .rate = 1600000, .unit_s = 3600, .burst = 1600000 };
	struct bucket b = { 0, 0 };

	for (int i = 0; i < 1600000; i++)
		bucket_charge(&b, &most, 0);
	ck_assert(!bucket_has_room(&b, &most, 0));
	ck_assert(!bucket_has_room(&b, &most, 2));
	ck_assert(bucket_has_room(&b, &most, 3));
}
END_TEST

Suite *
bucket_suite(void)
{
	Suite *suite = suite_create("bucket");
	TCase *tcase = tcase_create("bucket");

	tcase_add_loop_test(tcase, so_many_may_fail_and_then_time_has_to_pass, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, what_is_forgiven_is_forgiven_one_by_one);
	tcase_add_test(tcase, what_was_no_failure_is_taken_back);
	tcase_add_test(tcase, a_clock_that_goes_back_forgives_nothing);
	tcase_add_test(tcase, rubbish_is_a_full_bucket_at_most);
	tcase_add_test(tcase, the_largest_terms_do_not_wrap);
	suite_add_tcase(suite, tcase);
	return suite;
}
