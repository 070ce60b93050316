#include "worker/helper/passwdlist.h"

#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

static const char file[] =
    "# us\n"
    "\n"
    "ann:{PLAIN}secret:1:2:gecos:home:shell:host=192.0.2.1  pass=secret port=143\r\n"
    "bob:!{SHA}1ykxWx6qUDosAdXZ7LHE9/yCVAA=:::::\n"
    "bad:{ROT13}secret\n"
    "none\n"
    "star:*\n"
    "bang:!\n"
    "joe:$5$abcdefgh$r9xTl.GUAgtnwCn6sC2SIJ0Wx1zm2nVBxp.PsRt2l6D::::::nologin";

static const char listed[] =
    "ann\tPLAIN\tactive\thost=192.0.2.1 pass=... port=143\n"
    "bob\tSHA\tlocked\t\n"
    "none\t-\tlocked\t\n"
    "star\t-\tlocked\t\n"
    "bang\t-\tlocked\t\n"
    "joe\tCRYPT\tactive\tnologin\n";

START_TEST(users_are_listed_without_their_passwords)
{
	struct buf out;

	buf_init(&out, SIZE_MAX / 8);
	passwdlist(&out, file, strlen(file));
	ck_assert_uint_eq(out.len, strlen(listed));
	ck_assert_mem_eq(buf_head(&out), listed, out.len);
	buf_reset(&out);
}
END_TEST

START_TEST(a_file_cut_anywhere_is_listed_within_its_bounds)
{
	for (size_t len = 0; len < strlen(file); len++) {
		char *text = mem_dup(file, len);
		struct buf out;

		buf_init(&out, SIZE_MAX / 8);
		passwdlist(&out, text, len);
		ck_assert_ptr_null(memmem(buf_head(&out), out.len, "secret", 6));
		buf_reset(&out);
		mem_free(text);
	}
}
END_TEST

Suite *
passwdlist_suite(void)
{
	Suite *suite = suite_create("passwdlist");
	TCase *tcase = tcase_create("passwdlist");

	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, users_are_listed_without_their_passwords);
	tcase_add_test(tcase, a_file_cut_anywhere_is_listed_within_its_bounds);
	return suite;
}
