#include "worker/net/hostnames.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/conf.h"
#include "common/mem.h"
#include "test/unit/clock.h"
#include "test/unit/unit.h"
#include "worker/net/dns_answer.h"

/*
 * A name server for 10.0.0.0/8: 10.B.C.D is called hB-C-D, whose address that is. While it is
 * `mute` it says nothing; else `ttl` is how long its records are good.
 */
static struct {
	struct loop_io io;
	unsigned questions;
	bool mute, lies;
	unsigned char ttl;
} dns;

static struct loop *loop;
static struct hostnames *names;
static struct conf_resolver conf;
static struct endpoint at;

/* What an asker heard. */
struct heard {
	unsigned times;
	enum hostname_verdict verdict;
	unsigned code;
	char name[256];
	struct hostname_query **cancels;        /* when it hears; NULL: nothing */
};

static void
note(struct heard *heard, const struct hostname *found)
{
	heard->times++;
	heard->verdict = found->verdict;
	heard->code = found->code;
	ck_assert_int_eq(found->code != 0, found->why != NULL);
	snprintf(heard->name, sizeof(heard->name), "%s", found->name != NULL ? found->name : "");
}

static void
on_found(void *ctx, const struct hostname *found)
{
	struct heard *heard = ctx;

	note(heard, found);
	if (heard->cancels != NULL)
		hostnames_cancel(heard->cancels);
}

static size_t
add_name(unsigned char *packet, size_t len, const unsigned ip[4])
{
	unsigned char name[32] = { 0 };
	int chars = sprintf((char *)name + 1, "h%u-%u-%u", ip[1], ip[2], ip[3]);
	const unsigned char head[] = { 0xc0, 12, 0, DNS_PTR, 0, 1, 0, 0, 0, dns.ttl, 0, (unsigned char)(chars + 2) };

	name[0] = (unsigned char)chars;
	memcpy(packet + len, head, sizeof(head));
	memcpy(packet + len + sizeof(head), name, (size_t)chars + 2);
	return len + sizeof(head) + (size_t)chars + 2;
}

static size_t
add_address(unsigned char *packet, size_t len, const unsigned ip[4])
{
	const unsigned char record[] = {
		0xc0, 12, 0, DNS_A, 0, 1, 0, 0, 0, dns.ttl, 0, 4,
		10, (unsigned char)ip[1], (unsigned char)ip[2], (unsigned char)(dns.lies ? 255 : ip[3]),
	};

	memcpy(packet + len, record, sizeof(record));
	return len + sizeof(record);
}

static size_t
answer(unsigned char *packet)
{
	const char *name = (const char *)packet + 12;
	size_t len = 12 + strlen(name) + 5;
	char text[64] = "";
	unsigned ip[4];

	for (const char *label = name; *label != '\0'; label += *label + 1)
		sprintf(text + strlen(text), "%.*s.", *label, label + 1);
	memcpy(packet + 2, "\x81\x80\0\1\0\1\0\0\0\0", 10);
	if (sscanf(text, "h%u-%u-%u.", &ip[1], &ip[2], &ip[3]) == 3)
		return add_address(packet, len, ip);
	ck_assert_int_eq(sscanf(text, "%u.%u.%u.10.", &ip[3], &ip[2], &ip[1]), 3);
	return add_name(packet, len, ip);
}

static void
on_question(struct loop_io *io, uint32_t events)
{
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	unsigned char packet[1024] = { 0 };
	ssize_t len;

	(void)events;
	while ((len = recvfrom(io->fd, packet, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len)) > 17) {
		dns.questions++;
		if (!dns.mute)
			ck_assert_int_gt(sendto(io->fd, packet, answer(packet), 0, (struct sockaddr *)&from, from_len),
			    0);
	}
}

static void
begin(void)
{
	const char *why;

	names = hostnames_new(loop, &conf, &why);
	ck_assert_ptr_nonnull(names);
}

