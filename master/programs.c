#include "master/programs.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/list.h"
#include "common/mem.h"

struct program {
	struct list node;
	char *path;     /* owned */
	int fd;         /* owned */
};

struct programs {
	struct list proven;     /* of struct program */
};

struct programs *
programs_new(void)
{
	struct programs *programs = mem_alloc(sizeof(*programs));

	list_init(&programs->proven);
	return programs;
}

static const struct program *
find(const struct programs *programs, const char *path)
{
	LIST_EACH(node, &programs->proven) {
		const struct program *program = LIST_ENTRY(node, struct program, node);

		if (strcmp(program->path, path) == 0)
			return program;
	}
	return NULL;
}

int
programs_open(const struct programs *programs, const char *path)
{
	const struct program *program = find(programs, path);

	return program == NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : fcntl(program->fd, F_DUPFD_CLOEXEC, 0);
}

void
programs_prove(struct programs *programs, const char *path, int fd)
{
	int copy = find(programs, path) == NULL ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	struct program *program;

	/* Without a descriptor for it the next reload opens the file anew: then its version decides. */
	if (copy == -1)
		return;
	program = mem_alloc(sizeof(*program));
	program->path = mem_strdup(path);
	program->fd = copy;
	list_add(&programs->proven, &program->node);
}

void
programs_free(struct programs **programsp)
{
	if (*programsp == NULL)
		return;
	LIST_EACH(node, &(*programsp)->proven) {
		struct program *program = LIST_ENTRY(node, struct program, node);

		list_remove(&program->node);
		close(program->fd);
		mem_free(program->path);
		mem_free(program);
	}
	mem_free(*programsp);
	*programsp = NULL;
}
