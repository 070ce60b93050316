#include "master/leftover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/unit/capture.h"
#include "test/unit/unit.h"

static char folder[] = "/tmp/postern-unit-XXXXXX";
static char path[sizeof(folder) + 16];
static int fd;

static void
set_up(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	capture_begin();
}

static void
tear_down(void)
{
	capture_end();
	leftover_forget();
	leftover_share(false);
	close(fd);
	unlink(path);
	rmdir(folder);
}

static bool
is_there(void)
{
	return access(path, F_OK) == 0;
}

START_TEST(alone_one_removes_at_once)
{
	leftover_remove(path);
	ck_assert(!is_there());
	leftover_remove(path);
	ck_assert_str_eq(capture_text(), "");
	leftover_remove(folder);
	ck_assert_ptr_nonnull(strstr(capture_text(), "unlink() \""));
}
END_TEST

START_TEST(in_company_a_file_stays_until_nobody_listens)
{
	leftover_share(true);
	leftover_remove(path);
	ck_assert(is_there());
	leftover_share(true);
	ck_assert(is_there());
	close(fd);
	leftover_share(false);
	ck_assert(!is_there());
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

START_TEST(who_still_listens_keeps_the_file)
{
	leftover_share(true);
	leftover_remove(path);
	leftover_share(false);
	ck_assert(is_there());
	close(fd);
	leftover_share(false);
	ck_assert(is_there());          /* it is looked at once */
}
END_TEST

START_TEST(what_is_forgotten_stays)
{
	leftover_share(true);
	leftover_remove(path);
	leftover_forget();
	close(fd);
	leftover_share(false);
	ck_assert(is_there());
}
END_TEST

Suite *
leftover_suite(void)
{
	Suite *suite = suite_create("leftover");
	TCase *tcase = tcase_create("leftover");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, alone_one_removes_at_once);
	tcase_add_test(tcase, in_company_a_file_stays_until_nobody_listens);
	tcase_add_test(tcase, who_still_listens_keeps_the_file);
	tcase_add_test(tcase, what_is_forgotten_stays);
	suite_add_tcase(suite, tcase);
	return suite;
}
