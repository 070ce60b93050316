#include "master/conf_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/mem.h"
#include "master/conf_say.h"

#define SECRET_MAX 4096

static int
judge(const struct conf_place *place, const char *path, const struct stat *st, bool secret)
{
	if (!S_ISREG(st->st_mode)) {
		conf_say(LOG_EMERG, place, "\"%s\" is not a file", path);
		return -1;
	}
	if (secret && (st->st_mode & S_IROTH) != 0)
		conf_say(LOG_WARN, place, "\"%s\" holds secrets and everybody may read it", path);
	return 0;
}

static int
failed(const struct conf_place *place, const char *step, const char *path)
{
	conf_say(LOG_EMERG, place, "%s() \"%s\" failed %s", step, path, log_errno(errno));
	return -1;
}

int
conf_secret_check(const struct conf_place *place, const char *path, bool secret)
{
	struct stat st;

	return stat(path, &st) == -1 ? failed(place, "stat", path) : judge(place, path, &st, secret);
}

/* What is wrong with a secret of `len` bytes, the first line of a file; NULL: nothing. */
static const char *
judge_line(const char *line, size_t len)
{
	if (len == 0)
		return "no secret in the first line of";
	if (len > SECRET_MAX)
		return "too long first line in";
	if (memchr(line, '\r', len) != NULL || memchr(line, '\0', len) != NULL)
		return "CR or NUL in the first line of";
	return NULL;
}

/* As conf_secret_read(), of a file that is open; `room` holds SECRET_MAX + 1 bytes. */
static const char *
read_open(struct arena *arena, const struct conf_place *place, const char *path, int fd, char *room)
{
	struct stat st;
	const char *end, *why;
	ssize_t got = 1;
	size_t len = 0;

	if (fstat(fd, &st) == -1) {
		failed(place, "fstat", path);
		return NULL;
	}
	if (judge(place, path, &st, true) == -1)
		return NULL;
	for (; len < SECRET_MAX + 1 && got > 0; len += (size_t)got) {
		if ((got = read(fd, room + len, SECRET_MAX + 1 - len)) == -1) {
			failed(place, "read", path);
			return NULL;
		}
	}
	if ((end = memchr(room, '\n', len)) != NULL)
		len = (size_t)(end - room);
	if ((why = judge_line(room, len)) == NULL)
		return arena_printf(arena, "%.*s", (int)len, room);
	conf_say(LOG_EMERG, place, "%s \"%s\"", why, path);
	return NULL;
}

const char *
conf_secret_read(struct arena *arena, const struct conf_place *place, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char room[SECRET_MAX + 1];
	const char *secret;

	if (fd == -1) {
		failed(place, "open", path);
		return NULL;
	}
	secret = read_open(arena, place, path, fd, room);
	mem_wipe(room, sizeof(room));
	close(fd);
	return secret;
}
