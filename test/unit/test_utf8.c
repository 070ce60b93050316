#include "common/utf8.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

static const struct {
	const char *text;
	bool valid;
} cases[] = {
	{ "", true },
	{ "a\x01\x7f", true },
	{ "\xc2\x80\xdf\xbf", true },
	{ "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", true },
	{ "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true },
	{ "\x80", false }, { "\xbf", false }, { "a\xff", false }, { "\xfe", false },
	{ "\xc0\x80", false }, { "\xc1\xbf", false },           /* overlong */
	{ "\xe0\x9f\xbf", false }, { "\xf0\x8f\xbf\xbf", false },
	{ "\xed\xa0\x80", false }, { "\xed\xbf\xbf", false },   /* surrogates */
	{ "\xf4\x90\x80\x80", false }, { "\xf5\x80\x80\x80", false },
	{ "\xc3", false }, { "\xe2\x82", false }, { "\xf0\x9f\x98", false },
	{ "\xc3(", false }, { "\xe2(\x82", false }, { "\xe2\x82(", false }, { "\xf0\x9f\x98(", false },
};

START_TEST(only_what_the_rfc_allows_is_utf8)
{
	/* A block of its own size: a sanitizer sees who reads past it. */
	char *text = mem_dup(cases[_i].text, strlen(cases[_i].text) + (cases[_i].text[0] == '\0'));

	ck_assert_msg(utf8_is_valid(text, strlen(cases[_i].text)) == cases[_i].valid, "row %d", _i);
	mem_free(text);
}
END_TEST

START_TEST(a_nul_is_a_character)
{
	ck_assert(utf8_is_valid("a\0b", 3));
	ck_assert(!utf8_is_valid("a\0\xc3", 3));
}
END_TEST

Suite *
utf8_suite(void)
{
	Suite *suite = suite_create("utf8");
	TCase *tcase = tcase_create("utf8");

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, only_what_the_rfc_allows_is_utf8, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, a_nul_is_a_character);
	return suite;
}
