#include "worker/proto/imap_parse.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define MAX_LEN 64

static const struct {
	const char *line;
	size_t tag;     /* its length; 0: there is none */
} tags[] = {
	{ "a1 NOOP", 2 },
	{ "a:1,x]#&'/<=>?@^_`|~!-. NOOP", 23 },
	{ "a+b NOOP", 0 },
	{ "+ NOOP", 0 },
	{ "* NOOP", 0 },
	{ "a* NOOP", 0 },
	{ "a% NOOP", 0 },
	{ "a( NOOP", 0 },
	{ "a{ NOOP", 0 },
	{ "a\" NOOP", 0 },
	{ "a\\ NOOP", 0 },
	{ "a\t NOOP", 0 },
	{ "\xc3\xa9 NOOP", 0 },
	{ " NOOP", 0 },
	{ "", 0 },
	{ "NOOP", 0 },
};

START_TEST(a_tag_is_what_the_grammar_says_and_a_blank)
{
	struct buf in;
	struct imap_parse p;
	struct imap_text tag;
	bool read;

	buf_init(&in, MAX_LEN);
	buf_printf(&in, "%s\r\n", tags[_i].line);
	ck_assert_int_eq(imap_parse_open(&p, &in, MAX_LEN, 0), IMAP_PARSE_DONE);
	read = imap_parse_tag(&p, &tag) && imap_parse_blanks(&p);
	ck_assert(read == (tags[_i].tag > 0));
	if (read)
		ck_assert_uint_eq(tag.len, tags[_i].tag);
	buf_reset(&in);
}
END_TEST

/* One argument that is all of the command. */
static const struct {
	const char *bytes;
	size_t count, invited;
	enum imap_parse_state state;
	const char *value;
	size_t len;
} strings[] = {
	{ "atom\r\n", 6, 0, IMAP_PARSE_DONE, "atom", 4 },
	{ "a]b+c\n", 6, 0, IMAP_PARSE_DONE, "a]b+c", 5 },
	{ "\"\"\r\n", 4, 0, IMAP_PARSE_DONE, "", 0 },
	{ "\"a (b) {1}\"\r\n", 13, 0, IMAP_PARSE_DONE, "a (b) {1}", 9 },
	{ "\"a\\\"b\\\\c\"\r\n", 11, 0, IMAP_PARSE_DONE, "a\"b\\c", 5 },
	{ "\"caf\xc3\xa9\"\r\n", 9, 0, IMAP_PARSE_DONE, "caf\xc3\xa9", 5 },
	{ "\"a\\b\"\r\n", 7, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "\"a\r\n", 4, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "\"a\\\r\n", 5, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "\"\\\"\r\n", 5, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "\r\n", 2, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "(a)\r\n", 5, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "caf\xc3\xa9\r\n", 7, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "~{1}\r\na\r\n", 9, 99, IMAP_PARSE_BAD, NULL, 0 },
	{ "{3}\r\n", 5, 0, IMAP_PARSE_INVITE, NULL, 0 },
	{ "{3}\r\na c\r\n", 10, 0, IMAP_PARSE_INVITE, NULL, 0 },
	{ "{3}\r\na c\r\n", 10, 5, IMAP_PARSE_DONE, "a c", 3 },
	{ "{3+}\r\na c\r\n", 11, 0, IMAP_PARSE_DONE, "a c", 3 },
	{ "{0+}\r\n\r\n", 8, 0, IMAP_PARSE_DONE, "", 0 },
	{ "{0}\r\n\r\n", 7, 5, IMAP_PARSE_DONE, "", 0 },
	{ "{3+}\r\n\r\n\0\r\n", 11, 0, IMAP_PARSE_DONE, "\r\n\0", 3 },
	{ "{2+}\r\n\"\\\r\n", 10, 0, IMAP_PARSE_DONE, "\"\\", 2 },
	{ "{003+}\r\nabc\r\n", 13, 0, IMAP_PARSE_DONE, "abc", 3 },
	{ "{3}x\r\n", 6, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "{3} \r\n", 6, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "{}\r\n", 4, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "{+}\r\n", 5, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "{-1}\r\n", 6, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "{3++}\r\n", 7, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "{a{3}\r\n", 7, 0, IMAP_PARSE_BAD, NULL, 0 },
	{ "{99}\r\n", 6, 0, IMAP_PARSE_LONG, NULL, 0 },
	{ "{58+}\r\n", 7, 0, IMAP_PARSE_LONG, NULL, 0 },
	{ "{18446744073709551615}\r\n", 24, 0, IMAP_PARSE_LONG, NULL, 0 },
	{ "{18446744073709551619}\r\n", 24, 0, IMAP_PARSE_LONG, NULL, 0 },
	{ "{99999999999999999999999999+}\r\n", 31, 0, IMAP_PARSE_LONG, NULL, 0 },
};

/* Reads the one argument of the command; a line end must follow it. */
static enum imap_parse_state
read_one(const struct buf *in, size_t invited, struct imap_text *text)
{
	struct imap_parse p;
	enum imap_parse_state state = imap_parse_open(&p, in, MAX_LEN, invited);

	if (state == IMAP_PARSE_DONE)
		state = imap_parse_astring(&p, text);
	if (state == IMAP_PARSE_DONE && !imap_parse_end(&p))
		state = IMAP_PARSE_BAD;
	ck_assert(p.at <= in->len && p.next <= in->len && p.end <= p.next);
	return state;
}

