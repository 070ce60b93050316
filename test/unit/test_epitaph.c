#include "worker/epitaph.h"

#include <string.h>

#include "common/conf.h"
#include "common/mem.h"
#include "test/unit/unit.h"

START_TEST(a_name_cannot_forge_a_log_line)
{
	struct epitaph *e = epitaph_new("joe\"\r\n2026 [alert] \x01", NULL);

	ck_assert_ptr_null(strpbrk(e->user, "\"\r\n\x01"));
	ck_assert_int_eq(strncmp(e->user, "joe", 3), 0);
	ck_assert_uint_eq(e->backend.family, AF_UNSPEC);
	mem_free(e);
}
END_TEST

START_TEST(a_long_name_is_cut_and_none_is_empty)
{
	char name[2000];
	struct epitaph *e;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	e = epitaph_new(name, NULL);
	ck_assert_uint_lt(strlen(e->user), 300);
	mem_free(e);
	e = epitaph_new(NULL, NULL);
	ck_assert_str_eq(e->user, "");
	mem_free(e);
}
END_TEST

START_TEST(the_backend_is_remembered)
{
	struct addr backend = { .family = AF_INET, .port = 143, .ip = { 192, 0, 2, 1 } };
	struct epitaph *e = epitaph_new("joe", &backend);

	ck_assert(addr_equal(&e->backend, &backend));
	ck_assert_str_eq(e->user, "joe");
	mem_free(e);
}
END_TEST

START_TEST(it_is_remembered_who_decided_and_how)
{
	struct conf_source first = { .index = 0 }, second = { .index = 1 }, *sources[] = { &first, &second };
	struct epitaph *e = epitaph_new("joe", NULL);

	ck_assert_ptr_null(epitaph_source(e, sources));
	epitaph_decided(e, &first, false);
	ck_assert_ptr_eq(epitaph_source(e, sources), &first);
	ck_assert(!e->cached);
	epitaph_decided(e, &second, true);
	ck_assert_ptr_eq(epitaph_source(e, sources), &second);
	ck_assert(e->cached);
	epitaph_decided(e, NULL, true);
	ck_assert_ptr_null(epitaph_source(e, sources));
	ck_assert(!e->cached);
	mem_free(e);
}
END_TEST

Suite *
epitaph_suite(void)
{
	Suite *suite = suite_create("epitaph");
	TCase *tcase = tcase_create("epitaph");

	tcase_add_test(tcase, a_name_cannot_forge_a_log_line);
	tcase_add_test(tcase, a_long_name_is_cut_and_none_is_empty);
	tcase_add_test(tcase, the_backend_is_remembered);
	tcase_add_test(tcase, it_is_remembered_who_decided_and_how);
	suite_add_tcase(suite, tcase);
	return suite;
}
