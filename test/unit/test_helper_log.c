#include "worker/helper/helper_log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "test/unit/unit.h"

static int
make_file(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_ne(fd, -1);
	return fd;
}

/* What a file holds; static. */
static const char *
text_of(int fd)
{
	static char text[4096];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	return text;
}

START_TEST(each_file_takes_its_own_levels)
{
	int all = make_file(), errors = make_file();

	helper_log_file(LOG_INFO + 256 * 0, dup(all));
	helper_log_file(LOG_ERROR + 256 * 1, dup(errors));
	log_say(LOG_INFO, "one");
	log_say(LOG_ERROR, "two");
	log_say(LOG_DEBUG, "three");
	ck_assert_ptr_nonnull(strstr(text_of(all), "one"));
	ck_assert_ptr_nonnull(strstr(text_of(all), "two"));
	ck_assert_ptr_null(strstr(text_of(all), "three"));
	ck_assert_ptr_null(strstr(text_of(errors), "one"));
	ck_assert_ptr_nonnull(strstr(text_of(errors), "two"));
}
END_TEST

START_TEST(a_reopened_file_takes_the_place_of_its_own_number)
{
	int a = make_file(), b = make_file(), fresh = make_file();

	helper_log_file(LOG_INFO + 256 * 4, dup(a));
	helper_log_file(LOG_INFO + 256 * 5, dup(b));
	helper_log_reopened(5, dup(fresh));
	helper_log_reopened(6, dup(fresh));
	log_say(LOG_INFO, "later");
	ck_assert_ptr_nonnull(strstr(text_of(a), "later"));
	ck_assert_ptr_nonnull(strstr(text_of(fresh), "later"));
	ck_assert_str_eq(text_of(b), "");
}
END_TEST

/* A syslog server on a free port; writes its setting, "127.0.0.1:PORT", tag and host name. */
static int
make_server(char *setting, size_t size, size_t *len, const char *host)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t at_len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, at_len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &at_len), 0);
	*len = (size_t)snprintf(setting, size, "127.0.0.1:%u%cpostern%c%s", ntohs(at.sin_port), 0, 0, host) + 1;
	return fd;
}

static const struct {
	const char *host, *begins, *ends;
} hosts[] = {
	{ "gate", "<187>", " gate postern: " },
	{ "", "<187>", " postern: " },
};

START_TEST(syslog_gets_lines_with_priority_host_and_tag)
{
	char setting[128], line[512] = "";
	size_t len;
	int server = make_server(setting, sizeof(setting), &len, hosts[_i].host);

	helper_log_syslog(LOG_INFO + 256 * 184, setting, len);          /* local7 */
	log_say(LOG_ERROR, "something");
	ck_assert_int_gt(recv(server, line, sizeof(line) - 1, MSG_DONTWAIT), 0);
	ck_assert_mem_eq(line, hosts[_i].begins, strlen(hosts[_i].begins));
	ck_assert_msg(strstr(line, hosts[_i].ends) != NULL, "%s", line);
	ck_assert_ptr_nonnull(strstr(line, "something"));
	close(server);
}
END_TEST

START_TEST(a_syslog_that_comes_later_gets_what_is_said_then)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char setting[sizeof(at.sun_path) + 32], line[512] = "";
	int server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len;

	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/postern-unit-%d.sock", (int)getpid());
	len = (size_t)snprintf(setting, sizeof(setting), "unix:%s%cpostern%chost", at.sun_path, 0, 0) + 1;
	helper_log_syslog(LOG_INFO + 256 * 184, setting, len);
	log_say(LOG_ERROR, "too early");
	ck_assert_int_eq(bind(server, (struct sockaddr *)&at, sizeof(at)), 0);
	log_say(LOG_ERROR, "in time");
	unlink(at.sun_path);
	ck_assert_int_gt(recv(server, line, sizeof(line) - 1, MSG_DONTWAIT), 0);
	ck_assert_ptr_nonnull(strstr(line, "in time"));
	close(server);
}
END_TEST

/* With the NUL that stands behind every setting. */
static const struct {
	const char *text;
	size_t len;
} nonsense[] = {
	{ "", 0 },
	{ "127.0.0.1:514", 13 },
	{ "127.0.0.1:514\0tag", 17 },
	{ "localhost:514\0tag\0host", 22 },
	{ "127.0.0.1:99999\0tag\0host", 24 },
	{ "\0\0\0", 3 },
};

START_TEST(nonsense_is_left_out)
{
	int file = make_file();

	helper_log_file(LOG_INFO, dup(file));
	helper_log_file(0, dup(file));
	helper_log_file(LOG_DEBUG + 1, dup(file));
	helper_log_file(LOG_INFO, -1);
	helper_log_syslog(LOG_INFO, nonsense[_i].text, nonsense[_i].len);
	helper_log_reopened(0, -1);
	log_say(LOG_INFO, "here");
	ck_assert_ptr_nonnull(strstr(text_of(file), "here\n"));
	ck_assert_ptr_null(strstr(strstr(text_of(file), "here") + 1, "here"));
}
END_TEST

Suite *
helper_log_suite(void)
{
	Suite *suite = suite_create("helper_log");
	TCase *tcase = tcase_create("helper_log");

	tcase_add_test(tcase, each_file_takes_its_own_levels);
	tcase_add_test(tcase, a_reopened_file_takes_the_place_of_its_own_number);
	tcase_add_loop_test(tcase, syslog_gets_lines_with_priority_host_and_tag, 0, UNIT_COUNT(hosts));
	tcase_add_test(tcase, a_syslog_that_comes_later_gets_what_is_said_then);
	tcase_add_loop_test(tcase, nonsense_is_left_out, 0, UNIT_COUNT(nonsense));
	suite_add_tcase(suite, tcase);
	return suite;
}
