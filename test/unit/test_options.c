#include "master/options.h"

#include <string.h>

#include "test/unit/unit.h"

#define MAX_ARGS 8

static const struct {
	const char *argv[MAX_ARGS];
	struct options options;
} good[] = {
	{ { "postern" }, { .help = false } },
	{ { "postern", "-h" }, { .help = true } },
	{ { "postern", "-?" }, { .help = true } },
	{ { "postern", "-vV" }, { .version = true, .build = true } },
	{ { "postern", "-t" }, { .test = true } },
	{ { "postern", "-T" }, { .test = true, .dump_files = true } },
	{ { "postern", "-D" }, { .test = true, .dump_conf = true } },
	{ { "postern", "-tq" }, { .test = true, .quiet = true } },
	{ { "postern", "-q", "-t" }, { .test = true, .quiet = true } },
	{ { "postern", "-c", "a.conf" }, { .conf_path = "a.conf" } },
	{ { "postern", "-ca.conf" }, { .conf_path = "a.conf" } },
	{ { "postern", "-tca.conf" }, { .test = true, .conf_path = "a.conf" } },
	{ { "postern", "-tc", "a.conf" }, { .test = true, .conf_path = "a.conf" } },
	{ { "postern", "-c", "-t" }, { .conf_path = "-t" } },
	{ { "postern", "-c", "a", "-c", "b" }, { .conf_path = "b" } },
	{ { "postern", "-p/x", "-e", "stderr" }, { .prefix = "/x", .error_log = "stderr" } },
	{ { "postern", "-g", "daemon off; pid p;" }, { .directives = "daemon off; pid p;" } },
	{ { "postern", "-s", "reload" }, { .signal = "reload" } },
	{ { "postern", "-sstop" }, { .signal = "stop" } },
	{ { "postern", "-s", "quit" }, { .signal = "quit" } },
	{ { "postern", "-s", "reopen" }, { .signal = "reopen" } },
	{ { "postern", "-" }, { .help = false } },
};

static const struct {
	const char *argv[MAX_ARGS];
	const char *why;
} bad[] = {
	{ { "postern", "x" }, "invalid option: \"x\"" },
	{ { "postern", "" }, "invalid option: \"\"" },
	{ { "postern", "-x" }, "invalid option: \"x\"" },
	{ { "postern", "-tx" }, "invalid option: \"x\"" },
	{ { "postern", "--help" }, "invalid option: \"-\"" },
	{ { "postern", "-c" }, "option \"-c\" requires file name" },
	{ { "postern", "-c", "" }, "option \"-c\" requires file name" },
	{ { "postern", "-tc" }, "option \"-c\" requires file name" },
	{ { "postern", "-e" }, "option \"-e\" requires file name" },
	{ { "postern", "-p" }, "option \"-p\" requires directory name" },
	{ { "postern", "-g" }, "option \"-g\" requires parameter" },
	{ { "postern", "-s" }, "option \"-s\" requires parameter" },
	{ { "postern", "-s", "kill" }, "invalid option: \"-s kill\"" },
	{ { "postern", "-sx" }, "invalid option: \"-s x\"" },
};

/* The options borrow from argv, hence the static copies. */
static int
parse(struct options *options, const char *const *words, char why[256])
{
	static char copies[MAX_ARGS][64];
	char *argv[MAX_ARGS + 1] = { NULL };
	int argc = 0;

	for (; argc < MAX_ARGS && words[argc] != NULL; argc++)
		argv[argc] = strcpy(copies[argc], words[argc]);
	why[0] = '\0';
	return options_parse(options, argc, argv, why, 256);
}

START_TEST(values_may_be_glued_and_letters_bundled)
{
	const struct options *want = &good[_i].options;
	struct options got;
	char why[256];

	ck_assert_int_eq(parse(&got, good[_i].argv, why), 0);
	ck_assert_int_eq(got.help, want->help);
	ck_assert_int_eq(got.version, want->version);
	ck_assert_int_eq(got.build, want->build);
	ck_assert_int_eq(got.test, want->test);
	ck_assert_int_eq(got.dump_files, want->dump_files);
	ck_assert_int_eq(got.dump_conf, want->dump_conf);
	ck_assert_int_eq(got.quiet, want->quiet);
	ck_assert_pstr_eq(got.signal, want->signal);
	ck_assert_pstr_eq(got.prefix, want->prefix);
	ck_assert_pstr_eq(got.conf_path, want->conf_path);
	ck_assert_pstr_eq(got.error_log, want->error_log);
	ck_assert_pstr_eq(got.directives, want->directives);
}
END_TEST

START_TEST(what_is_wrong_is_said_in_nginx_words)
{
	struct options got;
	char why[256];

	ck_assert_int_eq(parse(&got, bad[_i].argv, why), -1);
	ck_assert_str_eq(why, bad[_i].why);
}
END_TEST

Suite *
options_suite(void)
{
	Suite *suite = suite_create("options");
	TCase *tcase = tcase_create("options");

	tcase_add_loop_test(tcase, values_may_be_glued_and_letters_bundled, 0, UNIT_COUNT(good));
	tcase_add_loop_test(tcase, what_is_wrong_is_said_in_nginx_words, 0, UNIT_COUNT(bad));
	suite_add_tcase(suite, tcase);
	return suite;
}
