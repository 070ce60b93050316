#include "common/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/child.h"
#include "test/unit/unit.h"

static const struct sock_options plain = { .backlog = 8, .mode = 0666, .uid = -1, .gid = -1 };

static char dir[32], path[64];
static struct endpoint file = { .addr.family = AF_UNIX, .path = path };

static void
make_dir(void)
{
	strcpy(dir, "/tmp/postern-sock-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
}

static void
remove_dir(void)
{
	unlink(path);
	rmdir(dir);
}

static int
listen_or_fail(const struct endpoint *at, const struct sock_options *options)
{
	const char *step;
	int fd = sock_listen(at, options, &step);

	ck_assert_msg(fd != -1, "%s: %s", step, strerror(errno));
	return fd;
}

/* Port 0 lets the kernel choose; this is where it went. */
static struct endpoint
loopback(int family)
{
	struct endpoint at = { .path = NULL };

	ck_assert_int_eq(addr_parse(&at.addr, family == AF_INET ? "127.0.0.1" : "::1", family == AF_INET ? 9 : 3), 0);
	return at;
}

static struct endpoint
place_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint at = { .path = NULL };

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	addr_from_sockaddr(&at.addr, &sa);
	return at;
}

static int
option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static int
accept_one(int listener)
{
	struct pollfd wait = { listener, POLLIN, 0 };

	ck_assert_int_eq(poll(&wait, 1, 10000), 1);
	return accept(listener, NULL, NULL);
}

