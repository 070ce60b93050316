#include "master/conf_load.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/conf_build.h"
#include "master/conf_merge.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_translate.h"
#include "master/conf_type.h"

#define FILE_MAX ((off_t)16 * 1024 * 1024)

/* libconfuse hands its callbacks no context. Nobody loads two configurations at once. */
static struct conf_build build;

/* Blocks while the file is read: configuration files are regular ones. */
static int
read_all(int fd, char *text, size_t size, size_t *len)
{
	ssize_t got = 1;

	for (*len = 0; *len < size && got > 0; *len += (size_t)got)
		if ((got = read(fd, text + *len, size - *len)) == -1)
			return errno;
	return 0;
}

static void
keep_text(const char *path, const char *bytes, size_t len)
{
	struct conf_text **texts = build.conf->texts, *text;

	for (; texts != NULL && *texts != NULL; texts++)
		if (strcmp((*texts)->path, path) == 0)
			return;
	text = arena_alloc(build.arena, sizeof(*text));
	*text = (struct conf_text){ arena_strdup(build.arena, path), arena_dup(build.arena, bytes, len), len };
	arena_append(build.arena, &build.conf->texts, text);
}

static int
read_open(int fd, char **text, size_t *len, const char **step)
{
	struct stat st;
	int error;

	*step = "fstat";
	if (fstat(fd, &st) == -1)
		return errno;
	*step = "read";
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (!S_ISREG(st.st_mode))
		return EINVAL;
	if (st.st_size > FILE_MAX)
		return EFBIG;
	*text = mem_alloc((size_t)st.st_size + 1);
	error = read_all(fd, *text, (size_t)st.st_size, len);
	if (error != 0)
		mem_free_secret(text);
	return error;
}

/* Nonblocking, so that nobody waits for the other end of a fifo. */
static int
read_file(void *ctx, const char *path, char **text, size_t *len, const char **step)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error;

	(void)ctx;
	*step = "open";
	if (fd == -1)
		return errno;
	error = read_open(fd, text, len, step);
	close(fd);
	if (error == 0 && build.request->keep_texts)
		keep_text(path, *text, *len);
	return error;
}

static char **
match_files(void *ctx, const char *pattern)
{
	glob_t found;
	char **paths = NULL;
	int result = glob(pattern, 0, NULL, &found);

	(void)ctx;
	if (result == 0 || result == GLOB_NOMATCH) {
		size_t count = result == 0 ? found.gl_pathc : 0;

		paths = mem_array(count + 1, sizeof(*paths));
		for (size_t i = 0; i < count; i++)
			paths[i] = mem_strdup(found.gl_pathv[i]);
	} else {
		errno = result == GLOB_NOSPACE ? ENOMEM : EIO;
	}
	globfree(&found);
	return paths;
}

/* Says that something is wrong with a directive, and makes libconfuse stop. */
static int
fail(const struct directive *d, const char *why)
{
	if (why != CONF_SAID)
		conf_say(LOG_EMERG, &build.place, "\"%s\" directive %s", d->name, why);
	return -1;
}

/* The names of sections are those of blocks; the outermost is libconfuse's "root". */
static unsigned
block_called(const char *name)
{
	for (const struct directive *d = directives; d->name != NULL; d++)
		if (d->opens != 0 && strcmp(d->name, name) == 0)
			return d->opens;
	return IN_MAIN;
}

static struct draft_upstream *
newest_upstream(void)
{
	struct draft_upstream **u = build.draft->upstreams;

	while (u[1] != NULL)
		u++;
	return *u;
}

/* What directives of a block set: values of mail{} and of the newest server{} have structs of their own. */
static void
enter(unsigned block)
{
	struct conf *conf = build.conf;
	struct conf_draft *draft = build.draft;

	build.block = block;
	if (block == IN_SERVER) {
		build.target = conf->servers[conf->server_count - 1];
		build.seen = draft->server_seen[conf->server_count - 1];
	} else if (block == IN_UPSTREAM) {
		build.target = newest_upstream();
		build.seen = newest_upstream()->seen;
	} else {
		build.target = block == IN_MAIL ? (void *)draft->mail : conf;
		build.seen = block == IN_MAIL ? draft->mail_seen : draft->main_seen;
	}
}

static int
on_directive(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	const struct directive *d;
	const char *why = NULL;
	size_t index;

	build.place.line = (unsigned)cfg->line;
	enter(block_called(cfg->name));
	d = conf_table_find(opt->name, build.block);
	index = conf_table_index(d);
	if (build.seen[index].line != 0 && !d->type->repeats)
		why = "is duplicate";
	else
		why = d->type->set(&build, d, (char *)build.target + d->offset, (size_t)argc, argv);
	build.seen[index] = build.place;
	return why == NULL ? 0 : fail(d, why);
}

static void
add_server(void)
{
	struct conf *conf = build.conf;
	struct draft_server *draft = arena_alloc(build.arena, sizeof(*draft));
	struct server *server = &draft->server;
	struct conf_place *seen = arena_alloc(build.arena, conf_table_count() * sizeof(*seen));

	server->place = build.place;
	server->index = (unsigned)conf->server_count++;
	server->protocol = PROTOCOL_UNKNOWN;
	arena_append(build.arena, &conf->servers, server);
	arena_append(build.arena, &build.draft->server_seen, seen);
}

