#include "worker/proto/smtp_body.h"

#include <string.h>

#include "test/unit/unit.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct {
	const char *text;
	enum smtp_body_verdict verdict;
	const char *left;
} texts[] = {
	{ "", SMTP_BODY_MORE, "" },
	{ ".\r\n", SMTP_BODY_END, "" },
	{ ".\r\nQUIT\r\n", SMTP_BODY_END, "QUIT\r\n" },
	{ "a\r\n.\r\nNOOP\r\n", SMTP_BODY_END, "NOOP\r\n" },
	{ "a\r\n..\r\n.x\r\n. \r\n.\r\n", SMTP_BODY_END, "" },
	{ "\r\n\r\n.\r\n", SMTP_BODY_END, "" },
	{ "a.\r\nb\r\n.\r\n", SMTP_BODY_END, "" },
	{ "a\nb\rc\r\r\n.\r\n", SMTP_BODY_END, "" },
	{ "\n..\n.x\r\n.\r\n", SMTP_BODY_END, "" },
	{ "\r\n.", SMTP_BODY_MORE, "" },
	{ "\r\n.\r", SMTP_BODY_MORE, "" },
	{ "a\n.\nx", SMTP_BODY_BAD, NULL },
	{ "a\n.\r\nx", SMTP_BODY_BAD, NULL },
	{ "a\n.\rx", SMTP_BODY_BAD, NULL },
	{ "a\r\n.\nx", SMTP_BODY_BAD, NULL },
	{ "a\r\n.\rx", SMTP_BODY_BAD, NULL },
	{ "a\r\n.\r\r\n", SMTP_BODY_BAD, NULL },
	{ "a\r.\r\nx", SMTP_BODY_BAD, NULL },
	{ "a\r.\nx", SMTP_BODY_BAD, NULL },
	{ "a\r.\rx", SMTP_BODY_BAD, NULL },
	{ "\n.\r\n", SMTP_BODY_BAD, NULL },
	{ ".\nx", SMTP_BODY_BAD, NULL },
	{ "a\r\n\n.\r\nx", SMTP_BODY_BAD, NULL },
};

/* Feeds the text in two pieces to a queue that holds `room` bytes and is emptied whenever it is full. */
static enum smtp_body_verdict
play(const char *text, size_t len, size_t cut, size_t room, struct buf *from, struct buf *moved)
{
	struct smtp_body body = { .kind = SMTP_BODY_TEXT };
	enum smtp_body_verdict verdict;
	struct buf to;

	buf_init(&to, room);
	buf_add(from, text, cut);
	for (;;) {
		verdict = smtp_body_move(&body, from, &to);
		if (to.len > 0) {
			buf_add(moved, buf_head(&to), to.len);
			buf_take(&to, to.len);
		}
		if (verdict == SMTP_BODY_MORE && cut < len) {
			buf_add(from, text + cut, len - cut);
			cut = len;
		} else if (verdict != SMTP_BODY_FULL)
			break;
	}
	buf_add(from, text + cut, len - cut);
	buf_reset(&to);
	return verdict;
}

START_TEST(text_ends_at_crlf_dot_crlf_alone)
{
	size_t len = strlen(texts[_i].text);

	for (size_t cut = 0; cut <= len; cut++) {
		for (size_t room = 1; room <= len + 1; room++) {
			struct buf from, moved;

			buf_init(&from, 256);
			buf_init(&moved, 256);
			ck_assert_int_eq(play(texts[_i].text, len, cut, room, &from, &moved), texts[_i].verdict);
			ck_assert_mem_eq(buf_head(&moved), texts[_i].text, moved.len);
			if (texts[_i].left != NULL) {
				ck_assert_uint_eq(moved.len + from.len, len);
				ck_assert_uint_eq(from.len, strlen(texts[_i].left));
			} else
				ck_assert_uint_lt(moved.len, len);
			buf_reset(&from);
			buf_reset(&moved);
		}
	}
}
END_TEST

START_TEST(a_chunk_ends_by_its_count_whatever_is_in_it)
{
	struct smtp_body body = { .kind = SMTP_BODY_CHUNK, .left = 7 };
	struct buf from, to;

	buf_init(&from, 64);
	buf_init(&to, 4);
	buf_add(&from, "\0\r\n.\r\n", 7);
	buf_add_text(&from, "QUIT\r\n");
	ck_assert_int_eq(smtp_body_move(&body, &from, &to), SMTP_BODY_FULL);
	ck_assert_int_eq(smtp_body_move(&body, &from, &to), SMTP_BODY_FULL);
	ck_assert_mem_eq(buf_head(&to), "\0\r\n.", 4);
	buf_take(&to, 4);
	ck_assert_int_eq(smtp_body_move(&body, &from, &to), SMTP_BODY_END);
	ck_assert_mem_eq(buf_head(&to), "\r\n", 3);
	ck_assert_uint_eq(to.len, 3);
	ck_assert_uint_eq(from.len, 6);
	buf_reset(&from);
	buf_reset(&to);
}
END_TEST

START_TEST(a_discarded_chunk_needs_no_room)
{
	struct smtp_body body = { .kind = SMTP_BODY_DISCARD, .left = UINT64_MAX };
	struct buf from;

	buf_init(&from, 64);
	buf_add_text(&from, "QUIT\r\n");
	ck_assert_int_eq(smtp_body_move(&body, &from, NULL), SMTP_BODY_MORE);
	ck_assert(body.left == UINT64_MAX - 6);
	body.left = 2;
	buf_add_text(&from, "QUIT\r\n");
	ck_assert_int_eq(smtp_body_move(&body, &from, NULL), SMTP_BODY_END);
	ck_assert_uint_eq(from.len, 4);
	buf_reset(&from);
}
END_TEST

Suite *
smtp_body_suite(void)
{
	Suite *suite = suite_create("smtp_body");
	TCase *tcase = tcase_create("smtp_body");

	tcase_add_loop_test(tcase, text_ends_at_crlf_dot_crlf_alone, 0, COUNT(texts));
	tcase_add_test(tcase, a_chunk_ends_by_its_count_whatever_is_in_it);
	tcase_add_test(tcase, a_discarded_chunk_needs_no_room);
	suite_add_tcase(suite, tcase);
	return suite;
}
