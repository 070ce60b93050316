#include "worker/inquiry.h"

#include <limits.h>

#include "test/unit/unit.h"

static const struct {
	uint64_t first_ms;
	unsigned refusals;
	uint64_t delay_ms;
} cases[] = {
	{ 0, 0, 0 }, { 0, 1, 0 }, { 0, UINT_MAX, 0 },
	{ 1000, 0, 1000 }, { 1000, 1, 2000 }, { 1000, 2, 4000 }, { 1000, 4, 16000 },
	{ 1000, 5, 30000 }, { 1000, 6, 30000 }, { 1000, UINT_MAX, 30000 },
	{ 1, 14, 16384 }, { 1, 15, 30000 },
	{ 15000, 1, 30000 }, { 15001, 1, 30000 }, { 29999, 1, 30000 },
	{ 30000, 0, 30000 }, { 30000, 7, 30000 },
	{ 60000, 0, 60000 }, { 60000, 9, 60000 },       /* what the operator wants longer is as long, and stays so */
	{ UINT64_MAX, 3, UINT64_MAX },
};

START_TEST(a_refusal_waits_twice_as_long_as_the_one_before_up_to_half_a_minute)
{
	ck_assert_uint_eq(inquiry_delay_ms(cases[_i].first_ms, cases[_i].refusals), cases[_i].delay_ms);
}
END_TEST

Suite *
inquiry_suite(void)
{
	Suite *suite = suite_create("inquiry");
	TCase *tcase = tcase_create("inquiry");

	tcase_add_loop_test(tcase, a_refusal_waits_twice_as_long_as_the_one_before_up_to_half_a_minute, 0,
	    UNIT_COUNT(cases));
	suite_add_tcase(suite, tcase);
	return suite;
}
