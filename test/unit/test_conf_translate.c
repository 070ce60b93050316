#include "master/conf_translate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "master/conf_lex.h"
#include "test/unit/unit.h"

/* The files that there are; the main file is "/c/main". */
static const struct {
	const char *path, *text;
} files[] = {
	{ "/c/a", "daemon on;\n" },
	{ "/c/b", "include a;" },
	{ "/c/self", "include self;" },
	{ "/c/ping", "include pong;" },
	{ "/c/pong", "include ping;" },
	{ "/c/open", "events {" },
	{ "/c/close", "}" },
	{ "/c/d/1", "pid 1;" },
	{ "/c/d/2", "pid 2;" },
	{ "/c/empty", "" },
};

static const char *main_text;

static int
read_file(void *ctx, const char *path, char **text, size_t *len, const char **step)
{
	const char *found = strcmp(path, "/c/main") == 0 ? main_text : NULL;

	(void)ctx;
	*step = "open";
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(path, files[i].path) == 0)
			found = files[i].text;
	if (strncmp(path, "/c/chain", 8) == 0)
		*text = mem_printf("include chain%d;", atoi(path + 8) + 1);
	else if (found == NULL)
		return ENOENT;
	else
		*text = mem_strdup(found);
	*len = strlen(*text);
	return 0;
}

static char **
match_files(void *ctx, const char *pattern)
{
	char **paths = mem_array(3, sizeof(*paths));

	(void)ctx;
	if (strcmp(pattern, "/c/bad*") == 0) {
		mem_free(paths);
		errno = EIO;
		return NULL;
	}
	if (strcmp(pattern, "/c/d/*") == 0) {
		paths[0] = mem_strdup("/c/d/1");
		paths[1] = mem_strdup("/c/d/2");
	}
	return paths;
}

/* The result for `text` as the main file; fresh. */
static char *
translated(const char *text, const char *directives)
{
	const struct translate_reader reader = { read_file, match_files, NULL };
	const struct translate_request request = {
		.path = "/c/main", .folder = "/c", .directives = directives, .reader = &reader,
	};
	struct buf out;
	char *result;

	main_text = text;
	conf_translate(&out, &request);
	result = mem_strdup(buf_head(&out));
	buf_reset(&out);
	return result;
}

#define START "line('','0')line('/c/main','1')"

