/*
 * names - host names of the configuration, resolved by a child
 *
 * getaddrinfo(3) blocks and reads what strangers answer, so a forked child without
 * privileges calls it for every name and writes what it found down a pipe, one
 * fixed-size record an address. The master believes nothing but addresses: it counts
 * and bounds them, and after 10 seconds it ends the child. Built on: conf, loop, proc.
 */
#ifndef POSTERN_MASTER_NAMES_H
#define POSTERN_MASTER_NAMES_H

#include <stdbool.h>
#include <sys/types.h>

struct conf;
struct loop;
struct names;           /* one resolution under way */

/* The end of a resolution: true when every name of the configuration has its addresses; else the reason is logged. */
typedef void names_callback(void *ctx, bool resolved);

/* Resolves without waiting; `done` is called once, never from within. NULL if it cannot start, which is logged. */
struct names *names_start(struct loop *loop, struct conf *conf, names_callback *done, void *ctx);

/*
 * Ends the child and forgets it; leaves NULL. No callback comes any more. To be called in or after
 * the callback, too.
 */
void names_free(struct names **namesp);

/* Says that `pid` was reaped; returns whether it was the child's. NULL is fine. */
bool names_reaped(struct names *names, pid_t pid);

/* The same at once, for a process that has nothing else to do. Returns 0, or -1 with the reason logged. */
int names_resolve(struct conf *conf);

#endif
