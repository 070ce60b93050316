#include "master/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/conf.h"
#include "test/unit/capture.h"
#include "test/unit/child.h"
#include "test/unit/unit.h"

#define MAX_LISTENS 4

static char folder[] = "/tmp/postern-unit-XXXXXX";
static char sockets[2][sizeof(folder) + 16];

/* A configuration that listens and does nothing else. */
struct listening {
	struct conf conf;
	struct conf_listen listens[MAX_LISTENS];
	struct conf_listen *pointers[MAX_LISTENS + 1];
};

static void
set_up(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (int i = 0; i < 2; i++)
		snprintf(sockets[i], sizeof(sockets[i]), "%s/%d", folder, i);
	capture_begin();
}

static void
tear_down(void)
{
	capture_end();
	for (int i = 0; i < 2; i++)
		unlink(sockets[i]);
	rmdir(folder);
}

static struct conf_listen *
add(struct listening *l)
{
	struct conf_listen *listen = &l->listens[l->conf.listen_count];

	l->pointers[l->conf.listen_count++] = listen;
	l->conf.listens = l->pointers;
	*listen = (struct conf_listen){ .fd = -1, .text = "somewhere",
	    .options = { .backlog = 16, .ipv6only = true, .mode = 0666, .uid = -1, .gid = -1 } };
	return listen;
}

static void
add_unix(struct listening *l, int which)
{
	add(l)->at = (struct endpoint){ .addr.family = AF_UNIX, .path = sockets[which] };
}

/* A port that is free now, or the one given. */
static void
add_inet(struct listening *l, uint16_t port)
{
	add(l)->at = (struct endpoint){ .addr = { .family = AF_INET, .ip = { 127, 0, 0, 1 }, .port = port } };
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct addr addr;

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	addr_from_sockaddr(&addr, &sa);
	return addr.port;
}

static bool
is_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

START_TEST(a_reload_keeps_the_socket_of_the_same_address)
{
	struct listening first = { 0 }, second = { 0 };

	add_unix(&first, 0);
	add_unix(&second, 1);
	add_unix(&second, 0);
	ck_assert_int_eq(listener_open(&first.conf, NULL, NULL), 0);
	ck_assert_int_eq(listener_open(&second.conf, &first.conf, NULL), 0);
	ck_assert_int_eq(second.listens[1].fd, first.listens[0].fd);
	listener_commit(&second.conf, &first.conf);
	ck_assert_int_eq(first.listens[0].fd, -1);
	ck_assert(is_socket(second.listens[1].fd));
	listener_close(&second.conf);
	ck_assert_int_eq(access(sockets[0], F_OK), -1);
	ck_assert_int_eq(access(sockets[1], F_OK), -1);
}
END_TEST

START_TEST(what_nobody_wants_any_more_is_closed_and_its_file_removed)
{
	struct listening first = { 0 }, second = { 0 };

	add_unix(&first, 0);
	add_unix(&second, 1);
	ck_assert_int_eq(listener_open(&first.conf, NULL, NULL), 0);
	ck_assert_int_eq(listener_open(&second.conf, &first.conf, NULL), 0);
	ck_assert_int_eq(access(sockets[0], F_OK), 0);
	listener_commit(&second.conf, &first.conf);
	ck_assert_int_eq(first.listens[0].fd, -1);
	ck_assert_int_eq(access(sockets[0], F_OK), -1);
	ck_assert_int_eq(access(sockets[1], F_OK), 0);
	listener_close(&second.conf);
}
END_TEST

START_TEST(a_failed_reload_changes_nothing)
{
	struct listening first = { 0 }, second = { 0 }, stranger = { 0 };
	int fd;

	add_inet(&stranger, 0);
	ck_assert_int_eq(listener_open(&stranger.conf, NULL, NULL), 0);
	add_unix(&first, 0);
	ck_assert_int_eq(listener_open(&first.conf, NULL, NULL), 0);
	fd = first.listens[0].fd;
	add_unix(&second, 0);
	add_unix(&second, 1);
	add_inet(&second, port_of(stranger.listens[0].fd));
	ck_assert_int_eq(listener_open(&second.conf, &first.conf, NULL), -1);
	ck_assert_ptr_nonnull(strstr(capture_text(), "bind() to somewhere failed (98: Address already in use)\n"));
	ck_assert_int_eq(first.listens[0].fd, fd);
	ck_assert(is_socket(fd));
	ck_assert_int_eq(access(sockets[0], F_OK), 0);
	ck_assert_int_eq(access(sockets[1], F_OK), -1);
	for (size_t i = 0; i < second.conf.listen_count; i++)
		ck_assert_int_eq(second.listens[i].fd, -1);
	listener_close(&first.conf);
	listener_close(&stranger.conf);
}
END_TEST

