#include "common/conf.h"

#include <string.h>

#include "common/addrset.h"
#include "common/arena.h"
#include "test/unit/unit.h"

/* That nothing is left is what the sanitizer and valgrind see. */
START_TEST(a_configuration_goes_whole)
{
	struct arena *arena = arena_new();
	struct conf *conf = arena_alloc(arena, sizeof(*conf));
	struct addrset *set = NULL;

	conf->arena = arena;
	arena_append(arena, &conf->servers, arena_alloc(arena, sizeof(struct server)));
	conf->servers[0]->name = arena_strdup(arena, "mail.example.com");
	ck_assert_ptr_null(addrset_add(&set, false, "192.0.2.0/24"));
	ck_assert_ptr_null(addrset_add(&set, false, "unix:"));
	arena_append(arena, &conf->addrsets, set);
	conf->addrset_count = 1;
	conf_free(&conf);
	ck_assert_ptr_null(conf);
	conf_free(&conf);
}
END_TEST

static const struct {
	const char *pattern, *user;
	bool matches;
} patterns[] = {
	{ "joe", "joe", true },
	{ "joe", "Joe", false },
	{ "joe", "joey", false },
	{ "joey", "joe", false },
	{ "", "", true },
	{ "", "joe", false },
	{ "*", "", true },
	{ "*", "joe@a.test", true },
	{ "**", "joe", true },
	{ "j*e", "joe", true },
	{ "j*e", "je", true },
	{ "j*e", "joes", false },
	{ "j*e*", "joes", true },
	{ "*@a.test", "joe@a.test", true },
	{ "*@a.test", "joe@A.Test", true },
	{ "*@A.TEST", "joe@a.test", true },
	{ "Joe@A.TEST", "joe@a.test", false },
	{ "*@a.test", "joe@b.a.test", false },
	{ "*@*a.test", "joe@b.a.test", true },
	{ "*@a.test", "joe", false },
	{ "*@a.test", "@a.test", true },
	{ "*@a.test", "joe@b@a.test", true },
	{ "*@a.test", "joe@a.test\n", false },
	{ "*@a.test", "joe@a.test.", false },
	{ "*a*b*c*", "xaxxbxxcx", true },
	{ "*a*b*c*", "xaxxcxxbx", false },
	{ "*aab", "aaaaaab", true },
	{ "*aab", "aaaaaaa", false },
	{ "a@b@*", "a@b@c", true },
	{ "A@b@*", "a@b@c", false },
	{ "\xc3\xa4*", "\xc3\xa4x", true },
	{ "*%s*", "a%sb", true },
};

START_TEST(a_star_is_any_run_of_bytes_and_case_counts_but_in_the_domain)
{
	bool matches = conf_user_matches(patterns[_i].pattern, patterns[_i].user);

	ck_assert_msg(matches == patterns[_i].matches, "%s against %s", patterns[_i].user, patterns[_i].pattern);
}
END_TEST

START_TEST(a_source_without_patterns_covers_all_and_others_only_names)
{
	const char *some[] = { "a@*", "*@b.test", NULL };
	struct conf_auth all = { .users = NULL }, few = { .users = some };

	ck_assert(conf_auth_covers(&all, "joe") && conf_auth_covers(&all, "") && conf_auth_covers(&all, NULL));
	ck_assert(conf_auth_covers(&few, "a@c.test") && conf_auth_covers(&few, "joe@b.test"));
	ck_assert(!conf_auth_covers(&few, "joe@c.test"));
	some[0] = "*";
	ck_assert(conf_auth_covers(&few, "joe") && !conf_auth_covers(&few, "") && !conf_auth_covers(&few, NULL));
}
END_TEST

START_TEST(each_kind_of_source_has_a_directive)
{
	for (unsigned kind = 0; kind < SOURCE_KINDS; kind++)
		ck_assert_int_eq(strncmp(conf_source_directive((enum source_kind)kind), "auth_", 5), 0);
}
END_TEST

Suite *
conf_suite(void)
{
	Suite *suite = suite_create("conf");
	TCase *tcase = tcase_create("conf");

	tcase_add_test(tcase, a_configuration_goes_whole);
	tcase_add_loop_test(tcase, a_star_is_any_run_of_bytes_and_case_counts_but_in_the_domain, 0,
	    sizeof(patterns) / sizeof(patterns[0]));
	tcase_add_test(tcase, a_source_without_patterns_covers_all_and_others_only_names);
	tcase_add_test(tcase, each_kind_of_source_has_a_directive);
	suite_add_tcase(suite, tcase);
	return suite;
}
