#include "common/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/capability.h"
#include "common/mem.h"
#include "test/unit/child.h"
#include "test/unit/unit.h"

extern char **environ;

/* argv and the environment as the kernel lays them out: one string behind the other. */
static char block[] = "postern\0-g\0daemon off;\0TZ=UTC\0HOME=/";
static char *strings[] = { block, block + 8, block + 11, NULL, block + 23, block + 30, NULL };

static int
write_title(void *title)
{
	environ = strings + 4;
	proc_init(3, strings);
	proc_title(title);
	/* The room is used to its last byte and ended there; the environment survives. */
	if (block[sizeof(block) - 1] != '\0' || strncmp(block, "postern: ", 9) != 0)
		return 1;
	if (strcmp(getenv("TZ"), "UTC") != 0 || strcmp(getenv("HOME"), "/") != 0)
		return 2;
	return strncmp(block + 9, title, sizeof(block) - 10) == 0 ? 0 : 3;
}

START_TEST(a_title_takes_the_room_of_the_arguments_and_no_more)
{
	static char long_title[] = "a title that is longer than all the arguments and the environment";
	static char worker[] = "worker process";

	ck_assert_int_eq(child_run(write_title, worker), 0);
	ck_assert_int_eq(child_run(write_title, long_title), 0);
}
END_TEST

static int
unset(void *data)
{
	(void)data;
	environ = strings + 4;
	proc_init(3, strings);
	proc_unset("HOM");
	proc_unset("TZ");
	if (getenv("TZ") != NULL || strcmp(getenv("HOME"), "/") != 0)
		return 1;
	setenv("NEW", "1", 1);
	proc_unset("NEW");
	proc_unset("NEW");
	proc_unset("HOME");
	return getenv("NEW") == NULL && environ[0] == NULL ? 0 : 2;
}

START_TEST(a_variable_is_taken_out_whoever_put_it_there)
{
	ck_assert_int_eq(child_run(unset, NULL), 0);
}
END_TEST

static int
close_others(void *data)
{
	/* Unordered, one of them twice, one not open, one none. */
	static const int kept[] = { 9, 5, 200, -1, 9, 4 };
	static const int gone[] = { 3, 6, 7, 8, 10, 11, 100 };
	struct proc_keep keep = { 0 };

	(void)data;
	for (int fd = 3; fd <= 11; fd++)
		dup2(STDIN_FILENO, fd);
	dup2(STDIN_FILENO, 100);
	for (int i = 0; i < UNIT_COUNT(kept); i++)
		proc_keep_add(&keep, kept[i]);
	proc_keep_only(3, &keep);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		if (fcntl(gone[i], F_GETFD) != -1)
			return gone[i];
	return fcntl(9, F_GETFD) == -1 || fcntl(5, F_GETFD) == -1 || fcntl(4, F_GETFD) == -1 || fcntl(0, F_GETFD) == -1;
}

START_TEST(only_the_listed_descriptors_stay)
{
	ck_assert_int_eq(child_run(close_others, NULL), 0);
}
END_TEST

static int
hold_standard(void *data)
{
	(void)data;
	close(0);
	close(2);
	if (proc_hold_standard() == -1)
		return 1;
	if (fcntl(0, F_GETFD) != 0 || fcntl(1, F_GETFD) == -1 || fcntl(2, F_GETFD) != 0)
		return 2;
	return write(2, "x", 1) == 1 ? 0 : 3;
}

START_TEST(closed_standard_descriptors_are_held)
{
	ck_assert_int_eq(child_run(hold_standard, NULL), 0);
}
END_TEST

