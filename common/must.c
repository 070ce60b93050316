#include "common/must.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum must_action action = MUST_ABORT;
static char *last_words;
static unsigned last_words_room;

void
must_set_action(enum must_action wanted)
{
	action = wanted;
}

void
must_set_last_words(char *place, unsigned room)
{
	last_words = place;
	last_words_room = room;
}

/* Says `text` and ends. Uses no heap: that may be what is broken. */
static _Noreturn void
end(const char *text)
{
	char line[320];
	int len = snprintf(line, sizeof(line), "postern: [alert] %s\n", text);
	size_t count = len < 0 ? 0 : (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1;

	/* Nothing is left to be done about a failing stderr. */
	if (write(STDERR_FILENO, line, count) == -1)
		(void)0;
	if (last_words != NULL && last_words_room > 0) {
		strncpy(last_words, text, last_words_room - 1);
		last_words[last_words_room - 1] = '\0';
	}
	if (action == MUST_STOP)
		raise(SIGSTOP);
	abort();
}

_Noreturn void
must_fail(const char *cond, const char *file, int line)
{
	char text[256];

	snprintf(text, sizeof(text), "this must hold and does not: %s in %s:%d", cond, file, line);
	end(text);
}

_Noreturn void
must_die(const char *reason)
{
	end(reason);
}
