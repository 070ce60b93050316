#include "common/tlserror.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void
add_queue(char *why, size_t size)
{
	const char *data, *before = " (SSL: ";
	unsigned long error;
	char text[256];
	int flags;

	while ((error = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
		size_t len = strlen(why);
		bool told = (flags & ERR_TXT_STRING) != 0 && *data != '\0';

		ERR_error_string_n(error, text, sizeof(text));
		snprintf(why + len, size - len, "%s%s%s%s", before, text, told ? ":" : "", told ? data : "");
		before = " ";
	}
	if (*before == ' ' && before[1] == '\0' && strlen(why) + 1 < size)
		strcat(why, ")");
}

void
tlserror_write(char *why, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	add_queue(why, size);
}
