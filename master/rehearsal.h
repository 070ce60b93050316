/*
 * rehearsal - what only a helper can tell is told before it counts, by -t
 *
 * Whether a file of users can be read to its last line, or a set of keys holds one that can be
 * used, no look from outside shows. So one helper of each source is started, on the
 * terminal's log alone, until it is ready or cannot be; then all of them end. Nothing of
 * a running master is touched. Built on: board, feed, loop, source, spawn.
 */
#ifndef POSTERN_MASTER_REHEARSAL_H
#define POSTERN_MASTER_REHEARSAL_H

struct conf;

/* Returns 0, or -1 with the reason logged. Takes ten seconds at most, and a few to end who does not listen. */
int rehearsal(const struct conf *conf);

#endif
