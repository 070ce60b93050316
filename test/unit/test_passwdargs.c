#include "worker/helper/passwdargs.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define WORDS_MAX 16

/* Splits at blanks and parses; NULL or the complaint. `line` stays as long as the args. */
static char *
parse(struct passwdargs *args, char *line)
{
	char *argv[WORDS_MAX + 1] = { NULL };
	int argc = 0;

	for (char *word; (word = strsep(&line, " ")) != NULL;)
		argv[argc++] = word;
	ck_assert_int_le(argc, WORDS_MAX);
	return passwdargs_parse(args, argc, argv);
}

static const struct {
	const char *line, *why;
} wrong[] = {
	{ "x", "a file and a command are needed" },
	{ "x users", "a file and a command are needed" },
	{ "x users frob joe", "there is no command \"frob\"" },
	{ "x users add", "\"add\" needs a user" },
	{ "x users add joe secret", "\"add\" takes no more than that" },
	{ "x users list joe", "\"list\" takes no more than that" },
	{ "x users add joe --password secret", "unknown option, or one without its value" },
	{ "x users add joe -p secret", "unknown option, or one without its value" },
	{ "x users add joe -s", "unknown option, or one without its value" },
	{ "x users add joe -r 0", "\"0\" is no number of rounds" },
	{ "x users add joe -r -1", "\"-1\" is no number of rounds" },
	{ "x users add joe -r 99999999999", "\"99999999999\" is no number of rounds" },
	{ "x users add joe --set pass=secret", "no password may stand in a command line: \"--set pass\" asks for it" },
	{ "x users add joe --set pass=", "no password may stand in a command line: \"--set pass\" asks for it" },
	{ "x users set joe", "\"set\" needs --set or --unset" },
	{ "x users set joe --set host=h -s PLAIN", "\"set\" stores no password" },
	{ "x users delete joe --set host=h", "\"delete\" changes no keys" },
	{ "x users verify joe -r 5", "\"verify\" stores no password" },
	{ "x users passwd joe -c", "--create goes with \"add\" alone" },
};

START_TEST(mistakes_are_told)
{
	struct passwdargs args;
	char *line = mem_strdup(wrong[_i].line), *why = parse(&args, line);

	ck_assert_ptr_nonnull(why);
	ck_assert_str_eq(why, wrong[_i].why);
	passwdargs_reset(&args);
	mem_free(why);
	mem_free(line);
}
END_TEST

START_TEST(options_stand_anywhere)
{
	struct passwdargs args;
	char line[] = "x -i users --set host=a=b add -sPLAIN joe --rounds=5 -k nologin -u port -c --set pass";

	ck_assert_ptr_null(parse(&args, line));
	ck_assert_str_eq(args.command->name, "add");
	ck_assert_str_eq(args.file, "users");
	ck_assert_str_eq(args.user, "joe");
	ck_assert_str_eq(args.scheme, "PLAIN");
	ck_assert_uint_eq(args.rounds, 5);
	ck_assert(args.from_stdin && args.creates);
	ck_assert_uint_eq(args.key_count, 4);
	ck_assert_str_eq(args.keys[0].name, "host");
	ck_assert_str_eq(args.keys[0].value, "a=b");
	ck_assert_str_eq(args.keys[1].name, "nologin");
	ck_assert_str_eq(args.keys[1].value, "");
	ck_assert_str_eq(args.keys[2].name, "port");
	ck_assert_ptr_null(args.keys[2].value);
	ck_assert_ptr_eq(args.pass, &args.keys[3]);
	passwdargs_reset(&args);
}
END_TEST

START_TEST(a_user_may_look_like_an_option)
{
	struct passwdargs args;
	char line[] = "x -- users delete --set";

	ck_assert_ptr_null(parse(&args, line));
	ck_assert_str_eq(args.user, "--set");
	passwdargs_reset(&args);
}
END_TEST

START_TEST(help_needs_nothing_else)
{
	struct passwdargs args;
	char one[] = "x --help", other[] = "x users -V";

	ck_assert_ptr_null(parse(&args, one));
	ck_assert_int_eq(args.command->does, PASSWDARGS_HELPS);
	passwdargs_reset(&args);
	ck_assert_ptr_null(parse(&args, other));
	ck_assert_int_eq(args.command->does, PASSWDARGS_SAYS_VERSION);
	passwdargs_reset(&args);
}
END_TEST

Suite *
passwdargs_suite(void)
{
	Suite *suite = suite_create("passwdargs");
	TCase *tcase = tcase_create("passwdargs");

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, mistakes_are_told, 0, UNIT_COUNT(wrong));
	tcase_add_test(tcase, options_stand_anywhere);
	tcase_add_test(tcase, a_user_may_look_like_an_option);
	tcase_add_test(tcase, help_needs_nothing_else);
	return suite;
}
