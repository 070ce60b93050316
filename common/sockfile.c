#include "common/sockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/mem.h"
#include "common/sock_options.h"

#define LOCK_TRIES 10           /* ten milliseconds apart: another start of ours holds it far shorter */

/* What is being bound. */
struct making {
	int fd;
	const char *path;
	const struct sockaddr *sa;
	socklen_t sa_len;
	const struct sock_options *options;
	bool locked;
};

/*
 * Two starts in one folder wait for each other, so that neither takes the other's socket,
 * bound and not yet listening, for a dead one. Who cannot have the lock, since anybody who
 * may read the folder can hold it, does without, and then replaces nothing.
 * Returns its descriptor, or -1.
 */
static int
lock_folder(const char *path)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? mem_strdup(".") : mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	mem_free(folder);
	for (int tries = 0; fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == -1; tries++) {
		if (errno != EWOULDBLOCK || tries == LOCK_TRIES) {
			close(fd);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

/* The file is born with its mode, so that nobody can slip another file under a chmod(2). */
static int
bind_with_mode(const struct making *m)
{
	mode_t saved = umask((mode_t)(~m->options->mode & 0777));
	int result = bind(m->fd, m->sa, m->sa_len);
	int error = errno;

	umask(saved);
	errno = error;
	return result;
}

/* Is this, which is described in *st then, the socket file of a process that is gone? Only a refusal says so. */
static bool
is_stale(const struct making *m, struct stat *st)
{
	int fd, error = 0;

	if (lstat(m->path, st) == -1 || !S_ISSOCK(st->st_mode))
		return false;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1)
		return false;
	if (connect(fd, m->sa, m->sa_len) == -1)
		error = errno;
	close(fd);
	return error == ECONNREFUSED;
}

/* An inode's number alone may have a new owner by now. A rename does not change the time. */
static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/*
 * Removes the file that *dead describes, and none that a stranger has put in its place since
 * we looked: what is moved aside can be looked at again, and moved back.
 */
static int
remove_file(const char *path, const struct stat *dead)
{
	char *aside = mem_printf("%s.stale.%ld", path, (long)getpid());
	struct stat st;
	int result = rename(path, aside);

	if (result == 0 && (lstat(aside, &st) == -1 || !is_same(&st, dead))) {
		renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_NOREPLACE);
		result = -1;
	} else if (result == 0) {
		result = unlink(aside);
	}
	mem_free(aside);
	return result;
}

static int
bind_path(const struct making *m)
{
	struct stat dead;

	if (bind_with_mode(m) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -1;
	if (!m->locked || !is_stale(m, &dead) || remove_file(m->path, &dead) == -1) {
		errno = EADDRINUSE;
		return -1;
	}
	return bind_with_mode(m);
}

static int
give_away(const struct making *m)
{
	if (m->options->uid == -1 && m->options->gid == -1)
		return 0;
	return lchown(m->path, (uid_t)m->options->uid, (gid_t)m->options->gid);
}

static int
make(const struct making *m, const char **step)
{
	*step = "bind";
	if (bind_path(m) == -1)
		return -1;
	*step = "chown";
	if (give_away(m) == 0) {
		*step = "listen";
		if (listen(m->fd, m->options->backlog) == 0)
			return 0;
	}
	int error = errno;
	unlink(m->path);
	errno = error;
	return -1;
}

int
sockfile_listen(int fd, const struct endpoint *at, const struct sockaddr_storage *sa, socklen_t sa_len,
    const struct sock_options *options, const char **step)
{
	int lock = lock_folder(at->path);
	const struct making m = {
		.fd = fd,
		.path = at->path,
		.sa = (const struct sockaddr *)sa,
		.sa_len = sa_len,
		.options = options,
		.locked = lock != -1,
	};
	int result = make(&m, step), error = errno;

	if (lock != -1)
		close(lock);
	errno = error;
	return result;
}

int
sockfile_adjust(const char *path, const struct sock_options *o)
{
	uid_t uid = o->uid == -1 ? geteuid() : (uid_t)o->uid;
	gid_t gid = o->gid == -1 ? getegid() : (gid_t)o->gid;
	struct stat st;

	if (lstat(path, &st) == -1)
		return -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = ENOTSOCK;
		return -1;
	}
	if ((st.st_mode & 07777) != o->mode && fchmodat(AT_FDCWD, path, o->mode, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	return st.st_uid == uid && st.st_gid == gid ? 0 : lchown(path, uid, gid);
}
