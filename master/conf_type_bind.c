/* proxy_bind: from which address a backend is connected. */
#include <string.h>

#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define CLIENT "$remote_addr"

/* An address, in brackets or not, or the word for the client's. */
static int
read_address(struct addr *a, const char *text)
{
	size_t len = strlen(text);

	*a = (struct addr){ .family = AF_UNSPEC };
	if (strcmp(text, CLIENT) == 0)
		return 0;
	if (len > 2 && text[0] == '[' && text[len - 1] == ']')
		return addr_parse(a, text + 1, len - 2) == 0 && a->family == AF_INET6 ? 0 : -1;
	return addr_parse(a, text, len);
}

/* "Whatever the system chooses" is what there is without the directive. */
static bool
is_any(const struct addr *a)
{
	static const unsigned char zeros[sizeof(a->ip)];

	return a->family != AF_UNSPEC && memcmp(a->ip, zeros, sizeof(zeros)) == 0;
}

static const char *
read_words(struct conf_build *b, struct conf_bind *bind, size_t argc, const char *const *argv)
{
	bind->place = b->place;
	if (read_address(&bind->addr, argv[0]) == -1) {
		conf_say(LOG_EMERG, &b->place, "invalid address \"%s\"", argv[0]);
		return CONF_SAID;
	}
	if (is_any(&bind->addr)) {
		conf_say(LOG_EMERG, &b->place, "\"%s\" is any address", argv[0]);
		return CONF_SAID;
	}
	bind->transparent = argc > 1;
	if (argc > 1 && strcmp(argv[1], "transparent") != 0) {
		conf_say(LOG_EMERG, &b->place, "invalid parameter \"%s\"", argv[1]);
		return CONF_SAID;
	}
	return bind->addr.family == AF_UNSPEC && !bind->transparent ?
	    "takes a client's address only with \"transparent\"" : NULL;
}

static const char *
set_bind(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const struct conf_bind **to = field;
	struct conf_bind *bind;

	(void)d;
	*to = NULL;
	if (argc == 1 && strcmp(argv[0], "off") == 0)
		return NULL;
	*to = bind = arena_alloc(b->arena, sizeof(*bind));
	return read_words(b, bind, argc, argv);
}

static void
print_bind(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct conf_bind *bind = *(const struct conf_bind *const *)field;
	char text[ADDR_TEXT];

	if (bind == NULL)
		conf_print(p, d->name, "off", NULL);
	else
		conf_print(p, d->name, bind->addr.family == AF_UNSPEC ? CLIENT : addr_format(text, &bind->addr),
		    bind->transparent ? "transparent" : NULL, NULL);
}

const struct conf_type type_bind = { set_bind, print_bind, sizeof(const struct conf_bind *), false };
