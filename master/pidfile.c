#include "master/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"

#define PIDFILE_MAX 32          /* bytes that are looked at; a pid and a newline are far fewer */

static int
fail(const char *call, const char *path)
{
	log_say(LOG_EMERG, "%s \"%s\" failed %s", call, path, log_errno(errno));
	return -1;
}

int
pidfile_write(const char *path, pid_t pid)
{
	/* Nonblocking, because a FIFO in its place may not stop us. */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	int result = 0;
	struct stat st;

	if (fd == -1)
		return fail("open()", path);
	if (dprintf(fd, "%ld\n", (long)pid) < 0)
		result = fail("write()", path);
	/* It may be a device: `pid /dev/null` is legal. */
	else if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fchmod(fd, 0644) == -1)
		result = fail("fchmod()", path);
	close(fd);
	return result;
}

/* Reads the beginning of the file, without the newline, into a string. Returns 0, or -1 with errno. */
static int
read_text(const char *path, char text[PIDFILE_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), saved;
	ssize_t len;

	if (fd == -1)
		return -1;
	len = read(fd, text, PIDFILE_MAX - 1);
	saved = errno;
	close(fd);
	errno = saved;
	if (len == -1)
		return -1;
	text[len] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return 0;
}

int
pidfile_read(const char *path, pid_t *pid)
{
	char text[PIDFILE_MAX], shown[4 * PIDFILE_MAX];
	unsigned number;

	if (read_text(path, text) == -1) {
		log_say(LOG_ERROR, "open() \"%s\" failed %s", path, log_errno(errno));
		return -1;
	}
	if (num_parse(text, INT_MAX, &number) == -1 || number == 0) {
		log_say(LOG_ERROR, "invalid PID number \"%s\" in \"%s\"",
		    log_text(shown, sizeof(shown), text, strlen(text)), path);
		return -1;
	}
	*pid = (pid_t)number;
	return 0;
}

static bool
holds(const char *path, pid_t pid)
{
	char text[PIDFILE_MAX];
	unsigned number;

	return read_text(path, text) == 0 && num_parse(text, INT_MAX, &number) == 0 && (pid_t)number == pid;
}

void
pidfile_remove(const char *path, pid_t pid)
{
	if (holds(path, pid) && unlink(path) == -1)
		log_say(LOG_ALERT, "unlink() \"%s\" failed %s", path, log_errno(errno));
}

static char *
old_name(const char *path)
{
	return mem_printf("%s.oldbin", path);
}

void
pidfile_remove_old(const char *path, pid_t pid)
{
	char *old = old_name(path);

	pidfile_remove(old, pid);
	mem_free(old);
}

/* Is there a file that we may move? */
static bool
is_ours(const char *path, pid_t pid)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && holds(path, pid);
}

static int
move(const char *from, const char *to, pid_t pid)
{
	if (!is_ours(from, pid) || rename(from, to) == 0)
		return 0;
	log_say(LOG_ALERT, "rename() \"%s\" to \"%s\" failed %s", from, to, log_errno(errno));
	return -1;
}

int
pidfile_step_aside(const char *path, pid_t pid)
{
	char *old = old_name(path);
	int result = move(path, old, pid);

	mem_free(old);
	return result;
}

int
pidfile_step_back(const char *path, pid_t pid)
{
	char *old = old_name(path);
	int result = move(old, path, pid);

	mem_free(old);
	/* Whoever has taken the old one away has not stopped us. */
	if (result == 0 && !holds(path, pid))
		result = pidfile_write(path, pid);
	return result;
}
