#include "worker/net/resolver.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/mem.h"
#include "test/unit/unit.h"

/*
 * A name server of four names: both.test has an address of each kind, v4.test one,
 * silent.test is never answered, and no other name exists.
 */
struct name_server {
	struct loop_io io;
	unsigned questions;
};

static struct loop *loop;
static struct resolver *resolver;
static struct name_server dns;

/* What an asker heard. */
struct heard {
	unsigned times;
	char text[256];         /* each address with a blank behind it, or why */
};

static void
on_found(void *ctx, const struct addr *found, size_t count, const char *why)
{
	struct heard *heard = ctx;
	char one[ADDR_TEXT];

	heard->times++;
	heard->text[0] = '\0';
	ck_assert((count == 0) == (why != NULL));
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(found[i].port, 0);
		sprintf(heard->text + strlen(heard->text), "%s ", addr_format(one, &found[i]));
	}
	if (count == 0)
		snprintf(heard->text, sizeof(heard->text), "%s", why);
}

/* Appends an answer of `type`, whose name is that of the question, and counts it in the head. */
static size_t
add_answer(unsigned char *packet, size_t len, unsigned type, const void *address, unsigned address_len)
{
	const unsigned char head[] = {
		0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0, 0, 60, 0, (unsigned char)address_len,
	};

	memcpy(packet + len, head, sizeof(head));
	memcpy(packet + len + sizeof(head), address, address_len);
	packet[7]++;
	return len + sizeof(head) + address_len;
}

static size_t
answer(unsigned char *packet, size_t len)
{
	static const unsigned char v4[] = { 192, 0, 2, 1 }, v6[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 1 };
	static const char both[] = "\4both\4test", only_v4[] = "\2v4\4test", silent[] = "\6silent\4test";
	const char *name = (const char *)packet + 12;
	unsigned type = packet[12 + strlen(name) + 2];

	if (strcmp(name, silent) == 0)
		return 0;
	len = 12 + strlen(name) + 5;            /* what EDNS put behind the question is dropped */
	memset(packet + 8, 0, 4);
	packet[2] |= 0x80;
	packet[3] = 0x80;
	if (strcmp(name, both) != 0 && strcmp(name, only_v4) != 0)
		packet[3] |= 3;                 /* NXDOMAIN */
	else if (type == 1)
		return add_answer(packet, len, type, v4, sizeof(v4));
	else if (type == 28 && strcmp(name, both) == 0)
		return add_answer(packet, len, type, v6, sizeof(v6));
	return len;
}

static void
on_question(struct loop_io *io, uint32_t events)
{
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	unsigned char packet[1024] = { 0 };
	ssize_t len = recvfrom(io->fd, packet, 512, 0, (struct sockaddr *)&from, &from_len);
	size_t answer_len;

	(void)events;
	ck_assert_int_ge(len, 17);
	dns.questions++;
	answer_len = answer(packet, (size_t)len);
	if (answer_len > 0)
		ck_assert_int_gt(sendto(io->fd, packet, answer_len, 0, (struct sockaddr *)&from, from_len), 0);
}

static void
setup(void)
{
	struct endpoint at = { .addr = { .ip = { 127, 0, 0, 1 }, .family = AF_INET } };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_sockaddr(&at, &sa);
	char servers[ADDR_TEXT];
	const char *why;

	loop = loop_new(16);
	resolver = resolver_new(loop, &why);
	ck_assert_ptr_nonnull(resolver);
	dns = (struct name_server){
		.io = { .on_events = on_question, .fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) },
	};
	ck_assert_int_eq(bind(dns.io.fd, (struct sockaddr *)&sa, len), 0);
	ck_assert_int_eq(getsockname(dns.io.fd, (struct sockaddr *)&sa, &len), 0);
	addr_from_sockaddr(&at.addr, &sa);
	ck_assert_int_eq(loop_watch(loop, &dns.io, EPOLLIN), 0);
	ck_assert_int_eq(resolver_use(resolver, addr_format_port(servers, &at.addr)), 0);
}

static void
teardown(void)
{
	resolver_free(&resolver);
	loop_close(loop, &dns.io);
	loop_free(&loop);
}

