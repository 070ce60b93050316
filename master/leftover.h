/*
 * leftover - the files of UNIX sockets, removed by the last master that has the socket
 *
 * During an upgrade two masters listen on the same sockets, and who is done with one cannot
 * know whether the other is. So while there are two, files that would be removed are noted,
 * and go when there is only one left, unless somebody has put another in their place.
 * Built on: log, mem.
 */
#ifndef POSTERN_MASTER_LEFTOVER_H
#define POSTERN_MASTER_LEFTOVER_H

#include <stdbool.h>

/* Does another master listen on what this one does? When not any more, what was noted goes. */
void leftover_share(bool shared);

/* Removes the file, now or later. What goes wrong is logged. */
void leftover_remove(const char *path);

/* Forgets what was noted, at the end of this process. */
void leftover_forget(void);

#endif
