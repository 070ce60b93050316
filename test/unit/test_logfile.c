#include "master/logfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/log.h"
#include "test/unit/capture.h"
#include "test/unit/unit.h"

static char folder[] = "/tmp/postern-unit-XXXXXX";
static char path[sizeof(folder) + 16], moved[sizeof(folder) + 16];

/* One file that one target writes to, in a configuration with nothing else. */
static struct conf_file file;
static struct conf_file *files[] = { &file, NULL };
static struct log_target target;
static struct log error_log;
static struct conf conf;

static void
set_up(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(moved, sizeof(moved), "%s/log.1", folder);
	file = (struct conf_file){ .path = path, .fd = -1 };
	target = (struct log_target){ .kind = LOG_TO_FILE, .level = LOG_INFO, .fd = -1 };
	error_log = (struct log){ 0 };
	log_add(&error_log, &target);
	conf = (struct conf){ .files = files, .file_count = 1, .log = &error_log, .uid = 65534 };
	capture_begin();
}

static void
tear_down(void)
{
	capture_end();
	unlink(path);
	unlink(moved);
	rmdir(folder);
}

static const char *
content(const char *name)
{
	static char text[4096];
	int fd = open(name, O_RDONLY);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	ck_assert_int_ge(len, 0);
	close(fd);
	text[len] = '\0';
	return text;
}

START_TEST(targets_write_to_the_file_they_name)
{
	struct stat st;

	ck_assert_int_eq(logfile_open_all(&conf), 0);
	ck_assert_int_eq(target.fd, file.fd);
	log_to(&error_log, LOG_INFO, NULL, "hello");
	ck_assert_ptr_nonnull(strstr(content(path), "hello\n"));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 022, 0);
	logfile_close_all(&conf);
	ck_assert_int_eq(target.fd, -1);
	ck_assert_int_eq(file.fd, -1);
}
END_TEST

START_TEST(a_reopened_file_keeps_its_number)
{
	int fd;

	ck_assert_int_eq(logfile_open_all(&conf), 0);
	fd = file.fd;
	log_to(&error_log, LOG_INFO, NULL, "before");
	ck_assert_int_eq(rename(path, moved), 0);
	logfile_reopen_all(&conf);
	ck_assert_int_eq(file.fd, fd);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	log_to(&error_log, LOG_INFO, NULL, "after");
	ck_assert_ptr_nonnull(strstr(content(moved), "before\n"));
	ck_assert_ptr_null(strstr(content(moved), "after\n"));
	ck_assert_ptr_nonnull(strstr(content(path), "after\n"));
	logfile_close_all(&conf);
}
END_TEST

START_TEST(root_gives_a_reopened_file_to_the_workers_but_no_link_and_no_device)
{
	struct stat st;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(logfile_open_all(&conf), 0);
	logfile_reopen_all(&conf);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, conf.uid);
	ck_assert_int_eq(chown(path, 0, 0), 0);
	ck_assert_int_eq(link(path, moved), 0);
	logfile_reopen_all(&conf);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, 0);
	file.path = "/dev/null";
	logfile_reopen_all(&conf);
	ck_assert_int_eq(stat("/dev/null", &st), 0);
	ck_assert_uint_eq(st.st_uid, 0);
	logfile_close_all(&conf);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_said_in_nginx_words)
{
	file.path = "/nonexistent/log";
	ck_assert_int_eq(logfile_open_all(&conf), -1);
	ck_assert_ptr_nonnull(strstr(capture_text(),
	    "open() \"/nonexistent/log\" failed (2: No such file or directory)\n"));
}
END_TEST

START_TEST(the_log_that_nobody_named_may_be_missing)
{
	file.path = "/nonexistent/log";
	file.fallback = true;
	ck_assert_int_eq(logfile_open_all(&conf), 0);
	ck_assert_int_eq(target.kind, LOG_TO_STDERR);
	ck_assert_str_eq(capture_text(), "");
	logfile_reopen_all(&conf);
	logfile_close_all(&conf);
}
END_TEST

START_TEST(a_file_that_cannot_be_reopened_goes_on_as_it_was)
{
	ck_assert_int_eq(logfile_open_all(&conf), 0);
	file.path = "/nonexistent/log";
	logfile_reopen_all(&conf);
	ck_assert_ptr_nonnull(strstr(capture_text(), "open() \"/nonexistent/log\" failed"));
	log_to(&error_log, LOG_INFO, NULL, "still");
	ck_assert_ptr_nonnull(strstr(content(path), "still\n"));
	logfile_close_all(&conf);
}
END_TEST

START_TEST(a_fifo_without_a_reader_does_not_stop_us)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(logfile_open(path), -1);
}
END_TEST

Suite *
logfile_suite(void)
{
	Suite *suite = suite_create("logfile");
	TCase *tcase = tcase_create("logfile");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, targets_write_to_the_file_they_name);
	tcase_add_test(tcase, a_reopened_file_keeps_its_number);
	tcase_add_test(tcase, root_gives_a_reopened_file_to_the_workers_but_no_link_and_no_device);
	tcase_add_test(tcase, a_file_that_cannot_be_opened_is_said_in_nginx_words);
	tcase_add_test(tcase, the_log_that_nobody_named_may_be_missing);
	tcase_add_test(tcase, a_file_that_cannot_be_reopened_goes_on_as_it_was);
	tcase_add_test(tcase, a_fifo_without_a_reader_does_not_stop_us);
	suite_add_tcase(suite, tcase);
	return suite;
}