static int
take_signal(void *data)
{
	static const int signals[] = { SIGHUP, SIGCHLD };
	struct signalfd_siginfo info;
	int fd = proc_signalfd(signals, 2);

	(void)data;
	if (fd == -1 || (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0 || (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
		return 1;
	if (read(fd, &info, sizeof(info)) != -1 || errno != EAGAIN)
		return 2;
	raise(SIGHUP);
	raise(SIGPIPE);
	if (read(fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGHUP)
		return 3;
	proc_default_signals();
	raise(SIGPIPE);
	return 4;
}

START_TEST(signals_come_by_descriptor_until_they_are_put_back)
{
	ck_assert_int_eq(child_run(take_signal, NULL), -SIGPIPE);
}
END_TEST

static int
become(void *account)
{
	const struct passwd *pw = account;
	gid_t groups[8];
	int count;

	if (setgroups(1, (gid_t[]){ 4242 }) == -1 || proc_become(pw->pw_name, pw->pw_uid, pw->pw_gid, 0) == -1)
		return 1;
	if (getuid() != pw->pw_uid || geteuid() != pw->pw_uid || getgid() != pw->pw_gid || getegid() != pw->pw_gid)
		return 2;
	count = getgroups(8, groups);
	for (int i = 0; i < count; i++)
		if (groups[i] == 4242 || groups[i] == 0)
			return 3;
	return setuid(0) == -1 && seteuid(0) == -1 && setgid(0) == -1 ? 0 : 4;
}

/* What the kernel says of the capabilities of this process. */
static int
count_sets(const char *value)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256], *found;
	int count = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "Cap", 3) == 0 && strncmp(line, "CapBnd", 6) != 0 &&
		    (found = strchr(line, '\t')) != NULL)
			count += strncmp(found + 1, value, 16) == 0;
	if (file != NULL)
		fclose(file);
	return count;
}

static int
become_with(void *account)
{
	const struct passwd *pw = account;

	if (proc_become(pw->pw_name, pw->pw_uid, pw->pw_gid, CAPABILITY(CAP_NET_RAW)) == -1)
		return 1;
	if (count_sets("0000000000002000") != 2 || count_sets("0000000000000000") != 2)
		return 2;
	if (setuid(0) == 0 || seteuid(0) == 0 || setgroups(0, NULL) == 0)
		return 3;
	/* It has no more of them the next time. */
	if (proc_become(pw->pw_name, pw->pw_uid, pw->pw_gid, 0) == -1 || count_sets("0000000000000000") != 4)
		return 4;
	return proc_become(pw->pw_name, pw->pw_uid, pw->pw_gid, CAPABILITY(CAP_NET_RAW)) == 0 &&
	    count_sets("0000000000000000") == 4 ? 0 : 5;
}

static int
become_without(void *account)
{
	const struct passwd *pw = account;

	return proc_become(pw->pw_name, pw->pw_uid, pw->pw_gid, 0) == 0 && count_sets("0000000000000000") == 4 ? 0 : 1;
}

static int
keep_privileges(void *account)
{
	const struct passwd *pw = account;

	/* A saved id of 0 is a way back. */
	if (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 || setresuid(pw->pw_uid, pw->pw_uid, 0) == -1)
		return 1;
	return proc_become(pw->pw_name, pw->pw_uid, pw->pw_gid, 0) == -1 && errno == EPERM ? 0 : 2;
}

static int
become_another(void *account)
{
	const struct passwd *pw = account;

	if (proc_become(pw->pw_name, pw->pw_uid, pw->pw_gid, 0) == -1)
		return 1;
	if (proc_become("root", 0, 0, 0) == 0 || proc_become("other", pw->pw_uid + 1, pw->pw_gid, 0) == 0)
		return 2;
	return proc_become(pw->pw_name, pw->pw_uid, pw->pw_gid, 0);
}

START_TEST(root_becomes_an_account_for_good)
{
	struct passwd *pw = getpwnam("nobody");

	if (geteuid() != 0 || pw == NULL)
		return;
	ck_assert_int_eq(child_run(become, pw), 0);
	ck_assert_int_eq(child_run(become_with, pw), 0);
	ck_assert_int_eq(child_run(become_without, pw), 0);
	ck_assert_int_eq(child_run(keep_privileges, pw), 0);
	ck_assert_int_eq(child_run(become_another, pw), 0);
}
END_TEST

START_TEST(who_is_the_account_already_need_not_change)
{
	struct passwd *pw = getpwuid(geteuid());

	ck_assert_ptr_nonnull(pw);
	ck_assert_int_eq(proc_become(pw->pw_name, geteuid(), getegid(), 0), 0);
}
END_TEST

static int
limit(void *data)
{
	struct rlimit got;

	(void)data;
	if (proc_limit(RLIMIT_CORE, -1) == -1 || proc_limit(RLIMIT_CORE, 0) == -1)
		return 1;
	return getrlimit(RLIMIT_CORE, &got) == 0 && got.rlim_cur == 0 && got.rlim_max == 0 ? 0 : 2;
}

