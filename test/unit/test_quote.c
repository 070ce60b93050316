#include "worker/proto/quote.h"

#include <string.h>

#include "test/unit/unit.h"

static const struct {
	int (*quote)(struct buf *out, const char *text);
	const char *text, *quoted;
} cases[] = {
	{ quote_xtext, "", "" },
	{ quote_xtext, "alice@example.com", "alice@example.com" },
	{ quote_xtext, "a b+c=d", "a+20b+2Bc+3Dd" },
	{ quote_xtext, "\x01\x7f\x80\xff%\r\n", "+01+7F+80+FF%+0D+0A" },
	{ quote_percent, "", "" },
	{ quote_percent, "a b%c", "a%20b%25c" },
	{ quote_percent, "\x01\r\n\t", "%01%0D%0A%09" },
	{ quote_percent, "+&=\"\x7f\xc3\xa9", "+&=\"\x7f\xc3\xa9" },
	{ quote_form, "", "" },
	{ quote_form, "aZ09-._", "aZ09-._" },
	{ quote_form, "a b+c=d&e%f~*/:", "a%20b%2Bc%3Dd%26e%25f%7E%2A%2F%3A" },
	{ quote_form, "\x01\r\n\x7f\xc3\xa9", "%01%0D%0A%7F%C3%A9" },
	{ quote_imap, "", "\"\"" },
	{ quote_imap, "a b", "\"a b\"" },
	{ quote_imap, "a\"b\\c", "\"a\\\"b\\\\c\"" },
};

START_TEST(each_format_escapes_what_it_must_and_no_more)
{
	struct buf out;

	buf_init(&out, 256);
	ck_assert_int_eq(cases[_i].quote(&out, cases[_i].text), 0);
	ck_assert_uint_eq(out.len, strlen(cases[_i].quoted));
	ck_assert_mem_eq(buf_head(&out), cases[_i].quoted, out.len);
	buf_reset(&out);
}
END_TEST

START_TEST(what_does_not_fit_is_not_begun)
{
	size_t len = strlen(cases[_i].quoted);
	struct buf out;

	for (size_t room = 0; room <= len; room++) {
		buf_init(&out, 1 + room);
		buf_add_text(&out, "x");
		ck_assert_int_eq(cases[_i].quote(&out, cases[_i].text), room < len ? -1 : 0);
		ck_assert_uint_eq(out.len, room < len ? 1 : 1 + len);
		buf_reset(&out);
	}
}
END_TEST

static const struct {
	const char *text;
	bool fits;
} texts[] = {
	{ "", true },
	{ "a b\"\\\x01\x7f", true },
	{ "a\rb", false },
	{ "a\nb", false },
	{ "caf\xc3\xa9", false },
};

START_TEST(a_quoted_string_holds_seven_bits_and_one_line)
{
	ck_assert(quote_fits_imap(texts[_i].text) == texts[_i].fits);
}
END_TEST

Suite *
quote_suite(void)
{
	Suite *suite = suite_create("quote");
	TCase *tcase = tcase_create("quote");

	tcase_add_loop_test(tcase, each_format_escapes_what_it_must_and_no_more, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, what_does_not_fit_is_not_begun, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, a_quoted_string_holds_seven_bits_and_one_line, 0, UNIT_COUNT(texts));
	suite_add_tcase(suite, tcase);
	return suite;
}
