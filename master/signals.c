#include "master/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "common/proc.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct signals_row rows[] = {
	{ SIGTERM,  "stop",   SIGNALS_STOP,    ", exiting" },
	{ SIGINT,   NULL,     SIGNALS_STOP,    ", exiting" },
	{ SIGQUIT,  "quit",   SIGNALS_QUIT,    ", shutting down" },
	{ SIGHUP,   "reload", SIGNALS_RELOAD,  ", reconfiguring" },
	{ SIGUSR1,  "reopen", SIGNALS_REOPEN,  ", reopening logs" },
	{ SIGCHLD,  NULL,     SIGNALS_REAP,    "" },
	{ SIGWINCH, NULL,     SIGNALS_REST,    ", stop accepting connections" },
	{ SIGUSR2,  NULL,     SIGNALS_UPGRADE, ", changing binary" },
	{ SIGALRM,  NULL,     SIGNALS_IGNORE,  ", ignoring" },
	{ SIGIO,    NULL,     SIGNALS_IGNORE,  ", ignoring" },
};

int
signals_by_word(const char *word)
{
	for (size_t i = 0; i < COUNT(rows); i++)
		if (rows[i].word != NULL && strcmp(rows[i].word, word) == 0)
			return rows[i].signal;
	return 0;
}

const struct signals_row *
signals_find(int signal)
{
	for (size_t i = 0; i < COUNT(rows); i++)
		if (rows[i].signal == signal)
			return &rows[i];
	return NULL;
}

int
signals_open(void)
{
	int signals[COUNT(rows)];

	for (size_t i = 0; i < COUNT(rows); i++)
		signals[i] = rows[i].signal;
	return proc_signalfd(signals, COUNT(rows));
}
