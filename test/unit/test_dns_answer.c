#include "worker/net/dns_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/unit.h"

#define REVERSE "\x01" "1\x01" "2\x01" "0\x03" "192\x07in-addr\x04" "arpa\0"
#define ASKED "1.2.0.192.in-addr.arpa"
#define OWNER "\xc0\x0c"
#define PTR "\0\x0c\0\x01"
#define CNAME "\0\x05\0\x01"
#define TTL(t) "\0\0\0" t
#define HEAD(answers) "\0\x01\x81\x80\0\x01\0" answers "\0\0\0\0"
#define QUESTION REVERSE PTR
#define NAME "\4mail\7example\3org\0"           /* 18 bytes */
#define TEXT_1 "mail.example.org"

/* What an answer comes to: each record with a blank behind it, or "nothing", and the time to live; or "bad". */
static const char *
read_answer(const void *bytes, size_t len, const char *name, enum dns_type type)
{
	static char out[8192];
	char text[DNS_NAME_TEXT];
	struct dns_answer answer;
	struct dns_record record;
	size_t count = 0;

	switch (dns_answer_read(&answer, bytes, len, name, type)) {
	case DNS_BAD:
		return "bad";
	case DNS_NOTHING:
		sprintf(out, "nothing %lu", (unsigned long)answer.ttl_s);
		return out;
	case DNS_FOUND:
		break;
	}
	out[0] = '\0';
	while (dns_answer_next(&answer, &record)) {
		count++;
		if (type == DNS_PTR)
			sprintf(out + strlen(out), "%s%s ", dns_name_format(text, &record.name),
			    dns_name_is_host(&record.name) ? "" : "!");
		else
			sprintf(out + strlen(out), "%s ", addr_format(text, &record.addr));
	}
	ck_assert_uint_eq(count, answer.count);
	sprintf(out + strlen(out), "%lu", (unsigned long)answer.ttl_s);
	return out;
}

/* There is no such name, or only none of the type; what the authority section says of it. */
#define NO_NAME(answers, authority) "\0\1\x81\x83\0\1\0" answers "\0" authority "\0\0" QUESTION
#define NO_TYPE(answers, authority) "\0\1\x81\x80\0\1\0" answers "\0" authority "\0\0" QUESTION
#define SOA "\0\6\0\1"
#define NUMBERS(minimum) "\0\0\0\1" "\0\0\0\2" "\0\0\0\3" "\0\0\0\4" minimum
#define DATA(minimum) "\0\x19" "\1m\0" "\xc0\x0c" NUMBERS(minimum)

#define CASE(bytes, heard) { bytes, sizeof(bytes) - 1, heard }

