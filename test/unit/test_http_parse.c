#include "worker/proto/http_parse.h"

#include <stdio.h>
#include <string.h>

#include "test/unit/unit.h"

#define BEHIND "HTTP/1.1 500 the next answer"
#define OK "HTTP/1.1 200 OK\r\n"

/* What on_header() was told: "name=value;" each. */
struct heard {
	char text[512];
	size_t len;
};

static void
on_header(void *ctx, const char *name, const char *value)
{
	struct heard *heard = ctx;

	heard->len += (size_t)snprintf(heard->text + heard->len, sizeof(heard->text) - heard->len, "%s=%s;", name,
	    value);
	ck_assert_uint_lt(heard->len, sizeof(heard->text));
}

static const struct {
	const char *text, *heard;
	unsigned status;
	bool keep_alive, chunked, until_close;
	uint64_t body_len;
} good[] = {
	{ OK "\r\n", "", 200, false, false, true, 0 },
	{ OK "Content-Length: 0\r\n\r\n", "Content-Length=0;", 200, true, false, false, 0 },
	{ OK "content-length:17\r\n\r\n", "content-length=17;", 200, true, false, false, 17 },
	{ "HTTP/1.1 200 OK\nContent-Length: 5\n\n", "Content-Length=5;", 200, true, false, false, 5 },
	{ "HTTP/1.1 204\r\n\r\n", "", 204, true, false, false, 0 },
	{ "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", "Content-Length=9;", 204, true, false, false, 0 },
	{ "HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding=chunked;", 304, true, false, false,
	    0 },
	{ OK "Transfer-Encoding: Chunked\r\n\r\n", "Transfer-Encoding=Chunked;", 200, true, true, false, 0 },
	{ OK "Connection: close\r\nContent-Length: 0\r\n\r\n", "Connection=close;Content-Length=0;",
	    200, false, false, false, 0 },
	{ OK "Connection: Upgrade , Close\r\nContent-Length: 0\r\n\r\n", "Connection=Upgrade , Close;Content-Length=0;",
	    200, false, false, false, 0 },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", "Content-Length=3;", 200, false, false, false, 3 },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n",
	    "Content-Length=3;Connection=keep-alive;", 200, true, false, false, 3 },
	{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "Connection=keep-alive;", 200, false, false, true, 0 },
	{ "HTTP/1.1 403 Forbidden\r\nA: \t x y \t\r\nB:\r\nC:  \r\nContent-Length: 1\r\n\r\n",
	    "A=x y;B=;C=;Content-Length=1;", 403, true, false, false, 1 },
	{ OK "Auth-User: j\xc3\xb6rg:x\r\n\r\n", "Auth-User=j\xc3\xb6rg:x;", 200, false, false, true, 0 },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nAuth-Status: OK\r\n\r\n" OK "X: y\r\n\r\n", "X=y;",
	    200, false, false, true, 0 },
};

static void
check_good(int row, size_t cut)
{
	const char *text = good[row].text;
	struct heard heard = { .len = 0 };
	struct http_head head;
	struct buf in;

	buf_init(&in, 4096);
	ck_assert_int_eq(buf_add(&in, text, cut), 0);
	if (cut < strlen(text))
		ck_assert_int_eq(http_parse_head(&in, &head, on_header, &heard), HTTP_MORE);
	ck_assert_int_eq(buf_add_text(&in, text + cut), 0);
	ck_assert_int_eq(buf_add_text(&in, BEHIND), 0);
	ck_assert_msg(http_parse_head(&in, &head, on_header, &heard) == HTTP_DONE, "%s", text);
	ck_assert_str_eq(heard.text, good[row].heard);
	ck_assert_uint_eq(head.status, good[row].status);
	ck_assert_int_eq(head.keep_alive, good[row].keep_alive);
	ck_assert_int_eq(head.chunked, good[row].chunked);
	ck_assert_int_eq(head.until_close, good[row].until_close);
	ck_assert_uint_eq(head.body_len, good[row].body_len);
	ck_assert_uint_eq(in.len, strlen(BEHIND));
	ck_assert_mem_eq(buf_head(&in), BEHIND, in.len);
	buf_reset(&in);
}

START_TEST(a_head_is_read_however_it_is_cut)
{
	for (size_t cut = 0; cut <= strlen(good[_i].text); cut++)
		check_good(_i, cut);
}
END_TEST

