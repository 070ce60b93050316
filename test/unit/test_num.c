#include "common/num.h"

#include <limits.h>
#include <string.h>

#include "test/unit/unit.h"

#define BAD UINT64_MAX          /* no test expects it as a value */
#define UNTOUCHED 4711

static const struct {
	const char *text;
	uint64_t max, value;
} numbers[] = {
	{ "0",          10,         0 },
	{ "10",         10,         10 },
	{ "11",         10,         BAD },
	{ "0010",       10,         10 },
	{ "9",          0,          BAD },
	{ "4294967295", UINT_MAX,   UINT_MAX },
	{ "4294967296", UINT_MAX,   BAD },
	{ "18446744073709551626", UINT_MAX, BAD },      /* 2^64 + 10 must not be 10 */
	{ "",           10,         BAD },
	{ " 1",         10,         BAD },
	{ "1 ",         10,         BAD },
	{ "+1",         10,         BAD },
	{ "-1",         10,         BAD },
	{ "0x1",        10,         BAD },
	{ "1\xb2",      100,        BAD },
};

START_TEST(a_number_is_digits_within_its_range)
{
	unsigned value = UNTOUCHED;
	uint64_t wide = UNTOUCHED;
	int result = num_parse(numbers[_i].text, (unsigned)numbers[_i].max, &value);
	int result_len = num_parse_len(numbers[_i].text, strlen(numbers[_i].text), numbers[_i].max, &wide);

	ck_assert_int_eq(result, numbers[_i].value == BAD ? -1 : 0);
	ck_assert_int_eq(result_len, result);
	ck_assert_uint_eq(value, numbers[_i].value == BAD ? UNTOUCHED : numbers[_i].value);
	ck_assert_uint_eq(wide, value);
}
END_TEST

START_TEST(nothing_wraps_at_64_bits)
{
	uint64_t value = UNTOUCHED;

	ck_assert_int_eq(num_parse_len("18446744073709551615", 20, UINT64_MAX, &value), 0);
	ck_assert(value == UINT64_MAX);
	ck_assert_int_eq(num_parse_len("18446744073709551616", 20, UINT64_MAX, &value), -1);
	ck_assert_int_eq(num_parse_len("99999999999999999999", 20, UINT64_MAX, &value), -1);
	ck_assert_int_eq(num_parse_size("17592186044416m", UINT64_MAX, &value), -1);
	ck_assert_int_eq(num_parse_size("17592186044415m", UINT64_MAX, &value), 0);
	ck_assert(value == UINT64_C(17592186044415) << 20);
	ck_assert_int_eq(num_parse_time("18446744073709551615", true, UINT64_MAX, &value), -1);
	ck_assert_int_eq(num_parse_time("18446744073709551s616ms", true, UINT64_MAX, &value), -1);
	ck_assert_int_eq(num_parse_time("18446744073709551s615ms", true, UINT64_MAX, &value), 0);
	ck_assert(value == UINT64_MAX);
}
END_TEST

START_TEST(a_length_ends_the_number)
{
	uint64_t value = UNTOUCHED;

	ck_assert_int_eq(num_parse_len("1234", 2, 100, &value), 0);
	ck_assert_uint_eq(value, 12);
	ck_assert_int_eq(num_parse_len("12", 0, 100, &value), -1);
	ck_assert_int_eq(num_parse_len("1\0002", 3, 1000, &value), -1);
}
END_TEST

static const struct {
	const char *text;
	uint64_t value;
} sizes[] = {
	{ "0",        0 },
	{ "512",      512 },
	{ "4k",       4096 },
	{ "4K",       4096 },
	{ "1m",       1048576 },
	{ "16M",      16777216 },
	{ "16777217", BAD },    /* the test's maximum is 16m */
	{ "17m",      BAD },
	{ "1g",       BAD },
	{ "k",        BAD },
	{ "",         BAD },
	{ "1kk",      BAD },
	{ "1k ",      BAD },
	{ "1 k",      BAD },
	{ "-1",       BAD },
};

