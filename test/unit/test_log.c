#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/unit/unit.h"

static char written[8 * LOG_LINE_MAX];

/* A log with one target, which takes `level` and writes to a file in memory. */
static struct log_target file;
static struct log file_log;

static void
open_file_log(enum log_level level)
{
	file = (struct log_target){ .kind = LOG_TO_FILE, .level = level, .fd = memfd_create("log", MFD_CLOEXEC) };
	ck_assert_int_ne(file.fd, -1);
	file_log = (struct log){ 0 };
	log_add(&file_log, &file);
}

/* Everything that is in the file. */
static const char *
file_text(void)
{
	ssize_t len = pread(file.fd, written, sizeof(written) - 1, 0);

	ck_assert_int_ge(len, 0);
	written[len] = '\0';
	return written;
}

static unsigned
times_written(const char *text)
{
	unsigned times = 0;

	for (const char *at = file_text(); (at = strstr(at, text)) != NULL; at++)
		times++;
	return times;
}

/* The line behind its time, level and numbers. */
static const char *
message_of(const char *line)
{
	const char *at = strstr(line, ": ");

	ck_assert_ptr_nonnull(at);
	return at + 2;
}

START_TEST(levels_have_names_and_back)
{
	for (int level = LOG_EMERG; level <= LOG_DEBUG; level++)
		ck_assert_int_eq(log_level_parse(log_level_name((enum log_level)level)), level);
	ck_assert_str_eq(log_level_name(LOG_CRIT), "crit");
	ck_assert_int_eq(log_level_parse("fatal"), -1);
	ck_assert_int_eq(log_level_parse(""), -1);
}
END_TEST

START_TEST(a_line_has_time_level_process_and_thread)
{
	char expected[128], level[16];
	unsigned y, mo, d, h, mi, s, pid, tid;
	int end = 0;

	open_file_log(LOG_INFO);
	log_to(&file_log, LOG_WARN, NULL, "%s %d", "text", 7);
	ck_assert_int_eq(sscanf(file_text(), "%4u/%2u/%2u %2u:%2u:%2u [%15[a-z]] %u#%u: text 7\n%n",
	    &y, &mo, &d, &h, &mi, &s, level, &pid, &tid, &end), 9);
	ck_assert_uint_eq((unsigned)end, strlen(written));
	snprintf(expected, sizeof(expected), "%04u/%02u/%02u %02u:%02u:%02u [warn] %d#%d: text 7\n",
	    y, mo, d, h, mi, s, (int)getpid(), (int)gettid());
	ck_assert_str_eq(written, expected);
}
END_TEST

START_TEST(the_time_is_local)
{
	time_t before, after;
	char text[32];
	struct tm tm;

	setenv("TZ", "XXX-05:30", 1);
	tzset();
	do {
		before = time(NULL);
		snprintf(text, sizeof(text), "%s", log_tick());
		after = time(NULL);
	} while (before != after);
	ck_assert_ptr_nonnull(strptime(text, "%Y/%m/%d %H:%M:%S", &tm));
	tm.tm_isdst = 0;
	ck_assert_int_eq((int)(timegm(&tm) - before), 19800);
}
END_TEST

