/* Networks: who may come in, whom we believe about others, whose connections are logged in full. */
#include <string.h>

#include "common/addrset.h"
#include "common/conf.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

/* "10.0.0.1/8" means 10.0.0.0/8, and perhaps something else was meant. */
static void
warn_of_low_bits(struct conf_build *b, const char *network)
{
	struct addr addr;
	unsigned bits;

	if (addr_parse_network(&addr, &bits, network) != NULL)
		return;
	for (unsigned bit = bits; bit < addr_width(&addr); bit++) {
		if ((addr.ip[bit / 8] & 0x80 >> bit % 8) != 0) {
			conf_say(LOG_WARN, &b->place, "low address bits of %s are meaningless", network);
			return;
		}
	}
}

static const char *
wrong(struct conf_build *b, const struct directive *d, const char *text, const char *why)
{
	conf_say(LOG_EMERG, &b->place, "invalid value \"%s\" in \"%s\" directive: %s", text, d->name, why);
	return CONF_SAID;
}

/* Reads what is no name. Returns NULL, or what is wrong with it. */
static const char *
judge(const char *text)
{
	struct addrset *trial = NULL;
	const char *why = addrset_add(&trial, true, text);

	addrset_free(&trial);
	return why;
}

static void
append(struct conf_build *b, void *field, bool allow, const char *text, struct conf_name *name)
{
	struct conf_network *network = arena_alloc(b->arena, sizeof(*network));

	*network = (struct conf_network){ .allow = allow, .text = arena_strdup(b->arena, text), .name = name };
	arena_append(b->arena, field, network);
}

/* Who may come in: everybody's addresses change, so that names would be a promise that nobody can keep. */
static const char *
set_access(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const char *why = judge(argv[0]);

	(void)argc;
	if (why != NULL)
		return wrong(b, d, argv[0], why);
	warn_of_low_bits(b, argv[0]);
	append(b, field, strcmp(d->name, "allow") == 0, argv[0], NULL);
	return NULL;
}

/* Both directives share a list, and their order is what counts: the first prints it all. */
static void
print_access(const struct conf_printer *p, const struct directive *d, const void *field)
{
	if (strcmp(d->name, "allow") != 0)
		return;
	for (struct conf_network **n = *(struct conf_network **const *)field; n != NULL && *n != NULL; n++)
		conf_print(p, (*n)->allow ? "allow" : "deny", (*n)->text, NULL);
}

const struct conf_type type_access = { set_access, print_access, sizeof(struct conf_network **), true };

/* What is neither an address nor a network nor "unix:" is a name, and each of its addresses counts. */
static const char *
set_networks(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const char *why = judge(argv[0]);
	struct conf_name *name = NULL;

	(void)argc;
	if (why == NULL && strcmp(argv[0], "all") != 0) {
		warn_of_low_bits(b, argv[0]);
	} else if (strpbrk(argv[0], ":/[]") != NULL) {
		return wrong(b, d, argv[0], why);
	} else {
		if ((name = conf_build_name(b, d->name, argv[0], argv[0], 0)) == NULL)
			return CONF_SAID;
		conf_build_resolve(b, name);
	}
	append(b, field, true, argv[0], name);
	return NULL;
}

/* Addresses of people, not of machines that we know by name. */
static const char *
set_exempt(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const char *why = strcmp(argv[0], "all") == 0 ? "then there is no limit at all" : judge(argv[0]);

	(void)argc;
	if (why != NULL)
		return wrong(b, d, argv[0], why);
	warn_of_low_bits(b, argv[0]);
	append(b, field, true, argv[0], NULL);
	return NULL;
}

static void
print_networks(const struct conf_printer *p, const struct directive *d, const void *field)
{
	char text[ADDR_TEXT];

	for (struct conf_network **n = *(struct conf_network **const *)field; n != NULL && *n != NULL; n++) {
		const struct conf_name *name = (*n)->name;

		if (name == NULL)
			conf_print(p, d->name, (*n)->text, NULL);
		for (size_t i = 0; name != NULL && i < name->found_count; i++)
			conf_print(p, d->name, addr_format(text, &name->found[i].addr), NULL);
	}
}

const struct conf_type type_networks = { set_networks, print_networks, sizeof(struct conf_network **), true };
const struct conf_type type_exempt = { set_exempt, print_networks, sizeof(struct conf_network **), true };
