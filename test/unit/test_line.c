#include "worker/proto/line.h"

#include <string.h>

#include "test/unit/unit.h"

#define MAX_LEN 8

static const struct {
	const char *bytes;
	size_t count;
	enum line_state state;
	size_t len, taken;
} cases[] = {
	{ "", 0, LINE_MORE, 0, 0 },
	{ "\n", 1, LINE_DONE, 0, 1 },
	{ "\r\n", 2, LINE_DONE, 0, 2 },
	{ "abc\r\nrest", 9, LINE_DONE, 3, 5 },
	{ "abc\nrest", 8, LINE_DONE, 3, 4 },
	{ "abc\r", 4, LINE_MORE, 4, 4 },
	{ "a\rc\r\n", 5, LINE_BAD, 3, 5 },
	{ "ab\r\r\n", 5, LINE_BAD, 3, 5 },
	{ "a\0c\n", 4, LINE_BAD, 3, 4 },
	{ "a\0c", 3, LINE_MORE, 3, 3 },
	{ "abc\n\0", 5, LINE_DONE, 3, 4 },
	{ "123456\r\n", 8, LINE_DONE, 6, 8 },
	{ "1234567\n", 8, LINE_DONE, 7, 8 },
	{ "1234567\r\n", 9, LINE_LONG, 8, 8 },
	{ "12345678", 8, LINE_LONG, 8, 8 },
	{ "1234567", 7, LINE_MORE, 7, 7 },
};

START_TEST(a_line_ends_with_crlf_or_lf_and_nothing_else)
{
	struct buf in;
	struct line line;

	buf_init(&in, 64);
	buf_add(&in, cases[_i].bytes, cases[_i].count);
	ck_assert_int_eq(line_next(&in, MAX_LEN, &line), cases[_i].state);
	ck_assert_uint_eq(line.len, cases[_i].len);
	ck_assert_uint_eq(line.taken, cases[_i].taken);
	ck_assert_uint_eq(in.len, cases[_i].count);
	buf_reset(&in);
}
END_TEST

static const struct {
	const char *line, *word;
	bool begins;
} words[] = {
	{ "QUIT", "QUIT", true },
	{ "quit now", "QUIT", true },
	{ "QUIT ", "quit", true },
	{ "QUITE", "QUIT", false },
	{ "QUI", "QUIT", false },
	{ "", "QUIT", false },
	{ "QUIT\tnow", "QUIT", false },
	{ "* ok ready", "* OK", true },
};

START_TEST(a_word_begins_a_line_only_when_it_is_whole)
{
	struct line line = { .text = words[_i].line, .len = strlen(words[_i].line) };

	ck_assert(line_begins(&line, words[_i].word) == words[_i].begins);
}
END_TEST

Suite *
line_suite(void)
{
	Suite *suite = suite_create("line");
	TCase *tcase = tcase_create("line");

	tcase_add_loop_test(tcase, a_line_ends_with_crlf_or_lf_and_nothing_else, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, a_word_begins_a_line_only_when_it_is_whole, 0, UNIT_COUNT(words));
	suite_add_tcase(suite, tcase);
	return suite;
}
