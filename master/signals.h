/*
 * signals - what a signal means to the master
 *
 * One table: the signal, the word that -s has for it, what the master does, and how
 * that is said in the log. Built on: proc.
 */
#ifndef POSTERN_MASTER_SIGNALS_H
#define POSTERN_MASTER_SIGNALS_H

enum signals_action {
	SIGNALS_IGNORE,
	SIGNALS_STOP,           /* now */
	SIGNALS_QUIT,           /* when the last session has ended */
	SIGNALS_RELOAD,
	SIGNALS_REOPEN,         /* the logs */
	SIGNALS_UPGRADE,        /* a new binary beside this one */
	SIGNALS_REST,           /* no workers, until HUP */
	SIGNALS_REAP
};

struct signals_row {
	int signal;
	const char *word;       /* of -s, or NULL */
	enum signals_action action;
	const char *doing;      /* how the log line ends: ", exiting" */
};

/* The signal that -s WORD sends, or 0. */
int signals_by_word(const char *word);

/* NULL for a signal that the master does not take. */
const struct signals_row *signals_find(int signal);

/* Blocks all signals of the table and returns the signalfd that delivers them, or -1 with errno. */
int signals_open(void);

#endif
