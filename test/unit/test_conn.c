#include "worker/net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sock.h"
#include "test/unit/unit.h"

static struct loop *loop;
static struct conn conn;
static int peer;
static char room[16];

static void
on_events(struct loop_io *io, uint32_t events)
{
	conn_events(LIST_ENTRY(io, struct conn, io), events);
}

static void
setup(void)
{
	int ends[2];

	loop = loop_new(16);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	ck_assert_int_eq(conn_open(&conn, loop, ends[0], false, on_events), 0);
	peer = ends[1];
}

static void
teardown(void)
{
	conn_close(&conn, loop);
	close(peer);
	loop_free(&loop);
}

static void
say(const char *text)
{
	ck_assert_int_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
	loop_turn(loop, 0);
}

START_TEST(a_new_connection_is_writable_and_readable_once_bytes_came)
{
	ck_assert(conn_is_open(&conn) && conn.writable && !conn.readable && !conn.connecting);
	say("x");
	ck_assert(conn.readable && !conn.hangup);
}
END_TEST

START_TEST(a_short_read_is_the_last)
{
	say("hello");
	ck_assert_int_eq(conn_recv(&conn, room, 5), 5);
	ck_assert(conn.readable);
	ck_assert_int_eq(conn_recv(&conn, room, 5), -1);
	ck_assert(errno == EAGAIN && !conn.readable);
	say("hi");
	ck_assert(conn.readable);
	ck_assert_int_eq(conn_recv(&conn, room, 5), 2);
	ck_assert(!conn.readable && !conn.eof);
}
END_TEST

START_TEST(behind_a_hangup_one_reads_to_the_end)
{
	ck_assert_int_eq(write(peer, "bye", 3), 3);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	loop_turn(loop, 0);
	ck_assert(conn.readable && conn.hangup && !conn.eof);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 3);
	ck_assert(conn.readable);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 0);
	ck_assert(!conn.readable && conn.eof);
}
END_TEST

/* Puts what nobody can read from in the place of its socket. */
static void
spoil(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(dup2(fd, conn.io.fd), conn.io.fd);
	close(fd);
}

START_TEST(behind_a_hangup_a_short_read_is_followed_by_the_end_without_a_look)
{
	ck_assert_int_eq(write(peer, "goodbye", 7), 7);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(conn_recv(&conn, room, 4), 4);
	ck_assert(conn.readable && !conn.drained);
	ck_assert_int_eq(conn_recv(&conn, room, 4), 3);
	ck_assert(conn.readable && conn.drained && !conn.eof);
	spoil();
	ck_assert_int_eq(conn_recv(&conn, room, 4), 0);
	ck_assert(!conn.readable && conn.eof);
}
END_TEST

START_TEST(a_short_write_waits_for_room)
{
	static char bytes[1 << 20], drain[1 << 16];
	ssize_t sent = conn_send(&conn, bytes, sizeof(bytes));

	ck_assert(sent > 0 && sent < (ssize_t)sizeof(bytes));
	ck_assert(!conn.writable);
	ck_assert_int_eq(conn_send(&conn, bytes, sizeof(bytes)), -1);
	ck_assert_int_eq(errno, EAGAIN);
	while (read(peer, drain, sizeof(drain)) > 0)
		continue;
	loop_turn(loop, 0);
	ck_assert(conn.writable);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_an_error_and_no_signal)
{
	close(peer);
	peer = -1;
	loop_turn(loop, 0);
	ck_assert(conn.hangup && conn.readable && conn.writable);
	ck_assert_int_eq(conn_send(&conn, "x", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 0);
	ck_assert(conn.eof);
}
END_TEST

START_TEST(finishing_is_seen_by_the_peer_and_leaves_reading)
{
	conn_finish(&conn);
	conn_finish(&conn);
	ck_assert(conn.finished);
	ck_assert_int_eq(read(peer, room, sizeof(room)), 0);
	say("still");
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 5);
}
END_TEST

START_TEST(closing_twice_is_closing)
{
	conn_close(&conn, loop);
	ck_assert(!conn_is_open(&conn) && !conn.readable && !conn.writable);
	conn_close(&conn, loop);
	ck_assert_int_eq(read(peer, room, sizeof(room)), 0);
}
END_TEST