static const struct {
	const char *text, *expected;
} cases[] = {
	{ "", "" },
	{ "# only a comment", "" },
	{ "daemon on;", "daemon('on')" },
	{ "daemon\ton;\r\npid x;", "daemon('on')\npid('x')" },
	{ "daemon # why\n\n on ;pid x;", "\n\ndaemon('on')pid('x')" },
	{ "events{}", "events {block()end()}" },
	{ "events {\n}\n", "events {block()\nend()}" },
	{ "mail{server{listen 1;}}", "mail {block()server {block()listen('1')end()}end()}" },
	{ "\"pid\" \"a b\";", "pid('a b')" },
	{ "pid 'a b';", "pid('a b')" },
	{ "pid \"\";", "pid('')" },
	{ "pid '';", "pid('')" },
	{ "pid \"a\\\"b\";", "pid('a\"b')" },
	{ "pid 'a\\'b';", "pid('a\\'b')" },
	{ "pid a\\\\b;", "pid('a\\\\b')" },
	{ "pid a\\ b;", "pid('a\\\\ b')" },
	{ "pid a\\;b;", "pid('a\\\\;b')" },
	{ "pid a\\{b;", "pid('a\\\\{b')" },
	{ "pid a\\tb\\rc;", "pid('a\tb\rc')" },
	{ "pid \\x;", "pid('\\\\x')" },
	{ "pid $a;", "pid('$a')" },
	{ "pid ${a};", "pid('${a}')" },
	{ "pid a$;", "pid('a$')" },
	{ "pid a#b;", "pid('a#b')" },
	{ "pid a\"b\"c;", "pid('a\"b\"c')" },
	{ "pid a'b;", "pid('a\\'b')" },
	{ "pid \"${HOME}\";", "pid('${HOME}')" },
	{ "pid a}b;", "pid('a}b')" },
	{ "thread_pool a b;", "thread_pool('a','b')" },
	{ "thread_pool \"a\")b;", "thread_pool('a',')b')" },
	{ "pid \"a\nb\";", "pid('a\nb')" },
	{ "\npid a\\nb;daemon on;", "pid('a\nb')daemon('on')" },
	{ "pid a\\nb;daemon on;", "line('/c/main','0')pid('a\nb')daemon('on')" },
	{ "pid a\\nb\\nc;\ndaemon on;", "line('/c/main','-1')pid('a\nb\nc')\ndaemon('on')" },
	/* what is skipped keeps its lines */
	{ "http { a \"}\" { b; }\n # }\n }daemon on;", "http()\n\ndaemon('on')" },
	{ "stream{include nothing;}", "stream()" },
	/* includes */
	{ "include a;", "line('/c/a','1')daemon('on')line('/c/main','1')" },
	{ "\ninclude a;daemon off;", "line('/c/a','1')daemon('on')line('/c/main','2')daemon('off')" },
	{ "include /c/b;", "line('/c/b','1')line('/c/a','1')daemon('on')line('/c/b','1')line('/c/main','1')" },
	{ "include d/*;", "line('/c/d/1','1')pid('1')line('/c/d/2','1')pid('2')line('/c/main','1')" },
	{ "include e/*;", "line('/c/main','1')" },
	{ "include empty;include empty;",
	    "line('/c/empty','1')line('/c/main','1')line('/c/empty','1')line('/c/main','1')" },
	{ "events{include empty;}", "events {block()line('/c/empty','1')line('/c/main','1')end()}" },
	/* faults stand where the text is wrong, and nothing behind them */
	{ "foo;daemon on;", "fault('unknown directive \"foo\"')" },
	{ "daemon on;\nfoo;\n}", "daemon('on')\nfault('unknown directive \"foo\"')" },
	{ "foo\n\n\nbar\n;", "\n\n\n\nfault('unknown directive \"foo\"')" },
	{ "}", "fault('unexpected \"}\"')" },
	{ "; ", "fault('unexpected \";\"')" },
	{ "{", "fault('unexpected \"{\"')" },
	{ "daemon on }", "fault('unexpected \"}\"')" },
	{ "pid \"a\"b;", "fault('unexpected \"b\"')" },
	{ "pid \"a\"};", "fault('unexpected \"}\"')" },
	{ "pid \"a\"'b';", "fault('unexpected \"\\'\"')" },
	{ "pid a", "fault('unexpected end of file, expecting \";\" or \"}\"')" },
	{ "pid \"a;\n", "\nfault('unexpected end of file, expecting \";\" or \"}\"')" },
	{ "pid a\\;", "fault('unexpected end of file, expecting \";\" or \"}\"')" },
	{ "pid \\", "fault('unexpected end of file, expecting \";\" or \"}\"')" },
	{ "events {\n", "events {block()\nfault('unexpected end of file, expecting \"}\"')" },
	{ "http { {", "http()fault('unexpected \"{\"')" },
	{ "http { a {", "http()fault('unexpected end of file, expecting \"}\"')" },
	{ "http { a }", "http()fault('unexpected \"}\"')" },
	{ "http { ; }", "http()fault('unexpected \";\"')" },
	{ "daemon {", "fault('directive \"daemon\" is not terminated by \";\"')" },
	{ "events;", "fault('directive \"events\" has no opening \"{\"')" },
	{ "events x {", "fault('invalid number of arguments in \"events\" directive')" },
	{ "listen 1;", "fault('\"listen\" directive is not allowed here')" },
	{ "include nothing;", "fault('open() \"/c/nothing\" failed (2: No such file or directory)')" },
	{ "include bad*;", "fault('glob() \"/c/bad*\" failed (5: Input/output error)')" },
	{ "include main;", "fault('\"/c/main\" includes itself')" },
	{ "include self;", "line('/c/self','1')fault('\"/c/self\" includes itself')" },
	{ "include ping;", "line('/c/ping','1')line('/c/pong','1')fault('\"/c/ping\" includes itself')" },
	/* a file closes only its own blocks, and all of them */
	{ "include open;}", "line('/c/open','1')events {block()fault('unexpected end of file, expecting \"}\"')" },
	{ "events {include close;", "events {block()line('/c/close','1')fault('unexpected \"}\"')" },
};

START_TEST(text_becomes_calls_on_the_same_lines)
{
	char *result = translated(cases[_i].text, NULL);

	ck_assert(strncmp(result, START, strlen(START)) == 0);
	ck_assert_str_eq(result + strlen(START), cases[_i].expected);
	mem_free(result);
}
END_TEST

static const struct {
	size_t len;
	const char *quote, *fault;
} lengths[] = {
	{ 4095, "", NULL },
	{ 4096, "", "fault('too long parameter \"xxxxxxxxxx...\" started')" },
	{ 4095, "\"", NULL },
	{ 4096, "\"", "fault('too long parameter, probably missing terminating \"\"\" character')" },
	{ 4096, "'", "fault('too long parameter, probably missing terminating \"\\'\" character')" },
};

