#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define DEFAULT_BACKLOG 511
#define DEFAULT_MODE 0666
#define PORT_MAX 65535
#define SECONDS_MAX 32767       /* what Linux takes for TCP_KEEPIDLE and TCP_KEEPINTVL */
#define PROBES_MAX 127          /* and for TCP_KEEPCNT */
#define SIZE_MAX_INT ((uint64_t)1 << 30)

/* A parameter of `listen`: reads `value`; false when it is no good. */
struct parameter {
	const char *name;               /* with its "=", if it has a value */
	bool (*set)(struct draft_listen *l, const char *value);
	bool implies_bind;
	enum { ANYWHERE, NETWORK, UNIX } where;
	const char *wrong;              /* what to say when it is */
};

static bool
set_bind(struct draft_listen *l, const char *value)
{
	(void)l, (void)value;
	return true;
}

static bool
set_ssl(struct draft_listen *l, const char *value)
{
	(void)value;
	l->ssl = true;
	return true;
}

static bool
set_proxy_protocol(struct draft_listen *l, const char *value)
{
	(void)value;
	l->proxy_protocol = true;
	return true;
}

static bool
set_backlog(struct draft_listen *l, const char *value)
{
	unsigned backlog;

	if (num_parse(value, INT32_MAX, &backlog) == -1 || backlog == 0)
		return false;
	l->options.backlog = (int)backlog;
	return true;
}

static bool
read_buffer(const char *value, int *bytes)
{
	uint64_t size;

	if (num_parse_size(value, SIZE_MAX_INT, &size) == -1)
		return false;
	*bytes = (int)size;
	return true;
}

static bool
set_rcvbuf(struct draft_listen *l, const char *value)
{
	return read_buffer(value, &l->options.rcvbuf);
}

static bool
set_sndbuf(struct draft_listen *l, const char *value)
{
	return read_buffer(value, &l->options.sndbuf);
}

static bool
set_ipv6only(struct draft_listen *l, const char *value)
{
	l->options.ipv6only = strcmp(value, "on") == 0;
	return l->options.ipv6only || strcmp(value, "off") == 0;
}

static bool
set_multipath(struct draft_listen *l, const char *value)
{
	(void)value;
	l->options.multipath = true;
	return true;
}

/* One field of IDLE:INTERVAL:COUNT; an empty one leaves the system's. */
static bool
read_keepalive_field(const char *text, size_t len, bool is_time, int *out)
{
	char *field = mem_strndup(text, len);
	uint64_t value = 0;
	bool good = len == 0 ||
	    (is_time ? num_parse_time(field, false, SECONDS_MAX, &value) == 0 :
	    num_parse_len(field, len, PROBES_MAX, &value) == 0);

	mem_free(field);
	*out = (int)value;
	return good;
}

static bool
set_keepalive_fields(struct sock_options *o, const char *value)
{
	int *fields[] = { &o->keepalive_idle_s, &o->keepalive_interval_s, &o->keepalive_count };

	for (size_t i = 0; i < 3; i++) {
		size_t len = i < 2 ? strcspn(value, ":") : strlen(value);

		if (!read_keepalive_field(value, len, i < 2, fields[i]))
			return false;
		value += len + (value[len] == ':');
	}
	return o->keepalive_idle_s != 0 || o->keepalive_interval_s != 0 || o->keepalive_count != 0;
}

static bool
set_keepalive(struct draft_listen *l, const char *value)
{
	l->options.keepalive = strcmp(value, "off") == 0 ? SOCK_KEEPALIVE_OFF : SOCK_KEEPALIVE_ON;
	return strcmp(value, "on") == 0 || strcmp(value, "off") == 0 || set_keepalive_fields(&l->options, value);
}

static bool
set_mode(struct draft_listen *l, const char *value)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	if (value[0] < '0' || value[0] > '7' || *end != '\0' || mode > 0777)
		return false;
	l->options.mode = (unsigned)mode;
	return true;
}

static bool
set_owner(struct draft_listen *l, const char *value)
{
	const struct passwd *account = getpwnam(value);
	unsigned uid;

	if (account != NULL)
		l->options.uid = (int)account->pw_uid;
	else if (num_parse(value, INT32_MAX, &uid) == 0)
		l->options.uid = (int)uid;
	else
		return false;
	return true;
}

