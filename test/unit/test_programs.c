#include "master/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/unit.h"

static char folder[] = "/tmp/postern-unit-XXXXXX";
static char path[sizeof(folder) + 16], other[sizeof(folder) + 16];
static struct programs *programs;

static void
set_up(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/program", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	programs = programs_new();
}

static void
tear_down(void)
{
	programs_free(&programs);
	ck_assert_ptr_null(programs);
	unlink(path);
	unlink(other);
	rmdir(folder);
}

/* Puts a program there as a package manager would: as another file. */
static void
install(const char *text)
{
	int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	ck_assert_int_eq(rename(other, path), 0);
}

/* What programs_open() gives, read and closed; static. */
static const char *
content(void)
{
	static char text[64];
	int fd = programs_open(programs, path);
	ssize_t got;

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	got = pread(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_ge(got, 0);
	text[got] = '\0';
	close(fd);
	return text;
}

static void
prove(void)
{
	int fd = programs_open(programs, path);

	programs_prove(programs, path, fd);
	close(fd);
}

START_TEST(what_has_proven_itself_stays_what_its_path_means)
{
	install("first");
	prove();
	install("second");
	ck_assert_str_eq(content(), "first");
	unlink(path);
	ck_assert_str_eq(content(), "first");
	install("third");
	prove();
	ck_assert_str_eq(content(), "first");
}
END_TEST

START_TEST(what_has_not_is_opened_anew)
{
	install("first");
	ck_assert_str_eq(content(), "first");
	install("second");
	ck_assert_str_eq(content(), "second");
	unlink(path);
	ck_assert_int_eq(programs_open(programs, path), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

Suite *
programs_suite(void)
{
	Suite *suite = suite_create("programs");
	TCase *tcase = tcase_create("programs");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, what_has_proven_itself_stays_what_its_path_means);
	tcase_add_test(tcase, what_has_not_is_opened_anew);
	suite_add_tcase(suite, tcase);
	return suite;
}
