#include "common/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define PATH_50 "/123456789/123456789/123456789/123456789/123456789"
#define PATH_107 PATH_50 PATH_50 "/123456"
#define PATH_108 PATH_107 "7"

static const struct {
	const char *text, *form;        /* NULL: no address */
	uint16_t family;
} literals[] = {
	{ "192.0.2.1",              "192.0.2.1",   AF_INET },
	{ "0.0.0.0",                "0.0.0.0",     AF_INET },
	{ "255.255.255.255",        "255.255.255.255", AF_INET },
	{ "2001:DB8:0::1",          "2001:db8::1", AF_INET6 },
	{ "::",                     "::",          AF_INET6 },
	{ "::ffff:192.0.2.1",       "192.0.2.1",   AF_INET },
	{ "::FFFF:c000:201",        "192.0.2.1",   AF_INET },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AF_INET6 },
	{ "",                       NULL,          0 },
	{ "192.0.2",                NULL,          0 },
	{ "192.0.2.256",            NULL,          0 },
	{ "192.0.2.01",             NULL,          0 },
	{ "192.0.2.1.",             NULL,          0 },
	{ "192.0.2.1:25",           NULL,          0 },
	{ " 192.0.2.1",             NULL,          0 },
	{ "192.0.2.1 ",             NULL,          0 },
	{ "0x7f.0.0.1",             NULL,          0 },
	{ "2130706433",             NULL,          0 },
	{ "[::1]",                  NULL,          0 },
	{ "fe80::1%lo",             NULL,          0 },
	{ "1::2::3",                NULL,          0 },
	{ "12345::",                NULL,          0 },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", NULL, 0 },
	{ "localhost",              NULL,          0 },
	{ "unix:",                  NULL,          0 },
};

START_TEST(a_literal_address_is_read_and_written)
{
	struct addr a = { .family = 4711, .port = 4711 };
	char text[ADDR_TEXT];
	int result = addr_parse(&a, literals[_i].text, strlen(literals[_i].text));

	ck_assert_int_eq(result, literals[_i].form == NULL ? -1 : 0);
	if (result == -1) {
		ck_assert_uint_eq(a.family, 4711);
	} else {
		ck_assert_str_eq(addr_format(text, &a), literals[_i].form);
		ck_assert_uint_eq(a.family, literals[_i].family);
		ck_assert_uint_eq(a.port, 0);
		ck_assert_uint_eq(addr_width(&a), a.family == AF_INET ? 32 : 128);
	}
}
END_TEST

START_TEST(the_length_ends_the_literal_and_a_nul_does_not)
{
	struct addr a;
	char text[ADDR_TEXT];

	ck_assert_int_eq(addr_parse(&a, "192.0.2.123", 9), 0);
	ck_assert_str_eq(addr_format(text, &a), "192.0.2.1");
	ck_assert_int_eq(addr_parse(&a, "192.0.2.1\0.3", 12), -1);
	ck_assert_int_eq(addr_parse(&a, "::1\0", 4), -1);
}
END_TEST

static const struct {
	struct endpoint at;
	const char *text, *peer;        /* with port and path; as a peer alone */
} places[] = {
	{ { .addr = { .ip = { 192, 0, 2, 1 }, .port = 25, .family = AF_INET } },        "192.0.2.1:25", "192.0.2.1" },
	{ { .addr = { .ip = { [15] = 1 }, .port = 65535, .family = AF_INET6 } },        "[::1]:65535", "::1" },
	{ { .addr.family = AF_UNIX, .path = (char *)(uintptr_t)"/run/mail" },           "unix:/run/mail", "unix:" },
	{ { .addr.family = AF_UNIX, .path = (char *)(uintptr_t)PATH_107 },              "unix:" PATH_107, "unix:" },
};

START_TEST(a_place_goes_through_the_kernels_form)
{
	const struct endpoint *at = &places[_i].at;
	struct sockaddr_storage sa;
	struct addr back;
	char text[200];
	socklen_t len = endpoint_sockaddr(at, &sa);

	ck_assert_uint_gt(len, 0);
	ck_assert_uint_eq(sa.ss_family, at->addr.family);
	addr_from_sockaddr(&back, &sa);
	ck_assert(addr_equal(&back, &at->addr));
	ck_assert_str_eq(endpoint_format(text, sizeof(text), at), places[_i].text);
	ck_assert_str_eq(addr_format(text, &back), places[_i].peer);
	if (at->path != NULL)
		ck_assert_str_eq(((struct sockaddr_un *)&sa)->sun_path, at->path);
	else
		ck_assert_str_eq(addr_format_port(text, &back), places[_i].text);
}
END_TEST

START_TEST(an_ipv4_peer_of_an_ipv6_socket_is_ipv4)
{
	struct sockaddr_storage sa = { .ss_family = AF_INET6 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
	struct addr a;
	char text[ADDR_TEXT];

	ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6->sin6_addr), 1);
	in6->sin6_port = htons(143);
	addr_from_sockaddr(&a, &sa);
	ck_assert_str_eq(addr_format_port(text, &a), "192.0.2.1:143");
}
END_TEST

START_TEST(a_family_we_do_not_know_is_none)
{
	struct sockaddr_storage sa = { .ss_family = AF_NETLINK };
	struct addr a;
	char text[ADDR_TEXT];

	addr_from_sockaddr(&a, &sa);
	ck_assert_uint_eq(a.family, AF_UNSPEC);
	ck_assert_uint_eq(addr_width(&a), 0);
	ck_assert_str_eq(addr_format(text, &a), "unknown");
}
END_TEST

