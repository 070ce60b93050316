#include "common/wheel.h"

#include <stdlib.h>

#include "test/unit/unit.h"

/* A timer that notes when it was called, on the wheel's own clock. */
struct alarm {
	struct loop_timer timer;
	struct wheel *wheel;
	uint64_t rang_ms;
	unsigned times;
};

static void
ring(struct loop_timer *timer)
{
	struct alarm *alarm = LIST_ENTRY(timer, struct alarm, timer);

	alarm->rang_ms = alarm->wheel->now_ms;
	alarm->times++;
}

static void
set(struct alarm *alarm, struct wheel *wheel, uint64_t due_ms)
{
	alarm->timer.on_time = ring;
	alarm->wheel = wheel;
	wheel_add(wheel, &alarm->timer, due_ms);
}

/* Turns as a loop would: from one appointment to the next. Returns how many turns it took. */
static unsigned
turn_until(struct wheel *wheel, uint64_t end_ms)
{
	unsigned turns = 0;

	for (uint64_t next; (next = wheel_next(wheel)) <= end_ms && next != WHEEL_NEVER; turns++)
		wheel_turn(wheel, next);
	wheel_turn(wheel, end_ms);
	return turns;
}

#define DAY 86400000u

/* A start of the clock, and a time from then. */
static const struct {
	uint64_t start, in;
} cases[] = {
	{ 0, 1 }, { 0, 63 }, { 0, 64 }, { 0, 65 }, { 0, 4095 }, { 0, 4096 }, { 0, 4097 },
	{ 1, 63 }, { 63, 1 }, { 63, 2 }, { 64, 64 }, { 4095, 1 }, { 4095, 4096 },
	{ 123456789, 1 }, { 123456789, 60000 }, { 123456789, DAY }, { 123456789, 400 * (uint64_t)DAY },
	{ (UINT64_C(1) << 36) - 1, 1 }, { (UINT64_C(1) << 60) - 5, 10 }, { 1, UINT64_MAX - 2 },
	{ UINT64_MAX - 100, 99 },
};

START_TEST(a_timer_rings_once_and_exactly_at_its_time)
{
	uint64_t due = cases[_i].start + cases[_i].in;
	struct wheel wheel;
	struct alarm alarm = { .times = 0 };

	wheel_init(&wheel, cases[_i].start);
	ck_assert_uint_eq(wheel_next(&wheel), WHEEL_NEVER);
	set(&alarm, &wheel, due);
	ck_assert_uint_le(wheel_next(&wheel), due);
	/* A wheel is passed at most once a level. */
	ck_assert_uint_le(turn_until(&wheel, due - 1), WHEEL_LEVELS);
	ck_assert_uint_eq(alarm.times, 0);
	ck_assert_uint_eq(wheel_next(&wheel), due);
	wheel_turn(&wheel, due);
	ck_assert_uint_eq(alarm.times, 1);
	ck_assert_uint_eq(alarm.rang_ms, due);
	ck_assert_uint_eq(wheel_next(&wheel), WHEEL_NEVER);
}
END_TEST

START_TEST(a_long_sleep_rings_all_that_it_passed)
{
	struct wheel wheel;
	struct alarm alarms[UNIT_COUNT(cases)] = { 0 };
	uint64_t start = 1000;

	wheel_init(&wheel, start);
	for (int i = 0; i < UNIT_COUNT(cases); i++)
		set(&alarms[i], &wheel, start + 1 + (uint64_t)i * 7001);
	wheel_turn(&wheel, start + DAY);
	for (int i = 0; i < UNIT_COUNT(cases); i++)
		ck_assert_uint_eq(alarms[i].rang_ms, start + 1 + (uint64_t)i * 7001);
}
END_TEST

