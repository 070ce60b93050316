/* The program itself behind the worker's side of the mailbox. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ipc.h"
#include "common/packet.h"
#include "test/unit/asking.h"
#include "test/unit/child.h"
#include "test/unit/unit.h"
#include "worker/helper/codec.h"

#define PROGRAM "./postern-auth-file"   /* the tests run in the build tree */
#define HELPERS 2
#define USERS "joe:{PLAIN}sesame::::::host=192.0.2.1\n"

static struct asking asking;
static pid_t pids[HELPERS];
static int channels[HELPERS];
static int log_fd;

static int
file_of(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

/* As logs are, or helpers that write at once would write over each other. */
static int
appended_file(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	return fd;
}

static void
tell(size_t helper, enum ipc_kind kind, uint32_t index, int64_t value, int fd)
{
	const struct ipc_message message = { .kind = kind, .index = index, .value = value };

	ck_assert_int_eq(ipc_send(channels[helper], &message, fd), 0);
}

/* All helpers of a source are sent one descriptor. */
static void
feed_number(int64_t number, const char *text)
{
	int fd = file_of(text);

	for (size_t i = 0; i < HELPERS; i++)
		tell(i, IPC_FEED, 0, number, fd);
	close(fd);
}

static void
feed_all(const char *text)
{
	feed_number(0, text);
}

/* Waits for one message of a helper; its kind is 0 at the helper's end. */
static struct ipc_message
hear_all(size_t helper)
{
	struct pollfd p = { .fd = channels[helper], .events = POLLIN };
	struct ipc_message message = { 0 };
	int fd;

	ck_assert_int_eq(poll(&p, 1, 60000), 1);
	ck_assert_int_ne(ipc_recv(channels[helper], &message, &fd), -1);
	return message;
}

static uint32_t
hear(size_t helper)
{
	return hear_all(helper).kind;
}

static void
start(size_t helper)
{
	int ends[2];

	ck_assert_int_eq(ipc_pair(ends), 0);
	channels[helper] = ends[0];
	pids[helper] = fork();
	ck_assert_int_ne(pids[helper], -1);
	if (pids[helper] == 0) {
		int channel = fcntl(ends[1], F_DUPFD, 50), mailbox = fcntl(asking.mailbox[0], F_DUPFD, 50);

		dup2(channel, IPC_HELPER_CHANNEL);
		dup2(mailbox, IPC_HELPER_MAILBOX);
		execl(PROGRAM, PROGRAM, "room for a title", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
}

static void
introduce(size_t helper)
{
	int label = file_of("/etc/users");

	tell(helper, IPC_SETTING, IPC_SET_LOG_FILE, LOG_INFO + 256 * 3, log_fd);
	tell(helper, IPC_SETTING, IPC_SET_LABEL, 0, label);
	tell(helper, IPC_SETTING, IPC_SET_SOURCE, 0, -1);
	tell(helper, IPC_START, 0, 0, -1);
	close(label);
}

static void
setup(void)
{
	asking_init(&asking, HELPERS, 60000);
	asking_open(&asking);
	log_fd = appended_file();
	for (size_t i = 0; i < HELPERS; i++) {
		start(i);
		introduce(i);
	}
}

static void
teardown(void)
{
	for (size_t i = 0; i < HELPERS; i++) {
		close(channels[i]);
		ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	}
	close(log_fd);
	asking_reset(&asking);
}

static void
all_ready(void)
{
	for (size_t i = 0; i < HELPERS; i++)
		ck_assert_uint_eq(hear(i), IPC_READY);
}

static enum auth_outcome
login(const char *user, const char *pass)
{
	struct asked asked;

	asking_prepare(&asking, &asked, user, pass);
	asking_ask(&asking, &asked);
	asking_wait(&asking, &asked);
	return asked.outcome;
}

static const char *
logged(int fd)
{
	static char lines[8192];
	ssize_t len = pread(fd, lines, sizeof(lines) - 1, 0);

	ck_assert_int_ge(len, 0);
	lines[len] = '\0';
	return lines;
}

/* Waits until every helper has logged a line with this in it. */
static void
wait_for_lines(int fd, const char *text)
{
	size_t count = 0;

	for (int i = 0; i < 6000 && count < HELPERS; i++) {
		count = 0;
		for (const char *at = logged(fd); (at = strstr(at, text)) != NULL; at++)
			count++;
		poll(NULL, 0, 10);
	}
	ck_assert_msg(count >= HELPERS, "%s", logged(fd));
}

START_TEST(logins_are_answered_from_the_file)
{
	feed_all(USERS);
	all_ready();
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(login("joe", "sesame"), AUTH_ACCEPTED);
		ck_assert_int_eq(login("joe", "Sesame"), AUTH_REFUSED);
		ck_assert_int_eq(login("jim", "sesame"), AUTH_REFUSED);
	}
}
END_TEST

START_TEST(a_fresh_file_is_taken_and_a_bad_one_is_not)
{
	feed_all(USERS);
	all_ready();
	feed_all("jim:{PLAIN}sesame\n");
	wait_for_lines(log_fd, "1 users");
	while (login("joe", "sesame") == AUTH_ACCEPTED)         /* read, and soon in force */
		continue;
	feed_all("jim:{PLAIN}other\njoe:{ROT13}x\n");
	wait_for_lines(log_fd,
	    "unknown password scheme in /etc/users:2, what was read before stays in force");
	ck_assert_int_eq(login("jim", "sesame"), AUTH_ACCEPTED);
	ck_assert_int_eq(login("jim", "other"), AUTH_REFUSED);
	ck_assert_ptr_null(strstr(logged(log_fd), "sesame"));
}
END_TEST

static uint64_t
epoch_of_a_login(void)
{
	struct asked asked;

	asking_prepare(&asking, &asked, "joe", "sesame");
	asking_ask(&asking, &asked);
	asking_wait(&asking, &asked);
	return asked.epoch;
}

START_TEST(the_master_hears_what_is_in_force_and_what_can_be_answered)
{
	const unsigned all = METHODS_PASSWORD | METHODS_CHALLENGE;
	struct ipc_message message;

	feed_number(41, USERS);
	for (size_t i = 0; i < HELPERS; i++) {
		message = hear_all(i);
		ck_assert(message.kind == IPC_FED && message.value == 41 && message.index == all);
		message = hear_all(i);
		ck_assert(message.kind == IPC_READY && message.value == all);
	}
	ck_assert_uint_eq(epoch_of_a_login(), 41);
	feed_number(42, "joe:{ROT13}x\n");
	feed_number(43, "joe:{SHA256}PhUoF/PJZQ3fx1Wly27rMOa1TeCb4aFWzjG1oLw0Fx8=\n");
	for (size_t i = 0; i < HELPERS; i++) {
		message = hear_all(i);
		ck_assert(message.kind == IPC_UNFED && message.value == 42);
		message = hear_all(i);
		ck_assert(message.kind == IPC_FED && message.value == 43 && message.index == METHODS_PASSWORD);
	}
	ck_assert_uint_eq(epoch_of_a_login(), 43);
}
END_TEST

START_TEST(a_bad_file_at_the_start_is_told_to_the_master)
{
	feed_all(USERS "joe:*\n");
	for (size_t i = 0; i < HELPERS; i++) {
		ck_assert_uint_eq(hear(i), IPC_FAILED);
		ck_assert_uint_eq(hear(i), 0);
	}
	ck_assert_ptr_nonnull(strstr(logged(log_fd), "[emerg]"));
	ck_assert_ptr_nonnull(strstr(logged(log_fd), "user is there twice in /etc/users:2\n"));
}
END_TEST

START_TEST(a_burst_of_slow_logins_is_answered_whole)
{
	enum { COUNT = 300 };
	static struct asked asked[COUNT];

	feed_all("joe:$2b$04$07slaAT9uqOUDFsJD2Z4GO2C2iXi1vCEhgnhDSRXfn2m8AWjl7MY6\n");
	all_ready();
	for (size_t i = 0; i < COUNT; i++) {
		asking_prepare(&asking, &asked[i], i % 3 == 0 ? "joe" : "jim", "Geheim 1");
		asking_ask(&asking, &asked[i]);
	}
	for (size_t i = 0; i < COUNT; i++) {
		if (asked[i].answers == 0)
			asking_wait(&asking, &asked[i]);
		ck_assert_int_eq(asked[i].outcome, i % 3 == 0 ? AUTH_ACCEPTED : AUTH_REFUSED);
	}
}
END_TEST

START_TEST(nothing_that_a_worker_sends_ends_a_helper)
{
	char garbage[CODEC_MAX + 1] = "";
	int ends[2];

	feed_all(USERS);
	all_ready();
	ck_assert_int_eq(ipc_pair(ends), 0);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(packet_send(asking.mailbox[1], garbage, 0, -1), 0);
		ck_assert_int_eq(packet_send(asking.mailbox[1], garbage, 0, ends[0]), 0);
		ck_assert_int_eq(packet_send(asking.mailbox[1], garbage, 100, -1), 0);
		ck_assert_int_eq(packet_send(asking.mailbox[1], garbage, 100, ends[0]), 0);
		ck_assert_int_eq(packet_send(asking.mailbox[1], garbage, sizeof(garbage), ends[0]), 0);
		ck_assert_int_eq(packet_send(asking.mailbox[1], garbage, 100, log_fd), 0);
	}
	ck_assert_int_eq(login("joe", "sesame"), AUTH_ACCEPTED);
	ck_assert_int_eq(kill(pids[0], 0) | kill(pids[1], 0), 0);
	close(ends[0]);
	/* What it took is closed again. */
	ck_assert_int_eq(recv(ends[1], garbage, 1, 0) == 0 || errno == EAGAIN, 1);
	close(ends[1]);
}
END_TEST

START_TEST(a_killed_helper_costs_the_question_it_had_and_no_other)
{
	feed_all(USERS);
	all_ready();
	ck_assert_int_eq(kill(pids[0], SIGKILL), 0);
	ck_assert_uint_eq(hear(0), 0);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(login("joe", "sesame"), AUTH_ACCEPTED);
}
END_TEST

START_TEST(a_log_that_was_reopened_gets_the_lines_from_then_on)
{
	int fresh = appended_file();

	feed_all(USERS);
	all_ready();
	for (size_t i = 0; i < HELPERS; i++) {
		tell(i, IPC_LOGFILE, 2, 0, log_fd);
		tell(i, IPC_LOGFILE, 3, 0, fresh);
	}
	feed_all(USERS);
	wait_for_lines(fresh, "auth_file \"/etc/users\" read, 1 users");
	close(fresh);
}
END_TEST

START_TEST(a_helper_ends_with_its_master)
{
	feed_all(USERS);
	all_ready();
	close(channels[0]);
	ck_assert_int_eq(waitpid(pids[0], NULL, 0), pids[0]);
	start(0);
	introduce(0);
}
END_TEST

Suite *
auth_file_suite(void)
{
	Suite *suite = suite_create("auth_file");
	TCase *tcase = tcase_create("auth_file");

	suite_add_tcase(suite, tcase);
	if (child_in_valgrind())        /* which would take the sandbox for itself */
		return suite;
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, logins_are_answered_from_the_file);
	tcase_add_test(tcase, a_fresh_file_is_taken_and_a_bad_one_is_not);
	tcase_add_test(tcase, the_master_hears_what_is_in_force_and_what_can_be_answered);
	tcase_add_test(tcase, a_bad_file_at_the_start_is_told_to_the_master);
	tcase_add_test(tcase, a_burst_of_slow_logins_is_answered_whole);
	tcase_add_test(tcase, nothing_that_a_worker_sends_ends_a_helper);
	tcase_add_test(tcase, a_killed_helper_costs_the_question_it_had_and_no_other);
	tcase_add_test(tcase, a_log_that_was_reopened_gets_the_lines_from_then_on);
	tcase_add_test(tcase, a_helper_ends_with_its_master);
	return suite;
}
