#include "common/base64.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

/* RFC 4648 section 10, and what SASL sends. */
static const struct {
	const char *bytes;
	size_t len;
	const char *text;
} pairs[] = {
	{ "",                 0, "" },
	{ "f",                1, "Zg==" },
	{ "fo",               2, "Zm8=" },
	{ "foo",              3, "Zm9v" },
	{ "foob",             4, "Zm9vYg==" },
	{ "fooba",            5, "Zm9vYmE=" },
	{ "foobar",           6, "Zm9vYmFy" },
	{ "\0u\0p",           4, "AHUAcA==" },
	{ "\xff\xef\xbe\xfb", 4, "/+++" "+w==" },
};

START_TEST(both_directions_agree)
{
	char text[16], bytes[16];
	size_t len = strlen(pairs[_i].text);

	ck_assert_uint_eq(base64_encode(text, pairs[_i].bytes, pairs[_i].len), len);
	ck_assert_uint_eq(BASE64_ENCODED(pairs[_i].len), len);
	ck_assert_mem_eq(text, pairs[_i].text, len);
	ck_assert_int_eq(base64_decode(bytes, text, len), (int)pairs[_i].len);
	ck_assert_mem_eq(bytes, pairs[_i].bytes, pairs[_i].len);
	/* in place */
	ck_assert_int_eq(base64_decode(text, text, len), (int)pairs[_i].len);
	ck_assert_mem_eq(text, pairs[_i].bytes, pairs[_i].len);
}
END_TEST

static const char *const bad[] = {
	"Z", "Zg", "Zg=", "=", "==", "===", "====", "Z===", "=g==", "Zg==Zg==", "Zg==\n", "Zg= =", "Zm8=Zm8=",
	"Zh==", "Zm9=",         /* bits behind the last byte */
	"Zm9v\n", "Zm9v ", " Zm9v", "Zm9vYg==A", "Zm9vYg==AAAA", "Zm9v=", "Zm9v====",
	"Zm\r\nm9v", "Zm-_", "Zm9\xe9", "*",
};

START_TEST(only_the_canonical_form_is_base64)
{
	char bytes[16];

	ck_assert_int_eq(base64_decode(bytes, bad[_i], strlen(bad[_i])), -1);
}
END_TEST

/* RFC 7515 appendix C, and the same bytes as above. */
static const struct {
	const char *bytes;
	size_t len;
	const char *text;
} url_pairs[] = {
	{ "",                 0, "" },
	{ "f",                1, "Zg" },
	{ "fo",               2, "Zm8" },
	{ "foo",              3, "Zm9v" },
	{ "foobar",           6, "Zm9vYmFy" },
	{ "\x03\xec\xff\xe0\xc1", 5, "A-z_4ME" },
};

START_TEST(base64url_has_letters_of_its_own_and_no_padding)
{
	char bytes[16], text[16];
	size_t len = strlen(url_pairs[_i].text);

	ck_assert_uint_eq(BASE64URL_DECODED(len), url_pairs[_i].len);
	ck_assert_int_eq(base64url_decode(bytes, url_pairs[_i].text, len), (int)url_pairs[_i].len);
	ck_assert_mem_eq(bytes, url_pairs[_i].bytes, url_pairs[_i].len);
	memcpy(text, url_pairs[_i].text, len);
	ck_assert_int_eq(base64url_decode(text, text, len), (int)url_pairs[_i].len);
	ck_assert_mem_eq(text, url_pairs[_i].bytes, url_pairs[_i].len);
}
END_TEST

static const char *const url_bad[] = {
	"Z", "Zm9vY", "Zg==", "Zm8=", "=", "Zm9v=", "Zm9v====", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm9v\n", " Zg", "Zg ", "Zg.",
	"Zm9\xe9", "Zg==Zg",
};

START_TEST(only_the_canonical_form_is_base64url)
{
	char bytes[16];

	ck_assert_int_eq(base64url_decode(bytes, url_bad[_i], strlen(url_bad[_i])), -1);
}
END_TEST

START_TEST(a_nul_is_no_letter)
{
	char bytes[4];

	ck_assert_int_eq(base64_decode(bytes, "Zm\0v", 4), -1);
}
END_TEST

START_TEST(a_text_cut_short_is_bad_but_between_groups)
{
	static const char text[] = "Zm9vYmFyZm9vYg==";

	for (size_t len = 0; len <= strlen(text); len++) {
		/* Exact sizes, so that the sanitizer sees a byte too many. */
		char *cut = mem_dup(text, len), *bytes = mem_alloc(BASE64_DECODED(len));
		ssize_t expected = len == 16 ? 10 : len % 4 == 0 ? (ssize_t)(len / 4 * 3) : -1;

		ck_assert_int_eq(base64_decode(bytes, cut, len), expected);
		mem_free(cut);
		mem_free(bytes);
	}
}
END_TEST

START_TEST(every_byte_comes_back)
{
	unsigned char bytes[256], back[258];
	char text[BASE64_ENCODED(256)];

	for (unsigned i = 0; i < 256; i++)
		bytes[i] = (unsigned char)i;
	for (size_t len = 0; len <= 256; len++) {
		size_t text_len = base64_encode(text, bytes, len);

		ck_assert_uint_eq(text_len, BASE64_ENCODED(len));
		ck_assert_int_eq(base64_decode(back, text, text_len), (ssize_t)len);
		ck_assert_mem_eq(back, bytes, len);
	}
}
END_TEST

Suite *
base64_suite(void)
{
	Suite *suite = suite_create("base64");
	TCase *tcase = tcase_create("base64");

	tcase_add_loop_test(tcase, both_directions_agree, 0, UNIT_COUNT(pairs));
	tcase_add_loop_test(tcase, only_the_canonical_form_is_base64, 0, UNIT_COUNT(bad));
	tcase_add_loop_test(tcase, base64url_has_letters_of_its_own_and_no_padding, 0, UNIT_COUNT(url_pairs));
	tcase_add_loop_test(tcase, only_the_canonical_form_is_base64url, 0, UNIT_COUNT(url_bad));
	tcase_add_test(tcase, a_nul_is_no_letter);
	tcase_add_test(tcase, a_text_cut_short_is_bad_but_between_groups);
	tcase_add_test(tcase, every_byte_comes_back);
	suite_add_tcase(suite, tcase);
	return suite;
}
