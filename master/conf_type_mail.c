#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define HTTP_PORT 80
#define HTTPS_PORT 443

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

/* Of several auth_http in a block the last one counts. */
static void
forget_http(struct conf_auth **chain)
{
	struct conf_auth **kept = chain;

	for (; chain != NULL && *chain != NULL; chain++)
		if ((*chain)->source->kind != SOURCE_HTTP)
			*kept++ = *chain;
	if (kept != NULL)
		*kept = NULL;
}

/* A new link at the end of the chain. */
static struct conf_source *
new_source(struct conf_build *b, void *field, enum source_kind kind)
{
	struct conf_auth *link = arena_alloc(b->arena, sizeof(*link));

	if (kind == SOURCE_HTTP)
		forget_http(*(struct conf_auth ***)field);
	link->source = arena_alloc(b->arena, sizeof(*link->source));
	*link->source = (struct conf_source){ .kind = kind, .place = b->place, .mailbox = -1 };
	arena_append(b->arena, field, link);
	return link->source;
}

/* Blanks and control characters would break the request line. */
static bool
is_uri(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

/* "host:port" in front of `/uri` or `?args`, or "unix:PATH" in front of `:/uri`. Its length. */
static size_t
address_len(const char *url)
{
	if (strncmp(url, "unix:", 5) == 0)
		return 5 + strcspn(url + 5, ":");
	return strcspn(url, "/?");
}

/* What the Host header says: the host as written, without the port. */
static const char *
host_header(struct conf_build *b, const char *address)
{
	const char *end = address[0] == '[' ? strchr(address, ']') : NULL;

	if (strncmp(address, "unix:", 5) == 0)
		return "localhost";
	return arena_printf(b->arena, "%.*s", (int)(end != NULL ? (size_t)(end + 1 - address) : strcspn(address, ":")),
	    address);
}

/* Reads what stands behind the scheme. */
static const char *
read_url(struct conf_build *b, const struct directive *d, struct conf_source *source, const char *url)
{
	const char *uri = url + address_len(url);
	const char *address = arena_printf(b->arena, "%.*s", (int)(uri - url), url);
	struct conf_web *web = arena_alloc(b->arena, sizeof(*web));

	web->name = conf_build_name(b, d->name, url, address, source->https ? HTTPS_PORT : HTTP_PORT);
	if (web->name == NULL)
		return CONF_SAID;
	conf_build_resolve(b, web->name);
	uri += strncmp(url, "unix:", 5) == 0 && *uri == ':';
	web->uri = arena_printf(b->arena, "%s%s", *uri == '/' ? "" : "/", uri);
	web->host = host_header(b, address);
	web->label = source->label = arena_printf(b->arena, "%s%s", source->https ? "https://" : "", url);
	arena_append(b->arena, &source->servers, web);
	source->key = arena_printf(b->arena, "http%s %s %s", source->https ? "s" : "", address, web->uri);
	return NULL;
}

static const char *
set_auth_http(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const char *url = argv[0];
	bool https = strncmp(url, "https://", 8) == 0;
	struct conf_source *source = new_source(b, field, SOURCE_HTTP);

	(void)argc;
	if (https || strncmp(url, "http://", 7) == 0)
		url = strstr(url, "//") + 2;
	if (https && strncmp(url, "unix:", 5) == 0)
		return "knows no \"https://\" on UNIX sockets";
	if (!is_uri(url))
		return "value holds a blank or a control character";
	source->https = https;
	return read_url(b, d, source, url);
}

static void
print_source(const struct conf_printer *p, const struct directive *d, const void *field, enum source_kind kind)
{
	for (struct conf_auth **link = *(struct conf_auth **const *)field; link != NULL && *link != NULL; link++)
		if ((*link)->source->kind == kind)
			conf_print(p, d->name, (*link)->source->label, NULL);
}

static void
print_auth_http(const struct conf_printer *p, const struct directive *d, const void *field)
{
	print_source(p, d, field, SOURCE_HTTP);
}

const struct conf_type type_auth_http = { set_auth_http, print_auth_http, sizeof(struct conf_auth **), true };

static const char *
set_auth_file(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct conf_source *source = new_source(b, field, SOURCE_FILE);

	(void)d, (void)argc;
	if (argv[0][0] == '\0')
		return "value must not be empty";
	source->path = conf_build_path(b, b->folder, argv[0]);
	source->label = source->path;
	return NULL;
}

static void
print_auth_file(const struct conf_printer *p, const struct directive *d, const void *field)
{
	print_source(p, d, field, SOURCE_FILE);
}

const struct conf_type type_auth_file = { set_auth_file, print_auth_file, sizeof(struct conf_auth **), true };

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
