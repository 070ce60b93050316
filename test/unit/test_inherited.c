#include "master/inherited.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sock.h"
#include "master/activation.h"
#include "master/listener.h"
#include "test/unit/capture.h"
#include "test/unit/child.h"
#include "test/unit/unit.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static char folder[] = "/tmp/postern-unit-XXXXXX";
static char path[sizeof(folder) + 16];
static struct inherited *inherited;

static void
set_up(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	capture_begin();
	inherited = inherited_new();
}

static void
tear_down(void)
{
	inherited_free(&inherited);
	capture_end();
	unlink(path);
	rmdir(folder);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

/* A plain socket, as a stranger would make it: blocking, and open over exec. */
static int
stranger(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	ck_assert_int_ne(fd, -1);
	return fd;
}

/* Binds `fd` to 127.0.0.1, [::] or the path, and listens; *wish is how a configuration would call it. */
static void
bind_stranger(int fd, int family, struct conf_listen *wish)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len;

	*wish = (struct conf_listen){ .fd = -1, .text = "somewhere",
	    .options = { .backlog = 16, .ipv6only = true, .mode = 0666, .uid = -1, .gid = -1 } };
	wish->at.addr.family = (uint16_t)family;
	if (family == AF_UNIX)
		wish->at.path = path;
	else if (family == AF_INET)
		memcpy(wish->at.addr.ip, (unsigned char[]){ 127, 0, 0, 1 }, 4);
	len = endpoint_sockaddr(&wish->at, &sa);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	len = sizeof(sa);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	if (family != AF_UNIX)
		addr_from_sockaddr(&wish->at.addr, &sa);
}

/* As bind_stranger(), for an IPv6 socket that IPv4 comes to or does not. */
static int
v6_stranger(bool ipv6only, struct conf_listen *wish)
{
	int fd = stranger(AF_INET6, SOCK_STREAM, 0), value = ipv6only;

	ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value)), 0);
	bind_stranger(fd, AF_INET6, wish);
	wish->options.ipv6only = ipv6only;
	return fd;
}

static const int families[] = { AF_INET, AF_INET6, AF_UNIX };

START_TEST(a_socket_goes_to_whom_its_address_is)
{
	bool lent = _i % 2 == 1;
	int family = families[_i / 2];
	struct conf_listen wish;
	int fd = stranger(family, SOCK_STREAM, 0);

	if (family == AF_INET6) {
		close(fd);
		fd = v6_stranger(true, &wish);
	} else {
		bind_stranger(fd, family, &wish);
	}
	ck_assert_ptr_null(inherited_add(inherited, fd, lent));
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert(inherited_claim(inherited, &wish));
	ck_assert_int_eq(wish.fd, fd);
	ck_assert(wish.lent == lent);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert(!inherited_claim(inherited, &wish));
	inherited_close(&inherited);
	ck_assert_str_eq(capture_text(), "");
	ck_assert(is_open(fd));
	close(fd);
}
END_TEST

START_TEST(what_a_socket_cannot_become_makes_it_another_one)
{
	struct conf_listen wish, v6;
	int fd = stranger(AF_INET, SOCK_STREAM, 0);

	bind_stranger(fd, AF_INET, &wish);
	ck_assert_ptr_null(inherited_add(inherited, fd, false));
	ck_assert_ptr_null(inherited_add(inherited, v6_stranger(false, &v6), false));
	wish.options.multipath = true;
	ck_assert(!inherited_claim(inherited, &wish));
	wish.options.multipath = false;
	wish.at.addr.port++;
	ck_assert(!inherited_claim(inherited, &wish));
	wish.at.addr.port--;
	wish.at.addr.ip[3]++;
	ck_assert(!inherited_claim(inherited, &wish));
	wish.at.addr.ip[3]--;
	wish.options.ipv6only = false;  /* says nothing of IPv4 */
	ck_assert(inherited_claim(inherited, &wish));
	v6.options.ipv6only = true;
	ck_assert(!inherited_claim(inherited, &v6));
	v6.options.ipv6only = false;
	ck_assert(inherited_claim(inherited, &v6));
	close(wish.fd);
	close(v6.fd);
}
END_TEST

START_TEST(ipv6only_means_nothing_to_a_specific_address)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr.s6_addr = { [15] = 1 } };
	struct conf_listen wish = {
		.at.addr = { .family = AF_INET6, .ip = { [15] = 1 } }, .options.ipv6only = _i == 1,
	};
	int fd = stranger(AF_INET6, SOCK_STREAM, 0);
	socklen_t len = sizeof(in6);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in6, len), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in6, &len), 0);
	wish.at.addr.port = ntohs(in6.sin6_port);
	ck_assert_ptr_null(inherited_add(inherited, fd, false));
	ck_assert(inherited_claim(inherited, &wish));
	close(fd);
}
END_TEST

START_TEST(a_multipath_socket_is_one)
{
	struct conf_listen wish;
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	if (fd == -1)
		return;         /* a kernel without it */
	bind_stranger(fd, AF_INET, &wish);
	ck_assert_ptr_null(inherited_add(inherited, fd, false));
	ck_assert(!inherited_claim(inherited, &wish));
	wish.options.multipath = true;
	ck_assert(inherited_claim(inherited, &wish));
	close(fd);
}
END_TEST

