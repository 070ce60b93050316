#include "worker/helper/filetext.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

static bool
is_fixed(int fd)
{
	const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals != -1 && (seals & wanted) == wanted;
}

static int
map(struct filetext *text, int fd, size_t size)
{
	void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (bytes == MAP_FAILED)
		return -1;
	madvise(bytes, size, MADV_DONTDUMP);
	*text = (struct filetext){ .bytes = bytes, .len = size, .is_mapped = true };
	return 0;
}

/* What has grown meanwhile is left out, what has gone is not missed: either file is read again. */
static int
copy(struct filetext *text, int fd, size_t size)
{
	*text = (struct filetext){ .bytes = mem_alloc(size) };
	while (text->len < size) {
		ssize_t got = pread(fd, text->bytes + text->len, size - text->len, (off_t)text->len);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			filetext_reset(text);
			return -1;
		}
		if (got == 0)
			break;
		text->len += (size_t)got;
	}
	return 0;
}

int
filetext_read(struct filetext *text, int fd, size_t max)
{
	struct stat st;

	*text = (struct filetext){ .bytes = NULL };
	if (fstat(fd, &st) == -1)
		return -1;
	if (st.st_size < 0 || (size_t)st.st_size > max) {
		errno = EFBIG;
		return -1;
	}
	if (st.st_size > 0 && is_fixed(fd))
		return map(text, fd, (size_t)st.st_size);
	return copy(text, fd, (size_t)st.st_size);
}

void
filetext_reset(struct filetext *text)
{
	int error = errno;

	if (text->is_mapped) {
		munmap(text->bytes, text->len);
	} else if (text->bytes != NULL) {
		mem_wipe(text->bytes, text->len);
		mem_free(text->bytes);
	}
	*text = (struct filetext){ .bytes = NULL };
	errno = error;
}
