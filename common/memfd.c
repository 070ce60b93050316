#include "common/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE     /* Linux 5.1 */
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define FROZEN (SEALS | F_SEAL_WRITE)
#define FIXED (F_SEAL_WRITE | F_SEAL_SHRINK)    /* what makes it safe to map; no seal is ever taken off */

int
memfd_new(const char *name, size_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return -1;
	if (ftruncate(fd, (off_t)bytes) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;

	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void *
map(int fd, size_t bytes, int protection, int sharing)
{
	void *at = mmap(NULL, bytes, protection, sharing, fd, 0);

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, bytes, MADV_DONTDUMP);
	return at;
}

void *
memfd_map(int fd, size_t bytes)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals == -1 || fstat(fd, &st) == -1)
		return NULL;
	if ((seals & SEALS) != SEALS || st.st_size != (off_t)bytes) {
		errno = EINVAL;
		return NULL;
	}
	return map(fd, bytes, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static const void *
view_behind(int fd, size_t bytes, void **writable)
{
	const void *view;

	if (ftruncate(fd, (off_t)bytes) == -1 ||
	    (*writable = map(fd, bytes, PROT_READ | PROT_WRITE, MAP_SHARED)) == NULL)
		return NULL;
	if ((fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_FUTURE_WRITE) == 0 || fcntl(fd, F_ADD_SEALS, SEALS) == 0) &&
	    (view = map(fd, bytes, PROT_READ, MAP_SHARED)) != NULL)
		return view;
	munmap(*writable, bytes);
	return NULL;
}

const void *
memfd_views(const char *name, size_t bytes, void **writable)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), error;
	const void *view;

	if (fd == -1)
		return NULL;
	view = view_behind(fd, bytes, writable);
	error = errno;
	close(fd);
	errno = error;
	return view;
}

int
memfd_freeze(int fd)
{
	return fcntl(fd, F_ADD_SEALS, FROZEN);
}

const void *
memfd_view(int fd, size_t *bytes)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals == -1 || fstat(fd, &st) == -1)
		return NULL;
	if ((seals & FIXED) != FIXED) {
		errno = EINVAL;
		return NULL;
	}
	*bytes = (size_t)st.st_size;
	/* Private: before Linux 6.7 a shared view was refused, for it might have been made writable. */
	return *bytes == 0 ? "" : map(fd, *bytes, PROT_READ, MAP_PRIVATE);
}

void
memfd_leave(const void *view, size_t bytes)
{
	if (bytes > 0)
		munmap((void *)(uintptr_t)view, bytes);
}
