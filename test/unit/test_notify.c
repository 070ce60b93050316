#include "master/notify.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/loop.h"
#include "test/unit/capture.h"
#include "test/unit/unit.h"

#define TURNS 200       /* of 100 ms at most: nobody waits so long */

static char folder[] = "/tmp/postern-unit-XXXXXX";
static char path[sizeof(folder) + 16];
static struct loop *loop;
static struct notify *notify;
static int manager;     /* its socket */

static void
forget_variables(void)
{
	static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static void
set_up(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/notify", folder);
	forget_variables();
	capture_begin();
	loop = loop_new(8);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ne(manager, -1);
}

static void
tear_down(void)
{
	notify_free(&notify);
	ck_assert_ptr_null(notify);
	loop_free(&loop);
	close(manager);
	forget_variables();
	capture_end();
	unlink(path);
	rmdir(folder);
}

/* The manager listens at `name`, and we are started by it. */
static void
manage(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(name);

	memcpy(sun.sun_path, name, len);
	if (*name == '@')
		sun.sun_path[0] = '\0';
	len += offsetof(struct sockaddr_un, sun_path);
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&sun, (socklen_t)len), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	notify = notify_new();
	notify_watch(notify, loop);
}

/* What the manager was told next, or "". */
static const char *
heard(void)
{
	static char text[1024];
	ssize_t len = recv(manager, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

static uint64_t
now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

START_TEST(a_manager_at_a_path_or_an_abstract_name_hears_everything)
{
	char expected[256], abstract[64];
	uint64_t before, said;

	snprintf(abstract, sizeof(abstract), "@%s", folder);
	manage(_i == 0 ? path : abstract);
	notify_ready(notify, "Serving");
	snprintf(expected, sizeof(expected), "READY=1\nMAINPID=%ld\nSTATUS=Serving", (long)getpid());
	ck_assert_str_eq(heard(), expected);
	before = now_usec();
	notify_reloading(notify);
	ck_assert_int_eq(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%" SCNu64 "\nSTATUS=Reading", &said), 1);
	ck_assert(said >= before && said <= now_usec());
	notify_stopping(notify, "Stopping");
	ck_assert_str_eq(heard(), "STOPPING=1\nSTATUS=Stopping");
	ck_assert_str_eq(heard(), "");
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

#define TOO_LONG "/far/too/long/" \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const char *const nowhere[] = { "relative", "/", "@", "vsock:2:1", TOO_LONG };

START_TEST(an_address_that_is_none_is_a_warning_and_no_more)
{
	setenv("NOTIFY_SOCKET", nowhere[_i], 1);
	notify = notify_new();
	notify_watch(notify, loop);
	ck_assert_ptr_nonnull(strstr(capture_text(), "[warn]"));
	ck_assert_ptr_nonnull(strstr(capture_text(), "NOTIFY_SOCKET is neither an absolute path nor \"@name\""));
	notify_ready(notify, "Serving");
}
END_TEST

START_TEST(without_a_manager_nothing_is_said)
{
	if (_i == 1)
		setenv("NOTIFY_SOCKET", "", 1);
	setenv("WATCHDOG_USEC", "2000", 1);
	notify = notify_new();
	notify_watch(notify, loop);
	notify_ready(notify, "Serving");
	notify_reloading(notify);
	notify_stopping(notify, "Stopping");
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

START_TEST(a_manager_that_is_gone_is_said_once)
{
	const char *said;

	manage(path);
	close(manager);
	manager = -1;
	for (int i = 0; i < 3; i++)
		notify_ready(notify, "Serving");
	said = strstr(capture_text(), "sendto() the service manager failed (111: Connection refused)\n");
	ck_assert_ptr_nonnull(said);
	ck_assert_ptr_null(strstr(said + 1, "sendto()"));
}
END_TEST

/* Until there is no room in the manager's queue. */
static void
fill(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	strcpy(sun.sun_path, path);
	ck_assert_int_ne(fd, -1);
	while (sendto(fd, "X", 1, 0, (struct sockaddr *)&sun, sizeof(sun)) == 1)
		continue;
	close(fd);
}

START_TEST(a_full_queue_delays_the_last_word_and_loses_it_not)
{
	char text[1024] = "";

	manage(path);
	fill();
	notify_reloading(notify);
	notify_ready(notify, "Serving again");
	loop_turn(loop, 0);
	while (strcpy(text, heard())[0] == 'X')
		continue;
	ck_assert_str_eq(text, "");
	for (int i = 0; i < TURNS && *text == '\0'; i++) {
		loop_turn(loop, 100);
		strcpy(text, heard());
	}
	ck_assert_ptr_nonnull(strstr(text, "READY=1\n"));
	ck_assert_ptr_nonnull(strstr(text, "STATUS=Serving again"));
	for (int i = 0; i < 3; i++)
		loop_turn(loop, 100);
	ck_assert_str_eq(heard(), "");
}
END_TEST

static const struct {
	const char *usec, *pid;         /* pid "": ours; NULL: not set */
	bool watched;
} watches[] = {
	{ "20000", "", true },
	{ "20000", NULL, true },
	{ "1", "", true },
	{ "20000", "1", false },
	{ "20000", "x", false },
	{ "0", "", false },
	{ "x", "", false },
	{ "-1", "", false },
	{ "18446744073709551615", "", false },
	{ "18446744073709551616", "", false },
	{ NULL, "", false },
};

static void
be_watched(const char *usec, const char *pid)
{
	char own[32];

	snprintf(own, sizeof(own), "%ld", (long)getpid());
	if (usec != NULL)
		setenv("WATCHDOG_USEC", usec, 1);
	if (pid != NULL)
		setenv("WATCHDOG_PID", *pid == '\0' ? own : pid, 1);
	manage(path);
}

START_TEST(signs_of_life_come_if_they_are_asked_for)
{
	int signs = 0;

	be_watched(watches[_i].usec, watches[_i].pid);
	for (int i = 0; i < TURNS && signs < 3; i++) {
		if (!watches[_i].watched && i == 3)
			break;
		loop_turn(loop, watches[_i].watched ? 100 : 10);
		for (const char *text; *(text = heard()) != '\0'; signs++)
			ck_assert_str_eq(text, "WATCHDOG=1");
	}
	ck_assert_int_eq(signs >= 3, watches[_i].watched);
}
END_TEST

START_TEST(the_next_master_is_watched_in_our_stead)
{
	bool ours = _i == 0;

	be_watched("20000", ours ? "" : "1");
	if (ours)
		setenv("WATCHDOG_PID", "7", 1);
	notify_hand_on(notify);
	ck_assert_int_eq(atol(getenv("WATCHDOG_PID")), ours ? getpid() : 1);
	ck_assert_str_eq(getenv("NOTIFY_SOCKET"), path);
}
END_TEST

Suite *
notify_suite(void)
{
	Suite *suite = suite_create("notify");
	TCase *tcase = tcase_create("notify");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, a_manager_at_a_path_or_an_abstract_name_hears_everything, 0, 2);
	tcase_add_loop_test(tcase, an_address_that_is_none_is_a_warning_and_no_more, 0, UNIT_COUNT(nowhere));
	tcase_add_loop_test(tcase, without_a_manager_nothing_is_said, 0, 2);
	tcase_add_test(tcase, a_manager_that_is_gone_is_said_once);
	tcase_add_test(tcase, a_full_queue_delays_the_last_word_and_loses_it_not);
	tcase_add_loop_test(tcase, signs_of_life_come_if_they_are_asked_for, 0, UNIT_COUNT(watches));
	tcase_add_loop_test(tcase, the_next_master_is_watched_in_our_stead, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