static int
hold(void *listening)
{
	const struct timespec a_while = { .tv_nsec = 700000000 };

	(void)listening;
	nanosleep(&a_while, NULL);      /* it has the socket, as workers of a dead master do for a moment */
	return 0;
}

START_TEST(a_start_waits_for_addresses_that_are_about_to_be_free)
{
	struct listening dying = { 0 }, next = { 0 };
	pid_t child;

	add_inet(&dying, 0);
	add_unix(&dying, 0);
	ck_assert_int_eq(listener_open(&dying.conf, NULL, NULL), 0);
	child = child_start(hold, &dying);
	add_unix(&next, 0);
	add_inet(&next, port_of(dying.listens[0].fd));
	for (int i = 0; i < 2; i++)
		close(dying.listens[i].fd);
	ck_assert_int_eq(listener_open(&next.conf, NULL, NULL), 0);
	ck_assert_int_eq(child_wait(child), 0);
	ck_assert_ptr_nonnull(strstr(capture_text(), "try again to bind() after 500 ms\n"));
	ck_assert_ptr_null(strstr(capture_text(), "[emerg]"));
	listener_close(&next.conf);
}
END_TEST

START_TEST(a_start_that_has_waited_in_vain_says_why_and_leaves_nothing)
{
	struct listening other = { 0 }, next = { 0 };

	add_inet(&other, 0);
	ck_assert_int_eq(listener_open(&other.conf, NULL, NULL), 0);
	add_inet(&next, port_of(other.listens[0].fd));
	add_unix(&next, 0);
	ck_assert_int_eq(listener_open(&next.conf, NULL, NULL), -1);
	ck_assert_ptr_nonnull(strstr(capture_text(), "[emerg]"));
	ck_assert_ptr_nonnull(strstr(capture_text(), "bind() to somewhere failed (98: Address already in use)\n"));
	ck_assert_int_eq(access(sockets[0], F_OK), -1);
	ck_assert_int_eq(next.listens[1].fd, -1);
	listener_close(&other.conf);
}
END_TEST

START_TEST(rolling_back_leaves_the_old_sockets_alone)
{
	struct listening first = { 0 }, second = { 0 };

	add_unix(&first, 0);
	add_unix(&second, 0);
	add_unix(&second, 1);
	ck_assert_int_eq(listener_open(&first.conf, NULL, NULL), 0);
	ck_assert_int_eq(listener_open(&second.conf, &first.conf, NULL), 0);
	listener_rollback(&second.conf, &first.conf);
	ck_assert(is_socket(first.listens[0].fd));
	ck_assert_int_eq(access(sockets[0], F_OK), 0);
	ck_assert_int_eq(access(sockets[1], F_OK), -1);
	listener_close(&first.conf);
}
END_TEST

START_TEST(a_specific_address_behind_a_wildcard_has_no_socket)
{
	struct listening l = { 0 };

	add_unix(&l, 0);
	add_inet(&l, 1);
	l.listens[1].wildcard = &l.listens[0];
	ck_assert_int_eq(listener_open(&l.conf, NULL, NULL), 0);
	ck_assert_int_eq(l.listens[1].fd, -1);
	listener_close(&l.conf);
}
END_TEST

Suite *
listener_suite(void)
{
	Suite *suite = suite_create("listener");
	TCase *tcase = tcase_create("listener");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_reload_keeps_the_socket_of_the_same_address);
	tcase_add_test(tcase, what_nobody_wants_any_more_is_closed_and_its_file_removed);
	tcase_add_test(tcase, a_failed_reload_changes_nothing);
	tcase_add_test(tcase, a_start_waits_for_addresses_that_are_about_to_be_free);
	tcase_add_test(tcase, a_start_that_has_waited_in_vain_says_why_and_leaves_nothing);
	tcase_add_test(tcase, rolling_back_leaves_the_old_sockets_alone);
	tcase_add_test(tcase, a_specific_address_behind_a_wildcard_has_no_socket);
	suite_add_tcase(suite, tcase);
	return suite;
}