START_TEST(a_path_too_long_for_the_kernel_is_refused_and_cut_in_text)
{
	struct endpoint at = { .addr.family = AF_UNIX, .path = mem_strdup(PATH_108) };
	struct sockaddr_storage sa;
	char text[12];

	ck_assert_uint_eq(endpoint_sockaddr(&at, &sa), 0);
	ck_assert_str_eq(endpoint_format(text, sizeof(text), &at), "unix:/12345");
	endpoint_reset(&at);
	ck_assert_ptr_null(at.path);
}
END_TEST

START_TEST(equal_places_are_the_same_place)
{
	for (int i = 0; i < UNIT_COUNT(places); i++)
		for (int k = 0; k < UNIT_COUNT(places); k++)
			ck_assert(endpoint_equal(&places[i].at, &places[k].at) == (i == k));
}
END_TEST

START_TEST(a_copy_owns_its_path)
{
	struct endpoint copy;

	endpoint_copy(&copy, &places[_i].at);
	ck_assert(endpoint_equal(&copy, &places[_i].at));
	ck_assert(copy.path == NULL || copy.path != places[_i].at.path);
	endpoint_reset(&copy);
	ck_assert_uint_eq(copy.addr.family, AF_UNSPEC);
}
END_TEST

START_TEST(another_port_is_another_address)
{
	struct addr a = places[0].at.addr, b = a;

	ck_assert(addr_equal(&a, &b));
	b.port++;
	ck_assert(!addr_equal(&a, &b));
	b = a;
	b.ip[3]++;
	ck_assert(!addr_equal(&a, &b));
}
END_TEST

static const struct {
	const char *text;
	const char *host;
	unsigned port;
	bool is_unix;
} splits[] = {
	{ "mail.example.com:143",  "mail.example.com", 143,   false },
	{ "mail.example.com",      "mail.example.com", 80,    false },
	{ "192.0.2.1:65535",       "192.0.2.1",        65535, false },
	{ "[2001:db8::1]:25",      "2001:db8::1",      25,    false },
	{ "[::]",                  "::",               80,    false },
	{ "*:143",                 "*",                143,   false },
	{ "unix:/run/a:b",         "/run/a:b",         80,    true },
	{ "unix:" PATH_107,        PATH_107,           80,    true },
};

START_TEST(a_place_is_split_into_host_and_port)
{
	char *host = NULL;
	unsigned port = 0;
	bool is_unix = !splits[_i].is_unix;

	ck_assert_ptr_null(addr_split(splits[_i].text, 80, &host, &port, &is_unix));
	ck_assert_str_eq(host, splits[_i].host);
	ck_assert_uint_eq(port, splits[_i].port);
	ck_assert(is_unix == splits[_i].is_unix);
	mem_free(host);
}
END_TEST

static const struct {
	const char *text, *why;
} refusals[] = {
	{ "",                      "no host" },
	{ ":25",                   "no host" },
	{ "::1",                   "no host" },
	{ "[]:25",                 "no host" },
	{ "a:",                    "invalid port" },
	{ "a:0",                   "invalid port" },
	{ "a:65536",               "invalid port" },
	{ "a:25x",                 "invalid port" },
	{ "a:-1",                  "invalid port" },
	{ "a:18446744073709551641", "invalid port" },
	{ "2001:db8::1",           "invalid port" },
	{ "[::1]:",                "invalid port" },
	{ "[::1",                  "invalid host" },
	{ "[::1]25",               "invalid host" },
	{ "[192.0.2.1]:25",        "invalid IPv6 address" },
	{ "[fe80::1%lo]:25",       "invalid IPv6 address" },
	{ "[mail]:25",             "invalid IPv6 address" },
	{ "unix:",                 "no path in the unix domain socket" },
	{ "unix:" PATH_108,        "too long path in the unix domain socket" },
};

START_TEST(what_is_no_place_is_refused_with_a_reason)
{
	char *host = NULL;
	unsigned port = 4711;
	bool is_unix = false;

	ck_assert_str_eq(addr_split(refusals[_i].text, 80, &host, &port, &is_unix), refusals[_i].why);
	ck_assert_ptr_null(host);
	ck_assert_uint_eq(port, 4711);
}
END_TEST

Suite *
addr_suite(void)
{
	Suite *suite = suite_create("addr");
	TCase *tcase = tcase_create("addr");

	tcase_add_loop_test(tcase, a_literal_address_is_read_and_written, 0, UNIT_COUNT(literals));
	tcase_add_test(tcase, the_length_ends_the_literal_and_a_nul_does_not);
	tcase_add_loop_test(tcase, a_place_goes_through_the_kernels_form, 0, UNIT_COUNT(places));
	tcase_add_test(tcase, an_ipv4_peer_of_an_ipv6_socket_is_ipv4);
	tcase_add_test(tcase, a_family_we_do_not_know_is_none);
	tcase_add_test(tcase, a_path_too_long_for_the_kernel_is_refused_and_cut_in_text);
	tcase_add_test(tcase, equal_places_are_the_same_place);
	tcase_add_loop_test(tcase, a_copy_owns_its_path, 0, UNIT_COUNT(places));
	tcase_add_test(tcase, another_port_is_another_address);
	tcase_add_loop_test(tcase, a_place_is_split_into_host_and_port, 0, UNIT_COUNT(splits));
	tcase_add_loop_test(tcase, what_is_no_place_is_refused_with_a_reason, 0, UNIT_COUNT(refusals));
	suite_add_tcase(suite, tcase);
	return suite;
}
