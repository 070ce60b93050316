#include "master/conf_say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

#define TEXT_MAX 1400   /* leaves the place its room in LOG_LINE_MAX */

/* Copies `text`, control bytes as \xNN, so that one complaint is one line. */
static void
escape(char *out, size_t size, const char *text)
{
	size_t len = 0;

	for (; *text != '\0' && len + 8 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			len += (size_t)snprintf(out + len, size - len, "\\x%02X", c);
		else
			out[len++] = *text;
	}
	strcpy(out + len, *text == '\0' ? "" : "...");
}

void
conf_say(enum log_level level, const struct conf_place *place, const char *format, ...)
{
	char raw[TEXT_MAX], text[TEXT_MAX], file[TEXT_MAX / 4];
	va_list args;

	va_start(args, format);
	vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	escape(text, sizeof(text), raw);
	if (place->line == 0) {
		log_say(level, "%s", text);
	} else if (place->file == NULL) {
		log_say(level, "%s in command line", text);
	} else {
		escape(file, sizeof(file), place->file);
		log_say(level, "%s in %s:%u", text, file, place->line);
	}
}

void
conf_say_name(const struct conf_name *name, const char *why)
{
	if (strcmp(name->directive, "listen") == 0)
		conf_say(LOG_EMERG, &name->place, "%s in \"%s\" of the \"listen\" directive", why, name->text);
	else
		conf_say(LOG_EMERG, &name->place, "%s in %s \"%s\"", why,
		    strcmp(name->directive, "proxy_pass") == 0 ? "upstream" : name->directive, name->text);
}
