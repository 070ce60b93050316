/*
 * listener - the listening sockets of a configuration
 *
 * A socket belongs to one configuration at a time. A new one takes over what it
 * also wants, under the same descriptor, and binds the rest; until
 * listener_commit() the old one still owns everything it had, so that a failed
 * reload has changed nothing. Built on: conf, inherited, sock, leftover, log.
 */
#ifndef POSTERN_MASTER_LISTENER_H
#define POSTERN_MASTER_LISTENER_H

#include <stdbool.h>

struct conf;
struct conf_listen;
struct inherited;

/*
 * Gives every address of `conf` its socket: that of `old` for the same address, or the one
 * that the process inherited (either may be NULL), else a new one. Without `old`, which somebody
 * serves with, it waits up to two seconds for addresses that are in use. Returns 0, or -1 with the
 * reason logged, and then nothing new is left open.
 */
int listener_open(struct conf *conf, const struct conf *old, struct inherited *inherited);

/*
 * Has `conf` the socket of `listen`, which is of another configuration? One that `listen` does not
 * have, nobody misses.
 */
bool listener_keeps(const struct conf *conf, const struct conf_listen *listen);

/* Takes back what listener_open() did. */
void listener_rollback(struct conf *conf, const struct conf *old);

/* Adjusts the sockets taken over to their new parameters and closes those of `old` that `conf` does not want. */
void listener_commit(const struct conf *conf, struct conf *old);

/* Gives the sockets their parameters again: another master may have given them its own. */
void listener_adjust(const struct conf *conf);

/* Closes all sockets and removes the files of UNIX sockets. */
void listener_close(struct conf *conf);

#endif
