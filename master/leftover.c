#include "master/leftover.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

struct leftover {
	char *path;             /* owned */
	struct stat st;         /* of the file when it was noted */
};

static bool is_shared;
static struct leftover *noted;  /* owned array */
static size_t noted_count;

static void
note(const char *path)
{
	struct leftover leftover;

	if (lstat(path, &leftover.st) == -1)
		return;
	leftover.path = mem_strdup(path);
	noted = mem_resize(noted, (noted_count + 1) * sizeof(*noted));
	noted[noted_count++] = leftover;
}

static void
remove_now(const char *path)
{
	if (unlink(path) == -1 && errno != ENOENT)
		log_say(LOG_EMERG, "unlink() \"%s\" failed %s", path, log_errno(errno));
}

/* An inode's number alone may have a new owner by now; changing mode or owner leaves the time. */
static bool
is_still(const struct leftover *leftover)
{
	const struct stat *then = &leftover->st;
	struct stat now;

	return lstat(leftover->path, &now) == 0 && now.st_dev == then->st_dev && now.st_ino == then->st_ino &&
	    now.st_mtim.tv_sec == then->st_mtim.tv_sec && now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;
}

void
leftover_remove(const char *path)
{
	if (is_shared)
		note(path);
	else
		remove_now(path);
}

void
leftover_share(bool shared)
{
	is_shared = shared;
	if (shared)
		return;
	for (size_t i = 0; i < noted_count; i++)
		if (is_still(&noted[i]))
			remove_now(noted[i].path);
	leftover_forget();
}

void
leftover_forget(void)
{
	for (size_t i = 0; i < noted_count; i++)
		mem_free(noted[i].path);
	mem_free(noted);
	noted = NULL;
	noted_count = 0;
}
