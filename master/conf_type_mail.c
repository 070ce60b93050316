#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

static const char *
set_protocol(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	enum protocol protocol = protocol_by_name(argv[0]);

	(void)d, (void)argc;
	if (protocol == PROTOCOL_UNKNOWN) {
		conf_say(LOG_EMERG, &b->place, "unknown protocol \"%s\"", argv[0]);
		return CONF_SAID;
	}
	*(enum protocol *)field = protocol;
	return NULL;
}

static void
print_protocol(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print(p, d->name, protocol_name(*(const enum protocol *)field), NULL);
}

const struct conf_type type_protocol = { set_protocol, print_protocol, sizeof(enum protocol), true };

/* Nobody said: the machine's name. */
static const char *
host_name(char room[256])
{
	memset(room, 0, 256);
	if (gethostname(room, 255) == -1 || room[0] == '\0')
		strcpy(room, "localhost");
	return room;
}

/* A name is sent to peers as it is; "*." and the rest stands for the names that end so. */
static const char *
judge_name(struct conf_build *b, const char *name)
{
	const char *rest = strncmp(name, "*.", 2) == 0 ? name + 2 : name;

	for (const char *c = name; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return "value holds a control character";
	if (strpbrk(rest, "* ") == NULL && rest[0] != '.' && rest[0] != '~' && rest[0] != '\0')
		return NULL;
	conf_say(LOG_EMERG, &b->place, "invalid server name or wildcard \"%s\"", name);
	return CONF_SAID;
}

static const char *
set_server_names(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	static const char *const nobody[] = { "" };
	char room[256];

	(void)d;
	if (argc == 0)
		argv = nobody;
	for (size_t i = 0; i < argc + (argc == 0); i++) {
		char *name = arena_strdup(b->arena, argv[i][0] != '\0' ? argv[i] : host_name(room));
		const char *why = judge_name(b, name);

		if (why != NULL)
			return why;
		for (char *c = name; *c != '\0'; c++)
			*c = (char)tolower((unsigned char)*c);
		arena_append(b->arena, field, name);
	}
	return NULL;
}

static void
print_server_names(const struct conf_printer *p, const struct directive *d, const void *field)
{
	type_words.print(p, d, field);
}

const struct conf_type type_server_names = { set_server_names, print_server_names, sizeof(const char **), false };

static bool
is_header_text(const char *text)
{
	for (; *text != '\0'; text++)
		if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
			return false;
	return true;
}

static const char *
set_header(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct conf_header *header = arena_alloc(b->arena, sizeof(*header));

	(void)d, (void)argc;
	if (!is_header_text(argv[0]) || !is_header_text(argv[1]))
		return "value holds a control character";
	header->name = arena_strdup(b->arena, argv[0]);
	header->value = arena_strdup(b->arena, argv[1]);
	arena_append(b->arena, field, header);
	return NULL;
}

static void
print_header(const struct conf_printer *p, const struct directive *d, const void *field)
{
	for (struct conf_header **h = *(struct conf_header **const *)field; h != NULL && *h != NULL; h++)
		conf_print(p, d->name, (*h)->name, (*h)->value, NULL);
}

const struct conf_type type_header = { set_header, print_header, sizeof(struct conf_header **), true };

/* Without a port it is the protocol's, which conf_merge knows. */
static const char *
set_proxy_pass(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct conf_name **name = field;

	(void)argc;
	*name = conf_build_name(b, d->name, argv[0], argv[0], 0);
	return *name == NULL ? CONF_SAID : NULL;
}

static void
print_proxy_pass(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct conf_name *name = *(struct conf_name *const *)field;

	if (name != NULL)
		conf_print(p, d->name, name->text, NULL);
}

const struct conf_type type_proxy_pass = { set_proxy_pass, print_proxy_pass, sizeof(struct conf_name *), false };

/* The password is read when it is known that a server wants it. */
static const char *
set_master(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct draft_master *master = arena_alloc(b->arena, sizeof(*master));

	(void)d;
	if (argv[0][0] == '\0' || argv[1][0] == '\0')
		return "value must not be empty";
	if (conf_breaks_lines(argv[0]))
		return "value holds a control character";
	if (argc > 2 && strcmp(argv[2], "always") != 0) {
		conf_say(LOG_EMERG, &b->place, "invalid parameter \"%s\"", argv[2]);
		return CONF_SAID;
	}
	master->user = arena_strdup(b->arena, argv[0]);
	master->path = conf_build_path(b, b->folder, argv[1]);
	master->always = argc > 2;
	master->place = b->place;
	*(struct draft_master **)field = master;
	return NULL;
}

static void
print_master(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct draft_master *master = *(struct draft_master *const *)field;

	if (master != NULL)
		conf_print(p, d->name, master->user, master->path, master->always ? "always" : NULL, NULL);
}

const struct conf_type type_master = { set_master, print_master, sizeof(struct draft_master *), false };

/* nginx takes this flag and never looks at it. */
static const char *
set_proxy(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	bool on = true;
	const char *why = type_flag.set(b, d, &on, argc, argv);

	(void)field;
	if (why == NULL && !on)
		conf_say(LOG_WARN, &b->place, "\"%s off\" does nothing", d->name);
	return why;
}

static void
print_no_proxy(const struct conf_printer *p, const struct directive *d, const void *field)
{
	(void)p, (void)d, (void)field;
}

const struct conf_type type_proxy = { set_proxy, print_no_proxy, 0, false };
