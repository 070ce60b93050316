/*
 * postern-auth-file - the helper of auth_file: a password file in memory
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "worker/helper/helper.h"
#include "worker/helper/passwdfile.h"
#include "worker/helper/secret.h"

/* The whole file as it is now; if it grows meanwhile, it will be fed again. NULL with errno. */
static char *
read_file(int fd, size_t *len)
{
	struct stat st;
	size_t size;
	char *text;

	if (fstat(fd, &st) == -1)
		return NULL;
	size = (size_t)st.st_size;
	if (st.st_size < 0 || size > PASSWDFILE_MAX) {
		errno = EFBIG;
		return NULL;
	}
	text = mem_alloc(size);
	for (*len = 0; *len < size;) {
		ssize_t got = pread(fd, text + *len, size - *len, (off_t)*len);

		if (got == -1) {
			mem_wipe(text, *len);
			mem_free(text);
			return NULL;
		}
		if (got == 0)
			break;
		*len += (size_t)got;
	}
	return text;
}

static void *
load(const struct helper_source *source, char **why)
{
	const char *label = source->label;
	struct passwdfile *table;
	const char *wrong;
	unsigned line;
	size_t len;
	char *text = read_file(source->fd, &len);

	if (text == NULL) {
		*why = mem_printf("read() \"%s\" failed %s", label, log_errno(errno));
		return NULL;
	}
	if ((wrong = passwdfile_new(&table, text, len, &line)) != NULL) {
		*why = mem_printf("%s in %s:%u", wrong, label, line);
		return NULL;
	}
	log_say(LOG_INFO, "auth_file \"%s\" read, %zu users", label, passwdfile_count(table));
	return table;
}

static void
unload(void **loadedp)
{
	struct passwdfile *table = *loadedp;

	passwdfile_free(&table);
	*loadedp = NULL;
}

static void
answer(void *loaded, const struct helper_request *request, struct helper_reply *reply)
{
	passwdfile_answer(loaded, request, reply);
}

static const struct helper_kind auth_file = {
	.name = "auth_file", .program = "postern-auth-file",
	.wants_file = true, .sandbox = SANDBOX_CLOSED,
	.prepare = secret_prepare, .load = load, .unload = unload, .answer = answer,
};

int
main(int argc, char **argv)
{
	helper_run(argc, argv, &auth_file);
}
