#include "common/num.h"

#include <limits.h>
#include <string.h>

#define SECOND_MS ((uint64_t)1000)
#define DAY_MS (86400 * SECOND_MS)

/* From larger to smaller, as they must come in a text; "ms" shares its first letter with "m". */
static const struct unit {
	const char *name;
	uint64_t ms;
} units[] = {
	{ "y",  365 * DAY_MS },
	{ "M",  30 * DAY_MS },
	{ "w",  7 * DAY_MS },
	{ "d",  DAY_MS },
	{ "h",  3600 * SECOND_MS },
	{ "m",  60 * SECOND_MS },
	{ "s",  SECOND_MS },
	{ "ms", 1 },
};
#define MONTH (units + 1)
#define SECOND (units + 6)
#define UNITS_END (units + sizeof(units) / sizeof(units[0]))

static size_t
digits(const char *text)
{
	return strspn(text, "0123456789");
}

int
num_parse_len(const char *text, size_t len, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (len == 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)(text[i] - '0');

		if (digit > 9 || value > max / 10 || digit > max - value * 10)
			return -1;
		value = value * 10 + digit;
	}
	*out = value;
	return 0;
}

int
num_parse(const char *text, unsigned max, unsigned *out)
{
	uint64_t value;

	if (num_parse_len(text, strlen(text), max, &value) == -1)
		return -1;
	*out = (unsigned)value;
	return 0;
}

int
num_parse_size(const char *text, uint64_t max, uint64_t *bytes)
{
	size_t len = digits(text);
	unsigned shift = 0;
	uint64_t value;

	if (text[len] == 'k' || text[len] == 'K')
		shift = 10;
	else if (text[len] == 'm' || text[len] == 'M')
		shift = 20;
	if (text[len + (shift > 0)] != '\0' || num_parse_len(text, len, max >> shift, &value) == -1)
		return -1;
	*bytes = value << shift;
	return 0;
}

/* The unit whose name `text` begins with; seconds, without a letter, if a bare number ends there. */
static const struct unit *
unit_at(const char *text, size_t *len)
{
	const struct unit *found = NULL;

	*len = 0;
	if (*text == '\0' || *text == ' ')
		return SECOND;
	for (const struct unit *u = units; u < UNITS_END; u++) {
		if (strncmp(text, u->name, strlen(u->name)) == 0) {
			found = u;      /* "ms" comes behind "m" and wins */
			*len = strlen(u->name);
		}
	}
	return found;
}

int
num_parse_time(const char *text, bool in_ms, uint64_t max, uint64_t *out)
{
	const struct unit *next = in_ms ? MONTH + 1 : units;    /* the largest that may come now */
	const struct unit *end = in_ms ? UNITS_END : SECOND + 1;
	uint64_t total = 0;

	do {
		size_t number_len = digits(text), unit_len;
		const struct unit *unit = unit_at(text + number_len, &unit_len);
		uint64_t scale, value;

		if (unit == NULL || unit < next || unit >= end)
			return -1;
		scale = in_ms ? unit->ms : unit->ms / SECOND_MS;
		if (num_parse_len(text, number_len, (max - total) / scale, &value) == -1)
			return -1;
		total += value * scale;
		next = unit + 1;
		text += number_len + unit_len;
		text += strspn(text, " ");
	} while (*text != '\0');
	*out = total;
	return 0;
}