START_TEST(a_child_logs_under_its_own_number)
{
	int status;
	pid_t child;
	char expected[64];

	open_file_log(LOG_INFO);
	log_to(&file_log, LOG_INFO, NULL, "parent");
	if ((child = fork()) == 0) {
		ck_assert_int_eq(ftruncate(file.fd, 0), 0);
		ck_assert_int_eq(lseek(file.fd, 0, SEEK_SET), 0);
		log_to(&file_log, LOG_INFO, NULL, "child");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	snprintf(expected, sizeof(expected), " %d#%d: child\n", (int)child, (int)child);
	ck_assert_ptr_nonnull(strstr(file_text(), expected));
}
END_TEST

static size_t
say_client(const struct log_origin *origin, char *out, size_t room)
{
	static const char text[] = ", client: 192.0.2.1";

	(void)origin;
	ck_assert_uint_ge(room, sizeof(text) - 1);
	memcpy(out, text, sizeof(text) - 1);
	return sizeof(text) - 1;
}

static size_t
fill_all(const struct log_origin *origin, char *out, size_t room)
{
	(void)origin;
	memset(out, 'c', room);
	return room;
}

START_TEST(a_session_adds_number_and_context)
{
	struct log_origin origin = { .number = 17, .context = say_client };

	open_file_log(LOG_INFO);
	log_to(&file_log, LOG_INFO, &origin, "client logged in");
	ck_assert_str_eq(message_of(file_text()), "*17 client logged in, client: 192.0.2.1\n");
}
END_TEST

START_TEST(a_long_message_is_cut_before_the_context_and_between_characters)
{
	struct log_origin origin = { .number = 1, .context = say_client };
	char message[2 * LOG_LINE_MAX];

	for (size_t shift = 0; shift < 3; shift++) {
		const char *at;

		memset(message, 'x', shift);
		for (size_t i = shift; i + 3 < sizeof(message); i += 3)
			memcpy(message + i, "\xe2\x82\xac", 4);       /* the euro sign, three bytes */
		open_file_log(LOG_INFO);
		log_to(&file_log, LOG_INFO, &origin, "%s", message);
		ck_assert_uint_le(strlen(file_text()), LOG_LINE_MAX);
		ck_assert_ptr_nonnull(strstr(written, "\xe2\x82\xac..., client: 192.0.2.1\n"));
		for (at = strchr(written, '*') + 3 + shift; *at != '.'; at += 3)
			ck_assert_mem_eq(at, "\xe2\x82\xac", 3);
		close(file.fd);
	}
}
END_TEST

START_TEST(no_line_is_longer_than_the_bound)
{
	struct log_origin origin = { .number = 1, .context = fill_all };
	char message[2 * LOG_LINE_MAX];

	memset(message, 'm', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	open_file_log(LOG_INFO);
	log_to(&file_log, LOG_INFO, &origin, "%s", message);
	ck_assert_uint_eq(strlen(file_text()), LOG_LINE_MAX);
	log_to(&file_log, LOG_INFO, NULL, "%s", message);
	ck_assert_uint_eq(strlen(file_text()), 2 * LOG_LINE_MAX);
	ck_assert_str_eq(written + 2 * LOG_LINE_MAX - 5, "m...\n");
}
END_TEST

START_TEST(one_record_is_one_line)
{
	open_file_log(LOG_INFO);
	log_to(&file_log, LOG_INFO, NULL, "a\nb\r\x1b[2J\x7f\tc");
	ck_assert_str_eq(message_of(file_text()), "a?b??[2J??c\n");
}
END_TEST

START_TEST(each_target_takes_its_levels)
{
	struct log_target quiet = { .kind = LOG_TO_FILE, .level = LOG_ERROR, .fd = -1 };
	struct log_origin watched = { .debug = true };

	open_file_log(LOG_NOTICE);
	log_add(&file_log, &quiet);
	ck_assert_int_eq(file_log.level, LOG_NOTICE);
	ck_assert(file_log.targets == &file && file.next == &quiet);
	ck_assert(log_wants(&file_log, LOG_NOTICE, NULL));
	ck_assert(!log_wants(&file_log, LOG_INFO, NULL));
	ck_assert(log_wants(&file_log, LOG_DEBUG, &watched));
	log_to(&file_log, LOG_EMERG, NULL, "to the one that is open");
	quiet.fd = file.fd;
	log_to(&file_log, LOG_INFO, NULL, "to none");
	log_to(&file_log, LOG_NOTICE, NULL, "to one");
	log_to(&file_log, LOG_ERROR, NULL, "to both");
	log_to(&file_log, LOG_DEBUG, &watched, "to all that watch");
	ck_assert_uint_eq(times_written("to the one that is open"), 1);
	ck_assert_uint_eq(times_written("to none"), 0);
	ck_assert_uint_eq(times_written("to one"), 1);
	ck_assert_uint_eq(times_written("to both"), 2);
	ck_assert_uint_eq(times_written("to all that watch"), 2);
}
END_TEST

/* Points descriptor 2 at the file of file_log, from where file_text() reads. */
static void
catch_stderr(void)
{
	open_file_log(LOG_INFO);
	ck_assert_int_ne(dup2(file.fd, STDERR_FILENO), -1);
}

START_TEST(before_there_is_a_log_lines_go_to_stderr)
{
	catch_stderr();
	log_say(LOG_EMERG, "bind() to %s failed", "0.0.0.0:25");
	log_say(LOG_INFO, "lost");
	ck_assert_str_eq(file_text(), "postern: [emerg] bind() to 0.0.0.0:25 failed\n");
}
END_TEST

START_TEST(once_there_is_a_log_it_is_used)
{
	struct log_target to_stderr = { .kind = LOG_TO_STDERR, .level = LOG_INFO, .fd = -1 };
	struct log log = { 0 };

	catch_stderr();
	log_add(&log, &to_stderr);
	log_use(&log);
	log_say(LOG_INFO, "signal %d", 1);
	ck_assert_str_eq(message_of(file_text()), "signal 1\n");
	ck_assert_ptr_nonnull(strstr(written, " [info] "));
	log_use(NULL);
}
END_TEST

START_TEST(syslog_gets_one_datagram_a_line)
{
	struct log_target target = { .kind = LOG_TO_SYSLOG, .level = LOG_INFO, .priority = 2 * 8, .tag = "postern",
		.hostname = "mx" };
	char got[2 * LOG_LINE_MAX], month[4], level[8], tail[64];
	struct log log = { 0 };
	int ends[2], day, h, m, s;
	ssize_t len;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	target.fd = ends[0];
	log_add(&log, &target);
	log_to(&log, LOG_ERROR, NULL, "text");
	len = recv(ends[1], got, sizeof(got) - 1, 0);
	ck_assert_int_gt(len, 0);
	got[len] = '\0';
	/* As nginx: the whole line, with its own time, stands behind the header. */
	ck_assert_int_eq(sscanf(got, "<19>%3s %2d %2d:%2d:%2d mx postern: "
	    "%*d/%*d/%*d %*d:%*d:%*d [%7[a-z]] %*d#%*d: %63[^\n]", month, &day, &h, &m, &s, level, tail), 7);
	ck_assert_str_eq(level, "error");
	ck_assert_str_eq(tail, "text");
	ck_assert_str_eq(got + len - 4, "text");
	ck_assert_mem_eq(got + 4 + 3, " ", 1);
	ck_assert_mem_eq(got + 4 + 15, " mx ", 4);

	target.hostname = NULL;
	log_to(&log, LOG_INFO, NULL, "text");
	len = recv(ends[1], got, sizeof(got) - 1, 0);
	ck_assert_int_gt(len, 0);
	ck_assert_mem_eq(got, "<22>", 4);
	ck_assert_mem_eq(got + 4 + 15, " postern: ", 10);
}
END_TEST

static int
bind_path(const struct endpoint *at)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_sockaddr(at, &sa);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&sa, len), 0);
	return fd;
}

