#include "worker/seat.h"

#include "test/unit/unit.h"

START_TEST(a_house_is_as_large_as_the_smaller_limit_allows)
{
	static const struct {
		unsigned connections;
		unsigned long long descriptors;
		unsigned in_use, limit;
	} cases[] = {
		{ 512,   1024,    20,   512 },
		{ 16384, 1024,    24,   1000 },
		{ 512,   1u << 30, 20,  512 },
		{ 512,   10,      20,   SEAT_LOGIN },   /* more in use than allowed: one may still try */
		{ 1,     1024,    20,   SEAT_LOGIN },
	};

	for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
		struct seats seats;

		seats_init(&seats, cases[i].connections, cases[i].descriptors, cases[i].in_use);
		ck_assert_uint_eq(seats.limit, cases[i].limit);
		ck_assert_uint_eq(seats.used, 0);
	}
}
END_TEST

START_TEST(a_login_needs_three_seats_and_a_relay_keeps_two)
{
	struct seats seats;

	seats_init(&seats, 7, 1024, 0);
	ck_assert(seats_free(&seats));
	seats_take(&seats, SEAT_LOGIN);
	ck_assert(seats_free(&seats));
	seats_take(&seats, SEAT_LOGIN);
	ck_assert(!seats_free(&seats));         /* one of seven is left */
	seats_give(&seats, SEAT_LOGIN - SEAT_RELAY);
	ck_assert(!seats_free(&seats));         /* two */
	seats_give(&seats, SEAT_LOGIN - SEAT_RELAY);
	ck_assert(seats_free(&seats));          /* three */
	seats_give(&seats, 2 * SEAT_RELAY);
	ck_assert_uint_eq(seats.used, 0);
}
END_TEST

Suite *
seat_suite(void)
{
	Suite *suite = suite_create("seat");
	TCase *tcase = tcase_create("seat");

	tcase_add_test(tcase, a_house_is_as_large_as_the_smaller_limit_allows);
	tcase_add_test(tcase, a_login_needs_three_seats_and_a_relay_keeps_two);
	suite_add_tcase(suite, tcase);
	return suite;
}