static const struct {
	const char *name, *heard;
	bool by_dns;
} cases[] = {
	{ "192.0.2.7", "192.0.2.7 ", false },
	{ "2001:db8::7", "2001:db8::7 ", false },
	{ "::ffff:192.0.2.7", "192.0.2.7 ", false },
	{ "localhost", "127.0.0.1 ::1 ", false },
	{ "LocalHost.", "127.0.0.1 ::1 ", false },
	{ "anything.localhost", "127.0.0.1 ::1 ", false },
	{ "", "empty name", false },
	{ ".", "empty name", false },
	{ "v4.test", "192.0.2.1 ", true },
	{ "v4.test.", "192.0.2.1 ", true },
	{ "V4.Test", NULL, true },
	{ "notlocalhost", NULL, true },
	{ "missing.test", NULL, true },
};

START_TEST(a_name_is_answered_later_and_once)
{
	struct heard heard = { .times = 0 };

	resolver_ask(resolver, cases[_i].name, on_found, &heard);
	ck_assert_uint_eq(heard.times, 0);
	while (heard.times == 0)
		loop_turn(loop, -1);
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 0);
	ck_assert_uint_eq(heard.times, 1);
	if (cases[_i].heard != NULL)
		ck_assert_str_eq(heard.text, cases[_i].heard);
	ck_assert_int_eq(dns.questions > 0, cases[_i].by_dns);
}
END_TEST

START_TEST(a_name_has_addresses_of_both_kinds)
{
	struct heard heard = { .times = 0 };

	resolver_ask(resolver, "both.test", on_found, &heard);
	while (heard.times == 0)
		loop_turn(loop, -1);
	ck_assert_msg(strstr(heard.text, "192.0.2.1 ") != NULL && strstr(heard.text, "2001:db8::1 ") != NULL &&
	    strlen(heard.text) == 22, "%s", heard.text);
}
END_TEST

START_TEST(who_cancels_hears_nothing)
{
	static const char *const names[] = { "192.0.2.7", "localhost", "v4.test", "silent.test" };
	struct heard heard = { .times = 0 };

	for (int turns = 0; turns < 3; turns++) {
		struct resolver_query *query = resolver_ask(resolver, names[_i], on_found, &heard);

		for (int i = 0; i < turns && heard.times == 0; i++)
			loop_turn(loop, 0);
		if (heard.times > 0)
			return;
		resolver_cancel(&query);
		ck_assert_ptr_null(query);
		resolver_cancel(&query);
		for (int i = 0; i < 10; i++)
			loop_turn(loop, 0);
		ck_assert_uint_eq(heard.times, 0);
	}
}
END_TEST

/* Asks the next question and ends the other one, all from within an answer. */
static struct resolver_query *other;

static void
on_first(void *ctx, const struct addr *found, size_t count, const char *why)
{
	(void)found;
	(void)count;
	(void)why;
	resolver_cancel(&other);
	resolver_ask(resolver, "both.test", on_found, ctx);
}

START_TEST(an_asker_may_ask_and_cancel_when_it_is_told)
{
	struct heard heard = { .times = 0 }, never = { .times = 0 };

	other = resolver_ask(resolver, "silent.test", on_found, &never);
	resolver_ask(resolver, "v4.test", on_first, &heard);
	while (heard.times == 0)
		loop_turn(loop, -1);
	ck_assert_uint_eq(never.times, 0);
}
END_TEST

START_TEST(name_servers_that_are_none_are_refused)
{
	ck_assert_int_eq(resolver_use(resolver, "no address"), -1);
}
END_TEST

Suite *
resolver_suite(void)
{
	Suite *suite = suite_create("resolver");
	TCase *tcase = tcase_create("resolver");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_name_is_answered_later_and_once, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, a_name_has_addresses_of_both_kinds);
	tcase_add_loop_test(tcase, who_cancels_hears_nothing, 0, 4);
	tcase_add_test(tcase, an_asker_may_ask_and_cancel_when_it_is_told);
	tcase_add_test(tcase, name_servers_that_are_none_are_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