/* Connects, with or without a wait, and says how it ended. */
static int
outcome(const struct endpoint *to)
{
	struct pollfd wait = { -1, POLLOUT, 0 };
	bool pending;
	int error = 0;

	if ((wait.fd = sock_connect(to, &pending)) == -1)
		return errno;
	ck_assert((fcntl(wait.fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(wait.fd, F_GETFD) & FD_CLOEXEC) != 0);
	if (pending) {
		ck_assert_int_eq(poll(&wait, 1, 10000), 1);
		error = sock_error(wait.fd);
	}
	close(wait.fd);
	return error;
}

static const int families[] = { AF_INET, AF_INET6 };

START_TEST(a_listener_is_found_and_hands_down_what_it_was_given)
{
	struct sock_options options = plain;
	struct endpoint at = loopback(families[_i]);
	const char *step;
	int listener, fd;
	bool pending;

	options.keepalive = SOCK_KEEPALIVE_ON;
	options.keepalive_idle_s = 77;
	options.ipv6only = true;
	if ((listener = sock_listen(&at, &options, &step)) == -1 && families[_i] == AF_INET6)
		return;         /* a machine without IPv6 */
	ck_assert_int_ne(listener, -1);
	ck_assert((fcntl(listener, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(listener, F_GETFD) & FD_CLOEXEC) != 0);
	at = place_of(listener);
	ck_assert_int_eq(outcome(&at), 0);
	fd = sock_connect(&at, &pending);
	ck_assert_int_ne(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	close(fd);
	fd = accept_one(listener);
	ck_assert_int_ne(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_ne(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	close(fd);
	close(listener);
	ck_assert_int_eq(outcome(&at), ECONNREFUSED);
}
END_TEST

START_TEST(a_live_listener_can_be_adjusted)
{
	struct sock_options options = plain;
	struct endpoint at = loopback(AF_INET);
	int listener, before;

	options.keepalive = SOCK_KEEPALIVE_ON;
	listener = listen_or_fail(&at, &options);
	before = option(listener, SOL_SOCKET, SO_RCVBUF);
	options.keepalive = SOCK_KEEPALIVE_SYSTEM;
	options.rcvbuf = before / 8;
	ck_assert_int_eq(sock_adjust(listener, &at, &options), 0);
	ck_assert_int_lt(option(listener, SOL_SOCKET, SO_RCVBUF), before);
	ck_assert_int_eq(option(listener, SOL_SOCKET, SO_KEEPALIVE), 0);
	close(listener);
}
END_TEST

START_TEST(a_taken_address_says_so)
{
	struct endpoint at = loopback(AF_INET);
	int listener = listen_or_fail(&at, &plain);
	const char *step;

	at = place_of(listener);
	ck_assert_int_eq(sock_listen(&at, &plain, &step), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert(strcmp(step, "bind") == 0 || strcmp(step, "listen") == 0);
	close(listener);
}
END_TEST

START_TEST(a_multipath_listener_serves_plain_tcp_too)
{
	struct sock_options options = plain;
	struct endpoint at = loopback(AF_INET);
	const char *step;
	int listener;

	options.multipath = true;
	if ((listener = sock_listen(&at, &options, &step)) == -1) {
		/* A kernel without it must be what was wrong. */
		ck_assert_str_eq(step, "socket");
		return;
	}
	at = place_of(listener);
	ck_assert_int_eq(outcome(&at), 0);
	close(listener);
}
END_TEST

static const unsigned modes[] = { 0666, 0600, 0660, 0777, 0 };

START_TEST(a_socket_file_has_its_mode_whatever_the_umask)
{
	struct sock_options options = plain;
	struct stat st;
	int listener;

	options.mode = modes[_i];
	umask(0077);
	listener = listen_or_fail(&file, &options);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, modes[_i]);
	ck_assert_uint_eq(umask(022), 0077);
	close(listener);
}
END_TEST

START_TEST(a_socket_file_has_its_owner)
{
	struct sock_options options = plain;
	struct stat st;
	int listener;

	if (geteuid() != 0)
		return;
	options.uid = 4242;
	options.gid = 4243;
	listener = listen_or_fail(&file, &options);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(st.st_uid == 4242 && st.st_gid == 4243);
	close(listener);
}
END_TEST

START_TEST(the_file_of_a_dead_listener_is_replaced)
{
	int listener = listen_or_fail(&file, &plain);

	ck_assert_int_eq(outcome(&file), 0);
	close(listener);
	ck_assert_int_eq(outcome(&file), ECONNREFUSED);
	listener = listen_or_fail(&file, &plain);
	ck_assert_int_eq(outcome(&file), 0);
	close(listener);
}
END_TEST

static int
start_at_once(void *ready)
{
	const char *step;
	char byte;

	/* All see the end of file together. */
	(void)!read(*(int *)ready, &byte, 1);
	return sock_listen(&file, &plain, &step) == -1 ? 1 : (pause(), 0);
}

/* Forks `count` starts that begin together; leaves the pid of the one that listens, and returns how many do. */
static int
race(pid_t *winner, int count)
{
	int ends[2], winners = 0, status;
	pid_t pids[8];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	for (int i = 0; i < count; i++) {
		ck_assert_int_ne(pids[i] = fork(), -1);
		if (pids[i] == 0) {
			close(ends[1]);
			_exit(start_at_once(&ends[0]));
		}
	}
	close(ends[0]);
	close(ends[1]);
	for (int i = 0; i < count - 1; i++)     /* the losers end */
		ck_assert_int_gt(wait(&status), 0);
	for (int i = 0; i < count; i++)
		if (kill(pids[i], 0) == 0) {
			*winner = pids[i];
			winners++;
		}
	return winners;
}

START_TEST(of_many_starts_one_gets_a_dead_listeners_path)
{
	for (int round = 0; round < 20; round++) {
		pid_t winner;

		/* In the first round nothing is there, then what the last winner has left. */
		ck_assert_int_eq(race(&winner, 6), 1);
		ck_assert_int_eq(outcome(&file), 0);
		kill(winner, SIGKILL);
		ck_assert_int_eq(waitpid(winner, NULL, 0), winner);
		ck_assert_int_eq(outcome(&file), ECONNREFUSED);
	}
}
END_TEST

static void must_be_in_use(void);

START_TEST(who_holds_the_folder_stops_no_start_but_only_the_replacing)
{
	int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_eq(flock(folder, LOCK_EX), 0);
	close(listen_or_fail(&file, &plain));
	must_be_in_use();
	close(folder);
	close(listen_or_fail(&file, &plain));
}
END_TEST

static void
must_be_in_use(void)
{
	struct stat before, after;
	const char *step;

	ck_assert_int_eq(lstat(path, &before), 0);
	ck_assert_int_eq(sock_listen(&file, &plain, &step), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_str_eq(step, "bind");
	ck_assert(lstat(path, &after) == 0 && before.st_ino == after.st_ino);
}

START_TEST(the_file_of_a_live_listener_stays_even_if_its_queue_is_full)
{
	struct sock_options options = plain;
	int listener, clients[8];
	bool pending;

	options.backlog = 1;
	listener = listen_or_fail(&file, &options);
	must_be_in_use();
	for (int i = 0; i < 8; i++)
		clients[i] = sock_connect(&file, &pending);
	ck_assert_int_eq(clients[7], -1);
	must_be_in_use();
	for (int i = 0; i < 8; i++)
		if (clients[i] != -1)
			close(clients[i]);
	close(listener);
}
END_TEST

START_TEST(what_is_no_stale_socket_is_never_removed)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char target[80];
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	must_be_in_use();
	/* A link to a stale socket is no socket. */
	unlink(path);
	snprintf(target, sizeof(target), "%s/target", dir);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", target);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	close(fd);
	ck_assert_int_eq(symlink(target, path), 0);
	must_be_in_use();
	/* A datagram socket that somebody reads refuses a stream in its own words. */
	unlink(path);
	unlink(target);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	must_be_in_use();
	close(fd);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_an_error)
{
	char long_path[200];
	struct endpoint at = { .addr.family = AF_UNIX, .path = long_path };
	const char *step;
	bool pending;

	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	ck_assert(sock_listen(&at, &plain, &step) == -1 && errno == ENAMETOOLONG);
	ck_assert(sock_connect(&at, &pending) == -1 && errno == ENAMETOOLONG);
}
END_TEST

START_TEST(nothing_to_connect_to_is_an_error_at_once)
{
	bool pending = true;

	ck_assert_int_eq(sock_connect(&file, &pending), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert(!pending);
	ck_assert_int_eq(sock_error(-1), EBADF);
}
END_TEST

static struct addr
address(const char *text)
{
	struct addr a;

	ck_assert_int_eq(addr_parse(&a, text, strlen(text)), 0);
	return a;
}

/* Who has connected to this listener? */
static struct addr
caller(int listener)
{
	struct pollfd wait = { listener, POLLIN, 0 };
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct addr who;
	int fd;

	ck_assert_int_eq(poll(&wait, 1, 5000), 1);
	ck_assert_int_ge(fd = accept(listener, (struct sockaddr *)&sa, &len), 0);
	close(fd);
	addr_from_sockaddr(&who, &sa);
	return who;
}

static const struct {
	int family;
	const char *from;
} leaving[] = {
	{ AF_INET,  "127.0.0.9"       },
	{ AF_INET,  "127.200.100.50"  },
	{ AF_INET6, "::1"             },
};

START_TEST(a_connection_leaves_from_the_address_it_is_given)
{
	const struct endpoint any = loopback(leaving[_i].family);
	struct addr from = address(leaving[_i].from), who;
	const char *step;
	int listener, fd;
	struct endpoint at;
	bool pending;

	listener = listen_or_fail(&any, &plain);
	at = place_of(listener);
	from.port = at.addr.port;       /* is not looked at */
	ck_assert_msg((fd = sock_connect_from(&from, false, &at, &pending, &step)) != -1, "%s: %s", step,
	    strerror(errno));
	who = caller(listener);
	ck_assert_uint_ne(who.port, 0);
	ck_assert_uint_ne(who.port, from.port);
	from.port = who.port;
	ck_assert(addr_equal(&who, &from));
	close(fd);
	close(listener);
}
END_TEST

static const struct {
	const char *from, *to;
	bool transparent;
	int error;
	const char *step;
} wrong[] = {
	{ "192.0.2.7",   "127.0.0.1", false, EADDRNOTAVAIL, "bind"       },
	{ "2001:db8::7", "::1",       false, EADDRNOTAVAIL, "bind"       },
	{ "::1",         "127.0.0.1", false, EAFNOSUPPORT,  "bind"       },
	{ "192.0.2.7",   "127.0.0.1", true,  EPERM,         "setsockopt" },
	{ "2001:db8::7", "::1",       true,  EPERM,         "setsockopt" },
};

/* As somebody who has no capability. */
static int
leave_wrongly(void *number)
{
	int i = *(int *)number;
	struct addr from = address(wrong[i].from);
	struct endpoint to = { .addr = address(wrong[i].to) };
	const char *step = "";
	bool pending;

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1)
		return 99;
	to.addr.port = 1;
	if (sock_connect_from(&from, wrong[i].transparent, &to, &pending, &step) != -1)
		return 1;
	return errno == wrong[i].error && strcmp(step, wrong[i].step) == 0 ? 0 : 2;
}

START_TEST(what_hinders_it_from_leaving_is_named)
{
	ck_assert_int_eq(child_run(leave_wrongly, &_i), 0);
}
END_TEST

Suite *
sock_suite(void)
{
	Suite *suite = suite_create("sock");
	TCase *tcase = tcase_create("sock");

	tcase_add_checked_fixture(tcase, make_dir, remove_dir);
	tcase_add_loop_test(tcase, a_listener_is_found_and_hands_down_what_it_was_given, 0, UNIT_COUNT(families));
	tcase_add_test(tcase, a_live_listener_can_be_adjusted);
	tcase_add_test(tcase, a_taken_address_says_so);
	tcase_add_test(tcase, a_multipath_listener_serves_plain_tcp_too);
	tcase_add_loop_test(tcase, a_socket_file_has_its_mode_whatever_the_umask, 0, UNIT_COUNT(modes));
	tcase_add_test(tcase, a_socket_file_has_its_owner);
	tcase_add_test(tcase, the_file_of_a_dead_listener_is_replaced);
	tcase_add_test(tcase, of_many_starts_one_gets_a_dead_listeners_path);
	tcase_add_test(tcase, who_holds_the_folder_stops_no_start_but_only_the_replacing);
	tcase_add_test(tcase, the_file_of_a_live_listener_stays_even_if_its_queue_is_full);
	tcase_add_test(tcase, what_is_no_stale_socket_is_never_removed);
	tcase_add_test(tcase, a_path_that_is_too_long_is_an_error);
	tcase_add_test(tcase, nothing_to_connect_to_is_an_error_at_once);
	tcase_add_loop_test(tcase, a_connection_leaves_from_the_address_it_is_given, 0, UNIT_COUNT(leaving));
	tcase_add_loop_test(tcase, what_hinders_it_from_leaving_is_named, 0, UNIT_COUNT(wrong));
	suite_add_tcase(suite, tcase);
	return suite;
}
