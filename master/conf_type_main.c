#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/addrset.h"
#include "common/num.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define MASK_BITS 1024
#define NICE_MAX 20

/* user: whether these accounts are there is for conf_merge to say; only root can become anybody. */
static const char *
set_user(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)d, (void)field;
	b->conf->user = arena_strdup(b->arena, argv[0]);
	b->conf->group = argc > 1 ? arena_strdup(b->arena, argv[1]) : NULL;
	b->draft->user = b->place;
	return NULL;
}

static void
print_user(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const char *user = *(const char *const *)field;

	if (user != NULL)
		conf_print(p, d->name, user, p->conf->group, NULL);
}

const struct conf_type type_user = { set_user, print_user, sizeof(const char *), false };

static unsigned
online_cpus(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	return count < 1 ? 1 : count > UINT16_MAX ? UINT16_MAX : (unsigned)count;
}

/* "auto" is a process a CPU, within the row's bounds. */
static const char *
set_processes(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	unsigned *processes = field, cpus = online_cpus(), min = (unsigned)d->min, max = (unsigned)d->max;

	(void)b, (void)argc;
	if (strcmp(argv[0], "auto") == 0)
		*processes = cpus < min ? min : cpus > max ? max : cpus;
	else if (num_parse(argv[0], max, processes) == -1)
		return "invalid value";
	return *processes == 0 ? "value must not be zero" : NULL;
}

static void
print_processes(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print_plain(p, d->name, "%u", *(const unsigned *)field);
}

const struct conf_type type_processes = { set_processes, print_processes, sizeof(unsigned), false };

/* A mask is a string of bits, the last one for CPU 0. */
static const char *
read_mask(struct conf_build *b, const struct directive *d, const char *text, uint64_t *mask)
{
	size_t len = strlen(text);

	if (len > MASK_BITS) {
		conf_say(LOG_EMERG, &b->place, "\"%s\" supports up to %d CPUs only", d->name, MASK_BITS);
		return CONF_SAID;
	}
	for (size_t bit = 0; bit < len; bit++) {
		char c = text[len - 1 - bit];

		if (c != '0' && c != '1') {
			conf_say(LOG_EMERG, &b->place, "invalid character \"%c\" in \"%s\"", c, d->name);
			return CONF_SAID;
		}
		if (c == '1')
			mask[bit / 64] |= UINT64_C(1) << bit % 64;
	}
	return NULL;
}

static const char *
set_affinity(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct conf *conf = b->conf;
	bool is_auto = strcmp(argv[0], "auto") == 0;
	const char *why = NULL;

	(void)field;
	if (is_auto && argc > 2) {
		conf_say(LOG_EMERG, &b->place, "invalid number of arguments in \"%s\" directive", d->name);
		return CONF_SAID;
	}
	conf->affinity = is_auto ? AFFINITY_AUTO : AFFINITY_MASKS;
	conf->affinity_masks = arena_alloc(b->arena, argc * sizeof(*conf->affinity_masks));
	conf->affinity_count = argc - is_auto;
	b->draft->affinity = b->place;
	for (size_t i = 0; i < conf->affinity_count && why == NULL; i++)
		why = read_mask(b, d, argv[i + is_auto], conf->affinity_masks[i]);
	return why;
}

static const char *
mask_text(const uint64_t *mask, char text[MASK_BITS + 1])
{
	size_t top = MASK_BITS;

	while (top > 1 && (mask[(top - 1) / 64] >> (top - 1) % 64 & 1) == 0)
		top--;
	for (size_t i = 0; i < top; i++)
		text[i] = (mask[(top - 1 - i) / 64] >> (top - 1 - i) % 64 & 1) != 0 ? '1' : '0';
	text[top] = '\0';
	return text;
}

static void
print_affinity(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct conf *conf = p->conf;
	const char **words = NULL;
	struct arena *arena;
	char text[MASK_BITS + 1];

	(void)field;
	if (conf->affinity == AFFINITY_NONE)
		return;
	arena = arena_new();
	if (conf->affinity == AFFINITY_AUTO)
		arena_append(arena, &words, "auto");
	for (size_t i = 0; i < conf->affinity_count; i++)
		arena_append(arena, &words, arena_strdup(arena, mask_text(conf->affinity_masks[i], text)));
	conf_print_list(p, d->name, words);
	arena_free(&arena);
}

