#include "worker/sni.h"

#include "test/unit/unit.h"

static const char *first_names[] = { "mail.example.com", NULL };
static const char *second_names[] = { "imap.example.org", "*.example.org", NULL };
static const char *third_names[] = { "*.eu.example.org", NULL };

static struct server first = { .names = first_names }, second = { .names = second_names },
    third = { .names = third_names };
static struct server *servers[] = { &first, &second, &third, NULL };
static const struct conf_listen listen_all = { .server = &first, .servers = servers };

START_TEST(a_name_finds_its_server)
{
	static const struct {
		const char *name;
		const struct server *server;
	} cases[] = {
		{ "mail.example.com",     &first },
		{ "imap.example.org",     &second },
		{ "pop.example.org",      &second },
		{ "a.b.example.org",      &second },
		{ "x.eu.example.org",     &third },     /* the longer pattern */
		{ "eu.example.org",       &second },
		{ "example.org",          &first },     /* nothing stands for the star */
		{ ".example.org",         &first },
		{ "badexample.org",       &first },
		{ "elsewhere.example",    &first },
		{ "",                     &first },
		{ NULL,                   &first },
	};

	for (size_t i = 0; i < UNIT_COUNT(cases); i++)
		ck_assert_msg(sni_choose(&listen_all, cases[i].name) == cases[i].server, "%s",
		    cases[i].name != NULL ? cases[i].name : "(none)");
}
END_TEST

START_TEST(a_listen_of_one_server_has_no_choice)
{
	const struct conf_listen alone = { .server = &third };

	ck_assert_ptr_eq(sni_choose(&alone, "mail.example.com"), &third);
}
END_TEST

Suite *
sni_suite(void)
{
	Suite *suite = suite_create("sni");
	TCase *tcase = tcase_create("sni");

	tcase_add_test(tcase, a_name_finds_its_server);
	tcase_add_test(tcase, a_listen_of_one_server_has_no_choice);
	suite_add_tcase(suite, tcase);
	return suite;
}
