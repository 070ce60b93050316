/*
 * daemon - the start command ends when the truth is known
 *
 * The process that was started forks the master and waits at a pipe. It exits with 0
 * only when the master has said that it serves, else with 1, also when the master
 * dies without a word. Built on: log.
 */
#ifndef POSTERN_MASTER_DAEMON_H
#define POSTERN_MASTER_DAEMON_H

/*
 * Goes on as a child in a session of its own, with descriptor 0 and 1 on /dev/null;
 * the parent does not return from here. Returns 0, or -1 with the error logged, and
 * then nothing was forked.
 */
int daemon_begin(void);

/* Lets the parent exit with 0. Does nothing where nothing was forked. */
void daemon_succeed(void);

#endif