START_TEST(a_limit_is_set_where_one_is_given)
{
	ck_assert_int_eq(child_run(limit, NULL), 0);
}
END_TEST

/* Each name, and where it is, if PATH is what it is and the working directory is `folder`. */
static const struct {
	const char *path, *name, *found;
} programs[] = {
	{ "/bin",         "/no/such/file",  "/no/such/file" },        /* it may come yet */
	{ "/bin",         "./x",            "FOLDER/./x" },
	{ "/bin",         "bin/x",          "FOLDER/bin/x" },
	{ "/nonexistent:FOLDER/bin:/bin", "x", "FOLDER/bin/x" },
	{ "bin:/bin",     "x",              "FOLDER/bin/x" },
	{ ":/bin",        "y",              "FOLDER/y" },
	{ "/bin:",        "y",              "FOLDER/y" },
	/* bin/y is no file, and FOLDER/bin/z may not be run */
	{ "FOLDER/bin:FOLDER", "y",         "FOLDER/y" },
	{ "FOLDER/bin",   "z",              NULL },
	{ "",             "x",              NULL },
	{ NULL,           "y",              NULL },
	{ "FOLDER",       "",               NULL },
	{ "FOLDER",       NULL,             NULL },
};

static char *
in_folder(const char *text, const char *folder)
{
	const char *word = text == NULL ? NULL : strstr(text, "FOLDER");
	char *rest, *whole;

	if (word == NULL)
		return mem_strdup(text);
	rest = in_folder(word + 6, folder);
	whole = mem_printf("%.*s%s%s", (int)(word - text), text, folder, rest);
	mem_free(rest);
	return whole;
}

START_TEST(a_program_is_found_where_the_shell_finds_it)
{
	char folder[] = "/tmp/postern-unit-XXXXXX";
	char *path, *want, *found;

	ck_assert(mkdtemp(folder) != NULL && chdir(folder) == 0);
	ck_assert(mkdir("bin", 0700) == 0 && mkdir("bin/y", 0700) == 0);
	close(open("bin/x", O_CREAT | O_WRONLY, 0700));
	close(open("y", O_CREAT | O_WRONLY, 0700));
	close(open("bin/z", O_CREAT | O_WRONLY, 0600));
	path = in_folder(programs[_i].path, folder);
	want = in_folder(programs[_i].found, folder);
	if (path != NULL)
		setenv("PATH", path, 1);
	else
		unsetenv("PATH");
	found = proc_program(programs[_i].name);
	if (want == NULL)
		ck_assert_ptr_null(found);
	else
		ck_assert_str_eq(found, want);
	mem_free(path);
	mem_free(want);
	mem_free(found);
	ck_assert(unlink("bin/x") == 0 && unlink("y") == 0 && unlink("bin/z") == 0);
	ck_assert(rmdir("bin/y") == 0 && rmdir("bin") == 0 && chdir("/") == 0 && rmdir(folder) == 0);
}
END_TEST

START_TEST(signals_have_names)
{
	ck_assert_str_eq(proc_signal_name(SIGKILL), "KILL");
	ck_assert_str_eq(proc_signal_name(SIGCHLD), "CHLD");
	ck_assert_str_eq(proc_signal_name(0), "unknown");
	ck_assert_str_eq(proc_signal_name(4000), "unknown");
}
END_TEST

Suite *
proc_suite(void)
{
	Suite *suite = suite_create("proc");
	TCase *tcase = tcase_create("proc");

	tcase_add_test(tcase, a_title_takes_the_room_of_the_arguments_and_no_more);
	tcase_add_test(tcase, a_variable_is_taken_out_whoever_put_it_there);
	tcase_add_test(tcase, only_the_listed_descriptors_stay);
	tcase_add_test(tcase, closed_standard_descriptors_are_held);
	tcase_add_test(tcase, signals_come_by_descriptor_until_they_are_put_back);
	tcase_add_test(tcase, root_becomes_an_account_for_good);
	tcase_add_test(tcase, who_is_the_account_already_need_not_change);
	tcase_add_test(tcase, a_limit_is_set_where_one_is_given);
	tcase_add_loop_test(tcase, a_program_is_found_where_the_shell_finds_it, 0, UNIT_COUNT(programs));
	tcase_add_test(tcase, signals_have_names);
	suite_add_tcase(suite, tcase);
	return suite;
}