/* Its name is the host of URLs and of a header, so it has to look like one. */
static int
add_upstream(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
	struct draft_upstream *upstream = arena_alloc(build.arena, sizeof(*upstream));

	if (name[0] == '\0' || name[strspn(name, allowed)] != '\0') {
		conf_say(LOG_EMERG, &build.place, "invalid upstream name \"%s\"", name);
		return -1;
	}
	if (conf_build_upstream(&build, name) != NULL) {
		conf_say(LOG_EMERG, &build.place, "duplicate upstream \"%s\"", name);
		return -1;
	}
	upstream->name = arena_strdup(build.arena, name);
	upstream->place = build.place;
	upstream->seen = arena_alloc(build.arena, conf_table_count() * sizeof(*upstream->seen));
	arena_append(build.arena, &build.draft->upstreams, upstream);
	return 0;
}

static int
begin_block(const char *name, const char *word)
{
	unsigned block = block_called(name);
	bool *once = block == IN_MAIL ? &build.draft->has_mail : &build.draft->has_events;

	if (block == IN_SERVER) {
		add_server();
		return 0;
	}
	if (block == IN_UPSTREAM)
		return add_upstream(word);
	if (*once)
		return fail(conf_table_find(name, IN_MAIN), "is duplicate");
	*once = true;
	return 0;
}

static int
end_upstream(void)
{
	const struct draft_upstream *upstream = newest_upstream();

	for (struct draft_peer **p = upstream->peers; p != NULL && *p != NULL; p++)
		if (!(*p)->web.backup)
			return 0;
	conf_say(LOG_EMERG, &upstream->place, "no servers are inside upstream");
	return -1;
}

static int
end_server(void)
{
	const struct server *server = build.conf->servers[build.conf->server_count - 1];

	for (struct draft_listen **l = build.draft->listens; l != NULL && *l != NULL; l++)
		if ((*l)->server == server)
			return 0;
	conf_say(LOG_EMERG, &server->place, "no \"listen\" is defined for server");
	return -1;
}

static int
end_block(const char *name)
{
	unsigned block = block_called(name);

	return block == IN_SERVER ? end_server() : block == IN_UPSTREAM ? end_upstream() : 0;
}

/* The marks of conf_translate. */
static int
on_mark(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	if (strcmp(opt->name, "line") == 0) {
		MUST(argc == 2);
		cfg->line = atoi(argv[1]);
		build.place.file = argv[0][0] == '\0' ? NULL : arena_strdup(build.arena, argv[0]);
		return 0;
	}
	build.place.line = (unsigned)cfg->line;
	if (strcmp(opt->name, "block") == 0)
		return begin_block(cfg->name, argc > 0 ? argv[0] : NULL);
	if (strcmp(opt->name, "end") == 0)
		return end_block(cfg->name);
	MUST(argc == 1);
	conf_say(LOG_EMERG, &build.place, "%s", argv[0]);
	return -1;
}

/* libconfuse finds nothing wrong with what conf_translate wrote; if it should, it is said rather than lost. */
static void __attribute__((format(printf, 2, 0)))
on_confuse_error(cfg_t *cfg, const char *format, va_list args)
{
	char *text = mem_vprintf(format, args);

	(void)cfg;
	conf_say(LOG_EMERG, &build.place, "%s", text);
	mem_free(text);
}

static int
parse(const char *text)
{
	cfg_opt_t *options = conf_table_options(IN_MAIN, on_directive, on_mark);
	cfg_t *cfg = cfg_init(options, CFGF_NONE);
	int result;

	if (cfg == NULL)
		must_die("out of memory");
	cfg_set_error_function(cfg, on_confuse_error);
	result = cfg_parse_buf(cfg, text);
	cfg_free(cfg);
	conf_table_free_options(&options);
	return result == CFG_SUCCESS ? 0 : -1;
}

static int
read_text(void)
{
	const struct translate_reader reader = { read_file, match_files, NULL };
	const struct translate_request request = {
		.path = build.conf->path, .folder = build.folder,
		.directives = build.request->directives, .reader = &reader,
	};
	struct buf text;
	int result;

	conf_translate(&text, &request);
	result = parse(buf_head(&text));
	buf_reset(&text);
	return result;
}

static void
begin(const struct conf_request *request)
{
	struct arena *arena = arena_new();
	struct conf *conf = arena_alloc(arena, sizeof(*conf));
	struct conf_draft *draft = arena_alloc(arena, sizeof(*draft));

	build = (struct conf_build){ .conf = conf, .arena = arena, .draft = draft, .request = request };
	conf->arena = arena;
	conf->draft = draft;
	conf->generation = request->generation;
	conf->log = arena_alloc(arena, sizeof(*conf->log));
	conf->path = arena_strdup(arena, request->path);
	build.folder = conf_build_folder(&build, conf->path);
	draft->mail = arena_alloc(arena, sizeof(*draft->mail));
	draft->main_seen = arena_alloc(arena, conf_table_count() * sizeof(*draft->main_seen));
	draft->mail_seen = arena_alloc(arena, conf_table_count() * sizeof(*draft->mail_seen));
}

struct conf *
conf_load(const struct conf_request *request)
{
	struct conf *conf;

	begin(request);
	conf = build.conf;
	if (read_text() == -1 || conf_merge(&build) == -1)
		conf_free(&conf);
	build = (struct conf_build){ 0 };
	return conf;
}
