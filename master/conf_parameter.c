#include "master/conf_parameter.h"

#include <string.h>

#include "common/must.h"
#include "master/conf_build.h"
#include "master/conf_say.h"

#define PARAMETERS_MAX 16

/* The parameter that `word` gives, or NULL; *value is what stands behind its name. */
static const struct conf_parameter *
find(const struct conf_parameter *table, const char *word, const char **value)
{
	for (; table->name != NULL; table++) {
		size_t len = strlen(table->name);

		*value = word + len;
		if (strncmp(word, table->name, len) == 0 && (word[len - 1] == '=' || **value == '\0'))
			return table;
	}
	return NULL;
}

static int
read_word(struct conf_build *b, const struct conf_parameter *table, void *target, const char *word, bool *seen)
{
	const char *value, *why;
	const struct conf_parameter *parameter = find(table, word, &value);

	if (parameter == NULL) {
		conf_say(LOG_EMERG, &b->place, "invalid parameter \"%s\"", word);
		return -1;
	}
	MUST(parameter - table < PARAMETERS_MAX);
	if (seen[parameter - table]) {
		conf_say(LOG_EMERG, &b->place, "duplicate parameter \"%s\"", word);
		return -1;
	}
	seen[parameter - table] = true;
	if ((why = parameter->set(b, target, value)) == NULL)
		return 0;
	conf_say(LOG_EMERG, &b->place, "invalid parameter \"%s\": %s", word, why);
	return -1;
}

int
conf_parameters_read(struct conf_build *b, const struct conf_parameter *table, void *target, size_t argc,
    const char *const *argv)
{
	bool seen[PARAMETERS_MAX] = { false };

	for (size_t i = 0; i < argc; i++)
		if (read_word(b, table, target, argv[i], seen) == -1)
			return -1;
	return 0;
}