START_TEST(a_stopped_timer_is_forgotten)
{
	struct wheel wheel;
	struct alarm alarms[3] = { 0 };

	wheel_init(&wheel, 0);
	for (unsigned i = 0; i < 3; i++)
		set(&alarms[i], &wheel, 100 + i);
	loop_timer_stop(&alarms[0].timer);
	loop_timer_stop(&alarms[0].timer);
	loop_timer_stop(&alarms[2].timer);
	ck_assert(!loop_timer_is_set(&alarms[0].timer) && loop_timer_is_set(&alarms[1].timer));
	turn_until(&wheel, 1000);
	ck_assert(alarms[0].times == 0 && alarms[1].times == 1 && alarms[2].times == 0);
	ck_assert_uint_eq(wheel_next(&wheel), WHEEL_NEVER);
}
END_TEST

#define CROWD 2000
#define STEPS 20000

/* Against the plainest of models: every timer's time in an array. */
START_TEST(a_crowd_that_is_set_moved_and_stopped_rings_in_time)
{
	static struct alarm alarms[CROWD];
	static uint64_t due[CROWD];     /* 0: not set */
	struct wheel wheel;

	srand48(_i);
	wheel_init(&wheel, (uint64_t)lrand48());
	for (int step = 0; step < STEPS; step++) {
		int i = (int)(lrand48() % CROWD);
		uint64_t in = 1 + ((uint64_t)lrand48() >> (lrand48() % 31));

		loop_timer_stop(&alarms[i].timer);
		due[i] = 0;
		if (lrand48() % 4 != 0) {
			due[i] = wheel.now_ms + in;
			set(&alarms[i], &wheel, due[i]);
		}
		if (lrand48() % 4 != 0)
			continue;
		wheel_turn(&wheel, wheel.now_ms + ((uint64_t)lrand48() >> (12 + lrand48() % 19)));
		for (int k = 0; k < CROWD; k++) {
			bool passed = due[k] != 0 && due[k] <= wheel.now_ms;

			/* Check's own assertions write to a file each time. */
			if (loop_timer_is_set(&alarms[k].timer) != (due[k] != 0 && !passed))
				ck_abort_msg("timer %d is set wrongly", k);
			if (passed && alarms[k].rang_ms != due[k])
				ck_abort_msg("timer %d rang at the wrong time", k);
			if (passed)
				due[k] = 0;
		}
	}
	for (int k = 0; k < CROWD; k++)
		loop_timer_stop(&alarms[k].timer);
}
END_TEST

/* What callbacks do to others that are due in the same millisecond. */
static struct alarm *victim;
static struct wheel *stage;

static void
stop_victim(struct loop_timer *timer)
{
	(void)timer;
	loop_timer_stop(&victim->timer);
}

static void
move_victim(struct loop_timer *timer)
{
	(void)timer;
	loop_timer_stop(&victim->timer);
	set(victim, stage, stage->now_ms + 5);
}

START_TEST(a_callback_may_stop_or_move_one_that_is_due_with_it)
{
	struct wheel wheel;
	struct alarm first = { 0 }, second = { 0 };

	stage = &wheel;
	victim = &second;
	wheel_init(&wheel, 0);
	set(&first, &wheel, 100);
	set(&second, &wheel, 100);
	first.timer.on_time = stop_victim;
	wheel_turn(&wheel, 100);
	ck_assert_uint_eq(second.times, 0);
	set(&first, &wheel, 200);
	set(&second, &wheel, 200);
	first.timer.on_time = move_victim;
	wheel_turn(&wheel, 300);
	ck_assert_uint_eq(second.times, 1);
	ck_assert_uint_eq(second.rang_ms, 205);
}
END_TEST

Suite *
wheel_suite(void)
{
	Suite *suite = suite_create("wheel");
	TCase *tcase = tcase_create("wheel");

	tcase_add_loop_test(tcase, a_timer_rings_once_and_exactly_at_its_time, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, a_long_sleep_rings_all_that_it_passed);
	tcase_add_test(tcase, a_stopped_timer_is_forgotten);
	tcase_add_loop_test(tcase, a_crowd_that_is_set_moved_and_stopped_rings_in_time, 1, 4);
	tcase_add_test(tcase, a_callback_may_stop_or_move_one_that_is_due_with_it);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}
