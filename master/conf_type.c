#include "master/conf_type.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "common/num.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"

#define SECOND_MS 1000

const char CONF_SAID[] = "";

/* Zero is within a number's own range, but not within this directive's. */
static const char *
ranged(uint64_t value, const struct directive *d)
{
	return value == 0 && d->min > 0 ? "value must not be zero" : NULL;
}

static const char *
read_flag(struct conf_build *b, const struct directive *d, const char *word, bool *flag)
{
	bool on = strcasecmp(word, "on") == 0;

	if (!on && strcasecmp(word, "off") != 0) {
		conf_say(LOG_EMERG, &b->place, "invalid value \"%s\" in \"%s\" directive, it must be \"on\" or \"off\"",
		    word, d->name);
		return CONF_SAID;
	}
	*flag = on;
	return NULL;
}

static const char *
set_flag(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)argc;
	return read_flag(b, d, argv[0], field);
}

static void
print_flag(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print(p, d->name, *(const bool *)field ? "on" : "off", NULL);
}

const struct conf_type type_flag = { set_flag, print_flag, sizeof(bool), false };

static const char *
set_number(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	unsigned value;

	(void)b, (void)argc;
	if (num_parse(argv[0], (unsigned)d->max, &value) == -1)
		return "invalid number";
	*(unsigned *)field = value;
	return ranged(value, d);
}

static void
print_number(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print_plain(p, d->name, "%u", *(const unsigned *)field);
}

const struct conf_type type_number = { set_number, print_number, sizeof(unsigned), false };

static const char *
set_size(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	uint64_t value;

	(void)b, (void)argc;
	if (num_parse_size(argv[0], d->max, &value) == -1)
		return "invalid value";
	*(size_t *)field = (size_t)value;
	return ranged(value, d);
}

static void
print_size(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print_plain(p, d->name, "%zu", *(const size_t *)field);
}

const struct conf_type type_size = { set_size, print_size, sizeof(size_t), false };

static const char *
set_msec(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	uint64_t value;

	(void)b, (void)argc;
	if (num_parse_time(argv[0], true, d->max, &value) == -1)
		return "invalid value";
	*(uint64_t *)field = value;
	return ranged(value, d);
}

static void
print_msec(const struct conf_printer *p, const struct directive *d, const void *field)
{
	uint64_t value = *(const uint64_t *)field;

	if (value % SECOND_MS == 0)
		conf_print_plain(p, d->name, "%" PRIu64 "s", value / SECOND_MS);
	else
		conf_print_plain(p, d->name, "%" PRIu64 "ms", value);
}

const struct conf_type type_msec = { set_msec, print_msec, sizeof(uint64_t), false };

static const char *
set_seconds(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)b, (void)argc;
	return num_parse_time(argv[0], false, d->max, field) == -1 ? "invalid value" : NULL;
}

static void
print_seconds(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print_plain(p, d->name, "%" PRIu64 "s", *(const uint64_t *)field);
}

const struct conf_type type_seconds = { set_seconds, print_seconds, sizeof(uint64_t), false };

static const char *
set_short_msec(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	uint64_t value = 0;
	const char *why = set_msec(b, d, &value, argc, argv);

	*(unsigned *)field = (unsigned)value;
	return why;
}

static void
print_short_msec(const struct conf_printer *p, const struct directive *d, const void *field)
{
	uint64_t value = *(const unsigned *)field;

	print_msec(p, d, &value);
}

const struct conf_type type_short_msec = { set_short_msec, print_short_msec, sizeof(unsigned), false };

/* A file or folder of the main block: a relative one starts at the prefix. */
static const char *
set_path(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)d, (void)argc;
	if (argv[0][0] == '\0')
		return "value must not be empty";
	*(const char **)field = conf_build_path(b, b->request->prefix, argv[0]);
	return NULL;
}

static void
print_text(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const char *text = *(const char *const *)field;

	if (text != NULL)
		conf_print(p, d->name, text, NULL);
}

const struct conf_type type_path = { set_path, print_text, sizeof(const char *), false };

static const char *
set_text(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)d, (void)argc;
	if (argv[0][0] == '\0')
		return "value must not be empty";
	*(const char **)field = arena_strdup(b->arena, argv[0]);
	return NULL;
}

const struct conf_type type_text = { set_text, print_text, sizeof(const char *), false };

bool
conf_breaks_lines(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/* A text that peers or helpers are told in a line. */
static const char *
set_line(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	return conf_breaks_lines(argv[0]) ? "value holds a control character" : set_text(b, d, field, argc, argv);
}

const struct conf_type type_line = { set_line, print_text, sizeof(const char *), false };

static const char *
set_words(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const char ***words = field;

	(void)d;
	if (*words == NULL)
		*words = arena_alloc(b->arena, sizeof(**words));
	for (size_t i = 0; i < argc; i++) {
		if (conf_breaks_lines(argv[i]))
			return "value holds a control character";
		arena_append(b->arena, words, arena_strdup(b->arena, argv[i]));
	}
	return NULL;
}

static void
print_words(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const char *const *words = *(const char *const *const *)field;

	if (words != NULL && words[0] != NULL)
		conf_print_list(p, d->name, words);
}

const struct conf_type type_words = { set_words, print_words, sizeof(const char **), true };

static void
print_nothing(const struct conf_printer *p, const struct directive *d, const void *field)
{
	(void)p, (void)d, (void)field;
}

static const char *
ignore_flag(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	bool ignored;

	(void)field, (void)argc;
	return read_flag(b, d, argv[0], &ignored);
}

const struct conf_type type_flag_ignored = { ignore_flag, print_nothing, 0, false };

static const char *
ignore_msec(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	uint64_t ignored;

	(void)field;
	return set_msec(b, d, &ignored, argc, argv);
}

const struct conf_type type_msec_ignored = { ignore_msec, print_nothing, 0, false };

/* What only nginx's other sides need, a whole block perhaps. */
static const char *
skip(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)field, (void)argc, (void)argv;
	conf_say(LOG_WARN, &b->place, "\"%s\" is skipped: it is for other parts of nginx", d->name);
	return NULL;
}

const struct conf_type type_skipped = { skip, print_nothing, 0, true };
