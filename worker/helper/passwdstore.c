#include "worker/helper/passwdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/mem.h"
#include "worker/helper/passwdfile.h"

#define ACCESS_LIST "system.posix_acl_access"

/* The new text on its way. */
struct draft {
	char *path;             /* owned; beside the file, one name for all: who has the lock has it alone */
	int fd;
};

static char *
failed(const char *step, const char *path)
{
	int error = errno;
	char *text = mem_printf("%s \"%s\": %s", step, path, strerror(error));

	errno = error;
	return text;
}

/* Closes what is open; errno stays. */
static void
drop(struct passwdstore *store)
{
	int error = errno;

	filetext_reset(&store->text);
	if (store->fd != -1)
		close(store->fd);
	free(store->path);
	store->path = NULL;
	store->fd = -1;
	errno = error;
}

static int
lock(int fd)
{
	int got;

	while ((got = flock(fd, LOCK_EX)) == -1 && errno == EINTR)
		continue;
	return got;
}

/* Opens what the path names now. Returns 1, 0 if that became something else while we waited, -1 with errno. */
static int
open_once(struct passwdstore *store, const char *path, enum passwdstore_use use)
{
	struct stat now;

	store->path = realpath(path, NULL);
	if (store->path == NULL)
		return -1;
	/* Not to be held up by the other end of a fifo. */
	store->fd = open(store->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (store->fd == -1 || (use != PASSWDSTORE_READ && lock(store->fd) == -1) ||
	    fstat(store->fd, &store->was) == -1)
		return -1;
	if (use == PASSWDSTORE_READ)
		return 1;
	if (stat(path, &now) == -1)
		return -1;
	return now.st_dev == store->was.st_dev && now.st_ino == store->was.st_ino;
}

/* Makes an empty file where none is; says whether it did. */
static bool
make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd != -1)
		close(fd);
	return fd != -1;
}

int
passwdstore_open(struct passwdstore *store, const char *path, enum passwdstore_use use, char **why)
{
	int got;

	*store = (struct passwdstore){ .fd = -1 };
	store->is_ours = use == PASSWDSTORE_MAKE && make(path);
	while ((got = open_once(store, path, use)) == 0)
		drop(store);
	if (got == -1) {
		*why = failed("cannot open", path);
	} else if (!S_ISREG(store->was.st_mode)) {
		*why = mem_printf("\"%s\" is not a regular file", path);
		errno = EINVAL;
	} else if (filetext_read(&store->text, store->fd, PASSWDFILE_MAX) == -1) {
		*why = failed("cannot read", path);
	} else {
		return 0;
	}
	drop(store);
	return -1;
}

static int
write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t done = write(fd, bytes, len);

		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return -1;
		bytes += done;
		len -= (size_t)done;
	}
	return 0;
}

/* The access list goes along: without it the group bits of the mode, its mask, would be the group's. */
static int
copy_rights(const struct passwdstore *store, int fd)
{
	char list[4096];
	ssize_t len = fgetxattr(store->fd, ACCESS_LIST, list, sizeof(list));
	struct stat fresh;

	if (fstat(fd, &fresh) == -1)
		return -1;
	if ((fresh.st_uid != store->was.st_uid || fresh.st_gid != store->was.st_gid) &&
	    fchown(fd, store->was.st_uid, store->was.st_gid) == -1)
		return -1;
	if (fchmod(fd, store->was.st_mode & 0777) == -1)
		return -1;
	if (len == -1)
		return errno == ENODATA || errno == ENOTSUP ? 0 : -1;
	return fsetxattr(fd, ACCESS_LIST, list, (size_t)len, 0);
}

/* Returns NULL, or the step that failed, with errno. */
static const char *
fill(const struct passwdstore *store, struct draft *draft, const char *bytes, size_t len)
{
	/* What somebody left who was killed. */
	if (unlink(draft->path) == -1 && errno != ENOENT)
		return "cannot replace";
	draft->fd = open(draft->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (draft->fd == -1)
		return "cannot make";
	if (write_all(draft->fd, bytes, len) == -1)
		return "cannot write";
	if (copy_rights(store, draft->fd) == -1)
		return "cannot set owner and mode of";
	if (fsync(draft->fd) == -1)
		return "cannot write";
	return NULL;
}

/* Editors take no lock of ours. */
static bool
is_unchanged(const struct passwdstore *store)
{
	struct stat now;

	return stat(store->path, &now) == 0 && now.st_dev == store->was.st_dev && now.st_ino == store->was.st_ino &&
	    now.st_size == store->was.st_size && now.st_mtim.tv_sec == store->was.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == store->was.st_mtim.tv_nsec;
}

/* The new name shall outlive a crash; where that cannot be had, the change is done all the same. */
static void
sync_folder(const char *path)
{
	char *folder = mem_strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd != -1) {
		fsync(fd);
		close(fd);
	}
	mem_free(folder);
}

int
passwdstore_replace(struct passwdstore *store, const char *bytes, size_t len, char **why)
{
	const char *name = strrchr(store->path, '/') + 1, *step;
	struct draft draft = {
		.path = mem_printf("%.*s.%s.postern-passwd", (int)(name - store->path), store->path, name), .fd = -1,
	};

	*why = NULL;
	if ((step = fill(store, &draft, bytes, len)) != NULL)
		*why = failed(step, draft.path);
	else if (!is_unchanged(store))
		*why = mem_printf("\"%s\" was changed by somebody else meanwhile", store->path);
	else if (rename(draft.path, store->path) == -1)
		*why = failed("cannot replace", store->path);
	if (*why != NULL && draft.fd != -1)
		unlink(draft.path);
	if (draft.fd != -1)
		close(draft.fd);
	mem_free(draft.path);
	if (*why != NULL)
		return -1;
	store->is_ours = false;
	sync_folder(store->path);
	return 0;
}

void
passwdstore_close(struct passwdstore *store)
{
	if (store->is_ours && store->path != NULL && is_unchanged(store))
		unlink(store->path);
	drop(store);
}