static bool
set_group(struct draft_listen *l, const char *value)
{
	const struct group *group = getgrnam(value);
	unsigned gid;

	if (group != NULL)
		l->options.gid = (int)group->gr_gid;
	else if (num_parse(value, INT32_MAX, &gid) == 0)
		l->options.gid = (int)gid;
	else
		return false;
	return true;
}

static const struct parameter parameters[] = {
	{ "ssl", set_ssl, false, ANYWHERE, "invalid parameter" },
	{ "proxy_protocol", set_proxy_protocol, false, ANYWHERE, "invalid parameter" },
	{ "bind", set_bind, true, ANYWHERE, "invalid parameter" },
	{ "backlog=", set_backlog, true, ANYWHERE, "invalid backlog" },
	{ "rcvbuf=", set_rcvbuf, true, ANYWHERE, "invalid rcvbuf" },
	{ "sndbuf=", set_sndbuf, true, ANYWHERE, "invalid sndbuf" },
	{ "ipv6only=", set_ipv6only, true, ANYWHERE, "invalid parameter" },
	{ "so_keepalive=", set_keepalive, true, ANYWHERE, "invalid so_keepalive value:" },
	{ "multipath", set_multipath, true, NETWORK, "invalid parameter" },
	{ "mode=", set_mode, true, UNIX, "invalid mode" },
	{ "owner=", set_owner, true, UNIX, "invalid owner" },
	{ "group=", set_group, true, UNIX, "invalid group" },
};

static bool
is_unix(const struct draft_listen *l)
{
	return l->name->host == NULL && l->name->found[0].addr.family == AF_UNIX;
}

static const struct parameter *
parameter_of(const struct draft_listen *l, const char *text)
{
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		const struct parameter *p = &parameters[i];
		size_t len = strlen(p->name);

		if (p->where != ANYWHERE && is_unix(l) != (p->where == UNIX))
			continue;
		if (strncmp(text, p->name, len) == 0 && (p->name[len - 1] == '=' || text[len] == '\0'))
			return p;
	}
	return NULL;
}

static const char *
set_parameter(struct conf_build *b, struct draft_listen *l, const char *text)
{
	const struct parameter *p = parameter_of(l, text);

	if (p == NULL) {
		conf_say(LOG_EMERG, &b->place, "invalid parameter \"%s\"", text);
		return CONF_SAID;
	}
	if (!p->set(l, text + strlen(p->name))) {
		conf_say(LOG_EMERG, &b->place, "%s \"%s\"", p->wrong,
		    p->set == set_keepalive ? text + strlen(p->name) : text);
		return CONF_SAID;
	}
	l->own_socket |= p->implies_bind;
	return NULL;
}

/* "A" or "A-B". Leaves *last 0 for "A". NULL, or what is wrong. */
static const char *
read_ports(const char *text, unsigned *first, unsigned *last)
{
	size_t len = strcspn(text, "-");
	uint64_t from, to = 0;

	if (text[len] == '-' && (num_parse(text + len + 1, PORT_MAX, last) == -1 || *last == 0))
		return "invalid port";
	to = *last;
	if (num_parse_len(text, len, PORT_MAX, &from) == -1 || from == 0)
		return "invalid port";
	if (to != 0 && from > to)
		return "invalid port range";
	*first = (unsigned)from;
	return NULL;
}

/* Is it a port, or two, and no more? Then every address is meant. */
static bool
is_port_alone(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (digits > 0 && text[digits] == '-' && text[digits + 1] != '\0')
		digits += 1 + strspn(text + digits + 1, "0123456789");
	return digits > 0 && text[digits] == '\0';
}

/* Splits "HOST:PORTS" or "PORTS"; *host is fresh. NULL, or what is wrong in nginx's words. */
static const char *
split(struct arena *arena, const char *text, const char **host, unsigned *first, unsigned *last)
{
	const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;
	const char *colon = strchr(bracket != NULL ? bracket : text, ':');

	*host = "0.0.0.0";
	if (is_port_alone(text))
		return read_ports(text, first, last);
	if (strchr(text, '/') != NULL || (text[0] == '[' && (bracket == NULL || strchr(":", bracket[1]) == NULL)))
		return "invalid host";
	if (colon == NULL)
		return "no port";
	if (strncmp(text, "*:", 2) != 0)
		*host = arena_printf(arena, "%.*s", (int)(colon - text), text);
	return read_ports(colon + 1, first, last);
}

