#include "worker/net/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/unit.h"

#define MAX 3

static const char file[] =
    "# the machine itself\n"
    "127.0.0.1\tlocalhost loopback\n"
    "::1 localhost # and by IPv6\r\n"
    "\n"
    "192.0.2.1 mail.example.com mail\n"
    "not-an-address mail\n"
    "192.0.2.256 mail\n"
    "fe80::1%eth0 mail\n"
    "192.0.2.9\n"
    "2001:db8::1 MAIL\n"
    "10.0.0.1 many\n10.0.0.2 many\n10.0.0.3 many\n10.0.0.4 many\n"
    "192.0.2.3 last";

static const struct {
	const char *name, *found;       /* each address with a blank behind it */
} cases[] = {
	{ "localhost", "127.0.0.1 ::1 " },
	{ "loopback", "127.0.0.1 " },
	{ "mail", "192.0.2.1 2001:db8::1 " },
	{ "Mail.Example.COM", "192.0.2.1 " },
	{ "many", "10.0.0.1 10.0.0.2 10.0.0.3 " },
	{ "last", "192.0.2.3 " },
	{ "and", "" },
	{ "192.0.2.9", "" },
	{ "mail.example", "" },
	{ "", "" },
	{ "zzz", "" },
};

static struct hosts *
read_file(const char *text)
{
	char path[] = "/tmp/postern-hosts-XXXXXX";
	int fd = mkstemp(path);
	struct hosts *hosts;

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	hosts = hosts_read(path);
	unlink(path);
	return hosts;
}

START_TEST(a_name_has_the_addresses_that_the_file_gives_it)
{
	struct hosts *hosts = read_file(file);
	struct addr found[MAX];
	char text[256] = "", one[ADDR_TEXT];
	size_t count = hosts_find(hosts, cases[_i].name, found, MAX);

	for (size_t i = 0; i < count; i++)
		sprintf(text + strlen(text), "%s ", addr_format(one, &found[i]));
	ck_assert_str_eq(text, cases[_i].found);
	hosts_free(&hosts);
	ck_assert_ptr_null(hosts);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_empty)
{
	struct hosts *hosts = hosts_read("/nonexistent/hosts"), *empty = read_file("");
	struct addr found[MAX];

	ck_assert_uint_eq(hosts_find(hosts, "localhost", found, MAX), 0);
	ck_assert_uint_eq(hosts_find(empty, "localhost", found, MAX), 0);
	hosts_free(&hosts);
	hosts_free(&empty);
}
END_TEST

Suite *
hosts_suite(void)
{
	Suite *suite = suite_create("hosts");
	TCase *tcase = tcase_create("hosts");

	tcase_add_loop_test(tcase, a_name_has_the_addresses_that_the_file_gives_it, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, a_file_that_is_not_there_is_empty);
	suite_add_tcase(suite, tcase);
	return suite;
}