static void
setup(void)
{
	static struct conf_name server, *servers[] = { &server, NULL };
	struct sockaddr_storage sa;
	socklen_t len;

	at = (struct endpoint){ .addr = { .ip = { 127, 0, 0, 1 }, .family = AF_INET } };
	len = endpoint_sockaddr(&at, &sa);
	loop = loop_new(16);
	dns.io = (struct loop_io){ .on_events = on_question, .fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	dns.ttl = 60;
	ck_assert_int_eq(bind(dns.io.fd, (struct sockaddr *)&sa, len), 0);
	ck_assert_int_eq(getsockname(dns.io.fd, (struct sockaddr *)&sa, &len), 0);
	addr_from_sockaddr(&at.addr, &sa);
	ck_assert_int_eq(loop_watch(loop, &dns.io, EPOLLIN), 0);
	server = (struct conf_name){ .found = &at, .found_count = 1 };
	conf = (struct conf_resolver){ .text = "test", .servers = servers, .ipv4 = true, .ipv6 = true };
	begin();
}

static void
teardown(void)
{
	hostnames_free(&names);
	loop_close(loop, &dns.io);
	loop_free(&loop);
}

static struct addr
client(unsigned number)
{
	return (struct addr){
		.ip = { 10, (unsigned char)(number >> 16), (unsigned char)(number >> 8), (unsigned char)number },
		.port = (uint16_t)(1 + number % 1000), .family = AF_INET,
	};
}

/* Looks it up: what is known, or else what DNS says. */
static struct heard
look_up(unsigned number)
{
	struct addr addr = client(number);
	struct heard heard = { .times = 0 };
	struct hostname found;

	if (hostnames_find(names, &addr, &found)) {
		note(&heard, &found);
		return heard;
	}
	hostnames_ask(names, &addr, on_found, &heard);
	ck_assert_uint_eq(heard.times, 0);
	while (heard.times == 0)
		loop_turn(loop, -1);
	return heard;
}

START_TEST(a_name_is_looked_up_and_confirmed_once)
{
	for (int i = 0; i < 3; i++) {
		struct heard heard = look_up(5);

		ck_assert_uint_eq(heard.verdict, HOSTNAME_CONFIRMED);
		ck_assert_str_eq(heard.name, "h0-0-5");
		ck_assert_uint_eq(dns.questions, 2);
	}
}
END_TEST

START_TEST(a_name_of_somebody_else_is_none)
{
	dns.lies = true;
	ck_assert_uint_eq(look_up(5).verdict, HOSTNAME_FOREIGN);
	dns.lies = false;
}
END_TEST

/* The records' time, valid= in its place, five minutes for a "no", a day for any. */
static const struct {
	unsigned char ttl;
	uint64_t valid_s;
	bool lies;
	uint64_t good_ms;
} lives[] = {
	{ 0, 0, false, 0 },
	{ 7, 0, false, 7000 },
	{ 200, 0, false, 200000 },
	{ 0, 9, false, 9000 },
	{ 200, 9, false, 9000 },
	{ 7, 10000000, false, 86400000 },
	{ 7, 0, true, 7000 },
	{ 200, 0, true, 200000 },
	{ 7, 9, true, 9000 },
	{ 7, 900, true, 300000 },
};

START_TEST(what_is_known_has_its_time)
{
	dns.ttl = lives[_i].ttl;
	dns.lies = lives[_i].lies;
	conf.valid_s = lives[_i].valid_s;
	look_up(5);
	ck_assert_uint_eq(dns.questions, 2);
	if (lives[_i].good_ms > 2000) {
		clock_skip_ms(lives[_i].good_ms - 2000);
		loop_turn(loop, 0);
		look_up(5);
		ck_assert_uint_eq(dns.questions, 2);
	}
	clock_skip_ms(2001);
	loop_turn(loop, 0);
	look_up(5);
	ck_assert_uint_eq(dns.questions, 4);
	dns.lies = false;
}
END_TEST

START_TEST(many_who_want_the_same_ask_once)
{
	struct heard heard[8] = { { .times = 0 } };
	struct hostname_query *queries[8];
	struct hostname found;
	struct addr addr = client(5);

	for (int i = 0; i < 8; i++) {
		addr.port++;
		ck_assert(!hostnames_find(names, &addr, &found));
		queries[i] = hostnames_ask(names, &addr, on_found, &heard[i]);
	}
	hostnames_cancel(&queries[0]);
	ck_assert_ptr_null(queries[0]);
	hostnames_cancel(&queries[0]);
	/* one that is told cancels one that is still to be told, and another that has been told cancels nobody */
	heard[1].cancels = &queries[2];
	while (heard[7].times == 0)
		loop_turn(loop, -1);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(heard[i].times, i != 0 && i != 2);
	ck_assert_uint_eq(dns.questions, 2);
}
END_TEST

/* Whose callback asks again. */
static struct heard again;

static void
on_found_ask(void *ctx, const struct hostname *found)
{
	struct addr addr = client(5);
	struct hostname known;

	note(ctx, found);
	ck_assert(!hostnames_find(names, &addr, &known));
	hostnames_ask(names, &addr, on_found, &again);
}

START_TEST(who_is_told_may_ask_anew)
{
	struct heard first = { .times = 0 }, second = { .times = 0 };
	struct addr addr = client(5);

	dns.ttl = 0;
	again = (struct heard){ .times = 0 };
	hostnames_ask(names, &addr, on_found_ask, &first);
	hostnames_ask(names, &addr, on_found, &second);
	while (again.times == 0)
		loop_turn(loop, -1);
	ck_assert_uint_eq(first.times, 1);
	ck_assert_uint_eq(second.times, 1);
	ck_assert_str_eq(again.name, "h0-0-5");
	ck_assert_uint_eq(dns.questions, 4);
}
END_TEST

START_TEST(the_longest_unused_goes_first)
{
	for (unsigned i = 0; i < 4096; i++)
		look_up(i);
	ck_assert_uint_eq(dns.questions, 2 * 4096);
	look_up(0);
	look_up(4096);          /* takes the place of 1 */
	ck_assert_uint_eq(dns.questions, 2 * 4097);
	look_up(0);
	look_up(2);
	ck_assert_uint_eq(dns.questions, 2 * 4097);
	look_up(1);
	ck_assert_uint_eq(dns.questions, 2 * 4098);
}
END_TEST

START_TEST(a_table_full_of_questions_takes_no_more)
{
	struct heard heard = { .times = 0 }, last = { .times = 0 };
	struct hostname_query *queries[4096];
	struct addr addr;
	struct hostname found;

	dns.mute = true;
	for (unsigned i = 0; i < 4096; i++) {
		addr = client(i);
		ck_assert(!hostnames_find(names, &addr, &found));
		queries[i] = hostnames_ask(names, &addr, on_found, &heard);
	}
	addr = client(4096);
	ck_assert(hostnames_find(names, &addr, &found));
	note(&last, &found);
	ck_assert_uint_eq(last.verdict, HOSTNAME_UNKNOWN);
	ck_assert_uint_ne(last.code, HOSTNAME_NOT_FOUND);
	for (unsigned i = 0; i < 4096; i++)
		hostnames_cancel(&queries[i]);
	/* c-ares, whose clock is the real one, asks once more, and then there are some that can go */
	dns.mute = false;
	while (hostnames_find(names, &addr, &found))
		loop_turn(loop, 100);
	ck_assert_uint_eq(look_up(4096).verdict, HOSTNAME_CONFIRMED);
	ck_assert_uint_eq(heard.times, 0);
}
END_TEST

START_TEST(who_waits_waits_through_a_silence)
{
	struct heard heard = { .times = 0 };
	struct hostname_query *query;
	struct addr addr = client(5);
	struct hostname late;

	dns.mute = true;
	query = hostnames_ask(names, &addr, on_found, &heard);
	while (dns.questions == 0)
		loop_turn(loop, -1);
	late = hostnames_late(query);
	ck_assert_uint_eq(late.verdict, HOSTNAME_UNKNOWN);
	ck_assert_str_eq(late.why, "Operation timed out");
	ck_assert_uint_eq(heard.times, 0);
	dns.mute = false;
	while (heard.times == 0)
		loop_turn(loop, -1);
	ck_assert_uint_eq(heard.times, 1);
	ck_assert_str_eq(heard.name, "h0-0-5");
}
END_TEST

START_TEST(a_family_that_is_off_has_no_names)
{
	struct addr six = { .ip = { 0x20, 1 }, .family = AF_INET6 }, four = client(5);
	struct hostname found;

	conf.ipv4 = false;
	ck_assert(hostnames_find(names, &four, &found));
	ck_assert_uint_eq(found.verdict, HOSTNAME_FOREIGN);
	ck_assert(!hostnames_find(names, &six, &found));
	conf.ipv4 = true;
	conf.ipv6 = false;
	ck_assert(hostnames_find(names, &six, &found));
	ck_assert(!hostnames_find(names, &four, &found));
}
END_TEST

START_TEST(a_worker_may_end_in_the_middle)
{
	struct heard heard = { .times = 0 };
	struct addr addr = client(5), other = client(6);
	struct hostname_query *query = hostnames_ask(names, &addr, on_found, &heard);

	hostnames_cancel(&query);
	query = hostnames_ask(names, &other, on_found, &heard);
	for (unsigned i = 0; i < 50 && dns.questions < 4; i++)
		loop_turn(loop, 10);
	hostnames_cancel(&query);
	hostnames_free(&names);
	ck_assert_ptr_null(names);
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 0);
	ck_assert_uint_eq(heard.times, 0);
}
END_TEST

Suite *
hostnames_suite(void)
{
	Suite *suite = suite_create("hostnames");
	TCase *tcase = tcase_create("hostnames");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_name_is_looked_up_and_confirmed_once);
	tcase_add_test(tcase, a_name_of_somebody_else_is_none);
	tcase_add_loop_test(tcase, what_is_known_has_its_time, 0, UNIT_COUNT(lives));
	tcase_add_test(tcase, many_who_want_the_same_ask_once);
	tcase_add_test(tcase, who_is_told_may_ask_anew);
	tcase_add_test(tcase, the_longest_unused_goes_first);
	tcase_add_test(tcase, a_table_full_of_questions_takes_no_more);
	tcase_add_test(tcase, who_waits_waits_through_a_silence);
	tcase_add_test(tcase, a_family_that_is_off_has_no_names);
	tcase_add_test(tcase, a_worker_may_end_in_the_middle);
	suite_add_tcase(suite, tcase);
	return suite;
}
