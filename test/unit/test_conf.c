#include "common/conf.h"

#include "common/addrset.h"
#include "common/arena.h"
#include "test/unit/unit.h"

/* That nothing is left is what the sanitizer and valgrind see. */
START_TEST(a_configuration_goes_whole)
{
	struct arena *arena = arena_new();
	struct conf *conf = arena_alloc(arena, sizeof(*conf));

	conf->arena = arena;
	arena_append(arena, &conf->servers, arena_alloc(arena, sizeof(struct server)));
	conf->servers[0]->name = arena_strdup(arena, "mail.example.com");
	ck_assert_ptr_null(addrset_add(&conf->debug_connections, false, "192.0.2.0/24"));
	ck_assert_ptr_null(addrset_add(&conf->debug_connections, false, "unix:"));
	conf_free(&conf);
	ck_assert_ptr_null(conf);
	conf_free(&conf);
}
END_TEST

Suite *
conf_suite(void)
{
	Suite *suite = suite_create("conf");
	TCase *tcase = tcase_create("conf");

	tcase_add_test(tcase, a_configuration_goes_whole);
	suite_add_tcase(suite, tcase);
	return suite;
}