static const struct {
	const char *bytes;
	size_t len;
	const char *heard;
} names[] = {
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\x3c") "\0\x12" NAME, TEXT_1 " 60"),
	/* as long as the shortest of them */
	CASE(HEAD("\2") QUESTION OWNER PTR TTL("\x3c") "\0\x12" NAME OWNER PTR TTL("\x1e") "\0\3\1a\0", TEXT_1 " a 30"),
	/* names are the same in any case of letters, compressed or not */
	CASE(HEAD("\1") "\1" "1\1" "2\1" "0\3" "192\7IN-addr\4ARPA\0" PTR REVERSE PTR TTL("\x3c") "\0\x12" NAME,
	    TEXT_1 " 60"),
	/* what points into another name (RFC 1035 section 4.1.4) */
	CASE(HEAD("\2") QUESTION OWNER PTR TTL("\1") "\0\x12" NAME OWNER PTR TTL("\1") "\0\4\1x\xc0\x39",
	    TEXT_1 " x.example.org 1"),
	/* no name of a host, and what of it can be shown */
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\0\5\3a b\0", "a\\032b! 1"),
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\0\5\3a.b\0", "a\\046b! 1"),
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\0\6\4\0\r\n=\0", "\\000\\013\\010\\061! 1"),
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\0\4\2_\xff\0", "_\\255! 1"),
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\0\1\0", "! 1"),
	/* a time that cannot be is none (RFC 2181 section 8) */
	CASE(HEAD("\1") QUESTION OWNER PTR "\x80\0\0\0" "\0\x12" NAME, TEXT_1 " 0"),
	CASE(HEAD("\1") QUESTION OWNER PTR "\x7f\xff\xff\xff" "\0\x12" NAME, TEXT_1 " 2147483647"),
	/* by an alias (RFC 2317), which may stand behind what it leads to, and may live shorter */
	CASE(HEAD("\2") QUESTION OWNER CNAME TTL("\x14") "\0\4\2z/\0" "\2Z/\0" PTR TTL("\x3c") "\0\x12" NAME,
	    TEXT_1 " 20"),
	CASE(HEAD("\2") QUESTION "\1z\0" PTR TTL("\x3c") "\0\x12" NAME OWNER CNAME TTL("\x14") "\0\3\1z\0",
	    TEXT_1 " 20"),
	CASE(HEAD("\1") QUESTION OWNER CNAME TTL("\x14") "\0\3\1z\0", "nothing 0"),
	CASE(HEAD("\1") QUESTION OWNER CNAME TTL("\x14") "\0\2\xc0\x0c", "bad"),
	CASE(HEAD("\2") QUESTION OWNER CNAME TTL("\1") "\0\3\1z\0" "\1z\0" CNAME TTL("\1") "\0\2\xc0\x0c", "bad"),
	/* others' records, types and classes */
	CASE(HEAD("\0") QUESTION, "nothing 0"),
	CASE(HEAD("\1") QUESTION "\1z\0" PTR TTL("\x3c") "\0\x12" NAME, "nothing 0"),
	CASE(HEAD("\1") QUESTION OWNER "\0\x0c\0\3" TTL("\x3c") "\0\x12" NAME, "nothing 0"),
	CASE(HEAD("\1") QUESTION OWNER "\0\x10\0\1" TTL("\x3c") "\0\2\1x", "nothing 0"),
	/* it is no answer, truncated, an error, to two questions or to another one */
	CASE("\0\1\1\x80\0\1\0\0\0\0\0\0" QUESTION, "bad"),
	CASE("\0\1\x83\x80\0\1\0\0\0\0\0\0" QUESTION, "bad"),
	CASE("\0\1\x89\x80\0\1\0\0\0\0\0\0" QUESTION, "bad"),
	CASE("\0\1\x81\x82\0\1\0\0\0\0\0\0" QUESTION, "bad"),
	CASE("\0\1\x81\x80\0\2\0\0\0\0\0\0" QUESTION QUESTION, "bad"),
	CASE(HEAD("\0") "\1" "2" REVERSE PTR, "bad"),
	CASE(HEAD("\0") REVERSE "\0\1\0\1", "bad"),
	CASE(HEAD("\0") REVERSE "\0\x0c\0\3", "bad"),
	/* that there is nothing is good as long as the zone says, or as what says so (RFC 2308 section 5) */
	CASE(NO_NAME("\0", "\0"), "nothing 0"),
	CASE(NO_NAME("\0", "\1") OWNER SOA TTL("\x3c") DATA(TTL("\x1e")), "nothing 30"),
	CASE(NO_TYPE("\0", "\1") OWNER SOA TTL("\x14") DATA(TTL("\x1e")), "nothing 20"),
	CASE(NO_TYPE("\0", "\1") "\0" SOA TTL("\x3c") DATA("\xff\xff\xff\xff"), "nothing 60"),
	CASE(NO_TYPE("\0", "\1") "\7IN-ADDR\4Arpa\0" SOA TTL("\x3c") DATA(TTL("\x1e")), "nothing 30"),
	CASE(NO_TYPE("\0", "\2") OWNER PTR TTL("\1") "\0\1\0" OWNER SOA TTL("\x3c") DATA(TTL("\x1e")), "nothing 30"),
	CASE(NO_NAME("\1", "\1") OWNER CNAME TTL("\x0a") "\0\3\1z\0" "\0" SOA TTL("\x3c") DATA(TTL("\x1e")), "nothing 10"),
	/* another zone's word, of another class, or one that is cut or too long */
	CASE(NO_NAME("\0", "\1") "\4test\0" SOA TTL("\x3c") DATA(TTL("\x1e")), "nothing 0"),
	CASE(NO_NAME("\0", "\1") "\1x" OWNER SOA TTL("\x3c") DATA(TTL("\x1e")), "nothing 0"),
	CASE(NO_NAME("\1", "\1") OWNER CNAME TTL("\x0a") "\0\3\1z\0" OWNER SOA TTL("\x3c") DATA(TTL("\x1e")), "nothing 0"),
	CASE(NO_NAME("\0", "\1") OWNER "\0\6\0\3" TTL("\x3c") DATA(TTL("\x1e")), "nothing 0"),
	CASE(NO_NAME("\0", "\1") OWNER SOA TTL("\x3c") "\0\x18" "\1m\0" "\xc0\x0c" NUMBERS("\0\0\0"), "nothing 0"),
	CASE(NO_NAME("\0", "\1") OWNER SOA TTL("\x3c") "\0\x1a" "\1m\0" "\xc0\x0c" NUMBERS(TTL("\1")) "\0", "nothing 0"),
	CASE(NO_NAME("\0", "\1") OWNER SOA TTL("\x3c") "\0\1\0", "nothing 0"),
	CASE(NO_NAME("\0", "\1") OWNER SOA TTL("\x3c") "\0\x19" "\1m\0", "nothing 0"),
	CASE(NO_NAME("\0", "\xff") OWNER PTR TTL("\1") "\0\1\0", "nothing 0"),
	/* a record of a name that does not exist */
	CASE(NO_NAME("\1", "\0") OWNER PTR TTL("\x3c") "\0\x12" NAME, "bad"),
	CASE(NO_NAME("\1", "\0"), "bad"),
	/* names that never end, point ahead, at themselves, into the header, or are of unknown kind */
	CASE(HEAD("\0") "\xc0\x0c" PTR, "bad"),
	CASE(HEAD("\1") QUESTION "\xc0\x28" PTR TTL("\1") "\0\x12" NAME, "bad"),
	CASE(HEAD("\1") QUESTION "\xc0\x30" PTR TTL("\1") "\0\x12" NAME, "bad"),
	CASE(HEAD("\1") QUESTION "\xc0\x02" PTR TTL("\1") "\0\x12" NAME, "bad"),
	CASE(HEAD("\1") QUESTION "\x41" "a" PTR TTL("\1") "\0\x12" NAME, "bad"),
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\0\4\1x\xc0\x34", "bad"),
	/* a name that is longer or shorter than its record */
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\0\x11" NAME, "bad"),
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\0\x13" NAME "\0", "bad"),
	CASE(HEAD("\1") QUESTION OWNER PTR TTL("\1") "\xff\xff" NAME, "bad"),
	/* records that were promised */
	CASE(HEAD("\2") QUESTION OWNER PTR TTL("\x3c") "\0\x12" NAME, "bad"),
};

