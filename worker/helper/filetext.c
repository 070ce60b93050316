#include "worker/helper/filetext.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/memfd.h"

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
	const void *view;
	struct stat st;

	*text = (struct filetext){ .bytes = NULL };
	if (fstat(fd, &st) == -1)
		return -1;
	if (st.st_size < 0 || (size_t)st.st_size > max) {
		errno = EFBIG;
		return -1;
	}
	if ((view = memfd_view(fd, &text->len)) != NULL) {
		text->bytes = (char *)(uintptr_t)view;
		text->is_mapped = true;
		return 0;
	}
	return copy(text, fd, (size_t)st.st_size);
}

void
filetext_reset(struct filetext *text)
{
	int error = errno;

	if (text->is_mapped) {
		memfd_leave(text->bytes, text->len);
	} else if (text->bytes != NULL) {
		mem_wipe(text->bytes, text->len);
		mem_free(text->bytes);
	}
	*text = (struct filetext){ .bytes = NULL };
	errno = error;
}