/* --- what others may have left in a descriptor --- */

static int
nothing(void)
{
	return 999;
}

static int
a_file(void)
{
	return open("/dev/null", O_RDONLY);
}

static int
datagrams(void)
{
	return stranger(AF_UNIX, SOCK_DGRAM, 0);
}

static int
one_that_does_not_listen(void)
{
	return stranger(AF_INET, SOCK_STREAM, 0);
}

static int
a_connection(void)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	close(ends[1]);
	return ends[0];
}

static int
packets(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = stranger(AF_UNIX, SOCK_SEQPACKET, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun.sun_family)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

/* The kernel makes up an abstract name. */
static int
one_without_a_path(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = stranger(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun.sun_family)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static int
ipv4_in_ipv6(void)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
	    .sin6_addr.s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };
	int fd = stranger(AF_INET6, SOCK_STREAM, 0), off = 0;

	ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static const struct {
	int (*make)(void);
	const char *why;
} useless[] = {
	{ nothing, "is not open" },
	{ a_file, "is not a socket" },
	{ datagrams, "is not a listening stream socket" },
	{ packets, "is not a listening stream socket" },
	{ one_that_does_not_listen, "is not a listening stream socket" },
	{ a_connection, "is not a listening stream socket" },
	{ one_without_a_path, "has no path" },
	{ ipv4_in_ipv6, "is of an address family that nothing can listen on" },
};

START_TEST(what_nothing_can_listen_on_is_refused)
{
	int fd = useless[_i].make();
	size_t count;
	int *fds;

	ck_assert_str_eq(inherited_add(inherited, fd, false), useless[_i].why);
	fds = inherited_fds(inherited, &count);
	ck_assert_uint_eq(count, 0);
	mem_free(fds);
	close(fd);
}
END_TEST

START_TEST(a_descriptor_is_taken_once)
{
	struct conf_listen wish;
	int fd = stranger(AF_INET, SOCK_STREAM, 0);

	bind_stranger(fd, AF_INET, &wish);
	ck_assert_ptr_null(inherited_add(inherited, fd, true));
	ck_assert_str_eq(inherited_add(inherited, fd, false), "was given before");
	ck_assert(inherited_claim(inherited, &wish));
	ck_assert(wish.lent);
	inherited_close(&inherited);
	ck_assert(is_open(fd));
	close(fd);
}
END_TEST

START_TEST(what_nobody_claims_is_named_and_closed)
{
	struct conf_listen wishes[3];
	char expected[512];
	int fds[3] = { stranger(AF_INET, SOCK_STREAM, 0), stranger(AF_UNIX, SOCK_STREAM, 0), -1 };

	bind_stranger(fds[0], AF_INET, &wishes[0]);
	bind_stranger(fds[1], AF_UNIX, &wishes[1]);
	fds[2] = v6_stranger(false, &wishes[2]);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_null(inherited_add(inherited, fds[i], true));
	inherited_close(&inherited);
	ck_assert_ptr_null(inherited);
	for (int i = 0; i < 3; i++)
		ck_assert(!is_open(fds[i]));
	snprintf(expected, sizeof(expected), "inherited socket 127.0.0.1:%u is not in the configuration, closed\n",
	    wishes[0].at.addr.port);
	ck_assert_ptr_nonnull(strstr(capture_text(), expected));
	snprintf(expected, sizeof(expected), "inherited socket unix:%s is not in the configuration, closed\n", path);
	ck_assert_ptr_nonnull(strstr(capture_text(), expected));
	snprintf(expected, sizeof(expected),
	    "inherited socket [::]:%u ipv6only=off is not in the configuration, closed\n", wishes[2].at.addr.port);
	ck_assert_ptr_nonnull(strstr(capture_text(), expected));
	inherited_close(&inherited);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

/* --- as a listener uses it --- */

START_TEST(a_listener_takes_what_was_inherited_and_leaves_a_lent_file_alone)
{
	bool lent = _i == 1;
	struct conf_listen wish, *wishes[] = { &wish, NULL };
	struct conf conf = { .listens = wishes, .listen_count = 1 };
	int fd = stranger(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;

	bind_stranger(fd, AF_UNIX, &wish);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_ptr_null(inherited_add(inherited, fd, lent));
	ck_assert_int_eq(listener_open(&conf, NULL, inherited), 0);
	ck_assert_int_eq(wish.fd, fd);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, lent ? 0600 : 0666);
	listener_close(&conf);
	ck_assert(!is_open(fd));
	ck_assert_int_eq(access(path, F_OK), lent ? 0 : -1);
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

START_TEST(a_reload_knows_what_was_lent)
{
	struct conf_listen first, second, *firsts[] = { &first, NULL }, *seconds[] = { &second, NULL };
	struct conf old = { .listens = firsts, .listen_count = 1 }, new = { .listens = seconds, .listen_count = 1 };
	int fd = stranger(AF_UNIX, SOCK_STREAM, 0);

	bind_stranger(fd, AF_UNIX, &first);
	second = first;
	ck_assert_ptr_null(inherited_add(inherited, fd, true));
	ck_assert_int_eq(listener_open(&old, NULL, inherited), 0);
	ck_assert_int_eq(listener_open(&new, &old, NULL), 0);
	listener_commit(&new, &old);
	ck_assert_int_eq(second.fd, fd);
	ck_assert(second.lent);
	listener_close(&new);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(accepted_connections_do_not_wait_for_more_to_send)
{
	struct conf_listen wish, *wishes[] = { &wish, NULL };
	struct conf conf = { .listens = wishes, .listen_count = 1 };
	int fd = stranger(AF_INET, SOCK_STREAM, 0), nodelay = 0;
	socklen_t len = sizeof(nodelay);

	bind_stranger(fd, AF_INET, &wish);
	ck_assert_ptr_null(inherited_add(inherited, fd, true));
	ck_assert_int_eq(listener_open(&conf, NULL, inherited), 0);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len), 0);
	ck_assert_int_ne(nodelay, 0);
	listener_close(&conf);
}
END_TEST

/* --- LISTEN_FDS --- */

static const struct {
	const char *pid;        /* NULL: unset; "": the process's own */
	const char *fds;
	unsigned taken;
	bool said;
} starts[] = {
	{ "", "2", 2, false },
	{ "", "1", 1, false },
	{ "", "0", 0, false },
	{ "", "3", 2, true },           /* descriptor 5 is no socket */
	{ "", NULL, 0, false },
	{ NULL, "2", 0, false },
	{ "1", "2", 0, false },         /* meant for somebody else */
	{ "x", "2", 0, true },
	{ "", "-1", 0, true },
	{ "", "2 ", 0, true },
	{ "", "4097", 0, true },
	{ "", "4294967298", 0, true },
	{ "4294967297", "2", 0, true },
};

/* Puts two listening sockets to 3 and 4 and a file to 5. Check had its pipes there: from here on, no assertions. */
static int
put_descriptors(void)
{
	int file = open("/dev/null", O_RDONLY);
	int first = fcntl(stranger(AF_INET, SOCK_STREAM, 0), F_DUPFD, 20);
	int second = fcntl(stranger(AF_INET, SOCK_STREAM, 0), F_DUPFD, 20);

	if (listen(first, 1) == -1 || listen(second, 1) == -1)
		return -1;
	return dup2(file, 5) == 5 && dup2(first, 3) == 3 && dup2(second, 4) == 4 ? 0 : -1;
}

static void
set_variable(const char *name, const char *value)
{
	unsetenv(name);
	if (value != NULL)
		setenv(name, value, 1);
}

static int
activate(void *row)
{
	int i = *(int *)row, said = fcntl(memfd_create("said", 0), F_DUPFD, 20);
	struct log_target target = { .kind = LOG_TO_FILE, .level = LOG_DEBUG, .fd = said };
	struct log log = { 0 };
	char pid[32];
	size_t count;

	log_add(&log, &target);
	log_use(&log);
	if (put_descriptors() == -1)
		return 100;
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	set_variable("LISTEN_PID", starts[i].pid != NULL && *starts[i].pid == '\0' ? pid : starts[i].pid);
	set_variable("LISTEN_FDS", starts[i].fds);
	set_variable("LISTEN_FDNAMES", "imap:pop3");
	activation_take(inherited);
	if (getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDS") != NULL || getenv("LISTEN_FDNAMES") != NULL)
		return 101;
	mem_free(inherited_fds(inherited, &count));
	return count != starts[i].taken ? 102 : (lseek(said, 0, SEEK_END) > 0) != starts[i].said ? 103 : 0;
}

START_TEST(a_service_manager_is_believed_if_it_means_us)
{
	ck_assert_int_eq(child_run(activate, &_i), 0);
}
END_TEST

Suite *
inherited_suite(void)
{
	Suite *suite = suite_create("inherited");
	TCase *tcase = tcase_create("inherited");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, a_socket_goes_to_whom_its_address_is, 0, 2 * UNIT_COUNT(families));
	tcase_add_test(tcase, what_a_socket_cannot_become_makes_it_another_one);
	tcase_add_loop_test(tcase, ipv6only_means_nothing_to_a_specific_address, 0, 2);
	tcase_add_test(tcase, a_multipath_socket_is_one);
	tcase_add_loop_test(tcase, what_nothing_can_listen_on_is_refused, 0, UNIT_COUNT(useless));
	tcase_add_test(tcase, a_descriptor_is_taken_once);
	tcase_add_test(tcase, what_nobody_claims_is_named_and_closed);
	tcase_add_loop_test(tcase, a_listener_takes_what_was_inherited_and_leaves_a_lent_file_alone, 0, 2);
	tcase_add_test(tcase, a_reload_knows_what_was_lent);
	tcase_add_test(tcase, accepted_connections_do_not_wait_for_more_to_send);
	tcase_add_loop_test(tcase, a_service_manager_is_believed_if_it_means_us, 0, UNIT_COUNT(starts));
	suite_add_tcase(suite, tcase);
	return suite;
}