START_TEST(a_name_is_read_or_refused)
{
	ck_assert_str_eq(read_answer(names[_i].bytes, names[_i].len, ASKED, DNS_PTR), names[_i].heard);
}
END_TEST

/* Whatever is cut off, nothing behind is read, and it is no answer. */
START_TEST(an_answer_that_is_cut_is_none)
{
	static const char whole[] =
	    HEAD("\2") QUESTION OWNER CNAME TTL("\x14") "\0\4\2z/\0" "\2Z/\0" PTR TTL("\x3c") "\0\x12" NAME;

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		char *cut = malloc(len + 1);

		memcpy(cut, whole, len);
		ck_assert_str_eq(read_answer(cut, len, ASKED, DNS_PTR), "bad");
		free(cut);
	}
}
END_TEST

#define HOST "\1h\0"

/* However much of the authority section is missing, what stands before it is said. */
START_TEST(an_absence_that_is_cut_has_no_time)
{
	static const char whole[] = NO_NAME("\0", "\1") OWNER SOA TTL("\x3c") DATA(TTL("\x1e"));
	const size_t question = sizeof(NO_NAME("\0", "\1")) - 1;

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		char *cut = malloc(len + 1);

		memcpy(cut, whole, len);
		ck_assert_str_eq(read_answer(cut, len, ASKED, DNS_PTR), len < question ? "bad" : "nothing 0");
		free(cut);
	}
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
	enum dns_type type;
	const char *heard;
} addresses[] = {
	{ HEAD("\2") HOST "\0\1\0\1" OWNER "\0\1\0\1" TTL("\5") "\0\4\xc0\0\2\1"
	    OWNER "\0\1\0\1" TTL("\4") "\0\4\xc0\0\2\2", 51,
	    DNS_A, "192.0.2.1 192.0.2.2 4" },
	{ HEAD("\1") HOST "\0\x1c\0\1" OWNER "\0\x1c\0\1" TTL("\5") "\0\x10\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 47,
	    DNS_AAAA, "2001:db8::1 5" },
	{ HEAD("\1") HOST "\0\1\0\1" OWNER "\0\1\0\1" TTL("\5") "\0\3\xc0\0\2", 34, DNS_A, "bad" },
	{ HEAD("\1") HOST "\0\1\0\1" OWNER "\0\1\0\1" TTL("\5") "\0\5\xc0\0\2\1\1", 36, DNS_A, "bad" },
	{ HEAD("\1") HOST "\0\x1c\0\1" OWNER "\0\x1c\0\1" TTL("\5") "\0\4\xc0\0\2\1", 35, DNS_AAAA, "bad" },
	/* of the other family */
	{ HEAD("\1") HOST "\0\x1c\0\1" OWNER "\0\1\0\1" TTL("\5") "\0\4\xc0\0\2\1", 35, DNS_AAAA, "nothing 0" },
};

