#include "master/leftover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/unit/capture.h"
#include "test/unit/unit.h"

static char folder[] = "/tmp/postern-unit-XXXXXX";
static char path[sizeof(folder) + 16];
static int fd;

static int
listen_at(const char *at)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, at);
	ck_assert_int_eq(bind(sock, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(sock, 1), 0);
	return sock;
}

static void
set_up(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	fd = listen_at(path);
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

START_TEST(in_company_a_file_stays_until_there_is_none)
{
	leftover_share(true);
	leftover_remove(path);
	ck_assert(is_there());
	ck_assert_int_eq(chmod(path, 0600), 0);
	leftover_share(true);
	ck_assert(is_there());
	leftover_share(false);
	ck_assert(!is_there());
	leftover_share(true);
	leftover_remove(path);
	leftover_share(false);
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

START_TEST(a_file_that_another_has_put_there_stays)
{
	leftover_share(true);
	leftover_remove(path);
	close(fd);
	unlink(path);
	usleep(20000);          /* what the clock of a file system counts */
	fd = listen_at(path);
	leftover_share(false);
	ck_assert(is_there());
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
	tcase_add_test(tcase, in_company_a_file_stays_until_there_is_none);
	tcase_add_test(tcase, a_file_that_another_has_put_there_stays);
	tcase_add_test(tcase, what_is_forgotten_stays);
	suite_add_tcase(suite, tcase);
	return suite;
}