START_TEST(a_word_may_have_4095_bytes)
{
	char *word = mem_alloc(lengths[_i].len + 1), *text, *result, *expected;

	memset(word, 'x', lengths[_i].len);
	text = mem_printf("\npid\n%s%s%s\n;", lengths[_i].quote, word, lengths[_i].quote);
	result = translated(text, NULL);
	if (lengths[_i].fault != NULL)
		expected = mem_printf(START "\n\n%s", lengths[_i].fault);     /* where it began */
	else
		expected = mem_printf(START "\n\n\npid('%s')", word);
	ck_assert_str_eq(result, expected);
	mem_free(expected);
	mem_free(result);
	mem_free(text);
	mem_free(word);
}
END_TEST

START_TEST(the_command_line_is_read_first_and_knows_no_blocks)
{
	static const struct {
		const char *directives, *expected;
	} lines[] = {
		{ "daemon off;", "line('','1')daemon('off')" START "pid('x')" },
		{ " ", "line('','1')" START "pid('x')" },
		{ "daemon off", "line('','1')fault('unexpected end of parameter, expecting \";\"')" },
		{ "events {}", "line('','1')fault('block directives are not supported in -g option')" },
		{ "foo {}", "line('','1')fault('block directives are not supported in -g option')" },
		{ "}", "line('','1')fault('unexpected \"}\"')" },
		{ "include a;", "line('','1')line('/c/a','1')daemon('on')line('','1')" START "pid('x')" },
		{ "include nothing;",
		    "line('','1')fault('open() \"/c/nothing\" failed (2: No such file or directory)')" },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char *result = translated("pid x;", lines[i].directives);

		ck_assert_str_eq(result, lines[i].expected);
		mem_free(result);
	}
}
END_TEST

START_TEST(a_main_file_that_is_missing_has_no_place)
{
	char *result = translated(NULL, NULL);

	ck_assert_str_eq(result, "line('','0')fault('open() \"/c/main\" failed (2: No such file or directory)')");
	mem_free(result);
}
END_TEST

START_TEST(a_chain_of_includes_ends)
{
	char *result = translated("include chain1;", NULL);

	ck_assert_ptr_nonnull(strstr(result, "fault('\"/c/chain32\" is included too deep')"));
	mem_free(result);
}
END_TEST

START_TEST(a_nul_byte_is_no_text)
{
	static const struct {
		const char *bytes;
		size_t len;
	} texts[] = {
		{ "pid a\0b;", 8 }, { "pid \0;", 6 }, { "\0", 1 }, { "pid 'a\0';", 9 }, { "pid 'a'\0;", 9 },
		{ "pid \\\0", 6 },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct lex lex;

		lex_init(&lex, texts[i].bytes, texts[i].len, false);
		ck_assert_uint_eq(lex_next(&lex), LEX_FAULT);
		ck_assert_str_eq(lex.why, "unexpected NUL byte");
		lex_reset(&lex);
	}
}
END_TEST

/* Whatever is cut off, what is left is either whole or ends in one fault. */
START_TEST(a_text_cut_anywhere_ends_in_at_most_one_fault)
{
	static const char whole[] =
	    "user a b; # c\npid \"a\\\"b\" ;\nevents { use epoll; }\nhttp { x 'y}' ${z}; w { } }\n"
	    "include d/*;mail {\n server { listen 1 bind; include a\\ ; }\n timeout 1h;\n}\n";

	for (size_t len = 0; len <= strlen(whole); len++) {
		char *text = mem_strndup(whole, len), *result = translated(text, NULL);
		const char *fault = strstr(result, "fault(");

		ck_assert(fault == NULL || strstr(fault + 1, "fault(") == NULL);
		mem_free(result);
		mem_free(text);
	}
}
END_TEST

Suite *
conf_translate_suite(void)
{
	Suite *suite = suite_create("conf_translate");
	TCase *tcase = tcase_create("conf_translate");

	tcase_add_loop_test(tcase, text_becomes_calls_on_the_same_lines, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(tcase, a_word_may_have_4095_bytes, 0, sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_test(tcase, the_command_line_is_read_first_and_knows_no_blocks);
	tcase_add_test(tcase, a_main_file_that_is_missing_has_no_place);
	tcase_add_test(tcase, a_chain_of_includes_ends);
	tcase_add_test(tcase, a_nul_byte_is_no_text);
	tcase_add_test(tcase, a_text_cut_anywhere_ends_in_at_most_one_fault);
	suite_add_tcase(suite, tcase);
	return suite;
}