START_TEST(a_size_is_a_number_and_perhaps_a_suffix)
{
	uint64_t value = UNTOUCHED;
	int result = num_parse_size(sizes[_i].text, 16777216, &value);

	ck_assert_int_eq(result, sizes[_i].value == BAD ? -1 : 0);
	ck_assert_uint_eq(value, sizes[_i].value == BAD ? UNTOUCHED : sizes[_i].value);
}
END_TEST

static const struct {
	const char *text;
	uint64_t ms, s;         /* as milliseconds, as seconds */
} times[] = {
	{ "0",             0,        0 },
	{ "60",            60000,    60 },
	{ "60s",           60000,    60 },
	{ "1h30m",         5400000,  5400 },
	{ "1h 30m",        5400000,  5400 },
	{ "1h  30m  ",     5400000,  5400 },
	{ "1d2h3m4s",      93784000, 93784 },
	{ "1h30",          3630000,  3630 },
	{ "1w",            604800000, 604800 },
	{ "500ms",         500,      BAD },
	{ "1s500ms",       1500,     BAD },
	{ "1m1ms",         60001,    BAD },
	{ "1M",            BAD,      2592000 },
	{ "1y",            BAD,      31536000 },
	{ "1y1M1w",        BAD,      34732800 },
	{ "24h",           86400000, 86400 },
	{ "",              BAD,      BAD },
	{ " ",             BAD,      BAD },
	{ " 1",            BAD,      BAD },
	{ "s",             BAD,      BAD },
	{ "1h m",          BAD,      BAD },
	{ "1 h",           BAD,      BAD },
	{ "1s1m",          BAD,      BAD },
	{ "1m1m",          BAD,      BAD },
	{ "1 1",           BAD,      BAD },
	{ "1s 1",          BAD,      BAD },
	{ "1ms1",          BAD,      BAD },
	{ "-1s",           BAD,      BAD },
	{ "1H",            BAD,      BAD },
	{ "1x",            BAD,      BAD },
	{ "1.5s",          BAD,      BAD },
	{ "1s\n",          BAD,      BAD },
	{ "101y",          BAD,      BAD },     /* the test's maximum is 100 years */
	{ "3650000d",      BAD,      BAD },
	{ "184467440737095516160", BAD, BAD },
};

START_TEST(a_time_has_units_from_large_to_small)
{
	uint64_t value = UNTOUCHED, hundred_years_s = UINT64_C(100) * 365 * 86400;
	int result = num_parse_time(times[_i].text, true, hundred_years_s * 1000, &value);

	ck_assert_int_eq(result, times[_i].ms == BAD ? -1 : 0);
	ck_assert_uint_eq(value, times[_i].ms == BAD ? UNTOUCHED : times[_i].ms);
	value = UNTOUCHED;
	result = num_parse_time(times[_i].text, false, hundred_years_s, &value);
	ck_assert_int_eq(result, times[_i].s == BAD ? -1 : 0);
	ck_assert_uint_eq(value, times[_i].s == BAD ? UNTOUCHED : times[_i].s);
}
END_TEST

START_TEST(the_maximum_itself_is_fine)
{
	uint64_t value;

	ck_assert_int_eq(num_parse_time("1m1s", true, 61000, &value), 0);
	ck_assert_int_eq(num_parse_time("1m1s1ms", true, 61000, &value), -1);
	ck_assert_int_eq(num_parse_time("1m1s", false, 61, &value), 0);
	ck_assert_int_eq(num_parse_time("1m2s", false, 61, &value), -1);
}
END_TEST

Suite *
num_suite(void)
{
	Suite *suite = suite_create("num");
	TCase *tcase = tcase_create("num");

	tcase_add_loop_test(tcase, a_number_is_digits_within_its_range, 0, UNIT_COUNT(numbers));
	tcase_add_test(tcase, nothing_wraps_at_64_bits);
	tcase_add_test(tcase, a_length_ends_the_number);
	tcase_add_loop_test(tcase, a_size_is_a_number_and_perhaps_a_suffix, 0, UNIT_COUNT(sizes));
	tcase_add_loop_test(tcase, a_time_has_units_from_large_to_small, 0, UNIT_COUNT(times));
	tcase_add_test(tcase, the_maximum_itself_is_fine);
	suite_add_tcase(suite, tcase);
	return suite;
}