START_TEST(an_address_is_read_or_refused)
{
	ck_assert_str_eq(read_answer(addresses[_i].bytes, addresses[_i].len, "h", addresses[_i].type),
	    addresses[_i].heard);
}
END_TEST

/* Each alias leads to the next: a0 to a1 and on; the last has the name. */
static const char *
follow(unsigned aliases)
{
	unsigned char bytes[1024] = "\0\1\x81\x80\0\1\0\0\0\0\0\0\2a0\0\0\x0c\0\1";
	size_t len = 12 + 4 + 4;

	bytes[7] = (unsigned char)(aliases + 1);
	for (unsigned i = 0; i <= aliases; i++) {
		const unsigned char record[] = {
			2, 'a', (unsigned char)('0' + i), 0, 0, i < aliases ? 5 : 12, 0, 1, 0, 0, 0, 9, 0, 4,
			2, 'a', (unsigned char)('1' + i), 0,
		};

		memcpy(bytes + len, record, sizeof(record));
		len += sizeof(record);
	}
	return read_answer(bytes, len, "a0", DNS_PTR);
}

START_TEST(aliases_have_an_end)
{
	char heard[16];

	for (unsigned i = 0; i <= DNS_ALIASES_MAX; i++) {
		sprintf(heard, "a%c 9", (char)('1' + i));
		ck_assert_str_eq(follow(i), heard);
	}
	ck_assert_str_eq(follow(DNS_ALIASES_MAX + 1), "bad");
}
END_TEST

