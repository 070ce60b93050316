/*
 * activation - listening sockets from a service manager
 *
 * The protocol of sd_listen_fds(3), which needs no library: LISTEN_PID is the process that
 * is meant, LISTEN_FDS how many descriptors it was given, from 3 on. Built on: inherited,
 * log, num, proc.
 */
#ifndef POSTERN_MASTER_ACTIVATION_H
#define POSTERN_MASTER_ACTIVATION_H

struct inherited;

/*
 * Adds the sockets that this process was given, as lent ones, and says of each that cannot
 * be used why. The variables are removed from the environment in any case: no child is meant.
 */
void activation_take(struct inherited *inherited);

#endif