const struct conf_type type_affinity = { set_affinity, print_affinity, sizeof(enum conf_affinity), false };

static const char *
set_priority(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	bool minus = argv[0][0] == '-';
	unsigned nice;

	(void)b, (void)d, (void)argc;
	if (num_parse(argv[0] + minus, INT32_MAX, &nice) == -1)
		return "invalid number";
	if (nice > NICE_MAX)
		nice = NICE_MAX;        /* as setpriority(2) would */
	*(int *)field = minus ? -(int)nice : (int)nice;
	return NULL;
}

static void
print_priority(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print_plain(p, d->name, "%d", *(const int *)field);
}

const struct conf_type type_priority = { set_priority, print_priority, sizeof(int), false };

/* Without words: the limit stays as it is. */
static const char *
set_limit(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	uint64_t value;

	(void)b;
	if (argc > 0 && num_parse_len(argv[0], strlen(argv[0]), d->max, &value) == -1)
		return "invalid number";
	*(long long *)field = argc > 0 ? (long long)value : -1;
	return NULL;
}

/* As set_limit(), of bytes: the one size that may have a `g`. */
static const char *
set_limit_size(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	size_t len = argc > 0 ? strlen(argv[0]) : 0;
	uint64_t value = 0;

	(void)b;
	if (len > 0 && (argv[0][len - 1] == 'g' || argv[0][len - 1] == 'G')) {
		if (num_parse_len(argv[0], len - 1, d->max >> 30, &value) == -1)
			return "invalid value";
		value <<= 30;
	} else if (argc > 0 && num_parse_size(argv[0], d->max, &value) == -1) {
		return "invalid value";
	}
	*(long long *)field = argc > 0 ? (long long)value : -1;
	return NULL;
}

static void
print_limit(const struct conf_printer *p, const struct directive *d, const void *field)
{
	long long limit = *(const long long *)field;

	if (limit >= 0)
		conf_print_plain(p, d->name, "%lld", limit);
}

const struct conf_type type_limit = { set_limit, print_limit, sizeof(long long), false };
const struct conf_type type_limit_size = { set_limit_size, print_limit, sizeof(long long), false };

static bool
has_variable(const char **environment, const char *name, size_t len)
{
	for (; environment != NULL && *environment != NULL; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return true;
	return false;
}

/* NAME=value is a variable, NAME passes ours on. The first of a name is the one that getenv(3) finds. */
static const char *
set_environment(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const char ***environment = field, *variable = argv[0], *value;
	size_t len = strcspn(variable, "=");

	(void)d, (void)argc;
	if (len == 0)
		return "has no name";
	if (has_variable(*environment, variable, len))
		return NULL;
	if (variable[len] == '=')
		arena_append(b->arena, environment, arena_strdup(b->arena, variable));
	else if ((value = getenv(variable)) != NULL)
		arena_append(b->arena, environment, arena_printf(b->arena, "%s=%s", variable, value));
	return NULL;
}

static void
print_environment(const struct conf_printer *p, const struct directive *d, const void *field)
{
	for (const char *const *v = *(const char *const *const *)field; v != NULL && *v != NULL; v++)
		conf_print(p, d->name, *v, NULL);
}

const struct conf_type type_environment = { set_environment, print_environment, sizeof(const char **), true };

static const char *
set_debug_points(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	bool stop = strcmp(argv[0], "stop") == 0;

	(void)d, (void)argc;
	if (!stop && strcmp(argv[0], "abort") != 0) {
		conf_say(LOG_EMERG, &b->place, "invalid value \"%s\"", argv[0]);
		return CONF_SAID;
	}
	*(bool *)field = stop;
	return NULL;
}

static void
print_debug_points(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print(p, d->name, *(const bool *)field ? "stop" : "abort", NULL);
}

const struct conf_type type_debug_points = { set_debug_points, print_debug_points, sizeof(bool), false };

static const char *
set_event_method(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)d, (void)field, (void)argc;
	if (strcmp(argv[0], "epoll") == 0)
		return NULL;
	conf_say(LOG_EMERG, &b->place, "invalid event type \"%s\", only \"epoll\" is there", argv[0]);
	return CONF_SAID;
}

static void
print_event_method(const struct conf_printer *p, const struct directive *d, const void *field)
{
	(void)field;
	conf_print(p, d->name, "epoll", NULL);
}

const struct conf_type type_event_method = { set_event_method, print_event_method, 0, false };