/* The address forms of listen: PORT, *:PORT, HOST:PORT, [v6]:PORT, unix:PATH, each PORT perhaps a range. */
static bool
read_address(struct conf_build *b, struct draft_listen *l, const char *text)
{
	struct conf_name unread = { .text = text, .directive = "listen", .place = b->place };
	const char *host = text, *why = NULL;
	unsigned port = 0;

	if (strncmp(text, "unix:", 5) != 0)
		why = split(b->arena, text, &host, &port, &l->last_port);
	if (why != NULL)
		conf_say_name(&unread, why);
	else
		l->name = conf_build_name(b, "listen", text, host, port);
	return l->name != NULL;
}

static const char *
set_listen(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct draft_listen *l = arena_alloc(b->arena, sizeof(*l));
	const char *why = NULL;

	(void)d, (void)field;
	l->server = b->target;
	l->options = (struct sock_options){ .backlog = DEFAULT_BACKLOG, .ipv6only = true,
	    .mode = DEFAULT_MODE, .uid = -1, .gid = -1 };
	if (!read_address(b, l, argv[0]))
		return CONF_SAID;
	if (l->last_port == 0)
		l->last_port = l->name->port;
	for (size_t i = 1; i < argc && why == NULL; i++)
		why = set_parameter(b, l, argv[i]);
	conf_build_resolve(b, l->name);
	arena_append(b->arena, &b->draft->listens, l);
	return why;
}

static const char *
keepalive_text(struct arena *arena, const struct sock_options *o)
{
	if (o->keepalive == SOCK_KEEPALIVE_OFF)
		return "so_keepalive=off";
	if (o->keepalive_idle_s == 0 && o->keepalive_interval_s == 0 && o->keepalive_count == 0)
		return "so_keepalive=on";
	return arena_printf(arena, "so_keepalive=%d:%d:%d",
	    o->keepalive_idle_s, o->keepalive_interval_s, o->keepalive_count);
}

/* The parameters of the socket that differ from the defaults; naming one with its default would imply `bind`. */
static const char **
add_options(const struct conf_listen *l, struct arena *arena, const char **words)
{
	const struct sock_options *o = &l->options;

	if (l->own_socket)
		arena_append(arena, &words, "bind");
	if (o->backlog != DEFAULT_BACKLOG)
		arena_append(arena, &words, arena_printf(arena, "backlog=%d", o->backlog));
	if (o->rcvbuf != 0)
		arena_append(arena, &words, arena_printf(arena, "rcvbuf=%d", o->rcvbuf));
	if (o->sndbuf != 0)
		arena_append(arena, &words, arena_printf(arena, "sndbuf=%d", o->sndbuf));
	if (!o->ipv6only)
		arena_append(arena, &words, "ipv6only=off");
	if (o->keepalive != SOCK_KEEPALIVE_SYSTEM)
		arena_append(arena, &words, keepalive_text(arena, o));
	if (o->multipath)
		arena_append(arena, &words, "multipath");
	if (l->at.path != NULL && o->mode != DEFAULT_MODE)
		arena_append(arena, &words, arena_printf(arena, "mode=%04o", o->mode));
	if (o->uid != -1)
		arena_append(arena, &words, arena_printf(arena, "owner=%d", o->uid));
	if (o->gid != -1)
		arena_append(arena, &words, arena_printf(arena, "group=%d", o->gid));
	return words;
}

/* Of the servers that share it, the first says what the socket is. */
static void
print_one(const struct conf_printer *p, const struct directive *d, const struct conf_listen *l, bool first)
{
	struct arena *arena = arena_new();
	const char **words = NULL;

	arena_append(arena, &words, l->text);
	if (l->ssl)
		arena_append(arena, &words, "ssl");
	if (l->proxy_protocol)
		arena_append(arena, &words, "proxy_protocol");
	conf_print_list(p, d->name, first ? add_options(l, arena, words) : words);
	arena_free(&arena);
}

static void
print_listen(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct server *server = field;

	for (size_t i = 0; i < p->conf->listen_count; i++) {
		const struct conf_listen *l = p->conf->listens[i];

		for (struct server **s = l->servers; *s != NULL; s++)
			if (*s == server)
				print_one(p, d, l, s == l->servers);
	}
}

const struct conf_type type_listen = { set_listen, print_listen, 0, true };