START_TEST(an_argument_is_an_atom_a_quoted_string_or_a_literal)
{
	struct imap_text text;
	struct buf in;
	size_t len;
	char *value;

	buf_init(&in, MAX_LEN);
	buf_add(&in, strings[_i].bytes, strings[_i].count);
	ck_assert_int_eq(read_one(&in, strings[_i].invited, &text), strings[_i].state);
	if (strings[_i].value != NULL) {
		value = imap_text_copy(&text, &len);
		ck_assert_uint_eq(len, strings[_i].len);
		ck_assert_mem_eq(value, strings[_i].value, len + 1);
		mem_free(value);
	}
	buf_reset(&in);
}
END_TEST

START_TEST(an_argument_that_is_cut_is_no_error)
{
	enum imap_parse_state whole = strings[_i].state, state;
	struct imap_text text;
	struct buf in;

	for (size_t cut = 0; cut < strings[_i].count; cut++) {
		buf_init(&in, MAX_LEN);
		buf_add(&in, strings[_i].bytes, cut);
		state = read_one(&in, strings[_i].invited, &text);
		ck_assert_msg(state == IMAP_PARSE_MORE || (whole != IMAP_PARSE_DONE && state == whole),
		    "cut at %zu", cut);
		buf_reset(&in);
	}
}
END_TEST

static const struct {
	const char *bytes;
	enum imap_parse_state state;
} ids[] = {
	{ "NIL", IMAP_PARSE_DONE },
	{ "nil", IMAP_PARSE_DONE },
	{ "()", IMAP_PARSE_DONE },
	{ "(\"name\" \"x (y)\" \"version\" NIL)", IMAP_PARSE_DONE },
	{ "( \"name\" \"x\" )", IMAP_PARSE_DONE },
	{ "(\"name\" {3+}\r\na)b)", IMAP_PARSE_DONE },
	{ "(\"name\" {3}\r\n", IMAP_PARSE_INVITE },
	{ "(\"a\"\"b\")", IMAP_PARSE_BAD },
	{ "((\"a\" \"b\"))", IMAP_PARSE_BAD },
	{ "((((((((((((((((((((((((((((((", IMAP_PARSE_BAD },
	{ "(\"a\" \"b\"", IMAP_PARSE_BAD },
	{ "(", IMAP_PARSE_BAD },
	{ "NILS", IMAP_PARSE_BAD },
	{ "\"a\"", IMAP_PARSE_BAD },
	{ "", IMAP_PARSE_BAD },
};

START_TEST(the_argument_of_id_is_nil_or_a_flat_list)
{
	enum imap_parse_state state;
	struct imap_text field = { .at = "" }, value;
	struct imap_parse p;
	struct buf in;
	bool is_list;

	buf_init(&in, MAX_LEN);
	buf_printf(&in, "%s\r\n", ids[_i].bytes);
	ck_assert_int_eq(imap_parse_open(&p, &in, MAX_LEN, 0), IMAP_PARSE_DONE);
	state = imap_parse_id_open(&p, &is_list);
	while (state == IMAP_PARSE_DONE && is_list && field.at != NULL)
		state = imap_parse_id_next(&p, &field, &value);
	if (state == IMAP_PARSE_DONE)
		ck_assert(imap_parse_end(&p));
	ck_assert_int_eq(state, ids[_i].state);
	buf_reset(&in);
}
END_TEST

static const struct {
	const char *line;
	bool announces, waits;
	size_t start;
	uint64_t len;
} literals[] = {
	{ "x {3}", true, true, 2, 3 },
	{ "x {3+}", true, false, 2, 3 },
	{ "~{0+}", true, false, 1, 0 },
	{ "{18446744073709551616+}", true, false, 0, UINT64_MAX },
	{ "{3}", true, true, 0, 3 },
	{ "3}", false, false, 0, 0 },
	{ "3+}", false, false, 0, 0 },
	{ "+}", false, false, 0, 0 },
	{ "}", false, false, 0, 0 },
	{ "", false, false, 0, 0 },
	{ "{}", false, false, 0, 0 },
	{ "{+}", false, false, 0, 0 },
	{ "{3 }", false, false, 0, 0 },
	{ "{3}\"", false, false, 0, 0 },
};

START_TEST(only_a_number_in_braces_at_the_end_announces_a_literal)
{
	struct line line = { .text = literals[_i].line, .len = strlen(literals[_i].line) };
	struct imap_literal literal;

	ck_assert(imap_parse_literal(&line, &literal) == literals[_i].announces);
	if (literals[_i].announces) {
		ck_assert(literal.waits == literals[_i].waits);
		ck_assert_uint_eq(literal.start, literals[_i].start);
		ck_assert(literal.len == literals[_i].len);
	}
}
END_TEST

Suite *
imap_parse_suite(void)
{
	Suite *suite = suite_create("imap_parse");
	TCase *tcase = tcase_create("imap_parse");

	tcase_add_loop_test(tcase, a_tag_is_what_the_grammar_says_and_a_blank, 0, UNIT_COUNT(tags));
	tcase_add_loop_test(tcase, an_argument_is_an_atom_a_quoted_string_or_a_literal, 0, UNIT_COUNT(strings));
	tcase_add_loop_test(tcase, an_argument_that_is_cut_is_no_error, 0, UNIT_COUNT(strings));
	tcase_add_loop_test(tcase, the_argument_of_id_is_nil_or_a_flat_list, 0, UNIT_COUNT(ids));
	tcase_add_loop_test(tcase, only_a_number_in_braces_at_the_end_announces_a_literal, 0, UNIT_COUNT(literals));
	suite_add_tcase(suite, tcase);
	return suite;
}
