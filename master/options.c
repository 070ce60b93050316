#include "master/options.h"

#include <stdio.h>
#include <string.h>

#include "master/signals.h"

/* An option that takes a value, and what that value is called when it is missing. */
struct valued {
	char letter;
	const char *what;
	size_t field;
};

static const struct valued valued[] = {
	{ 'p', "directory name", offsetof(struct options, prefix) },
	{ 'e', "file name",      offsetof(struct options, error_log) },
	{ 'c', "file name",      offsetof(struct options, conf_path) },
	{ 'g', "parameter",      offsetof(struct options, directives) },
	{ 's', "parameter",      offsetof(struct options, signal) },
};

static const struct valued *
find_valued(char letter)
{
	for (size_t i = 0; i < sizeof(valued) / sizeof(*valued); i++)
		if (valued[i].letter == letter)
			return &valued[i];
	return NULL;
}

/* Returns -1 if `letter` is no switch. */
static int
turn_on(struct options *options, char letter)
{
	switch (letter) {
	case '?':
	case 'h':
		options->help = true;
		return 0;
	case 'v':
		options->version = true;
		return 0;
	case 'V':
		options->build = true;
		return 0;
	case 't':
		options->test = true;
		return 0;
	case 'T':
		options->test = options->dump_files = true;
		return 0;
	case 'D':
		options->test = options->dump_conf = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	default:
		return -1;
	}
}

/* Takes the value of an option: what is left of its own word, else the word behind it. */
static int
take_value(struct options *options, const struct valued *option, const char *rest, char *const **next,
    char *why, size_t size)
{
	const char *value = *rest != '\0' ? rest : **next != NULL ? *(*next)++ : "";

	if (*value == '\0') {
		snprintf(why, size, "option \"-%c\" requires %s", option->letter, option->what);
		return -1;
	}
	if (option->letter == 's' && signals_by_word(value) == 0) {
		snprintf(why, size, "invalid option: \"-s %s\"", value);
		return -1;
	}
	*(const char **)(void *)((char *)options + option->field) = value;
	return 0;
}

/* Reads the letters of one word, and the word behind it where the last letter wants a value. */
static int
parse_word(struct options *options, const char *word, char *const **next, char *why, size_t size)
{
	if (*word != '-') {
		snprintf(why, size, "invalid option: \"%s\"", word);
		return -1;
	}
	while (*++word != '\0') {
		const struct valued *option = find_valued(*word);

		if (option != NULL)
			return take_value(options, option, word + 1, next, why, size);
		if (turn_on(options, *word) == -1) {
			snprintf(why, size, "invalid option: \"%c\"", *word);
			return -1;
		}
	}
	return 0;
}

int
options_parse(struct options *options, int argc, char *const *argv, char *why, size_t size)
{
	char *const *next = argv + (argc > 0);

	*options = (struct options){ 0 };
	while (*next != NULL) {
		const char *word = *next++;

		if (parse_word(options, word, &next, why, size) == -1)
			return -1;
	}
	return 0;
}
