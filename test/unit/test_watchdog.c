#include "worker/helper/watchdog.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "test/unit/child.h"
#include "test/unit/unit.h"

#define MS 1000000

struct ends {
	int pipe[2];            /* its writing end is held by everybody that must end */
	bool shuts_out;
};

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / MS;
}

/* A program in a session of its own, which has run another. */
static void
run_programs(void)
{
	if (fork() != 0)
		return;
	setsid();
	fork();
	for (;;)
		pause();
}

static int
hang(void *data)
{
	const struct ends *ends = data;
	sigset_t all;

	close(ends->pipe[0]);
	sigfillset(&all);
	if (watchdog_raise() != 0)
		return 1;
	if (ends->shuts_out)
		sigprocmask(SIG_BLOCK, &all, NULL);
	else
		run_programs();
	watchdog_set(now_ms() + 20);
	for (;;)
		pause();
}

START_TEST(who_hangs_is_killed_with_what_it_has_run)
{
	struct ends ends = { .shuts_out = _i == 1 };
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ends.pipe), 0);
	pid = child_start(hang, &ends);
	close(ends.pipe[1]);
	ck_assert_int_eq(child_wait(pid), -SIGKILL);
	ck_assert_int_eq(read(ends.pipe[0], &byte, 1), 0);
	close(ends.pipe[0]);
}
END_TEST

static int
be_done(void *data)
{
	static const struct timespec while_it_might = { .tv_nsec = 20 * MS };

	(void)data;
	if (watchdog_raise() != 0)
		return 1;
	watchdog_set(now_ms() + 10000);
	watchdog_set(UINT64_MAX);
	watchdog_set(0);
	return nanosleep(&while_it_might, NULL);
}

START_TEST(who_is_done_lives_on)
{
	ck_assert_int_eq(child_run(be_done, NULL), 0);
}
END_TEST

Suite *
watchdog_suite(void)
{
	Suite *suite = suite_create("watchdog");
	TCase *tcase = tcase_create("watchdog");

	suite_add_tcase(suite, tcase);
	if (child_in_valgrind())
		return suite;
	tcase_add_loop_test(tcase, who_hangs_is_killed_with_what_it_has_run, 0, 2);
	tcase_add_test(tcase, who_is_done_lives_on);
	return suite;
}
