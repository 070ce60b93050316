#include "master/pidfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/unit/capture.h"
#include "test/unit/unit.h"

static char folder[] = "/tmp/postern-unit-XXXXXX";
static char path[sizeof(folder) + 16];

static void
set_up(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/pid", folder);
	capture_begin();
}

static void
tear_down(void)
{
	capture_end();
	unlink(path);
	rmdir(folder);
}

static void
put(const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

START_TEST(what_was_written_is_read)
{
	pid_t pid = 0;

	ck_assert_int_eq(pidfile_write(path, 4711), 0);
	ck_assert_int_eq(pidfile_read(path, &pid), 0);
	ck_assert_int_eq(pid, 4711);
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

START_TEST(nobody_waits_at_a_fifo)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(pidfile_write(path, 1), -1);
	ck_assert_ptr_nonnull(strstr(capture_text(), "open() \""));
}
END_TEST

START_TEST(the_mode_does_not_depend_on_the_umask)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	mode_t saved = umask(masks[_i]);
	struct stat st;

	ck_assert_int_eq(pidfile_write(path, 1), 0);
	umask(saved);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0644);
}
END_TEST

START_TEST(an_older_longer_file_is_replaced)
{
	pid_t pid = 0;

	put("999999999\nand more\n");
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(pidfile_write(path, 12), 0);
	ck_assert_int_eq(pidfile_read(path, &pid), 0);
	ck_assert_int_eq(pid, 12);
}
END_TEST

static const struct {
	const char *text, *shown;
} rubbish[] = {
	{ "", "" },
	{ "\n", "" },
	{ "abc\n", "abc" },
	{ "0\n", "0" },
	{ "-1\n", "-1" },
	{ "12x\n", "12x" },
	{ " 12\n", " 12" },
	{ "99999999999999\n", "99999999999999" },
	{ "1\033[2J\n", "1\\x1B[2J" },
};

START_TEST(a_file_without_a_pid_is_refused_in_nginx_words)
{
	char want[256];
	pid_t pid = 7;

	put(rubbish[_i].text);
	ck_assert_int_eq(pidfile_read(path, &pid), -1);
	ck_assert_int_eq(pid, 7);
	snprintf(want, sizeof(want), "invalid PID number \"%s\" in \"%s\"\n", rubbish[_i].shown, path);
	ck_assert_ptr_nonnull(strstr(capture_text(), want));
}
END_TEST

START_TEST(a_missing_file_is_said_in_nginx_words)
{
	char want[256];
	pid_t pid;

	ck_assert_int_eq(pidfile_read(path, &pid), -1);
	snprintf(want, sizeof(want), "open() \"%s\" failed (2: No such file or directory)\n", path);
	ck_assert_ptr_nonnull(strstr(capture_text(), want));
}
END_TEST

START_TEST(only_our_own_file_is_removed)
{
	ck_assert_int_eq(pidfile_write(path, 4711), 0);
	pidfile_remove(path, 4712);
	ck_assert_int_eq(access(path, F_OK), 0);
	pidfile_remove(path, 4711);
	ck_assert_int_eq(access(path, F_OK), -1);
	pidfile_remove(path, 4711);
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

static char old_path[sizeof(path) + 8];

static void
expect(const char *file, pid_t pid)
{
	pid_t found = 0;

	ck_assert_int_eq(pidfile_read(file, &found), 0);
	ck_assert_int_eq(found, pid);
}

START_TEST(a_file_steps_aside_and_back_over_that_of_a_dead_one)
{
	snprintf(old_path, sizeof(old_path), "%s.oldbin", path);
	pidfile_write(path, 4711);
	ck_assert_int_eq(pidfile_step_aside(path, 4711), 0);
	expect(old_path, 4711);
	ck_assert_int_eq(access(path, F_OK), -1);
	if (_i == 1)
		pidfile_write(path, 4712);
	ck_assert_int_eq(pidfile_step_back(path, 4711), 0);
	expect(path, 4711);
	ck_assert_int_eq(access(old_path, F_OK), -1);
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

START_TEST(a_file_that_stepped_aside_is_removed_by_its_owner_alone)
{
	snprintf(old_path, sizeof(old_path), "%s.oldbin", path);
	pidfile_write(path, 4711);
	ck_assert_int_eq(pidfile_step_aside(path, 4711), 0);
	pidfile_write(path, 4712);
	pidfile_remove_old(path, 4712);
	expect(old_path, 4711);
	pidfile_remove(path, 4711);
	pidfile_remove_old(path, 4711);
	expect(path, 4712);
	ck_assert_int_eq(access(old_path, F_OK), -1);
}
END_TEST

START_TEST(what_is_not_our_file_does_not_move)
{
	snprintf(old_path, sizeof(old_path), "%s.oldbin", path);
	if (_i == 0)
		pidfile_write(path, 4712);
	else if (_i == 1)
		ck_assert_int_eq(symlink("/dev/null", path), 0);
	ck_assert_int_eq(pidfile_step_aside(path, 4711), 0);
	ck_assert_int_eq(access(old_path, F_OK), -1);
	if (_i == 0)
		expect(path, 4712);
}
END_TEST

/* Somebody has taken it away; that has not stopped us. */
START_TEST(a_file_that_is_lost_is_written_again)
{
	ck_assert_int_eq(pidfile_step_back(path, 4711), 0);
	expect(path, 4711);
}
END_TEST

START_TEST(a_move_that_fails_is_said)
{
	snprintf(old_path, sizeof(old_path), "%s.oldbin", path);
	pidfile_write(path, 4711);
	ck_assert_int_eq(mkdir(old_path, 0700), 0);
	ck_assert_int_eq(pidfile_step_aside(path, 4711), -1);
	ck_assert_ptr_nonnull(strstr(capture_text(), "rename() \""));
	expect(path, 4711);
	rmdir(old_path);
}
END_TEST

Suite *
pidfile_suite(void)
{
	Suite *suite = suite_create("pidfile");
	TCase *tcase = tcase_create("pidfile");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, nobody_waits_at_a_fifo);
	tcase_add_test(tcase, what_was_written_is_read);
	tcase_add_loop_test(tcase, the_mode_does_not_depend_on_the_umask, 0, 4);
	tcase_add_test(tcase, an_older_longer_file_is_replaced);
	tcase_add_loop_test(tcase, a_file_without_a_pid_is_refused_in_nginx_words, 0, UNIT_COUNT(rubbish));
	tcase_add_test(tcase, a_missing_file_is_said_in_nginx_words);
	tcase_add_test(tcase, only_our_own_file_is_removed);
	tcase_add_loop_test(tcase, a_file_steps_aside_and_back_over_that_of_a_dead_one, 0, 2);
	tcase_add_test(tcase, a_file_that_stepped_aside_is_removed_by_its_owner_alone);
	tcase_add_loop_test(tcase, what_is_not_our_file_does_not_move, 0, 3);
	tcase_add_test(tcase, a_file_that_is_lost_is_written_again);
	tcase_add_test(tcase, a_move_that_fails_is_said);
	suite_add_tcase(suite, tcase);
	return suite;
}
