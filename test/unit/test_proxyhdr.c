#include "worker/proto/proxyhdr.h"

#include <stdio.h>
#include <string.h>

#include "test/unit/unit.h"

static const char *
shown(char out[128], const struct proxyhdr *h)
{
	char from[ADDR_TEXT], to[ADDR_TEXT];

	if (h->tells)
		snprintf(out, 128, "%s %s", addr_format_port(from, &h->source), addr_format_port(to, &h->destination));
	else
		strcpy(out, "nobody");
	return out;
}

/* Text and verdict: what it tells, or why it is bad. `more` bytes follow a good one and are not its own. */
static const struct {
	const char *text, *tells, *why;
} lines[] = {
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\r\n", "192.0.2.1:4711 198.51.100.7:143", NULL },
	{ "PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n", "[2001:db8::1]:65535 [2001:db8::2]:0", NULL },
	{ "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1:1 [::1]:2", NULL },
	{ "PROXY UNKNOWN\r\n", "nobody", NULL },
	{ "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "nobody", NULL },
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\n", NULL, "line does not end with CRLF" },
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 4711\r143\r\n", NULL, "line does not end with CRLF" },
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 4711 \r\n", NULL, "invalid line" },
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143 \r\n", NULL, "invalid line" },
	{ "PROXY TCP4  192.0.2.1 198.51.100.7 4711 143\r\n", NULL, "invalid line" },
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 4711 65536\r\n", NULL, "invalid line" },
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 04711 143\r\n", NULL, "invalid line" },
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 +711 143\r\n", NULL, "invalid line" },
	{ "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143 1\r\n", NULL, "invalid line" },
	{ "PROXY TCP4 192.0.2.1 2001:db8::1 4711 143\r\n", NULL, "invalid line" },
	{ "PROXY TCP6 192.0.2.1 2001:db8::1 4711 143\r\n", NULL, "invalid line" },
	{ "PROXY TCP4 192.0.2 198.51.100.7 4711 143\r\n", NULL, "invalid line" },
	{ "PROXY TCP4 localhost 198.51.100.7 4711 143\r\n", NULL, "invalid line" },
	{ "PROXY UDP4 192.0.2.1 198.51.100.7 4711 143\r\n", NULL, "invalid line" },
	{ "PROXY tcp4 192.0.2.1 198.51.100.7 4711 143\r\n", NULL, "invalid line" },
	{ "PROXY \r\n", NULL, "invalid line" },
	{ "PROXY\r\n", NULL, "no signature" },
	{ "PROXYTCP4 ", NULL, "no signature" },
	{ "POST / HTTP/1.0\r\n", NULL, "no signature" },
	{ "a LOGIN joe pw\r\n", NULL, "no signature" },
	{ "\r\n", NULL, NULL },         /* version 2 begins so */
	{ "PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
	    "nobody", NULL },           /* 107 bytes */
	{ "PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
	    NULL, "line too long" },
};

/* Up to its last byte a good header is one that may still come; behind it nothing is looked at. */
static void
check(const void *bytes, size_t len, const char *tells, const char *reason)
{
	struct proxyhdr h;
	const char *why = NULL;
	char held[PROXYHDR_MAX + 16], text[128];
	enum proxyhdr_verdict verdict = PROXYHDR_MORE;

	memcpy(held, bytes, len);
	memcpy(held + len, "a NOOP\r\n", 8);
	for (size_t cut = 0; cut < len && tells != NULL; cut++)
		ck_assert_msg(proxyhdr_read(&h, held, cut, &why) == PROXYHDR_MORE, "cut at %zu", cut);
	for (size_t cut = 0; cut <= len && tells == NULL && verdict == PROXYHDR_MORE; cut++)
		verdict = proxyhdr_read(&h, held, cut, &why);
	if (tells == NULL) {
		ck_assert_int_eq(verdict, reason == NULL ? PROXYHDR_MORE : PROXYHDR_BAD);
		if (reason != NULL)
			ck_assert_str_eq(why, reason);
		return;
	}
	for (size_t more = 0; more <= 8; more++) {
		ck_assert_int_eq(proxyhdr_read(&h, held, len + more, &why), PROXYHDR_DONE);
		ck_assert_uint_eq(h.len, len);
		ck_assert_str_eq(shown(text, &h), tells);
	}
}

START_TEST(a_line_is_right_or_bad_wherever_it_is_cut)
{
	check(lines[_i].text, strlen(lines[_i].text), lines[_i].tells, lines[_i].why);
}
END_TEST

#define SIGN "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01" "\xc6\x33\x64\x07" "\x12\x67" "\x00\x8f"
#define V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1" "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x02" "\x00\x01" "\x00\x02"
#define BYTES(text) (text), sizeof(text) - 1

static const struct {
	const char *bytes;
	size_t len;
	const char *tells, *why;
} headers[] = {
	{ BYTES(SIGN "\x21\x11\x00\x0c" V4), "192.0.2.1:4711 198.51.100.7:143", NULL },
	{ BYTES(SIGN "\x21\x21\x00\x24" V6), "[2001:db8::1]:1 192.0.2.2:2", NULL },
	{ BYTES(SIGN "\x21\x11\x00\x12" V4 "\x04\x00\x03pad"), "192.0.2.1:4711 198.51.100.7:143", NULL },
	{ BYTES(SIGN "\x21\x11\x00\x0f" V4 "\xee\x00\x00"), "192.0.2.1:4711 198.51.100.7:143", NULL },
	{ BYTES(SIGN "\x20\x00\x00\x00"), "nobody", NULL },
	{ BYTES(SIGN "\x20\x11\x00\x03xyz"), "nobody", NULL },
	{ BYTES(SIGN "\x20\xff\x00\x00"), "nobody", NULL },
	{ BYTES(SIGN "\x21\x00\x00\x00"), "nobody", NULL },
	{ BYTES(SIGN "\x21\x00\x00\x04\x02\x00\x01x"), "nobody", NULL },
	{ BYTES(SIGN "\x21\x11\x00\x16" V4 "\x20\x00\x07\x01\0\0\0\0" "\x21\x00"), NULL, "TLV past the end" },
	{ BYTES(SIGN "\x21\x11\x00\x17" V4 "\x20\x00\x08\x01\0\0\0\0" "\x21\x00\x00"),
	    "192.0.2.1:4711 198.51.100.7:143", NULL },
	{ BYTES(SIGN "\x21\x11\x00\x13" V4 "\x20\x00\x04\x01\0\0\0"), NULL, "TLV past the end" },
	{ BYTES(SIGN "\x21\x11\x00\x0b" V4), NULL, "addresses missing" },
	{ BYTES(SIGN "\x21\x21\x00\x0c" V4), NULL, "addresses missing" },
	{ BYTES(SIGN "\x21\x31\x00\x0c" V4), NULL, "addresses missing" },
	{ BYTES(SIGN "\x21\x12\x00\x0c" V4), NULL, "unknown family" },
	{ BYTES(SIGN "\x21\x41\x00\x0c" V4), NULL, "unknown family" },
	{ BYTES(SIGN "\x21\x10\x00\x0c" V4), NULL, "unknown family" },
	{ BYTES(SIGN "\x22\x11\x00\x0c" V4), NULL, "unknown version or command" },
	{ BYTES(SIGN "\x11\x11\x00\x0c" V4), NULL, "unknown version or command" },
	{ BYTES("\r\n\r\n\0\r\nQUIT\r"), NULL, "no signature" },
	{ BYTES(SIGN "\x21\x11\x0f\xf1"), NULL, "header too long" },
	{ BYTES(SIGN "\x21\x11\xff\xff"), NULL, "header too long" },
	{ BYTES(SIGN "\x21\x11\x00\x0d" V4 "x"), NULL, "TLV past the end" },
	{ BYTES(SIGN "\x21\x11\x00\x0f" V4 "\x04\x00\x01"), NULL, "TLV past the end" },
	{ BYTES(SIGN "\x21\x11\x00\x13" V4 "\x03\x00\x04\0\0\0\0"), NULL, "wrong checksum" },
	{ BYTES(SIGN "\x21\x11\x00\x12" V4 "\x03\x00\x03\0\0\0"), NULL, "wrong checksum" },
	/* checked with another implementation of CRC-32C */
	{ BYTES(SIGN "\x21\x11\x00\x13" V4 "\x03\x00\x04" "\xb6\x4c\xf7\x52"), "192.0.2.1:4711 198.51.100.7:143",
	    NULL },
};

START_TEST(a_binary_header_is_right_or_bad_wherever_it_is_cut)
{
	check(headers[_i].bytes, headers[_i].len, headers[_i].tells, headers[_i].why);
}
END_TEST

START_TEST(a_unix_client_is_told_without_its_path)
{
	char bytes[16 + 216] = SIGN "\x21\x31\x00\xd8" "/run/a";

	check(bytes, sizeof(bytes), "unix: unix:", NULL);
}
END_TEST

START_TEST(a_header_may_be_as_long_as_4096_bytes)
{
	static char bytes[PROXYHDR_MAX] = SIGN "\x21\x11\x0f\xf0" V4 "\x04\x0f\xe1";

	check(bytes, sizeof(bytes), "192.0.2.1:4711 198.51.100.7:143", NULL);
}
END_TEST

static struct addr
addr_of(const char *text, uint16_t port)
{
	struct addr a = { .family = AF_UNIX };

	if (strcmp(text, "unix:") != 0)
		ck_assert_int_eq(addr_parse(&a, text, strlen(text)), 0);
	a.port = port;
	return a;
}

static const struct {
	const char *source, *destination, *line, *tells;
} pairs[] = {
	{ "192.0.2.1", "198.51.100.7", "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\r\n",
	    "192.0.2.1:4711 198.51.100.7:143" },
	{ "2001:db8::1", "::1", "PROXY TCP6 2001:db8::1 ::1 4711 143\r\n", "[2001:db8::1]:4711 [::1]:143" },
	{ "::1", "127.0.0.1", "PROXY TCP6 ::1 ::ffff:127.0.0.1 4711 143\r\n", "[::1]:4711 127.0.0.1:143" },
	{ "127.0.0.1", "::1", "PROXY TCP6 ::ffff:127.0.0.1 ::1 4711 143\r\n", "127.0.0.1:4711 [::1]:143" },
	{ "unix:", "127.0.0.1", "PROXY UNKNOWN\r\n", "nobody" },
	{ "127.0.0.1", "unix:", "PROXY UNKNOWN\r\n", "nobody" },
};

START_TEST(what_is_written_never_mixes_families_and_can_be_read)
{
	const struct proxyhdr_facts facts = { .authority = "mail.example", .session = "0123456789abcdef",
		.tls_version = "TLSv1.3", .tls_cipher = "TLS_AES_256_GCM_SHA384", .tls_common_name = "joe",
		.has_certificate = true, .verified = true };
	struct addr source = addr_of(pairs[_i].source, 4711), destination = addr_of(pairs[_i].destination, 143);
	struct buf out;

	buf_init(&out, PROXYHDR_MAX);
	ck_assert_int_eq(proxyhdr_write_v1(&out, &source, &destination), 0);
	ck_assert_uint_eq(out.len, strlen(pairs[_i].line));
	ck_assert_mem_eq(buf_head(&out), pairs[_i].line, out.len);
	check(buf_head(&out), out.len, pairs[_i].tells, NULL);
	buf_reset(&out);
	ck_assert_int_eq(proxyhdr_write_v2(&out, &source, &destination, &facts), 0);
	check(buf_head(&out), out.len, pairs[_i].tells, NULL);
	buf_reset(&out);
	ck_assert_int_eq(proxyhdr_write_v2(&out, &source, &destination, &(struct proxyhdr_facts){ .session = NULL }),
	    0);
	check(buf_head(&out), out.len, pairs[_i].tells, NULL);
	buf_reset(&out);
}
END_TEST

START_TEST(tls_is_told_in_a_tlv_of_tlvs)
{
	const struct proxyhdr_facts facts = {
		.tls_version = "TLSv1.2", .tls_cipher = "C", .authority = "a", .alpn = "imap"
	};
	struct addr source = addr_of("192.0.2.1", 4711), destination = addr_of("198.51.100.7", 143);
	static const char expected[] = SIGN "\x21\x11\x00\x2d" V4 "\x01\x00\x04" "imap" "\x02\x00\x01" "a"
		"\x20\x00\x13" "\x01\0\0\0\x01" "\x21\x00\x07" "TLSv1.2" "\x23\x00\x01" "C";
	struct buf out;

	buf_init(&out, PROXYHDR_MAX);
	ck_assert_int_eq(proxyhdr_write_v2(&out, &source, &destination, &facts), 0);
	ck_assert_uint_eq(out.len, sizeof(expected) - 1);
	ck_assert_mem_eq(buf_head(&out), expected, out.len);
	buf_reset(&out);
}
END_TEST

/* The byte `client` and the verdict of the TLV about TLS (section 2.2.6 of the specification). */
static const struct {
	struct proxyhdr_facts facts;
	unsigned char client, verify;
} clients[] = {
	{ { .tls_version = "T" },                                                                      1, 1 },
	{ { .tls_version = "T", .resumed = true },                                                     1, 1 },
	{ { .tls_version = "T", .verified = true },                                                    1, 1 },
	{ { .tls_version = "T", .has_certificate = true },                                             7, 1 },
	{ { .tls_version = "T", .has_certificate = true, .verified = true },                           7, 0 },
	{ { .tls_version = "T", .has_certificate = true, .verified = true, .resumed = true },          5, 0 },
};

START_TEST(a_certificate_is_told_of_with_its_verdict)
{
	struct addr source = addr_of("192.0.2.1", 4711), destination = addr_of("198.51.100.7", 143);
	const unsigned char *tlv;
	struct buf out;

	buf_init(&out, PROXYHDR_MAX);
	ck_assert_int_eq(proxyhdr_write_v2(&out, &source, &destination, &clients[_i].facts), 0);
	tlv = (const unsigned char *)buf_head(&out) + 28;
	ck_assert_uint_eq(tlv[0], 0x20);
	ck_assert_uint_eq(tlv[3], clients[_i].client);
	ck_assert_uint_eq(tlv[7], clients[_i].verify);
	buf_reset(&out);
}
END_TEST

START_TEST(a_header_without_room_is_not_written)
{
	struct addr source = addr_of("192.0.2.1", 4711), destination = addr_of("198.51.100.7", 143);
	struct buf out;

	buf_init(&out, 20);
	ck_assert_int_eq(proxyhdr_write_v1(&out, &source, &destination), -1);
	ck_assert_int_eq(proxyhdr_write_v2(&out, &source, &destination, &(struct proxyhdr_facts){ .session = NULL }),
	    -1);
	buf_reset(&out);
}
END_TEST

Suite *
proxyhdr_suite(void)
{
	Suite *suite = suite_create("proxyhdr");
	TCase *tcase = tcase_create("proxyhdr");

	tcase_add_loop_test(tcase, a_line_is_right_or_bad_wherever_it_is_cut, 0, UNIT_COUNT(lines));
	tcase_add_loop_test(tcase, a_binary_header_is_right_or_bad_wherever_it_is_cut, 0, UNIT_COUNT(headers));
	tcase_add_test(tcase, a_unix_client_is_told_without_its_path);
	tcase_add_test(tcase, a_header_may_be_as_long_as_4096_bytes);
	tcase_add_loop_test(tcase, what_is_written_never_mixes_families_and_can_be_read, 0, UNIT_COUNT(pairs));
	tcase_add_test(tcase, tls_is_told_in_a_tlv_of_tlvs);
	tcase_add_loop_test(tcase, a_certificate_is_told_of_with_its_verdict, 0, UNIT_COUNT(clients));
	tcase_add_test(tcase, a_header_without_room_is_not_written);
	suite_add_tcase(suite, tcase);
	return suite;
}
