#include "master/conf_build.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "master/conf_say.h"

const char *
conf_build_path(struct conf_build *b, const char *folder, const char *path)
{
	return path[0] == '/' ? arena_strdup(b->arena, path) : arena_printf(b->arena, "%s/%s", folder, path);
}

const char *
conf_build_folder(struct conf_build *b, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path)
		return "/";
	return arena_printf(b->arena, "%.*s", (int)(slash - path), path);
}

/* A literal address, or a path, is found without asking anybody. */
static void
find_literal(struct conf_build *b, struct conf_name *name, const char *host, bool is_unix)
{
	struct endpoint at = { .addr.family = AF_UNIX };

	if (is_unix)
		at.path = arena_strdup(b->arena, host);
	else if (addr_parse(&at.addr, host, strlen(host)) == -1)
		return;
	else
		at.addr.port = (uint16_t)name->port;
	name->host = NULL;
	name->found = arena_dup(b->arena, &at, sizeof(at));
	name->found_count = 1;
}

struct conf_name *
conf_build_name(struct conf_build *b, const char *directive, const char *shown, const char *text, unsigned default_port)
{
	struct conf_name *name = arena_alloc(b->arena, sizeof(*name));
	char *host = NULL;
	const char *why;
	bool is_unix = false;

	*name = (struct conf_name){ .text = arena_strdup(b->arena, shown), .directive = directive, .place = b->place };
	if ((why = addr_split(text, default_port, &host, &name->port, &is_unix)) != NULL) {
		conf_say_name(name, why);
		return NULL;
	}
	name->host = arena_strdup(b->arena, host);
	find_literal(b, name, host, is_unix);
	mem_free(host);
	return name;
}

const struct draft_upstream *
conf_build_upstream(const struct conf_build *b, const char *name)
{
	for (struct draft_upstream **u = b->draft->upstreams; u != NULL && *u != NULL; u++)
		if (strcasecmp((*u)->name, name) == 0)
			return *u;
	return NULL;
}

struct conf_name *
conf_build_port(struct conf_build *b, struct conf_name *name, unsigned port)
{
	if (name->port != 0 || (name->host == NULL && name->found[0].addr.family == AF_UNIX))
		return name;
	name = arena_dup(b->arena, name, sizeof(*name));
	name->port = port;
	if (name->host == NULL) {
		name->found = arena_dup(b->arena, name->found, sizeof(*name->found));
		name->found[0].addr.port = (uint16_t)port;
	}
	return name;
}

void
conf_build_resolve(struct conf_build *b, struct conf_name *name)
{
	for (size_t i = 0; i < b->conf->name_count; i++)
		if (b->conf->names[i] == name)
			return;
	if (name->host == NULL)
		return;
	arena_append(b->arena, &b->conf->names, name);
	b->conf->name_count++;
}

unsigned
conf_build_file(struct conf_build *b, const char *path, bool fallback)
{
	struct conf *conf = b->conf;
	struct conf_file *file;

	for (unsigned i = 0; i < conf->file_count; i++) {
		if (strcmp(conf->files[i]->path, path) == 0) {
			conf->files[i]->fallback &= fallback;
			return i;
		}
	}
	file = arena_alloc(b->arena, sizeof(*file));
	*file = (struct conf_file){ .path = path, .fd = -1, .fallback = fallback };
	arena_append(b->arena, &conf->files, file);
	return (unsigned)conf->file_count++;
}