START_TEST(a_syslog_that_comes_back_is_found_again)
{
	char folder[] = "/tmp/postern-unit-XXXXXX", path[64];
	struct log_target target = { .kind = LOG_TO_SYSLOG, .level = LOG_INFO, .tag = "postern",
	    .server = { .addr.family = AF_UNIX, .path = path }, .fd = socket(AF_UNIX, SOCK_DGRAM, 0) };
	struct log log = { 0 };
	char got[LOG_LINE_MAX];
	int server;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	log_add(&log, &target);
	log_to(&log, LOG_ERROR, NULL, "nobody is there yet");
	for (int i = 0; i < 2; i++) {
		server = bind_path(&target.server);
		log_to(&log, LOG_ERROR, NULL, "text");
		ck_assert_int_gt(recv(server, got, sizeof(got), MSG_DONTWAIT), 0);
		close(server);
		unlink(path);
		log_to(&log, LOG_ERROR, NULL, "nobody is there any more");
	}
	close(target.fd);
	rmdir(folder);
}
END_TEST

START_TEST(a_syslog_that_nobody_reads_does_not_block)
{
	struct log_target target = { .kind = LOG_TO_SYSLOG, .level = LOG_INFO, .tag = "postern" };
	struct log log = { 0 };
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	target.fd = ends[0];
	log_add(&log, &target);
	errno = ENOENT;
	for (unsigned i = 0; i < 5000; i++)
		log_to(&log, LOG_ERROR, NULL, "text");
	close(ends[1]);
	log_to(&log, LOG_ERROR, NULL, "text");
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(an_errno_reads_as_nginx_writes_it)
{
	ck_assert_str_eq(log_errno(ENOENT), "(2: No such file or directory)");
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
	const char *text;
} strangers[] = {
	{ "",                       0,  "" },
	{ "plain text 09az~",       16, "plain text 09az~" },
	{ "a\r\nb",                 4,  "a\\x0D\\x0Ab" },
	{ "\0\x1f\x7f",             3,  "\\x00\\x1F\\x7F" },
	{ "\"\\",                   2,  "\\x22\\x5C" },
	{ "\xc3\xa9",               2,  "\xc3\xa9" },
	{ "\xe2\x82\xac",           3,  "\xe2\x82\xac" },
	{ "\xf0\x9f\x93\xa7",       4,  "\xf0\x9f\x93\xa7" },
	{ "\xe9",                   1,  "\\xE9" },                      /* Latin-1 */
	{ "\xe2\x82",               2,  "\\xE2\\x82" },                 /* ends too early */
	{ "\xe2\x82z",              3,  "\\xE2\\x82z" },
	{ "\xc0\x8a",               2,  "\\xC0\\x8A" },                 /* a newline in overlong form */
	{ "\xe0\x80\x8a",           3,  "\\xE0\\x80\\x8A" },
	{ "\xf0\x80\x80\x8a",       4,  "\\xF0\\x80\\x80\\x8A" },
	{ "\xed\xa0\x80",           3,  "\\xED\\xA0\\x80" },            /* a surrogate */
	{ "\xed\x9f\xbf",           3,  "\xed\x9f\xbf" },
	{ "\xf4\x8f\xbf\xbf",       4,  "\xf4\x8f\xbf\xbf" },
	{ "\xf4\x90\x80\x80",       4,  "\\xF4\\x90\\x80\\x80" },       /* past U+10FFFF */
	{ "\xf5\x80\x80\x80",       4,  "\\xF5\\x80\\x80\\x80" },
	{ "\xc2\x85",               2,  "\\xC2\\x85" },                 /* NEL: a newline to some */
	{ "\xc2\xa0",               2,  "\xc2\xa0" },
	{ "\x80\xbf",               2,  "\\x80\\xBF" },
};

START_TEST(a_strangers_text_cannot_forge_a_line)
{
	char out[64];

	ck_assert_str_eq(log_text(out, sizeof(out), strangers[_i].bytes, strangers[_i].len), strangers[_i].text);
}
END_TEST

static const struct {
	const char *bytes;
	size_t size;
	const char *text;
} cuts[] = {
	{ "abcdefgh",                 9, "abcdefgh" },
	{ "abcdefgh",                 8, "abcd..." },
	{ "abcdefgh",                 4, "..." },
	{ "abcdefgh",                 3, ".." },
	{ "abcdefgh",                 1, "" },
	{ "",                         1, "" },
	{ "\r\n\r\n",                16, "\\x0D\\x0A\\x0D..." },
	{ "\r\n\r\n",                15, "\\x0D\\x0A..." },
	{ "\r\n",                     8, "\\x0D..." },
	{ "a\xe2\x82\xac\xe2\x82\xac", 8, "a\xe2\x82\xac\xe2\x82\xac" },
	{ "a\xe2\x82\xac\xe2\x82\xac", 7, "a..." },
	{ "ab\xe2\x82\xac",           5, "a..." },
};

START_TEST(a_long_text_is_cut_between_characters)
{
	char *out = malloc(cuts[_i].size);      /* exact, so that the sanitizer sees a byte too many */

	ck_assert_str_eq(log_text(out, cuts[_i].size, cuts[_i].bytes, strlen(cuts[_i].bytes)), cuts[_i].text);
	free(out);
}
END_TEST

Suite *
log_suite(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");

	tcase_add_test(tcase, levels_have_names_and_back);
	tcase_add_test(tcase, a_line_has_time_level_process_and_thread);
	tcase_add_test(tcase, the_time_is_local);
	tcase_add_test(tcase, a_child_logs_under_its_own_number);
	tcase_add_test(tcase, a_session_adds_number_and_context);
	tcase_add_test(tcase, a_long_message_is_cut_before_the_context_and_between_characters);
	tcase_add_test(tcase, no_line_is_longer_than_the_bound);
	tcase_add_test(tcase, one_record_is_one_line);
	tcase_add_test(tcase, each_target_takes_its_levels);
	tcase_add_test(tcase, before_there_is_a_log_lines_go_to_stderr);
	tcase_add_test(tcase, once_there_is_a_log_it_is_used);
	tcase_add_test(tcase, syslog_gets_one_datagram_a_line);
	tcase_add_test(tcase, a_syslog_that_comes_back_is_found_again);
	tcase_add_test(tcase, a_syslog_that_nobody_reads_does_not_block);
	tcase_add_test(tcase, an_errno_reads_as_nginx_writes_it);
	tcase_add_loop_test(tcase, a_strangers_text_cannot_forge_a_line, 0, UNIT_COUNT(strangers));
	tcase_add_loop_test(tcase, a_long_text_is_cut_between_characters, 0, UNIT_COUNT(cuts));
	suite_add_tcase(suite, tcase);
	return suite;
}
