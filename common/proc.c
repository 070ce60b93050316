#include "common/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/capability.h"
#include "common/mem.h"

extern char **environ;

/* Where ps(1) looks: the room that argv and, right behind it, the environment had. */
static char *title_room;
static size_t title_size;

/*
 * The environment that the process was started with; it stays, also where another is in use.
 * unsetenv(3) takes strings out of the first array, and then the second one still has them.
 */
static char **environment, **strings;

/* Where the string ends, if it begins at `end`; else `end`: what lies elsewhere is not ours to write over. */
static char *
extend(char *end, char *string)
{
	return string == end ? string + strlen(string) + 1 : end;
}

void
proc_init(int argc, char **argv)
{
	char *end = argc > 0 ? argv[0] : NULL;
	size_t count = 0;

	for (int i = 0; i < argc; i++)
		end = extend(end, argv[i]);
	for (; environ[count] != NULL; count++)
		end = extend(end, environ[count]);
	environment = mem_array(count + 1, sizeof(*environment));
	strings = mem_array(count + 1, sizeof(*strings));
	for (size_t i = 0; i < count; i++)
		environment[i] = strings[i] = mem_strdup(environ[i]);
	environ = environment;
	title_room = argc > 0 ? argv[0] : NULL;
	title_size = (size_t)(end - title_room);
}

void
proc_unset(const char *name)
{
	size_t len = strlen(name);
	char *found = NULL;

	for (char **variable = environ; *variable != NULL; variable++)
		if (strncmp(*variable, name, len) == 0 && (*variable)[len] == '=')
			found = *variable;
	/* The strings are ours as long as the row of them is. */
	if (environ != environment)
		found = NULL;
	unsetenv(name);
	mem_free(found);
}

/* From where we are now. NULL: nobody knows where that is. */
static char *
absolute(const char *path)
{
	char *here, *whole;

	if (*path == '/')
		return mem_strdup(path);
	if ((here = getcwd(NULL, 0)) == NULL)
		return NULL;
	whole = mem_printf("%s/%s", strcmp(here, "/") == 0 ? "" : here, path);
	free(here);
	return whole;
}

/* A program in one folder of PATH, the empty one being where we are. NULL: there is none. */
static char *
program_in(const char *folder, size_t len, const char *name)
{
	char *relative = mem_printf("%.*s%s%s", (int)len, folder, len > 0 ? "/" : "", name), *path = NULL;
	struct stat st;

	if (stat(relative, &st) == 0 && S_ISREG(st.st_mode) && access(relative, X_OK) == 0)
		path = absolute(relative);
	mem_free(relative);
	return path;
}

char *
proc_program(const char *name)
{
	const char *folders = getenv("PATH");
	char *found = NULL;

	if (name == NULL || *name == '\0')
		return NULL;
	if (strchr(name, '/') != NULL)
		return absolute(name);
	while (folders != NULL && found == NULL) {
		size_t len = strcspn(folders, ":");

		found = program_in(folders, len, name);
		folders = folders[len] == ':' ? folders + len + 1 : NULL;
	}
	return found;
}

void
proc_title(const char *title)
{
	int len;

	if (title_size == 0)
		return;
	len = snprintf(title_room, title_size, "postern: %s", title);
	if (len >= 0 && (size_t)len < title_size)
		memset(title_room + len, 0, title_size - (size_t)len);
}

/* After the change nobody may be able to turn back; 0 is asked for because it opens every door. */
static int
prove(uid_t uid, gid_t gid)
{
	uid_t real, effective, saved;
	gid_t real_gid, effective_gid, saved_gid;

	if (getresuid(&real, &effective, &saved) == -1 || getresgid(&real_gid, &effective_gid, &saved_gid) == -1)
		return -1;
	if (real != uid || effective != uid || saved != uid || real_gid != gid || effective_gid != gid ||
	    saved_gid != gid)
		goto refuse;
	if (uid == 0)
		return 0;
	if (setuid(0) == 0 || seteuid(0) == 0 || setreuid((uid_t)-1, 0) == 0 || setgroups(0, NULL) == 0)
		goto refuse;
	if (gid != 0 && (setgid(0) == 0 || setegid(0) == 0))
		goto refuse;
	return 0;
refuse:
	errno = EPERM;
	return -1;
}

/* Who is root no more has no capability any more, unless it asks for them to stay. */
static int
change(const char *user, uid_t uid, gid_t gid, bool keep)
{
	if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1)
		return -1;
	return initgroups(user, gid) == -1 || setresgid(gid, gid, gid) == -1 || setresuid(uid, uid, uid) == -1 ? -1 : 0;
}

int
proc_become(const char *user, uid_t uid, gid_t gid, uint64_t kept)
{
	if (geteuid() == 0 && change(user, uid, gid, kept != 0) == -1)
		return -1;
	if (uid != 0 && capability_limit(kept) == -1)
		return -1;
	return prove(uid, gid);
}

/* The least of `keep` that is at least `from`, or INT_MAX. */
static int
next_kept(int from, const int *keep, size_t count)
{
	int next = INT_MAX;

	for (size_t i = 0; i < count; i++)
		if (keep[i] >= from && keep[i] < next)
			next = keep[i];
	return next;
}

/* For kernels, and cages, without close_range(2). */
static void
close_listed(int lowest, const int *keep, size_t count)
{
	DIR *list = opendir("/proc/self/fd");
	struct dirent *entry;

	if (list == NULL)
		return;
	while ((entry = readdir(list)) != NULL) {
		int fd = (int)strtol(entry->d_name, NULL, 10);

		if (entry->d_name[0] != '.' && fd >= lowest && fd != dirfd(list) && next_kept(fd, keep, count) != fd)
			close(fd);
	}
	closedir(list);
}

void
proc_close_others(int lowest, const int *keep, size_t count)
{
	int next;

	for (int from = lowest;; from = next + 1) {
		next = next_kept(from, keep, count);
		if (next > from && close_range((unsigned)from, (unsigned)next - 1, 0) == -1) {
			close_listed(from, keep, count);
			return;
		}
		if (next == INT_MAX)
			return;
	}
}

void
proc_keep_add(void *ctx, int fd)
{
	struct proc_keep *keep = ctx;

	if (fd == -1)
		return;
	keep->fds = mem_resize(keep->fds, (keep->count + 1) * sizeof(*keep->fds));
	keep->fds[keep->count++] = fd;
}

void
proc_keep_only(int lowest, struct proc_keep *keep)
{
	proc_close_others(lowest, keep->fds, keep->count);
	mem_free(keep->fds);
	*keep = (struct proc_keep){ 0 };
}

int
proc_hold_standard(void)
{
	int fd;

	/* open(2) gives the lowest that is free. */
	do
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

int
proc_signalfd(const int *signals, size_t count)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < count; i++)
		sigaddset(&set, signals[i]);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGSYS, SIG_IGN) == SIG_ERR)
		return -1;
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

void
proc_default_signals(void)
{
	sigset_t none;

	/* KILL, STOP and those that libc keeps for itself refuse, and need nothing. */
	for (int number = 1; number <= SIGRTMAX; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int
proc_limit(int resource, long long value)
{
	struct rlimit limit = { (rlim_t)value, (rlim_t)value };

	return value < 0 ? 0 : setrlimit((unsigned)resource, &limit);
}

const char *
proc_signal_name(int number)
{
	const char *name = sigabbrev_np(number);

	return name != NULL ? name : "unknown";
}