static const struct {
	const char *text, *reason;
	unsigned status;
} bad[] = {
	{ "\r\n", "bad status line", 0 },
	{ "Auth-Status: OK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/2.0 200 OK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/1.10 200 OK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/1.1  200 OK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/1.1 20 OK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/1.1 2000 OK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/1.1 600 OK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/1.1 000 OK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/1.1 200\tOK\r\n\r\n", "bad status line", 0 },
	{ "HTTP/1.1 200 O\rK\r\n\r\n", "bad status line", 0 },
	{ " HTTP/1.1 200 OK\r\n\r\n", "bad status line", 0 },
	{ OK "no colon\r\n\r\n", "bad header name", 200 },
	{ OK ": no name\r\n\r\n", "bad header name", 200 },
	{ OK "Auth-Status : OK\r\n\r\n", "bad header name", 200 },
	{ OK "A: b\r\n folded: c\r\n\r\n", "bad header name", 200 },
	{ OK "A(b): c\r\n\r\n", "bad header name", 200 },
	{ OK "A: b\rc\r\n\r\n", "control byte in a header", 200 },
	{ OK "A: b\tc\r\n\r\n", "control byte in a header", 200 },
	{ OK "A: b\x7f\r\n\r\n", "control byte in a header", 200 },
	{ OK "A: b\x1b[0m\r\n\r\n", "control byte in a header", 200 },
	{ OK "Content-Length: -1\r\n\r\n", "bad Content-Length", 200 },
	{ OK "Content-Length: 1, 1\r\n\r\n", "bad Content-Length", 200 },
	{ OK "Content-Length: 0x1\r\n\r\n", "bad Content-Length", 200 },
	{ OK "Content-Length:\r\n\r\n", "bad Content-Length", 200 },
	{ OK "Content-Length: 18446744073709551616\r\n\r\n", "bad Content-Length", 200 },
	{ OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "bad Content-Length", 200 },
	{ OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "bad Transfer-Encoding", 200 },
	{ OK "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "bad Content-Length", 200 },
	{ OK "Transfer-Encoding: gzip, chunked\r\n\r\n", "bad Transfer-Encoding", 200 },
	{ OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "bad Transfer-Encoding", 200 },
	{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "bad Transfer-Encoding", 200 },
	{ "HTTP/1.1 101 Switching Protocols\r\n\r\n", "another protocol than asked for", 101 },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 hello\r\n\r\n", "bad status line", 0 },
};

START_TEST(what_is_not_a_head_is_refused_for_its_reason)
{
	struct heard heard = { .len = 0 };
	struct http_head head;
	struct buf in;

	buf_init(&in, 4096);
	ck_assert_int_eq(buf_add_text(&in, bad[_i].text), 0);
	ck_assert_int_eq(http_parse_head(&in, &head, on_header, &heard), HTTP_BAD);
	ck_assert_str_eq(head.reason, bad[_i].reason);
	ck_assert_uint_eq(head.status, bad[_i].status);
	buf_reset(&in);
}
END_TEST

START_TEST(a_nul_is_refused_wherever_it_stands)
{
	static const char text[] = OK "Auth-User: abc\r\n\r\n";

	for (size_t at = 0; at < sizeof(text) - 5; at++) {
		struct heard heard = { .len = 0 };
		struct http_head head;
		struct buf in;

		buf_init(&in, 4096);
		ck_assert_int_eq(buf_add_text(&in, text), 0);
		buf_head(&in)[at] = '\0';
		ck_assert_msg(http_parse_head(&in, &head, on_header, &heard) == HTTP_BAD, "at %zu", at);
		buf_reset(&in);
	}
}
END_TEST

START_TEST(the_limit_bounds_the_head)
{
	static const char text[] = OK "Content-Length: 0\r\n\r\n";
	struct heard heard = { .len = 0 };
	struct http_head head;
	struct buf in;

	buf_init(&in, sizeof(text) - 2);
	ck_assert_int_eq(buf_add(&in, text, sizeof(text) - 2), 0);
	ck_assert_int_eq(http_parse_head(&in, &head, on_header, &heard), HTTP_BAD);
	ck_assert_str_eq(head.reason, "head too long");
	buf_reset(&in);
	buf_init(&in, sizeof(text) - 1);
	ck_assert_int_eq(buf_add_text(&in, text), 0);
	ck_assert_int_eq(http_parse_head(&in, &head, on_header, &heard), HTTP_DONE);
	buf_reset(&in);
}
END_TEST

static const struct {
	struct http_head head;
	const char *body, *content;     /* NULL: it is bad */
} bodies[] = {
	{ { .body_len = 0 }, "", "" },
	{ { .body_len = 5 }, "hello", "hello" },
	{ { .chunked = true }, "0\r\n\r\n", "" },
	{ { .chunked = true }, "5\r\nhello\r\n0\r\n\r\n", "hello" },
	{ { .chunked = true }, "5\nhello\n00\n\n", "hello" },
	{ { .chunked = true }, "a;name=value\r\n0123456789\r\n1\r\n0\r\n000\r\nTrailer: x\r\n\r\n", "01234567890" },
	{ { .chunked = true }, "B \r\n\r\n\r\n\r\n\r\n...\r\n0\r\n\r\n", "\r\n\r\n\r\n\r\n..." },
	{ { .chunked = true }, "5\r\nhello!\r\n0\r\n\r\n", NULL },
	{ { .chunked = true }, "\r\n", NULL },
	{ { .chunked = true }, "g\r\n", NULL },
	{ { .chunked = true }, "5x\r\n", NULL },
	{ { .chunked = true }, "-5\r\n", NULL },
	{ { .chunked = true }, "0000000000000001\r\n", NULL },
	{ { .chunked = true }, "5;an extension that never ends, longer than the buffer...", NULL },
	{ { .until_close = true }, "anything", "anything" },
};

/*
 * Feeds the first `cut` bytes at once, the others one by one, until there is a verdict, and
 * takes the content into `out`, if given.
 */
static enum http_verdict
feed_body(int row, size_t cut, struct buf *out)
{
	const char *text = bodies[row].body;
	struct http_body body = { 0 };
	enum http_verdict verdict;
	size_t fed = cut;
	struct buf in;

	buf_init(&in, 48);
	ck_assert_int_eq(buf_add(&in, text, cut), 0);
	while ((verdict = http_take_body(&in, &bodies[row].head, &body, out)) == HTTP_MORE && text[fed] != '\0')
		ck_assert_int_eq(buf_add(&in, text + fed++, 1), 0);
	ck_assert(verdict != HTTP_BAD || body.reason != NULL);
	if (verdict == HTTP_DONE)
		ck_assert_msg(fed == strlen(text) && in.len == 0, "%s cut at %zu", text, cut);
	buf_reset(&in);
	return verdict;
}

/* The verdict that a row ends with. */
static enum http_verdict
verdict_of(int row)
{
	if (bodies[row].content == NULL)
		return HTTP_BAD;
	return bodies[row].head.until_close ? HTTP_MORE : HTTP_DONE;
}

START_TEST(a_body_ends_where_it_says_however_it_is_cut)
{
	for (size_t cut = 0; cut <= strlen(bodies[_i].body) && cut <= 48; cut++)
		ck_assert_msg(feed_body(_i, cut, NULL) == verdict_of(_i), "%s cut at %zu", bodies[_i].body, cut);
}
END_TEST

START_TEST(the_content_of_a_body_is_taken_however_it_is_cut)
{
	const char *content = bodies[_i].content;
	struct buf out;

	for (size_t cut = 0; cut <= strlen(bodies[_i].body) && cut <= 48; cut++) {
		buf_init(&out, 64);
		ck_assert_msg(feed_body(_i, cut, &out) == verdict_of(_i), "%s cut at %zu", bodies[_i].body, cut);
		if (content != NULL)
			ck_assert(out.len == strlen(content) && memcmp(buf_head(&out), content, out.len) == 0);
		buf_reset(&out);
	}
}
END_TEST

START_TEST(the_limit_bounds_the_content_of_a_body)
{
	size_t len = bodies[_i].content != NULL ? strlen(bodies[_i].content) : 0;
	struct buf out;

	if (len == 0)
		return;
	for (size_t cut = 0; cut <= strlen(bodies[_i].body) && cut <= 48; cut++) {
		buf_init(&out, len);
		ck_assert_int_eq(feed_body(_i, cut, &out), verdict_of(_i));
		buf_reset(&out);
		buf_init(&out, len - 1);
		ck_assert_int_eq(feed_body(_i, cut, &out), HTTP_BAD);
		buf_reset(&out);
	}
}
END_TEST

START_TEST(what_stands_behind_a_body_is_left)
{
	struct http_body body = { 0 };
	struct buf in;

	if (verdict_of(_i) != HTTP_DONE)
		return;
	buf_init(&in, 4096);
	ck_assert_int_eq(buf_add_text(&in, bodies[_i].body), 0);
	ck_assert_int_eq(buf_add_text(&in, BEHIND), 0);
	ck_assert_int_eq(http_take_body(&in, &bodies[_i].head, &body, NULL), HTTP_DONE);
	ck_assert_uint_eq(in.len, strlen(BEHIND));
	ck_assert_mem_eq(buf_head(&in), BEHIND, in.len);
	buf_reset(&in);
}
END_TEST

Suite *
http_parse_suite(void)
{
	Suite *suite = suite_create("http_parse");
	TCase *tcase = tcase_create("http_parse");

	tcase_add_loop_test(tcase, a_head_is_read_however_it_is_cut, 0, UNIT_COUNT(good));
	tcase_add_loop_test(tcase, what_is_not_a_head_is_refused_for_its_reason, 0, UNIT_COUNT(bad));
	tcase_add_test(tcase, a_nul_is_refused_wherever_it_stands);
	tcase_add_test(tcase, the_limit_bounds_the_head);
	tcase_add_loop_test(tcase, a_body_ends_where_it_says_however_it_is_cut, 0, UNIT_COUNT(bodies));
	tcase_add_loop_test(tcase, the_content_of_a_body_is_taken_however_it_is_cut, 0, UNIT_COUNT(bodies));
	tcase_add_loop_test(tcase, the_limit_bounds_the_content_of_a_body, 0, UNIT_COUNT(bodies));
	tcase_add_loop_test(tcase, what_stands_behind_a_body_is_left, 0, UNIT_COUNT(bodies));
	suite_add_tcase(suite, tcase);
	return suite;
}