/* Connects to a port of this machine on which nobody listens, or somebody does. */
static int
connect_outcome(bool listening)
{
	struct endpoint at = { .addr = { .ip = { 127, 0, 0, 1 }, .family = AF_INET } };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_sockaddr(&at, &sa);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	bool pending;
	int outcome;

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, len), 0);
	if (listening)
		ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	addr_from_sockaddr(&at.addr, &sa);
	conn_close(&conn, loop);
	fd = sock_connect(&at, &pending);
	if (fd == -1) {
		close(listener);
		return errno;
	}
	ck_assert_int_eq(conn_open(&conn, loop, fd, pending, on_events), 0);
	ck_assert_int_eq(conn.writable, !pending);
	while (!conn.writable)
		loop_turn(loop, -1);
	outcome = conn_connected(&conn);
	close(listener);
	return outcome;
}

START_TEST(a_connect_says_how_it_ended)
{
	ck_assert_int_eq(connect_outcome(true), 0);
	ck_assert(!conn.connecting && conn.writable);
	ck_assert_int_eq(connect_outcome(false), ECONNREFUSED);
}
END_TEST

/* Makes the two a TCP connection. */
static void
speak_tcp(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	conn_close(&conn, loop);
	close(peer);
	peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&sa, len), 0);
	ck_assert_int_eq(conn_open(&conn, loop, accept4(listener, NULL, NULL, SOCK_NONBLOCK), false, on_events), 0);
	close(listener);
}

static void
say_urgently(char byte)
{
	ck_assert_int_eq(send(peer, &byte, 1, MSG_OOB), 1);
	loop_turn(loop, 0);
}

/* The kernel ends a read where something urgent stood. */
START_TEST(what_stands_behind_something_urgent_is_read_too)
{
	speak_tcp();
	say("one");
	say_urgently('!');
	say("two");
	ck_assert(conn.urgent);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 3);
	ck_assert(conn.readable);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 3);
	ck_assert_mem_eq(room, "two", 3);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), -1);
	ck_assert(errno == EAGAIN && !conn.readable);
}
END_TEST

START_TEST(nor_is_it_lost_behind_a_hangup)
{
	speak_tcp();
	say("one");
	say_urgently('!');
	say("two");
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 3);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 3);
	ck_assert_int_eq(conn_recv(&conn, room, sizeof(room)), 0);
	ck_assert(conn.eof);
}
END_TEST

/* How many segments a goodbye and the end behind it are. */
static unsigned
segments_of_a_goodbye(void)
{
	struct tcp_info before, after;
	socklen_t len = sizeof(before);

	speak_tcp();
	ck_assert_int_eq(getsockopt(peer, IPPROTO_TCP, TCP_INFO, &before, &len), 0);
	ck_assert_int_eq(conn_send_last(&conn, "bye", 3), 3);
	conn_finish(&conn);
	ck_assert_int_eq(read(peer, room, sizeof(room)), 3);
	ck_assert_int_eq(read(peer, room, sizeof(room)), 0);
	ck_assert_int_eq(getsockopt(peer, IPPROTO_TCP, TCP_INFO, &after, &len), 0);
	return after.tcpi_segs_in - before.tcpi_segs_in;
}

/* The kernel sends them apart if we are held up in between for long. */
START_TEST(last_words_leave_with_the_end)
{
	unsigned least = UINT_MAX;

	for (int i = 0; i < 5 && least > 1; i++) {
		unsigned count = segments_of_a_goodbye();

		least = count < least ? count : least;
	}
	ck_assert_uint_eq(least, 1);
}
END_TEST

START_TEST(what_cannot_be_watched_is_closed)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	conn_close(&conn, loop);
	ck_assert_int_eq(conn_open(&conn, loop, fd, false, on_events), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert(!conn_is_open(&conn));
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

Suite *
conn_suite(void)
{
	Suite *suite = suite_create("conn");
	TCase *tcase = tcase_create("conn");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_new_connection_is_writable_and_readable_once_bytes_came);
	tcase_add_test(tcase, a_short_read_is_the_last);
	tcase_add_test(tcase, behind_a_hangup_one_reads_to_the_end);
	tcase_add_test(tcase, behind_a_hangup_a_short_read_is_followed_by_the_end_without_a_look);
	tcase_add_test(tcase, a_short_write_waits_for_room);
	tcase_add_test(tcase, a_peer_that_is_gone_is_an_error_and_no_signal);
	tcase_add_test(tcase, finishing_is_seen_by_the_peer_and_leaves_reading);
	tcase_add_test(tcase, closing_twice_is_closing);
	tcase_add_test(tcase, a_connect_says_how_it_ended);
	tcase_add_test(tcase, what_stands_behind_something_urgent_is_read_too);
	tcase_add_test(tcase, nor_is_it_lost_behind_a_hangup);
	tcase_add_test(tcase, last_words_leave_with_the_end);
	tcase_add_test(tcase, what_cannot_be_watched_is_closed);
	suite_add_tcase(suite, tcase);
	return suite;
}