/* As long as names can be, and one byte more. */
START_TEST(a_name_has_at_most_255_bytes)
{
	for (unsigned last = 61; last <= 62; last++) {
		unsigned char bytes[512] = HEAD("\1") QUESTION OWNER PTR TTL("\1");
		size_t len = 12 + 24 + 4 + 10;
		unsigned data = 3 * 64 + last + 2;

		bytes[len++] = (unsigned char)(data >> 8);
		bytes[len++] = (unsigned char)data;
		for (unsigned i = 0; i < 4; i++) {
			unsigned label = i < 3 ? 63 : last;

			bytes[len++] = (unsigned char)label;
			memset(bytes + len, 0xff, label);
			len += label;
		}
		bytes[len++] = 0;
		if (last == 61)
			ck_assert_uint_eq(strlen(read_answer(bytes, len, ASKED, DNS_PTR)), 250 * 4 + 3 + 3);
		else
			ck_assert_str_eq(read_answer(bytes, len, ASKED, DNS_PTR), "bad");
	}
}
END_TEST

/* A pointer to a pointer to a pointer: few are followed, so that no answer costs much. */
START_TEST(pointers_are_followed_so_far)
{
	static unsigned char bytes[4096] = "\0\1\x81\x80\0\1\0\2\0\0\0\0\1h\0\0\x0c\0\1";
	size_t len = 12 + 3 + 4;
	unsigned target = 12;

	memcpy(bytes + len, "\1x\0\0\x10\0\1\0\0\0\1\1\0", 13);        /* a TXT of 256 bytes: pointers */
	len += 13;
	for (unsigned i = 0; i < 128; i++, len += 2) {
		bytes[len] = (unsigned char)(0xc0 | target >> 8);
		bytes[len + 1] = (unsigned char)target;
		target = (unsigned)len;
	}
	memcpy(bytes + len, "\xc0\0\0\x0c\0\1\0\0\0\1\0\1\0", 13);
	bytes[len] = (unsigned char)(0xc0 | (target - 4) >> 8);
	bytes[len + 1] = (unsigned char)(target - 4);
	ck_assert_str_eq(read_answer(bytes, len + 13, "h", DNS_PTR), "! 1");
	bytes[len + 1] = (unsigned char)(target);
	bytes[len] = (unsigned char)(0xc0 | target >> 8);
	ck_assert_str_eq(read_answer(bytes, len + 13, "h", DNS_PTR), "bad");
}
END_TEST

static const struct {
	const char *addr, *reverse;
} reverses[] = {
	{ "192.0.2.1", ASKED },
	{ "255.254.253.252", "252.253.254.255.in-addr.arpa" },
	{ "2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" },
};

START_TEST(an_address_is_asked_for_backwards)
{
	char out[DNS_REVERSE_TEXT];
	struct addr addr;

	ck_assert_int_eq(addr_parse(&addr, reverses[_i].addr, strlen(reverses[_i].addr)), 0);
	ck_assert_str_eq(dns_reverse(out, &addr), reverses[_i].reverse);
}
END_TEST

Suite *
dns_answer_suite(void)
{
	Suite *suite = suite_create("dns_answer");
	TCase *tcase = tcase_create("dns_answer");

	tcase_add_loop_test(tcase, a_name_is_read_or_refused, 0, UNIT_COUNT(names));
	tcase_add_test(tcase, an_answer_that_is_cut_is_none);
	tcase_add_test(tcase, an_absence_that_is_cut_has_no_time);
	tcase_add_loop_test(tcase, an_address_is_read_or_refused, 0, UNIT_COUNT(addresses));
	tcase_add_test(tcase, aliases_have_an_end);
	tcase_add_test(tcase, a_name_has_at_most_255_bytes);
	tcase_add_test(tcase, pointers_are_followed_so_far);
	tcase_add_loop_test(tcase, an_address_is_asked_for_backwards, 0, UNIT_COUNT(reverses));
	suite_add_tcase(suite, tcase);
	return suite;
}
